"""What a scenario's steps ask for: `@requires`, `@affinity`, `@retry` and `@timeout`, of the step above or, above the first one, of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from runink.dsl.asks import NOTHING_ASKED, Asks
from runink.dsl.clauses import AffinityClause, Asking, RequiresClause, RetryClause, TimeoutClause
from runink.dsl.diagnostics import Findings
from runink.dsl.parts import Parts
from runink.dsl.slicing import Wish
from runink.tries import Retry


def ask(clause: Asking, step: str, parts: Parts, findings: Findings) -> None:
    """Note what is asked for a step, or for the scenario where there is none above; what is asked twice, or asks for nothing, is told."""
    wish = parts.wishes.get(step, Wish()) if step else parts.default
    whose = "the step" if step else "the scenario"
    wider = parts.default.asks if step else NOTHING_ASKED
    match clause:
        case RequiresClause() if wish.resources is not None:
            hint = "write all in one: cpu=…, memory=…, disk=…, network=…"
            findings.add("D016", f"@requires stands for {whose} already", clause.span, hint)
        case RequiresClause():
            asks = replace(
                wish.asks,
                gpus=clause.gpus,
                sees=clause.sees,
                required=clause.labels,
                grace_ms=clause.grace_ms,
            )
            wish = wish.requiring(clause.limits, clause.network, default=parts.default)
            _keep(replace(wish, asks=asks), step, parts)
        case AffinityClause() if _lacks_domain(clause, wider):
            text = f"skew says nothing for {whose} without a domain"
            findings.add("D014", text, clause.span, "as in @affinity(domain=zone, skew=1)")
        case AffinityClause() if _says_nothing(clause) and not wider.labels:
            text = f"@affinity names no label for {whose}"
            findings.add("D014", text, clause.span, 'as in @affinity(label="gpu")')
        case AffinityClause() if wish.is_placed:
            text = f"@affinity stands for {whose} already"
            findings.add("D016", text, clause.span, 'write a list: label=["…", "…"]')
        case AffinityClause():
            asks = replace(
                wish.asks,
                labels=clause.labels,
                together=clause.together,
                apart=clause.apart,
                domain=clause.domain,
                skew=clause.skew,
            )
            _keep(replace(wish, asks=asks, is_placed=True), step, parts)
        case RetryClause() if wish.retry is not None:
            findings.add("D016", f"@retry stands for {whose} already", clause.span, "keep one")
        case RetryClause(retry=retry):
            _keep(replace(wish, retry=retry), step, parts)
        case TimeoutClause() if wish.timeout is not None:
            findings.add("D016", f"@timeout stands for {whose} already", clause.span, "keep one")
        case TimeoutClause(limit=limit):
            _keep(replace(wish, timeout=limit), step, parts)


def _lacks_domain(clause: AffinityClause, wider: Asks) -> bool:
    """Say whether it bounds a spread that nobody asks for."""
    return clause.skew is not None and not (clause.domain or wider.domain)


def _says_nothing(clause: AffinityClause) -> bool:
    is_about_spread = clause.domain or clause.skew is not None
    return not (clause.labels or clause.together or clause.apart or is_about_spread)


def retries_of(parts: Iterable[Parts], of_file: Retry | None) -> dict[str, Retry]:
    """Return by node what is tried again: what stands for a step counts before what stands for its scenario, that before what stands for the file."""
    found: dict[str, Retry] = {}
    for part in parts:
        for node in part.nodes:
            wish = part.wishes.get(node)
            own = wish.retry if wish is not None else None
            retry = own or part.default.retry or of_file
            if retry is not None and retry.times:
                found[node] = retry
    return found


def _keep(wish: Wish, step: str, parts: Parts) -> None:
    if step:
        parts.wishes[step] = wish
    else:
        parts.default = wish
