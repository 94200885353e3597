"""Is a member's directory whole? Reads everything, changes nothing, and says all that is wrong, not only the first of it.

Looked at are each segment by itself (header, every batch, every record), each snapshot (header, body), and whether they join: the segments to each other,
the log to the newest snapshot.  What a crash leaves behind and opening mends is a *note*, what opening refuses a *fault*.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runink.errors import Broken
from runink.raft.messages import HardState
from runink.storage.disk import Disk
from runink.storage.reading import (
    SEGMENT_NAME,
    Contents,
    Fault,
    ReadSegment,
    Tail,
    add_up,
    joining_faults,
    read_segments,
)
from runink.storage.receiving import PART_NAME, part_name, whole_part
from runink.storage.records import Position
from runink.storage.segments import is_leftover
from runink.storage.snapshot import NAME, NEW, SnapshotFacts, open_snapshot, snapshot_names


@dataclass(frozen=True, slots=True)
class SegmentCheck:
    """A segment by itself. Indexes are 0 where it has no entries, the version where it cannot be read."""

    name: str
    version: int
    batches: int
    entries: int
    first_index: int
    last_index: int
    verdict: str


@dataclass(frozen=True, slots=True)
class SnapshotCheck:
    name: str
    facts: SnapshotFacts | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Checked:
    """All that was found. `first_index` is 0 for a log without entries; it ends at `last`, or nowhere that is known."""

    where: str
    segments: list[SegmentCheck] = field(default_factory=list)
    snapshots: list[SnapshotCheck] = field(default_factory=list)
    first_index: int = 0
    last: Position | None = None
    hard_state: HardState = field(default_factory=HardState)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_directory(disk: Disk) -> Checked:
    """Look at everything. Raises OSError only."""
    segments = list(read_segments(disk))
    contents = add_up(segments)
    snapshots = [_check_snapshot(disk, name) for name in snapshot_names(disk)]
    faults = list(contents.faults)
    faults += [
        Fault(one.name, 0, one.verdict, "snapshot_corrupt")
        for one in snapshots
        if one.facts is None
    ]
    if not faults:
        newest = snapshots[-1].facts if snapshots else None
        faults += joining_faults(contents, _behind(disk, newest, contents))
    return Checked(
        disk.where,
        [_check_segment(one) for one in segments],
        snapshots,
        contents.entries[0].index if contents.entries else 0,
        contents.last,
        contents.hard_state,
        faults,
        _notes(disk, contents),
    )


def _check_segment(segment: ReadSegment) -> SegmentCheck:
    indexes = [entry.index for batch in segment.batches for entry in batch.entries]
    verdict = "whole"
    if segment.header is None:
        verdict = "header damaged"
    elif segment.tail is not Tail.BLANK:
        verdict = f"whole up to offset {segment.end}"
    return SegmentCheck(
        segment.name,
        segment.header.version if segment.header else 0,
        len(segment.batches),
        len(indexes),
        min(indexes, default=0),
        max(indexes, default=0),
        verdict,
    )


def _check_snapshot(disk: Disk, name: str) -> SnapshotCheck:
    try:
        reader = open_snapshot(disk, name)
    except Broken as broken:
        return SnapshotCheck(name, None, broken.text)
    try:
        damage = reader.damage()
    finally:
        reader.close()
    return SnapshotCheck(name, None if damage else reader.facts, damage or "whole")


def _behind(disk: Disk, newest: SnapshotFacts | None, contents: Contents) -> Position:
    """Return where the snapshot ends that the log will find when it is opened."""
    end = newest.position if newest else Position()
    awaited = contents.snapshot
    if awaited is not None and awaited.index > end.index and whole_part(disk, awaited):
        return awaited
    return end


def _notes(disk: Disk, contents: Contents) -> list[str]:
    notes = []
    torn = contents.torn
    if torn is not None:
        notes.append(
            f"{torn.segment} ends with an unfinished write at offset {torn.offset}: it was never acknowledged, and is cut when the Barn starts"
        )
    awaited = part_name(contents.snapshot) if contents.snapshot else ""
    for name in disk.names():
        if name == awaited:
            notes.append(
                f"{name} is the snapshot that the log begins behind: it gets its name when the Barn starts"
            )
        elif PART_NAME.fullmatch(name):
            notes.append(f"{name} is a snapshot that another member was sending")
        elif name == NEW or is_leftover(name):
            notes.append(f"{name} was being made, and goes when the Barn starts")
        elif not SEGMENT_NAME.fullmatch(name) and not NAME.fullmatch(name):
            notes.append(f"{name} is no file of the Barn")
    return notes
