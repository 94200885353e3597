"""What a scenario's steps ask of their processes: `@requires` and `@affinity`, of the step above or, above the first one, of all."""

from __future__ import annotations

from dataclasses import replace

from runink.dsl.clauses import AffinityClause, RequiresClause
from runink.dsl.diagnostics import Findings
from runink.dsl.parts import Parts
from runink.dsl.slicing import Wish


def ask(
    clause: RequiresClause | AffinityClause, step: str, parts: Parts, findings: Findings
) -> None:
    """Note what is asked for a step, or for the scenario where there is none above; what is asked twice, or asks for nothing, is told."""
    wish = parts.wishes.get(step, Wish()) if step else parts.default
    whose = "the step" if step else "the scenario"
    match clause:
        case RequiresClause() if wish.resources is not None:
            hint = "write all in one: cpu=…, memory=…, disk=…, network=…"
            findings.add("D016", f"@requires stands for {whose} already", clause.span, hint)
        case RequiresClause(limits=limits, network=network):
            _keep(wish.requiring(limits, network, default=parts.default), step, parts)
        case AffinityClause(labels=()) if not (step and parts.default.labels):
            text = f"@affinity names no label for {whose}"
            findings.add("D014", text, clause.span, 'as in @affinity(label="gpu")')
        case AffinityClause() if wish.labels is not None:
            text = f"@affinity stands for {whose} already"
            findings.add("D016", text, clause.span, 'write a list: label=["…", "…"]')
        case AffinityClause(labels=labels):
            _keep(replace(wish, labels=tuple(sorted(set(labels)))), step, parts)


def _keep(wish: Wish, step: str, parts: Parts) -> None:
    if step:
        parts.wishes[step] = wish
    else:
        parts.default = wish
