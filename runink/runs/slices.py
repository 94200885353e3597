"""A slice's record as it begins: what its pipeline says of it."""

from __future__ import annotations

from msgspec.structs import replace as changed

from runink.dag import Dag, SliceSpec, Source
from runink.gang_parts import NO_MARKS, Marks
from runink.names import NodeId, SliceId
from runink.networks import is_elsewhere
from runink.runs.records import RunRecord, SliceRecord, SliceState
from runink.wants import GRACE_MS_MAX, store_of


def slice_of(
    spec: SliceSpec,
    run: RunRecord,
    *,
    pin: NodeId | None,
    marks: Marks = NO_MARKS,
    reads: tuple[str, ...] = (),
    grace_max_ms: int = GRACE_MS_MAX,
) -> SliceRecord:
    """Return the record of a slice that waits for its place. `marks` are the pipeline's, where its gang has several slices; `reads` is `read_by` the slice; `grace_max_ms` is its herd's."""
    grace_ms = min(spec.wants.grace_ms, grace_max_ms)
    return SliceRecord(
        slice=SliceId(spec.id),
        run=run.run,
        herd=run.herd,
        gang=spec.gang,
        state=SliceState.PENDING,
        resources=spec.resources,
        limits=spec.limits,
        labels=spec.labels,
        requires=spec.requires,
        pin=pin,
        wants=changed(spec.wants, sees=seen_by(spec), reads=reads, grace_ms=grace_ms),
        part=marks.parts.get(spec.id, ""),
        is_rooted=spec.id in marks.rooted,
    )


def seen_by(spec: SliceSpec) -> tuple[str, ...]:
    """Return what a slice's node must see: the stores that it reads and writes are among it."""
    return tuple(sorted({*spec.wants.sees, *map(store_of, spec.reaches)}))


def read_by(spec: SliceSpec, dag: Dag) -> tuple[str, ...]:
    """Return the stores that a slice's sources read. What the run itself has prepared in a store is there, too; files bind the run to a node (`homes.py`)."""
    sources = (node for node in map(dag.node, spec.nodes) if isinstance(node, Source))
    return tuple(sorted({store_of(one.path) for one in sources if is_elsewhere(one.path)}))
