"""What the segments of a log add up to. Reads, judges, changes nothing: `open_log` and `runi barn check` both stand on it.

Segments in order, batches in order.  Where a segment's batches end, either zeros follow to its end, or
- a *torn tail*: it is the last segment, and no valid batch stands behind; what was torn was never acknowledged;
- damage: a *fault*, with segment and offset.

Faults too are a missing segment, a damaged header, a segment that does not begin where the log before it ended, a gap in the indexes, a term that goes
back, a hard state that knows more entries committed than there are.

An entry with an index that is there already replaces it and all behind it (a new leader overruled an old one); a snapshot record replaces everything before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from runink.errors import Broken, WalCorrupt
from runink.raft.messages import Entry, HardState
from runink.storage import records
from runink.storage.disk import Disk
from runink.storage.records import Batch, Position, SegmentHeader

SEGMENT_NAME: Final = re.compile(r"wal-([0-9a-f]{16})")
CORRUPT: Final = "wal_corrupt"
MISSING: Final = "wal_missing"  # the code of a fault that is in no file: one is not there
CORRUPT_HINT: Final = "the files are left as they are; `runi barn check` says more, then put back a backup or use `runi barn repair`"


class Tail(Enum):
    """What stands behind the last valid batch of a segment."""

    BLANK = "blank"
    BAD = "bad"  # something, and no valid batch
    FOLLOWED = "followed"  # something bad, and a valid batch behind it
    NEWER = "newer"  # records that this version does not know


@dataclass(frozen=True, slots=True)
class Fault:
    """Damage, and where. `offset` is a place in the file; what the file as a whole has wrong is at 0."""

    file: str
    offset: int
    text: str
    code: str = CORRUPT


@dataclass(frozen=True, slots=True)
class Torn:
    """The unfinished last write that was cut off when the log was opened."""

    segment: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """One segment by itself: its batches, where they end, and what stands behind. `last_batch` is the last one's offset and bytes."""

    name: str
    size: int
    header: SegmentHeader | None
    batches: tuple[Batch, ...] = ()
    end: int = 0
    tail: Tail = Tail.BLANK
    tail_text: str = ""
    last_batch: tuple[int, bytes] | None = None

    @property
    def last_index(self) -> int:
        """The index of the last entry that was written to it, 0 if none was."""
        return next((one.entries[-1].index for one in reversed(self.batches) if one.entries), 0)


@dataclass(slots=True)
class Contents:
    """The log as a whole. `last` is where it ends, nothing where that is not known; `snapshot` the place of the last snapshot record."""

    entries: list[Entry] = field(default_factory=list)
    hard_state: HardState = field(default_factory=HardState)
    last: Position | None = None
    snapshot: Position | None = None
    is_empty: bool = True  # there is not even a segment
    torn: Torn | None = None
    faults: list[Fault] = field(default_factory=list)


def segment_names(disk: Disk) -> list[str]:
    return [name for name in disk.names() if SEGMENT_NAME.fullmatch(name)]


def read_segments(disk: Disk) -> Iterator[ReadSegment]:
    """Yield the segments in order, each read when it is asked for: one stands in memory at a time."""
    for name in segment_names(disk):
        yield read_segment(name, disk.read(name))


def read_segment(name: str, data: bytes) -> ReadSegment:
    header = records.decode_segment_header(data)
    if header is None or name != segment_name(header.number):
        return ReadSegment(name, len(data), None)
    batches: list[Batch] = []
    begin = end = header.bytes
    try:
        while (batch := records.decode_batch(data, end, seed=header.seed)) is not None:
            batches.append(batch)  # ends: every batch moves the end on, and the data is finite
            begin, end = end, batch.end
    except Broken as newer:
        tail, text = Tail.NEWER, newer.text
    else:
        tail, text = _tail(data, end, seed=header.seed)
    last = (begin, data[begin:end]) if batches else None
    return ReadSegment(name, len(data), header, tuple(batches), end, tail, text, last)


def _tail(data: bytes, end: int, *, seed: int) -> tuple[Tail, str]:
    if records.is_blank(data, end):
        return Tail.BLANK, ""
    later = records.find_batch(data, end + 1, seed=seed)
    if later is None:
        return Tail.BAD, "a batch is damaged"
    return Tail.FOLLOWED, f"a batch is damaged (a valid one follows at {later})"


def segment_name(number: int) -> str:
    return f"wal-{number:016x}"


def add_up(segments: Iterable[ReadSegment]) -> Contents:
    """Return what the segments hold together, and every fault, in order."""
    contents = Contents()
    before: ReadSegment | None = None
    for segment in segments:
        contents.is_empty = False
        if before is not None:
            _judge_tail(before, contents, is_last=False)
            _judge_order(before, segment, contents)
        _take(segment, contents)
        before = segment
    if before is not None:
        _judge_tail(before, contents, is_last=True)
        _judge_commit(before, contents)
    return contents


def _judge_order(before: ReadSegment, segment: ReadSegment, contents: Contents) -> None:
    if segment_number(segment.name) != segment_number(before.name) + 1:
        contents.faults.append(Fault(segment.name, 0, "the segment before it is missing"))
        contents.last = None


def segment_number(name: str) -> int:
    match = SEGMENT_NAME.fullmatch(name)
    assert match is not None
    return int(match[1], 16)


def _judge_tail(segment: ReadSegment, contents: Contents, *, is_last: bool) -> None:
    if segment.header is None or segment.tail is Tail.BLANK:
        return
    if segment.tail is Tail.BAD and is_last:
        contents.torn = Torn(segment.name, segment.end, "an unfinished last write")
        return
    text = segment.tail_text + (" (a segment follows)" if segment.tail is Tail.BAD else "")
    code = "wal_version" if segment.tail is Tail.NEWER else CORRUPT
    contents.faults.append(Fault(segment.name, segment.end, text, code))


def _judge_commit(segment: ReadSegment, contents: Contents) -> None:
    commit = contents.hard_state.commit
    if contents.last is not None and commit > contents.last.index and not contents.faults:
        text = f"the log ends with entry {contents.last.index}, and {commit} entries were committed"
        contents.faults.append(Fault(segment.name, segment.end, text))


def _take(segment: ReadSegment, contents: Contents) -> None:
    header = segment.header
    if header is None:
        text = "its header is damaged, or of a newer version than this Runink knows"
        contents.faults.append(Fault(segment.name, 0, text))
        contents.last = None
        return
    if header.before is not None:
        if contents.last not in (None, header.before):
            text = f"it was begun behind entry {header.before.index} of term {header.before.term}, the log before it ends elsewhere"
            contents.faults.append(Fault(segment.name, 0, text))
        contents.last = header.before
    contents.hard_state = header.hard_state or contents.hard_state
    offset = header.bytes
    for batch in segment.batches:
        if batch.snapshot is not None:
            contents.entries.clear()
            contents.last = contents.snapshot = batch.snapshot
        contents.hard_state = batch.hard_state or contents.hard_state
        _take_entries(segment, offset, batch, contents)
        offset = batch.end


def _take_entries(segment: ReadSegment, offset: int, batch: Batch, contents: Contents) -> None:
    entries = contents.entries
    for entry in batch.entries:
        last = contents.last
        if last is not None and entry.index <= last.index and entries:
            del entries[max(0, entry.index - entries[0].index) :]
            last = Position(entries[-1].index, entries[-1].term) if entries else None
        if last is not None and not _follows(entry, last):
            text = f"entry {entry.index} of term {entry.term} follows entry {last.index} of term {last.term}"
            contents.faults.append(Fault(segment.name, offset, text))
        entries.append(entry)
        contents.last = Position(entry.index, entry.term)


def _follows(entry: Entry, last: Position) -> bool:
    if entry.index <= last.index:
        return True  # it overrules what is not there any more: a snapshot stands for it
    return entry.index == last.index + 1 and entry.term >= last.term


def joining_faults(contents: Contents, behind: Position) -> list[Fault]:
    """Return what keeps the log from going on where the newest snapshot, which ends at `behind`, leaves off."""
    entries = contents.entries
    awaited = contents.snapshot
    text = ""
    if awaited is not None and awaited.index > behind.index:
        text = f"the log begins behind a snapshot up to entry {awaited.index}, and there is none"
    elif entries and entries[0].index > behind.index + 1:
        text = (
            f"the log begins with entry {entries[0].index}, the snapshot ends with {behind.index}"
        )
    elif contents.last is not None and contents.last.index < behind.index:
        text = f"the log ends with entry {contents.last.index}, the snapshot with {behind.index}"
    elif behind.index and contents.is_empty:
        text = f"there is a snapshot up to entry {behind.index} and no log"
    elif entries and behind.index >= entries[0].index:
        term = entries[behind.index - entries[0].index].term
        if term != behind.term:
            text = f"entry {behind.index} is of term {term}, in the snapshot of term {behind.term}"
    return [Fault("", 0, text, MISSING)] if text else []


def raise_faults(where: str, faults: Sequence[Fault]) -> None:
    """Raise the first of the faults as an error: Broken (`wal_version`) for what is newer, WalCorrupt for damage."""
    if not faults:
        return
    fault = faults[0]
    if fault.code == MISSING:
        raise WalCorrupt(f"files are missing in {where}: {fault.text}", hint=CORRUPT_HINT)
    if fault.code == "wal_version":
        raise Broken(
            f"{where}/{fault.file} cannot be read from offset {fault.offset} on: {fault.text}",
            code=fault.code,
            hint="it was written by a newer Runink: run that one",
        )
    text = f"{where}/{fault.file} is damaged at offset {fault.offset}: {fault.text}"
    raise WalCorrupt(text, hint=CORRUPT_HINT)
