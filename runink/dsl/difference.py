"""What differs between two compiled pipelines, and what of it breaks somebody.

    breaking     who reads the outputs, starts the pipeline or relies on what it promises must look: a sink is gone or elsewhere, its rows are chosen
                 differently, a contract in front of it promises less or something else, a promise or a parameter is gone
    compatible   anything else, a changed step, too: what it may give is what the contract behind it says

What belongs together is found by `counterparts.py`.  Formatting, notes, prose and the numbers of lines are no difference.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace as changed

from runink import dag
from runink.checkpoints import joined
from runink.contracts.changes import Sort
from runink.contracts.diff import diff as compared
from runink.contracts.fields import ContractSpec, OnDrift
from runink.dag import (
    Check,
    Dag,
    Executable,
    Format,
    Function,
    Mode,
    Node,
    OnInvalid,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.dsl.counterparts import matched, nodes_again, scenarios_again
from runink.dsl.patience import retry_told
from runink.dsl.requirements import asked, listed, time_told
from runink.dsl.scheduling import schedule_told
from runink.expressions import said

_NOUNS: Final = {Source: "source", Check: "contract", Step: "step", Sink: "sink"}


class Change(msgspec.Struct, frozen=True, order=True):
    """One difference. `what` is the kind of thing, `where` its id, `how` is `added`, `removed` or `changed`."""

    what: str
    where: str
    how: str
    text: str
    breaking: bool = False


def difference(old: Dag, new: Dag) -> tuple[Change, ...]:
    """Return what has changed from one to the other: nothing for equal meaning."""
    before, now = old, new
    old, new = joined(old), joined(new)
    homes = scenarios_again(old, new)
    pairs = nodes_again(old, new, homes)
    return (
        *_head(old, new),
        *_renamed(homes),
        *_nodes(old, new, pairs),
        *_links(old, new, pairs),
        *_assertions(old, new, homes),
        *_goldens(old, new, pairs),
        *_slices(old, new, pairs),
        *_checkpoints(before, now, pairs),
    )


# What has changed.


def _renamed(homes: Mapping[str, str]) -> Iterator[Change]:
    for was, name in homes.items():
        if was != name:
            yield Change("scenario", name, "changed", f"{was} is now called {name}")


def _head(old: Dag, new: Dag) -> Iterator[Change]:
    if old.herd != new.herd:
        text = f"herd {old.herd} is now {new.herd}: other quotas, rights and secrets"
        yield Change("pipeline", new.pipeline, "changed", text, breaking=True)
    before, now = old.parameters, new.parameters
    for name in sorted(before.keys() - now.keys()):
        text = f"parameter {name} is gone: who gives it is refused"
        yield Change("parameter", name, "removed", text, breaking=True)
    for name in sorted(now.keys() - before.keys()):
        yield Change("parameter", name, "added", f"parameter {name} is new")
    for name in sorted(now.keys() & before.keys()):
        if now[name] != before[name]:
            text = f"parameter {name}: {before[name]!r} is now {now[name]!r}"
            yield Change("parameter", name, "changed", text)
    before_ms, now_ms = (one.deadline.amount if one.deadline else 0 for one in (old, new))
    if before_ms != now_ms:
        text = (
            f"a run must have ended after {time_told(before_ms)}, and now after {time_told(now_ms)}"
        )
        yield Change("deadline", "", "changed", text)
    if (old.priority or 0) != (new.priority or 0):
        text = f"priority {old.priority or 0} is now {new.priority or 0}"
        yield Change("priority", "", "changed", text)
    if old.schedule != new.schedule:
        text = f"schedule: {schedule_told(old.schedule)}, and now {schedule_told(new.schedule)}"
        yield Change("schedule", "", "changed", text)


def _nodes(old: Dag, new: Dag, pairs: Mapping[str, str]) -> Iterator[Change]:
    before, now = old.index.nodes, new.index.nodes
    behind = _in_front_of_sinks(old)
    for name, node in before.items():
        noun = _NOUNS[type(node)]
        if name in pairs:
            is_promise = name in behind
            for text, breaking in _changed(node, now[pairs[name]], is_promise=is_promise):
                yield Change(noun, pairs[name], "changed", text, breaking=breaking)
        else:
            breaking = isinstance(node, Sink) or (isinstance(node, Check) and name in behind)
            yield Change(noun, name, "removed", f"{_told(node)} is gone", breaking=breaking)
    known = set(pairs.values())
    for name, node in now.items():
        if name in known:
            continue
        yield Change(_NOUNS[type(node)], name, "added", f"{_told(node)} is new")


def _in_front_of_sinks(dag: Dag) -> frozenset[str]:
    """Return the contracts that say what a sink's rows are."""
    sinks = {node.id for node in dag.nodes if isinstance(node, Sink) and not node.dead_letter}
    return frozenset(link.source for link in dag.links if link.target in sinks)


def _told(node: Node) -> str:
    match node:
        case Source() | Sink():
            return node.uri
        case Check():
            return f"{node.contract.name} {node.contract.version}"
        case Step():
            return _action(node.action)


def _action(action: Function | Sql | Executable) -> str:
    match action:
        case Function(file, name):
            return f"{name} of {file}"
        case Sql(query):
            return f"the query {' '.join(query.split())}"
        case Executable(command):
            return f"the program {shlex.join(command)}"


def _changed(old: Node, new: Node, *, is_promise: bool) -> Iterator[tuple[str, bool]]:
    """Yield what differs between two nodes, and whether that breaks somebody; `is_promise` says that rows are written right behind."""
    match old, new:
        case Source(), Source():
            yield from _source(old, new)
        case Check(), Check():
            yield from _contract(old.contract, new.contract, is_promise=is_promise)
            if old.on_invalid is not new.on_invalid:
                text = f"rows that break {new.contract.name}: {old.on_invalid.value} is now {new.on_invalid.value}"
                yield text, new.on_invalid is OnInvalid.FAIL
            if old.on_drift is not new.on_drift:
                text = f"input that is not of the shape of {new.contract.name}: {old.on_drift.value} is now {new.on_drift.value}"
                yield text, new.on_drift in (OnDrift.FAIL, OnDrift.DEAD_LETTER)
        case Step(), Step():
            if old.action != new.action:
                yield f"{_told(old)} is now {_told(new)}{_details(old, new)}", False
        case Sink(), Sink():
            yield from _sink(old, new)
        case _:
            raise AssertionError("nodes are paired by their type")


def _source(old: Source, new: Source) -> Iterator[tuple[str, bool]]:
    if old.uri != new.uri:
        yield f"{old.uri} is now {new.uri}", True
    for noun, before, now in (
        ("what means nothing", old.nulls, new.nulls),
        ("the delimiter", old.delimiter, new.delimiter),
        ("the side input's name", old.alias, new.alias),
    ):
        if before != now:
            yield f"{new.uri}: {noun} was {before!r} and is {now!r}", False


def _contract(
    old: ContractSpec, new: ContractSpec, *, is_promise: bool
) -> Iterator[tuple[str, bool]]:
    """Yield what differs between two contracts. What is written must stay what its readers know, what is read must stay what its writers give."""
    found = compared(old, new)
    if old.version != new.version:
        yield f"{new.name} {old.version} is now {new.version}", False
    for change in found.changes:
        if change.sort in {Sort.PROSE, Sort.ORDER}:
            continue
        keeps = change.effect.keeps_forward if is_promise else change.effect.keeps_backward
        lost = change.sort is Sort.REMOVED and is_promise
        text = f"{new.name}: {change.text}"
        yield text, not keeps or lost or change.sort is Sort.NAME or change.exposes


def _differing(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    return [
        name.replace("_", " ")
        for name in old.__struct_fields__
        if getattr(old, name) != getattr(new, name)
    ]


def _details(old: Step, new: Step) -> str:
    match old.action, new.action:
        case Function() | Executable(), Function() | Executable() if type(old.action) is type(
            new.action
        ):
            return f" ({', '.join(_differing(old.action, new.action))})"
        case _:
            return ""


def _sink(old: Sink, new: Sink) -> Iterator[tuple[str, bool]]:
    if old.uri != new.uri:
        yield f"{old.uri} is now {new.uri}", True
    if old.dead_letter is not new.dead_letter:
        what = ("what the contracts reject", "rows of the stream")
        text = f"it held {what[not old.dead_letter]} and holds {what[not new.dead_letter]}"
        yield f"{new.uri}: {text}", True
    if old.role != new.role:
        whose = [f"role {one}" if one else "nobody in particular" for one in (old.role, new.role)]
        yield f"{new.uri}: it was for {whose[0]} and is for {whose[1]}", True
    elif old.clearance != new.clearance:
        yield f"{new.uri}: what of personal data it holds is not what it was", True
    if old.mode is not new.mode:
        breaking = Mode.OVERWRITE in {old.mode, new.mode}
        yield f"{new.uri}: mode {old.mode.value} is now {new.mode.value}", breaking
    if old.when != new.when:
        before = "all rows" if old.when is None else f"rows with {said(old.when)}"
        now = "all rows" if new.when is None else f"rows with {said(new.when)}"
        yield f"{new.uri}: it took {before} and takes {now}", True


def _links(old: Dag, new: Dag, pairs: Mapping[str, str]) -> Iterator[Change]:
    """Yield ways that are gone or new between nodes that were there before and still are."""
    back = {name: was for was, name in pairs.items()}
    before = {
        (pairs[one.source], pairs[one.target], one.role)
        for one in old.links
        if one.source in pairs and one.target in pairs
    }
    now = {
        (one.source, one.target, one.role)
        for one in new.links
        if one.source in back and one.target in back
    }
    for source, target, role in sorted(before - now):
        text = f"{target} reads no longer from {source}{_role(role)}"
        yield Change("order", target, "removed", text)
    for source, target, role in sorted(now - before):
        yield Change("order", target, "added", f"{target} reads from {source}{_role(role)}")


def _role(role: str) -> str:
    match role:
        case dag.MAIN:
            return ""
        case dag.REJECTED:
            return " what it rejects"
        case _:
            return f" as {role}"


def _assertions(old: Dag, new: Dag, homes: Mapping[str, str]) -> Iterator[Change]:
    before = {
        (homes.get(one.scenario, one.scenario), said(one.expression)) for one in old.assertions
    }
    now = {(one.scenario, said(one.expression)) for one in new.assertions}
    for scenario, text in sorted(before - now):
        told = f"{text} is promised no longer"
        yield Change("assertion", scenario, "removed", told, breaking=True)
    for scenario, text in sorted(now - before):
        yield Change(
            "assertion", scenario, "added", f"{text} must be true, or nothing is published"
        )


def _goldens(old: Dag, new: Dag, pairs: Mapping[str, str]) -> Iterator[Change]:
    """Yield what differs between goldens: those of one sink and path are one, and then those of one sink."""
    before = [
        changed(
            one,
            sink=pairs.get(one.sink, one.sink),
            inputs=tuple(
                changed(given, source=pairs.get(given.source, given.source)) for given in one.inputs
            ),
        )
        for one in old.goldens
    ]
    keys = (
        lambda one: (one.sink, one.path, one.inputs),
        lambda one: (one.sink, one.path),
        lambda one: one.sink,
    )
    found, gone, come = matched(before, new.goldens, keys)
    for one in gone:
        yield Change("golden", one.sink, "removed", f"{one.path} is compared no longer")
    for one in come:
        yield Change("golden", one.sink, "added", f"{one.path} is compared")
    for was, one in found:
        parts = [name for name in _differing(was, one) if name != "scenario"]
        if parts:
            yield Change("golden", one.sink, "changed", f"{one.path}: {', '.join(parts)} changed")


def _slices(old: Dag, new: Dag, pairs: Mapping[str, str]) -> Iterator[Change]:
    """Yield what steps ask for now, and which of them share a process no longer."""
    for was, name in pairs.items():
        before, now = old.slice_of(was), new.slice_of(name)
        if not isinstance(new.node(name), Step):
            continue
        found = [*asked(before, now), *_tried(old, new, was, name)]
        if found:
            yield Change("requirements", name, "changed", f"{name}: {', '.join(found)}")
        mates = {pairs[one] for one in before.nodes if one in pairs} - {name}
        mates_now = set(now.nodes) & set(pairs.values()) - {name}
        if mates != mates_now and not found:
            text = (
                f"{name} shares its process with {listed(mates_now)}; before with {listed(mates)}"
            )
            yield Change("process", name, "changed", text)


def _checkpoints(old: Dag, new: Dag, pairs: Mapping[str, str]) -> Iterator[Change]:
    """Yield behind which nodes, that were there before and still are, rows are kept, or are kept no longer."""
    before, now = _kept(old), _kept(new)
    for was, name in pairs.items():
        one, other = before.get(was), now.get(name)
        if one != other:
            how = "added" if one is None else "removed" if other is None else "changed"
            told = (
                f"is kept on disk, as {other.value}" if other is not None else "is kept no longer"
            )
            yield Change("checkpoint", name, how, f"what {name} gives {told}")


def _kept(dag: Dag) -> dict[str, Format]:
    sinks = {one.id: one for one in dag.nodes if isinstance(one, Sink) and one.checkpoint}
    found = ((link.source, sinks[link.target]) for link in dag.links if link.target in sinks)
    return {name: sink.format for name, sink in found if not sink.dead_letter}


def _tried(old: Dag, new: Dag, was: str, name: str) -> Iterator[str]:
    before, now = (old.retries or {}).get(was), (new.retries or {}).get(name)
    if before != now:
        told = [retry_told(one) if one is not None else "not tried again" for one in (before, now)]
        yield f"when it fails it was {told[0]}, and is {told[1]}"
