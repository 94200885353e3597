"""What is not for everybody on its way to sinks: what each of them may hold, what it gets masked, and what must not reach it.

The pipeline is gone through in the order of its streams (`flows.py`).  A sink gets its `Clearance`: the fields to be masked, and the columns that are known to come.
What of them its audience sees is said by `audiences.py` and `views.py`.  Where something reaches a sink that is neither seen nor masked, that is a finding at the sink.

A check whose columns hold what another contract says is personal is told to show no value of them, either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import astuple
from msgspec.structs import replace as changed

from runink.clearances import ClearancePolicy
from runink.contracts.fields import FieldSpec
from runink.contracts.hidden import Clearance, hidden_field, is_keyed
from runink.dag import Check, Dag, Node, Sink, Source
from runink.dsl.audiences import Audience
from runink.dsl.carried import Carried, Origins, origins_of
from runink.dsl.diagnostics import Findings
from runink.dsl.flows import Flow
from runink.dsl.views import View, view_of
from runink.errors import Span
from runink.identity.roles import Clearances

SHOWN_MAX: Final = 3  # fields or columns in a message: who mends three has seen what is wrong


def cleared(
    dag: Dag,
    policy: ClearancePolicy,
    spans: Mapping[str, Span],
    findings: Findings,
    audiences: Mapping[str, Clearances],
) -> Dag:
    """Return the pipeline with what its sinks are cleared for. `spans` are the sinks' places in the file, `audiences` what the roles show that some of them are for."""
    has_roles = any(isinstance(node, Sink) and node.role for node in dag.nodes)
    if not any(_has_marks(node, pii_only=not has_roles) for node in dag.nodes):
        return dag
    sinks = _Sinks(policy, audiences)
    flow = Flow(dag, sinks.at_sink, pii_only=not has_roles)
    nodes = tuple(_cleared(node, flow, sinks) for node in dag.nodes)
    for node in dag.nodes:
        if isinstance(node, Sink):
            for text, hint in sinks.problems.get(node.id, ()):
                findings.add("D080", text, spans.get(node.id), hint)
    for source, field, contract in _misread(dag, sinks):
        text = f"{contract} takes {field.name} for a {field.kind.value}, and comes behind its mask, {field.mask}, which makes text of it"
        hint = "tokenise keeps the kind; or let the contract say str"
        findings.add("D081", text, spans.get(source), hint)
    facts = tuple(changed(one, clearances=_kinds(flow.reaching(one.node))) for one in dag.facts)
    return changed(dag, nodes=nodes, facts=facts)


def _has_marks(node: Node, *, pii_only: bool) -> bool:
    return isinstance(node, Check) and any(
        one.pii or not pii_only for spec in node.contract.fields for one in origins_of("", spec)
    )


def _cleared(node: Node, flow: Flow, sinks: _Sinks) -> Node:
    if isinstance(node, Sink):
        return changed(node, clearance=sinks.clearances[node.id])
    if isinstance(node, Check):
        came = flow.came[node.id]
        hides = tuple(
            spec.name
            for spec in node.contract.fields
            if not spec.is_marked and came.of(spec.name).origins
        )
        return changed(node, hides=hides)
    return node


def _kinds(origins: Origins) -> tuple[str, ...]:
    """Return the kinds of personal data among these."""
    return tuple(sorted({one.pii for one in origins if one.pii}))


class _Sinks:
    """What was found of sinks, by their ids: clearances, and what is wrong, each with how to mend it."""

    def __init__(self, policy: ClearancePolicy, audiences: Mapping[str, Clearances]) -> None:
        self._policy = policy
        self._audiences = audiences
        self.clearances: dict[str, Clearance | None] = {}
        self.problems: dict[str, tuple[tuple[str, str], ...]] = {}

    def at_sink(self, node: Sink, came: Carried) -> Carried:
        """Return what a sink holds of what comes to it."""
        audience = Audience(self._policy.cleared(node.uri), self._audiences.get(node.role))
        lacking = audience.lacks(came.origins)
        relied = Clearance(_kinds(came.origins - lacking), marks=audience.marks(came.origins))
        is_marked = came.origins if node.role else _kinds(came.origins)
        self.clearances[node.id] = relied if is_marked else None
        if not lacking:
            return came
        view = view_of(came, audience, self._policy)
        self.problems[node.id] = tuple(_problems(node, came, view, audience))
        is_open = came.columns is None or came.is_open or node.dead_letter
        self.clearances[node.id] = changed(
            relied,
            masked=tuple(view.masked),
            columns=None if is_open else tuple(view.held),
            needs_key=any(is_keyed(field) for field in view.masked),
            by_herd=tuple(sorted(view.by_herd, key=astuple)),
        )
        columns = view.held if came.columns is not None else None
        return Carried(columns, came.rest, came.why, is_open=is_open)


def _misread(dag: Dag, sinks: _Sinks) -> Iterator[tuple[str, FieldSpec, str]]:
    """Yield where a contract reads a field whose mask has made text of it, which none of its values would pass: the source, the field, the contract."""
    nodes = {node.id: node for node in dag.nodes}
    for link in dag.links:
        source, check = nodes[link.source], nodes[link.target]
        if not (isinstance(source, Source) and source.staged_from and isinstance(check, Check)):
            continue
        clearance = sinks.clearances[source.staged_from]
        wanted = {one.name: one.kind for one in check.contract.fields}
        for field in clearance.masked if clearance is not None else ():
            is_other = field.kind is not hidden_field(field).kind
            if is_other and wanted.get(field.name) is field.kind:
                yield source.id, field, check.contract.name


def _problems(
    node: Sink, came: Carried, view: View, audience: Audience
) -> Iterator[tuple[str, str]]:
    """Yield what reaches a sink that it must not: columns that hold the same for the same reason in one."""
    if view.rest:
        why = came.why or "what comes in is not known"
        whose = _which(node, view.rest, audience, "it")
        text = f"{node.uri} may hold {_listed(view.rest)}, which {whose}: {why}"
        yield text, _clearing(node, view.rest, audience)
    for (lacking, problem), names in view.refused.items():
        one = "column" if len(names) == 1 else "columns"
        hold = "holds" if len(names) == 1 else "hold"
        whose = _which(node, lacking, audience, "the sink")
        text = (
            f"{one} {_some(names)} of {node.uri} {hold} {_listed(lacking)}, which {whose}{problem}"
        )
        why = f" ({came.why})" if came.why else ""
        yield f"{text}{why}", _clearing(node, lacking, audience)


def _which(node: Sink, lacking: Origins, audience: Audience, sink: str) -> str:
    """Say who lacks it: a sink whose herd does not clear it, or else the role that it is for."""
    if all(audience.may_hold(one) for one in lacking):
        return f"role {node.role} does not see"
    return f"{sink} is not cleared for"


def _clearing(node: Sink, lacking: Origins, audience: Audience) -> str:
    if all(audience.may_hold(one) for one in lacking):
        marks = {f"pii:{one.pii}" for one in lacking if one.pii}
        marks |= {f"access:{one.access[0]}" for one in lacking if one.access}
        shown = ", ".join(f'"{mark}"' for mark in sorted(marks))
        return f"name a mask= for the field, or let a rule of role {node.role} show it: fields = [{shown}]"
    kinds = ", ".join(f'"{kind}"' for kind in _kinds(lacking))
    return f'name a mask= for the field, or clear the sink in the herd\'s file: [[clearances]] sink = "{node.uri}", pii = [{kinds}]'


def _listed(origins: Origins) -> str:
    return _some(sorted({one.told for one in origins}))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ", ".join(names[:SHOWN_MAX]) + more
