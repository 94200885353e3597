"""What a slice may speak of: its own nodes, and what its own sinks write, where they write it.

A step runs in its slice's process and can say anything in its name.

    prepared     is published, shown to other slices, or taken away, by slices that may write at its places: so each of these is what follows from
                 the sink and the attempt (`connectors.targets`), as it was when the slice was launched, or all of the report is refused
    figures      of nodes that are another slice's are left out: lineage and assertions go by what the slice says that has them
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace as changed

from runink.actors.pipelines import Pipelines
from runink.connectors.targets import Target, target_of
from runink.dag import STANDARD, Dag, Sink
from runink.errors import WireError
from runink.jobs import Done, Failed, NodeFacts, Prepared
from runink.runs.jobs import ticket_of
from runink.runs.records import RunRecord, SliceRecord, Task

STREAM: Final = "stream"
FILE: Final = "file"
MULTIPART: Final = "multipart"


class Own(NamedTuple):
    """A slice's nodes, and the targets of its sinks, nothing for standard output."""

    nodes: frozenset[str]
    targets: Mapping[str, Target | None]


NOTHING: Final = Own(frozenset(), {})


def own_of(dag: Dag, run: RunRecord, record: SliceRecord) -> Own | None:
    """Return what a slice may speak of; nothing for the slices that end a run: no step runs in those."""
    if record.task is not Task.CHAIN:
        return None
    spec = dag.index.slices[record.slice]
    sinks = [node for node in map(dag.node, spec.nodes) if isinstance(node, Sink)]
    root, ticket = Path(run.project), ticket_of(record)
    targets = {
        sink.id: None if sink.path == STANDARD else target_of(sink, root=root, ticket=ticket)
        for sink in sinks
    }
    return Own(frozenset(spec.nodes), targets)


async def own_found(pipelines: Pipelines, run: RunRecord | None, record: SliceRecord) -> Own | None:
    """Return what a slice may speak of that an earlier life has launched. If its run was cleaned away that is nothing."""
    return NOTHING if run is None else own_of(await pipelines.of(run), run, record)


def accepted(report: Done | Failed | None, own: Own | None) -> Done | Failed | None:
    """Return a report with its files under the names by which the node knows them; a failure in its place if any of them is not of the slice's own sinks."""
    if report is None or own is None:
        return report
    prepared = [_known(one, own.targets) for one in report.prepared]
    if None in prepared:
        return Failed(_bad_report(report.prepared[prepared.index(None)]))
    found = changed(
        report,
        nodes=mine(report.nodes, own),
        rejections=tuple(one for one in report.rejections if one.node in own.nodes),
        drifts=tuple(one for one in report.drifts if one.node in own.nodes),
        prepared=tuple(one for one in prepared if one is not None),
    )
    if isinstance(found, Failed):
        return found
    return changed(
        found,
        edges=tuple(one for one in found.edges if {one.source, one.target} & own.nodes),
        schemas={node: columns for node, columns in found.schemas.items() if node in own.nodes},
    )


def mine(nodes: tuple[NodeFacts, ...], own: Own | None) -> tuple[NodeFacts, ...]:
    """Return the figures of the slice's own nodes."""
    return nodes if own is None else tuple(one for one in nodes if one.node in own.nodes)


def _known(one: Prepared, targets: Mapping[str, Target | None]) -> Prepared | None:
    if one.sink not in targets:
        return None
    target = targets[one.sink]
    if target is None:
        return one if one.kind == STREAM else None
    if one.uri != target.uri or one.mode != target.mode.value:
        return None
    if target.is_multipart:
        aside = f"{target.place}?uploadId={one.extra.get('upload')}"
        names = (one.kind, one.target, one.aside, one.extra.get("mark"))
        return one if names == (MULTIPART, target.place, aside, target.mark) else None
    # A slice sees a folder that is named by a link as a folder of that name.
    places = (_resolved(one.target), _resolved(one.aside))
    if one.kind != FILE or places != (target.place, _resolved(target.aside)):
        return None
    return changed(one, aside=target.aside, target=target.place)


def _resolved(place: str) -> str:
    """Return a place under its real folder; its own name may be a link, and is left."""
    if "://" in place:
        return place
    folder, name = os.path.split(place)
    return f"{os.path.realpath(folder)}/{name}"


def _bad_report(one: Prepared) -> WireError:
    return WireError(
        "Broken",
        "bad_report",
        f"the slice says that it has prepared {one.target[:200]} for {one.sink[:100]}, which none of its sinks writes",
        "a step must not write to descriptors that it did not open",
    )
