"""A compiled pipeline, said to a person (`runi explain`).

The text says what each scenario does, line by line, which nodes share a process and why, what starts after what, what is checked, and which
sentences of the file are enforced by nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from runink.contracts.expected import Golden
from runink.contracts.fields import ContractSpec, FieldSpec, OnDrift
from runink.contracts.hidden import Clearance
from runink.dag import (
    MAIN,
    REJECTED,
    STANDARD,
    Assertion,
    Check,
    Dag,
    Executable,
    Function,
    Link,
    Mode,
    Node,
    OnInvalid,
    Prose,
    Scenario,
    Sink,
    SliceSpec,
    Source,
    Sql,
    Step,
)
from runink.dsl.patience import retry_told, timeout_told
from runink.dsl.scheduling import schedule_told
from runink.expressions import Measure, figures_in, said
from runink.gang_parts import may_be_wires
from runink.jobs import Seat, Transport, transport_between
from runink.needs import Need
from runink.networks import Network

_UNNAMED: Final = re.compile(r"\bfreshness\b(?!\s*\()")
_MODES: Final = {
    Mode.OVERWRITE: "replaces what is there",
    Mode.APPEND: "adds a part beside what is there",
    Mode.ERROR: "only if nothing is there",
}
_JOINTS: Final = {
    Transport.PIPE: "pipes",
    Transport.SLOTS: "slots (shared memory: one herd, one node)",
    Transport.WIRE: "streams between nodes",
}
_NETWORKS: Final = {
    Network.EGRESS: "the internet, and what the herd's policy lists",
    Network.HOST: "the node's own, where the node allows it",
}
_POLICIES: Final = {
    OnInvalid.DEAD_LETTER: "rows that break it are set aside with the reasons",
    OnInvalid.FAIL: "a row that breaks it fails the run",
    OnInvalid.TAG: "rows that break it are marked",
}
_DRIFTS: Final = {
    OnDrift.NOTE: "",
    OnDrift.FAIL: "; input of another shape fails the run",
    OnDrift.DEAD_LETTER: "; input of another shape is set aside",
    OnDrift.EVOLVE: "; columns that it does not name go on as text",
}


def explained(dag: Dag) -> str:
    """Return what the pipeline does, as text for a terminal."""
    lines = [
        dag.title,
        f"pipeline {dag.pipeline} · herd {dag.herd} · {dag.file} · {dag.hash[:12]}",
    ]
    if dag.parameters:
        lines.append(
            f"parameters: {', '.join(f'{name}={value}' for name, value in dag.parameters.items())}"
        )
    if dag.schedule:
        lines.append(f"schedule: {schedule_told(dag.schedule)}; runi deploy puts it in force")
    if dag.priority:
        lines.append(f"priority {dag.priority}: more is sooner, and 0 is what is not said")
    if dag.deadline:
        lines.append(f"a run fails that has not ended after {timeout_told(dag.deadline)}")
    lines += [f"{name}: {value} (kept, not enforced)" for name, value in dag.metadata.items()]
    for scenario in dag.scenarios:
        lines += ["", *_scenario(dag, scenario)]
    lines += ["", "what starts when", *_gangs(dag)]
    contracts = list(_contracts(dag))
    if contracts:
        lines += ["", "contracts", *contracts]
    if dag.facts:
        lines += ["", "what it needs", *_needs(dag)]
    for heading, told in (
        ("what sentences became", [_sentence(one) for one in dag.prose if one.became]),
        ("prose, not enforced", [_sentence(one) for one in dag.prose if not one.became]),
    ):
        if told:
            lines += ["", heading, *told]
    return "\n".join(lines)


def _sentence(one: Prose) -> str:
    became = f" -> {one.became}" if one.became else ""
    return f"  {one.scenario or 'the file'}, line {one.line}: {one.text}{became}"


def _scenario(dag: Dag, scenario: Scenario) -> Iterable[str]:
    yield f"{scenario.id}: {scenario.title}"
    module = ", ".join(f"{name} {value}" for name, value in scenario.module.items())
    if module:
        yield f"  module {module}"
    for name, value in scenario.metadata.items():
        yield f"  {name}: {value} (kept, not enforced)"
    nodes = [node for node in dag.nodes if node.scenario == scenario.id]
    width = max(len(_short(node.id)) for node in nodes)
    meta = {facts.node: facts.meta for facts in dag.facts}
    for node in nodes:
        yield f"  {_short(node.id):<{width}}  {_node(node)}{_reads(dag, node)}"
        if isinstance(node, Step) and dag.retries and node.id in dag.retries:
            yield f"  {'':<{width}}  {retry_told(dag.retries[node.id])}"
        for name, value in meta.get(node.id, {}).items():
            yield f"  {'':<{width}}  {name}: {value}"
    for assertion in dag.assertions:
        if assertion.scenario == scenario.id:
            yield f"  nothing is published unless {assertion.text}{_goes_by(assertion)}"
    for golden in dag.goldens:
        if golden.scenario == scenario.id:
            yield f"  {_golden(golden)}"
    for spec in dag.slices:
        if spec.scenario == scenario.id:
            yield from _slice(spec)


def _goes_by(assertion: Assertion) -> str:
    """Say which field `freshness` goes by where the text names none."""
    if not _UNNAMED.search(assertion.text):
        return ""
    figures = [one for one in figures_in(assertion.expression) if one.measure is Measure.FRESHNESS]
    named = [one for one in figures if said(one) in assertion.text]
    fields = [one.field for one in figures if one not in named or figures == named]
    return f" (freshness goes by {fields[0]})"


def _short(node_id: str) -> str:
    """Return a node's name within its scenario."""
    return node_id.partition(".")[2]


def _node(node: Node) -> str:
    match node:
        case Source(checkpoint=True):
            return "goes on with what was kept"
        case Sink(checkpoint=True):
            return f"keeps it on disk, as {node.format.value}, until the run has succeeded: a retry begins here"
        case Source():
            nulls = (
                f", empty is {' or '.join(map(repr, node.nulls))}" if node.nulls != ("",) else ""
            )
            typed = f", parsed by {node.contract.name}" if node.contract is not None else ""
            outside = ", outside the project" if node.path.startswith("/") else ""
            return f"reads {node.uri}{nulls}{typed}{outside}"
        case Check():
            drift = _DRIFTS[node.on_drift]
            return f"checks {node.contract.name} {node.contract.version}: {_POLICIES[node.on_invalid]}{drift}"
        case Step():
            return _action(node)
        case Sink():
            when = f", rows with {said(node.when)}" if node.when is not None else ""
            outside = ", outside the project" if node.path.startswith("/") else ""
            mode = "as it comes" if node.path == STANDARD else _MODES[node.mode]
            role = f" for role {node.role}" if node.role else ""
            return f"writes {node.uri}{role}{when}, {mode}{outside}"


def _action(step: Step) -> str:
    match step.action:
        case Function(file, name, each):
            return f"calls {name} of {file} with each {each.value}"
        case Sql(query):
            return f"asks {' '.join(query.split())}"
        case Executable(command, form):
            return f"runs {shlex.join(command)} on {form.value}"


def _reads(dag: Dag, node: Node) -> str:
    """Say where a node's rows come from; of its side inputs also as what."""
    links = [link for link in dag.links if link.target == node.id]
    told = [_link(link) for link in links]
    if isinstance(node, Source) and node.checkpoint:
        told = [_short(node.staged_from)]
    elif isinstance(node, Source) and node.staged_from:
        told = [f"{node.staged_from}, staged: prepared by this run and not yet published"]
    return f"  <- {', '.join(told)}" if told else ""


def _link(link: Link) -> str:
    name = _short(link.source)
    if link.spool:
        return f"{name} (kept on disk until the side inputs are whole)"
    if link.role == REJECTED:
        return f"{name} (rejected)"
    return name if link.role in {MAIN, name} else f"{name} as {link.role}"


def _golden(golden: Golden) -> str:
    key = f" by {', '.join(golden.key)}" if golden.key else ""
    order = ", in this order" if golden.ordered else ""
    limits = [
        f"{golden.tolerance:g}" if golden.tolerance else "",
        f"{golden.relative:.3g} of the value" if golden.relative else "",
    ]
    within = f" within {' or '.join(filter(None, limits))}" if any(limits) else ""
    but = f" but for {', '.join(golden.ignore)}" if golden.ignore else ""
    files = ", ".join(f"{one.path} as {one.source}" for one in golden.inputs)
    given = f"; it reads {files}" if files else ""
    return f"runi test compares {_short(golden.sink)} with {golden.path}{key}{order}{within}{but}{given}"


def _slice(spec: SliceSpec) -> Iterable[str]:
    yield f"  slice {spec.id}: {', '.join(map(_short, spec.nodes))}"
    yield f"    {spec.why}"
    if spec.wants.beside:
        yield f"    where {', '.join(spec.wants.beside)} was"
    if spec.limits.wall_time is not None:
        yield f"    ended after {timeout_told(spec.limits.wall_time)}"
    if spec.network is not Network.NONE:
        yield f"    network {spec.network.value}: {_NETWORKS[spec.network]}"
    elif spec.reaches:
        yield f"    network egress, or host if that is on the node itself: for {', '.join(spec.reaches)}"


def _gangs(dag: Dag) -> Iterable[str]:
    needs = dag.gang_needs()
    for name, specs in dag.gangs().items():
        told = ", ".join(spec.id for spec in specs)
        begins = (
            f"when {', '.join(sorted(needs[name]))} has prepared its output"
            if needs[name]
            else "at once"
        )
        together = (
            f"slices {told} together, {_joints(dag, specs)}" if len(specs) > 1 else f"slice {told}"
        )
        yield f"  gang {name}: {together}, {begins}"
        yield from _wires(dag, specs)


def _joints(dag: Dag, specs: Sequence[SliceSpec]) -> str:
    """Say what carries rows between slices of a gang: they are placed on one node, whichever that will be."""
    mine = {node for spec in specs for node in spec.nodes}
    seat = Seat(dag.herd, None)
    found = {transport_between(seat, seat) for link in dag.pipes() if link.source in mine}
    if not found:
        return "on one node"
    return "joined by " + " and ".join(
        _JOINTS[transport] for transport in Transport if transport in found
    )


def _wires(dag: Dag, specs: Sequence[SliceSpec]) -> Iterable[str]:
    """Say which edges of a gang may go from one node to another."""
    mine = {node for spec in specs for node in spec.nodes}
    told = [f"{one.source} -> {one.target}" for one in may_be_wires(dag) if one.source in mine]
    if told:
        yield f"    on one node if one has all that they ask for; else over the wire: {', '.join(told)}"


def _contracts(dag: Dag) -> Iterable[str]:
    seen: dict[tuple[str, str], ContractSpec] = {}
    for node in dag.nodes:
        if isinstance(node, Check):
            seen.setdefault((node.contract.where, node.contract.hash), node.contract)
    for spec in seen.values():
        key = f", key {', '.join(spec.key)}" if spec.key else ""
        personal = [field.name for field in spec.fields if field.pii]
        told = f", personal data: {', '.join(personal)}" if personal else ""
        marked = [
            f"{field.name} ({', '.join(field.access)})" for field in spec.fields if field.access
        ]
        told += f", for roles: {', '.join(marked)}" if marked else ""
        yield f"  {spec.name} {spec.version} {spec.hash[:12]} ({spec.where or 'in the pipeline'}): {len(spec.fields)} fields{key}{told}"


def _needs(dag: Dag) -> Iterable[str]:
    """Say which rights and secrets whoever runs it must have, and where personal data may get to."""
    seen: set[Need] = set()
    for facts in dag.facts:
        for need in facts.needs:
            if need not in seen:
                seen.add(need)
                yield f"  {need.verb.value} {need.resource.value} {need.name}"
        if facts.secrets:
            yield f"  secrets {', '.join(facts.secrets)}: {facts.node}"
    for node in dag.nodes:
        if isinstance(node, Sink) and node.clearance is not None:
            what = f"for role {node.role}" if node.role else "personal data"
            yield f"  {what} at {node.id}: {_cleared(node.clearance)}"


def _cleared(clearance: Clearance) -> str:
    masked = [f"{name} by {mask}" for field in clearance.masked for name, mask in _masks(field)]
    as_it_is = clearance.marks or clearance.cleared
    parts = [f"as it is: {', '.join(as_it_is)}"] if as_it_is else []
    return "; ".join([*parts, f"masked: {', '.join(masked)}"] if masked else parts)


def _masks(field: FieldSpec, within: str = "") -> Iterable[tuple[str, str]]:
    """Yield what of a field is masked, by its path, and how."""
    path = f"{within}{field.name}"
    if field.mask:
        yield path, field.mask
        return
    for inner in field.fields:
        yield from _masks(inner, f"{path}.")
    if field.items is not None:
        yield from _masks(field.items, f"{path}[]")
