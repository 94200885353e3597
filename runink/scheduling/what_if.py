"""Questions of the kind: what would be decided if. Read from words, and applied to the tables that are decided on.

drain NODE | cordon NODE | uncordon NODE     somebody says so of the node
lose NODE                                    the node is not there any more
node NODE cpu=8 memory=32Gi gpu=1 disk=1Ti label=zone=eu near=s3://lake
a node with so much; of one that is there, what is named becomes so
quota HERD cpu=8 memory=32Gi disk=1Ti gpu=2 slices=100   the herd may have so much; 0 is no limit
priority N                                   the run that is asked about has this priority
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from msgspec.structs import replace as changed

from runink.dag import Resources
from runink.errors import Invalid, NotFound
from runink.herds.record import HerdRecord
from runink.labels import check_labels
from runink.names import HerdName, NodeId
from runink.quantities import parse_bytes, parse_count, parse_cpu
from runink.runs.records import NodeRecord, NodeStanding, Standing
from runink.scheduling.snapshots import Tables
from runink.wants import PRIORITY_MAX, check_store

CHANGES_MAX: Final = 20  # of one question
_STANDINGS: Final = {"drain": Standing.DRAINING, "cordon": Standing.CORDONED, "uncordon": None}
_NODE: Final[Mapping[str, Callable[[str], Any]]] = {
    "cpu": parse_cpu,
    "memory": parse_bytes,
    "disk": parse_bytes,
    "gpu": parse_count,
    "slices": parse_count,
    "label": str,
    "near": str,
}
_QUOTA: Final[Mapping[str, Callable[[str], Any]]] = {
    "cpu": parse_cpu,
    "memory": parse_bytes,
    "disk": parse_bytes,
    "gpu": parse_count,
    "slices": parse_count,
}
_HINT: Final = 'as in "drain w1", "lose w1", "node w9 cpu=8 memory=32Gi", "quota analytics cpu=8" or "priority 7"'


def applied(tables: Tables, changes: Iterable[str], *, run: str) -> Tables:
    """Return the tables as if these things were so, one after the other. `run` is who is asked about. Raises Invalid, NotFound."""
    for text in changes:
        tables = _applied(tables, text.split(), run, text)
    return tables


def _applied(tables: Tables, words: list[str], run: str, text: str) -> Tables:
    match words:
        case [("drain" | "cordon" | "uncordon") as verb, name]:
            return _said(tables, NodeId(name), _STANDINGS[verb])
        case ["lose", name]:
            _node(tables, NodeId(name))
            return replace(tables, nodes=tuple(one for one in tables.nodes if one.node != name))
        case ["node", name, _, *_]:
            return _with_node(tables, NodeId(name), _amounts(words[2:], _NODE, text))
        case ["quota", name, _, *_]:
            return _with_quota(tables, HerdName(name), _amounts(words[2:], _QUOTA, text))
        case ["priority", number]:
            return _with_priority(tables, run, number, text)
        case _:
            raise _unclear(text)


def _unclear(text: str, why: str = "") -> Invalid:
    return Invalid(f"{text!r} is no change: {why}" if why else f"{text!r} is no change", code="change_invalid", hint=_HINT)  # fmt: skip


def _amounts(
    words: list[str], known: Mapping[str, Callable[[str], Any]], text: str
) -> list[tuple[str, Any]]:
    found = []
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or name not in known:
            raise _unclear(text, f"{word} is none of {', '.join(f'{one}=…' for one in known)}")
        found.append((name, known[name](value)))
    return found


def _node(tables: Tables, name: NodeId) -> NodeRecord:
    found = next((one for one in tables.nodes if one.node == name), None)
    if found is None:
        raise NotFound(
            f"there is no node {name}", code="no_such_node", hint="runi node list lists them"
        )
    return found


def _said(tables: Tables, name: NodeId, standing: Standing | None) -> Tables:
    _node(tables, name)
    others = tuple(one for one in tables.standings if one.node != name)
    mine = () if standing is None else (NodeStanding(name, standing, 0),)
    return replace(tables, standings=(*others, *mine))


def _with_node(tables: Tables, name: NodeId, amounts: list[tuple[str, Any]]) -> Tables:
    record = next((one for one in tables.nodes if one.node == name), None)
    record = record or NodeRecord(name, Resources(0, 0))
    labels = tuple(value for key, value in amounts if key == "label")
    check_labels(labels)
    near = tuple(value for key, value in amounts if key == "near")
    for store in near:
        check_store(store)
    said = dict(amounts)
    capacity = Resources(
        said.get("cpu", record.capacity.cpu_m), said.get("memory", record.capacity.memory_bytes)
    )
    record = changed(
        record,
        capacity=capacity,
        labels=labels or record.labels,
        near=near or record.near,
        gpus=said.get("gpu", record.gpus),
        disk_bytes=said.get("disk", record.disk_bytes),
        slices_max=said.get("slices", record.slices_max),
    )
    return replace(tables, nodes=(*(one for one in tables.nodes if one.node != name), record))


def _with_quota(tables: Tables, name: HerdName, amounts: list[tuple[str, Any]]) -> Tables:
    record = next((one for one in tables.herds if one.herd == name), HerdRecord(name))
    said = dict(amounts)
    record = changed(
        record,
        cpu_m=said.get("cpu", record.cpu_m),
        memory_bytes=said.get("memory", record.memory_bytes),
        disk_bytes=said.get("disk", record.disk_bytes),
        gpus=said.get("gpu", record.gpus),
        slices=said.get("slices", record.slices),
    )
    return replace(tables, herds=(*(one for one in tables.herds if one.herd != name), record))


def _with_priority(tables: Tables, run: str, number: str, text: str) -> Tables:
    if not number.removeprefix("-").isdecimal() or abs(int(number)) > PRIORITY_MAX:
        raise _unclear(text, f"a priority is from -{PRIORITY_MAX} to {PRIORITY_MAX}")
    slices = tuple(
        changed(one, turn=changed(one.turn, priority=int(number))) if one.run == run else one
        for one in tables.slices
    )
    return replace(tables, slices=slices)
