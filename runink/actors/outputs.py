"""What a slice may say that it has prepared: what its own sinks write, where they write it, and nothing else.

A step runs in its slice's process and can say anything in its name.  What is prepared is published, shown to other slices, or taken away, by slices that may write at its
places: so each of these is what follows from the sink and the attempt (`connectors.targets`), as it was when the slice was launched, or all of the report is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec.structs import replace as changed

from runink.actors.pipelines import Pipelines
from runink.connectors.targets import STDOUT, Target, target_of
from runink.dag import Dag, Sink
from runink.errors import WireError
from runink.jobs import Done, Failed, Prepared
from runink.runs.jobs import ticket_of
from runink.runs.records import RunRecord, SliceRecord, Task

STREAM: Final = "stream"
FILE: Final = "file"
MULTIPART: Final = "multipart"

Outputs = Mapping[str, Target | None]  # by sink, nothing for standard output


def outputs_of(dag: Dag, run: RunRecord, record: SliceRecord) -> Outputs | None:
    """Return where the sinks of a slice write; nothing for the slices that end a run: no step runs in those."""
    if record.task is not Task.CHAIN:
        return None
    spec = next(spec for spec in dag.slices if spec.id == record.slice)
    sinks = [node for node in map(dag.node, spec.nodes) if isinstance(node, Sink)]
    root, ticket = Path(run.project), ticket_of(record)
    return {
        sink.id: None if sink.path == STDOUT else target_of(sink, root=root, ticket=ticket)
        for sink in sinks
    }


async def outputs_found(
    pipelines: Pipelines, run: RunRecord | None, record: SliceRecord
) -> Outputs | None:
    """Return where the sinks of a slice write that an earlier life has launched. One whose run was cleaned away has none."""
    return {} if run is None else outputs_of(await pipelines.of(run), run, record)


def accepted(report: Done | Failed | None, outputs: Outputs | None) -> Done | Failed | None:
    """Return a report with its files under the names by which the node knows them; a failure in its place if anything in it is not of the slice's own sinks."""
    if report is None or outputs is None:
        return report
    prepared = [_known(one, outputs) for one in report.prepared]
    if None in prepared:
        return Failed(_bad_report(report.prepared[prepared.index(None)]))
    return changed(report, prepared=tuple(one for one in prepared if one is not None))


def _known(one: Prepared, outputs: Outputs) -> Prepared | None:
    if one.sink not in outputs:
        return None
    target = outputs[one.sink]
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
