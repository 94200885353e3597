"""What can be mended of a damaged directory without lying: the tail that a crash tore, files that were being made, and, only where somebody says so, a
damaged log cut off at a place.

Such a cut loses what stands behind the place, readable or not, so the *loss* is told first, and the caller keeps a copy of the directory.  What a cut does
not lose is a promise that can still be read: term and vote go on from the newest there is.  One that cannot be read is lost too, and then the member
might vote twice in one term: in a group of several it must not come back, but join anew.

In place of entries that a snapshot stands for, the log begins anew behind it.  A damaged snapshot cannot be mended: a backup can be put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from msgspec import structs

from runink.errors import NotFound, Refused
from runink.raft.messages import HardState
from runink.storage import records
from runink.storage.checking import check_directory
from runink.storage.disk import Disk
from runink.storage.opening import open_state
from runink.storage.reading import (
    Contents,
    ReadSegment,
    Tail,
    add_up,
    joining_faults,
    raise_faults,
    read_segments,
    segment_number,
)
from runink.storage.receiving import part_names
from runink.storage.records import Batch, Position
from runink.storage.segments import SegmentFile
from runink.storage.snapshot import load_snapshot
from runink.storage.wal import SEGMENT_BYTES


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a log is to be cut: what stands at this offset of this segment goes, and all behind it; at 0 the segment itself."""

    segment: str
    offset: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What a cut loses: entries that can be read, of which `committed` were known to be, and, if `is_blind`, what cannot be read.

    What is kept ends at `before`; a segment `number` goes on there with `hard_state`, or anew behind `snapshot`, if there is one. So the log ends
    at `last` afterwards. `segments` go as a whole.
    """

    cut: Cut
    segments: tuple[str, ...]
    entries: int
    first_index: int
    last_index: int
    committed: int
    is_blind: bool
    number: int
    before: Position
    last: Position
    hard_state: HardState
    snapshot: Position | None


def mend(disk: Disk) -> list[str]:
    """Do what a start of the Barn would do, and drop what was being made; return what that was. Raises WalCorrupt, Broken for damage, and then changes nothing."""
    found = check_directory(disk)
    raise_faults(disk.where, found.faults)
    open_state(disk).log.close()
    for name in part_names(disk):
        disk.remove(name)
    disk.fsync_directory()
    return found.notes


def loss_of(disk: Disk, cut: Cut) -> Loss:
    """Return what a cut would lose; nothing is changed.

    Raises NotFound where there is no such segment, Refused where no batch begins there, the damage stands before it, or a cut mends nothing, Broken for a damaged snapshot.
    """
    segments = list(read_segments(disk))
    place = next((at for at, one in enumerate(segments) if one.name == cut.segment), None)
    if place is None:
        raise NotFound(f"there is no segment {cut.segment}", hint="runi barn check lists them")
    kept = segments[:place] + ([_up_to(segments[place], cut.offset)] if cut.offset else [])
    rest = add_up(kept)
    if rest.faults:
        fault = rest.faults[0]
        raise Refused(
            f"{fault.file} is damaged at offset {fault.offset} already: a cut behind that mends nothing",
            code="cut_too_late",
            hint=f"cut there: --drop-from {fault.file}:{fault.offset}",
        )
    lost = _readable(disk, segments[place], cut.offset)
    lost += [batch for one in segments[place + 1 :] for batch in _readable(disk, one, 0)]
    known = _newest(rest.hard_state, (batch.hard_state for batch in lost))
    snapshot = load_snapshot(disk).facts.position
    before = rest.last or Position()
    end = max(before, snapshot)
    if end == before:
        _check_joins(rest, snapshot)
    gone = {entry.index for batch in lost for entry in batch.entries if entry.index > end.index}
    return Loss(
        cut,
        tuple(one.name for one in segments[place + (cut.offset > 0) :]),
        len(gone),
        min(gone, default=0),
        max(gone, default=0),
        max(0, known.commit - end.index),
        bool(add_up(segments).faults),
        segment_number(kept[-1].name) + 1 if kept else segment_number(cut.segment),
        before,
        end,
        structs.replace(known, commit=min(known.commit, end.index)),
        end if before < end else None,
    )


def _check_joins(rest: Contents, snapshot: Position) -> None:
    """Refuse a cut behind which the log still does not go on where the snapshot ends."""
    if rest.is_empty:
        return
    for fault in joining_faults(rest, snapshot):
        raise Refused(
            f"{fault.text}: a cut mends nothing",
            code="cut_mends_nothing",
            hint="put back a backup, or let this member join its group anew with an empty directory",
        )


def cut_log(disk: Disk, loss: Loss) -> None:
    """Cut the log: a new segment, which keeps the promise, stands in the way of the old ones before any of them goes.

    Raises OSError, Unavailable (`disk_full`), Broken; the same cut may then be made again.
    """
    file = SegmentFile(disk, segment_bytes=SEGMENT_BYTES)
    body, count = records.encode_records([], loss.hard_state, loss.snapshot)
    try:
        file.fill_next(records.batch_bytes(len(body)))
        segment = file.begin(loss.number, before=loss.before, hard_state=loss.hard_state)
        frame = records.frame_batch(body, count, seed=segment.seed, offset=segment.end)
        file.write(frame, segment.end)
    finally:
        file.close()
    if loss.cut.offset:
        _blank(disk, loss.cut)
    for name in reversed(loss.segments):
        if name != segment.name:
            disk.remove(name)
            disk.fsync_directory()


def _blank(disk: Disk, cut: Cut) -> None:
    handle = disk.open(cut.segment)
    try:
        disk.pwrite(handle, bytes(disk.size(cut.segment) - cut.offset), cut.offset)
        disk.fdatasync(handle)
    finally:
        disk.close(handle)


def _up_to(segment: ReadSegment, offset: int) -> ReadSegment:
    """Return what is left of a segment that is cut. Raises Refused where no batch begins there."""
    header = segment.header
    places = [header.bytes, *(batch.end for batch in segment.batches)] if header else []
    if offset not in places:
        near = max((place for place in places if place < offset), default=0)
        raise Refused(
            f"no batch of {segment.name} begins at offset {offset}",
            code="cut_inside",
            hint=f"one begins at {near}: --drop-from {segment.name}:{near}",
        )
    batches = tuple(batch for batch in segment.batches if batch.end <= offset)
    return replace(segment, batches=batches, end=offset, tail=Tail.BLANK, tail_text="")


def _readable(disk: Disk, segment: ReadSegment, offset: int) -> list[Batch]:
    """Return every valid batch of a segment from there on, also those behind damage."""
    header = segment.header
    if header is None:
        return []
    data = disk.read(segment.name)
    found: list[Batch] = []
    at = max(offset, header.bytes)
    while (begin := records.find_batch(data, at, seed=header.seed)) is not None:
        batch = records.decode_batch(data, begin, seed=header.seed)
        assert batch is not None, "it was found"
        found.append(batch)  # ends: every batch moves on
        at = batch.end
    return found


def _newest(state: HardState, others: Iterable[HardState | None]) -> HardState:
    """Return the newest promise: the highest term, its last vote, the highest commit index."""
    commit = state.commit
    for other in others:
        if other is not None:
            commit = max(commit, other.commit)
            state = other if other.term >= state.term else state
    return structs.replace(state, commit=commit)
