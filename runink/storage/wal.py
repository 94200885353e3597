"""The write-ahead log: what was appended here and came back is on disk, whatever happens to the process or its machine.

The format stands in `records.py`.  Files of the directory:

    wal-N          a segment, N in 16 hex digits, counted up without gaps; only the last one is written to
    spare-N        a segment that a snapshot made superfluous, filled with zeros, waiting to be the next one
    segment.new    a segment being made       } of no use after a crash, removed when the log is opened
    segment.old    a segment being zeroed     }

**Writing.**  `append` makes room (zeros, ahead of the records and in steps of FILL_BYTES: a sync into blocks that are there and
zeroed need not write the file's size, which is 1.3 times as fast here), then one pwrite, then one fdatasync.  Only making room may
fail for want of space and be tried again: nothing was written then.  After any other error the log is *failed* for good, because after a failed
sync nobody knows what is on disk and a second sync that succeeds proves nothing; the owner must open the log anew.

**Reading.**  Segments in order, batches in order.  A batch that is not valid is
- a *torn tail*, if it stands in the last segment and no valid batch stands behind it: it was never acknowledged, so it is cut (zeroed, synced) and reported;
- damage otherwise: WalCorrupt with segment and offset; so is a missing segment, a bad header, a gap in the indexes.
The last valid batch is written again and synced before anyone sees it: a killed process may have left it in the page cache only.

**Rewriting.**  An entry with an index that is there already replaces it and all behind it (a new leader overrules an old one); the
reader does the same, so nothing is ever changed in place.

**Truncating.**  Segments whose entries all lie behind a snapshot go, oldest first.  Every segment begins with the hard state, so none is lost with them.

One thread at a time may call; which one does not matter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from runink.errors import Broken, WalCorrupt
from runink.storage import records
from runink.storage.disk import FULL_ERRNOS, Disk, FileHandle, disk_full
from runink.storage.records import HardState, LogEntry

SEGMENT_BYTES: Final = 4 << 20  # small, so that a laptop's log and its replay at start stay small
FILL_BYTES: Final = 256 << 10  # zeroing more at a time would be felt as a pause of one append
SPARES_MAX: Final = 2  # a snapshot frees a few segments at a time; more would only lie about
SEGMENT_BYTES_MIN: Final = 4096  # tests tear small logs; smaller ones hold no batch worth the name

_SEGMENT_NAME: Final = re.compile(r"wal-([0-9a-f]{16})")
_SPARE_NAME: Final = re.compile(r"spare-[0-9a-f]{16}")
_NEW: Final = "segment.new"
_OLD: Final = "segment.old"


@dataclass(frozen=True, slots=True)
class Torn:
    """The unfinished last write that was cut off when the log was opened."""

    segment: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an opened log holds: entries in order of their index, none twice, and the last hard state."""

    log: Wal
    entries: list[LogEntry]
    hard_state: HardState
    torn: Torn | None
    was_empty: bool


@dataclass(frozen=True, slots=True)
class WalStatistics:
    segments: int
    spares: int
    last_index: int
    syncs: int
    entries: int
    bytes: int


@dataclass(slots=True)
class _Segment:
    """A segment and what of it is used: `end` is where the next batch goes, up to `filled` it is zeroed."""

    number: int
    seed: int
    end: int = records.SEGMENT_HEADER_BYTES
    filled: int = records.SEGMENT_HEADER_BYTES
    last_index: int = 0

    @property
    def name(self) -> str:
        return f"wal-{self.number:016x}"


@dataclass(slots=True)
class _Contents:
    """What reading the segments adds up to."""

    segments: list[_Segment] = field(default_factory=list)
    entries: list[LogEntry] = field(default_factory=list)
    hard_state: HardState = field(default_factory=HardState)
    torn: Torn | None = None
    last_batch: tuple[int, bytes] | None = None  # offset and bytes, in the last segment


class Wal:
    """A log that is open for appending; made by `open_log`."""

    def __init__(
        self, disk: Disk, segments: list[_Segment], *, hard_state: HardState, segment_bytes: int
    ) -> None:
        self._disk = disk
        self._segments = segments
        self._hard_state = hard_state
        self._segment_bytes = segment_bytes
        self._spares = [name for name in disk.names() if _SPARE_NAME.fullmatch(name)]
        self._handle: FileHandle | None = None
        self._failure: OSError | None = None
        self._last_index = next(
            (segment.last_index for segment in reversed(segments) if segment.last_index), 0
        )
        self._syncs = 0
        self._entries = 0
        self._bytes = 0

    @property
    def batch_body_bytes_max(self) -> int:
        """How many bytes of records (header and payload) fit into one append, beside the hard state."""
        hard_state = records.RECORD_HEADER_BYTES + 8
        frame = records.BATCH_HEADER_BYTES + records.ALIGNMENT
        return self._segment_bytes - records.SEGMENT_HEADER_BYTES - frame - hard_state

    @property
    def last_index(self) -> int:
        return self._last_index

    @property
    def hard_state(self) -> HardState:
        return self._hard_state

    def append(self, entries: Sequence[LogEntry], *, hard_state: HardState | None = None) -> None:
        """Write the entries and the hard state with one sync; when this returns, they are on disk.

        Raises Unavailable (`disk_full`) if nothing was written for want of space, Broken (`wal_failed`) if it is
        unknown what was written; then every later call raises that too.
        """
        self._check_usable()
        self._check_order(entries)
        body, count = records.encode_records(entries, hard_state)
        assert count > 0
        assert len(body) <= self.batch_body_bytes_max
        segment = self._room_for(records.batch_bytes(len(body)))
        if segment.end == records.SEGMENT_HEADER_BYTES and hard_state is None:
            body, count = records.encode_records(entries, self._hard_state)
        frame = records.frame_batch(body, count, seed=segment.seed, offset=segment.end)
        self._write(frame, segment.end)
        segment.end += len(frame)
        self._hard_state = hard_state or self._hard_state
        self._entries += len(entries)
        if entries:
            self._last_index = segment.last_index = entries[-1].index

    def truncate_behind(self, index: int) -> int:
        """Drop the segments that hold only entries up to `index`; return how many. Raises Broken like `append`."""
        self._check_usable()
        dropped = 0
        while self._may_drop_first() and self._segments[0].last_index <= index:
            # A later segment may begin below what an earlier one ends with (rewritten entries), never the other way round.
            self._retire(self._segments.pop(0))
            dropped += 1
        return dropped

    def _may_drop_first(self) -> bool:
        """Say whether the segment behind the first begins with the hard state: one that the disk had no room to go on with is empty."""
        return len(self._segments) > 1 and self._segments[1].end > records.SEGMENT_HEADER_BYTES

    def statistics(self) -> WalStatistics:
        return WalStatistics(
            segments=len(self._segments),
            spares=len(self._spares),
            last_index=self._last_index,
            syncs=self._syncs,
            entries=self._entries,
            bytes=self._bytes,
        )

    def close(self) -> None:
        """Close the file. The disk stays its owner's to shut."""
        if self._handle is not None:
            self._disk.close(self._handle)
            self._handle = None

    def _check_usable(self) -> None:
        if self._failure is not None:
            self._fail(self._failure)

    def _check_order(self, entries: Sequence[LogEntry]) -> None:
        if not entries:
            return
        assert entries[0].index <= self._last_index + 1 or self._last_index == 0
        assert entries[-1].index - entries[0].index == len(entries) - 1

    def _fail(self, error: OSError) -> NoReturn:
        self._failure = error
        raise Broken(
            f"the log in {self._disk.where} failed: {error}",
            code="wal_failed",
            hint="look for errors of the disk (dmesg); the log is checked when it is opened again",
        ) from error

    def _write(self, frame: bytes, offset: int) -> None:
        assert self._handle is not None
        try:
            self._disk.pwrite(self._handle, frame, offset)
            self._disk.fdatasync(self._handle)
        except OSError as error:
            self._fail(error)
        self._syncs += 1
        self._bytes += len(frame)

    def _room_for(self, frame_bytes: int) -> _Segment:
        """Return the segment that takes the next batch, with zeroed room for it."""
        hard_state_bytes = records.RECORD_HEADER_BYTES + records.ALIGNMENT
        try:
            if not self._segments or self._segments[-1].end + frame_bytes > self._segment_bytes:
                self._begin_segment()
            segment = self._segments[-1]
            if self._handle is None:
                self._handle = self._disk.open(segment.name)
            self._fill(self._handle, segment, segment.end + frame_bytes + hard_state_bytes)
        except OSError as error:
            if error.errno in FULL_ERRNOS:
                raise disk_full(self._disk.where) from error
            self._fail(error)
        return segment

    def _fill(self, handle: FileHandle, segment: _Segment, end: int) -> None:
        goal = min(-(-end // FILL_BYTES) * FILL_BYTES, self._segment_bytes)
        if end <= segment.filled or goal <= segment.filled:
            return
        self._disk.pwrite(handle, bytes(goal - segment.filled), segment.filled)
        segment.filled = goal

    def _begin_segment(self) -> None:
        """Make the next segment: header written and synced under another name, so that a `wal-N` is whole or absent."""
        number = self._segments[-1].number + 1 if self._segments else 1
        header = records.encode_segment_header(number, nonce=os.urandom(8))
        decoded = records.decode_segment_header(header)
        assert decoded is not None
        segment = _Segment(number, decoded[1])
        aside = self._spares[-1] if self._spares else _NEW
        filled = self._disk.size(aside) if self._spares else 0
        handle = self._disk.open(aside, create=True)
        try:
            self._disk.pwrite(handle, header, 0)
            self._disk.fdatasync(handle)
            self._disk.rename(aside, segment.name)
            self._disk.fsync_directory()
        except OSError:
            self._disk.close(handle)
            raise
        self.close()
        self._handle = handle
        self._spares = self._spares[:-1]
        segment.filled = max(filled, segment.filled)
        self._segments.append(segment)

    def _retire(self, segment: _Segment) -> None:
        """Take a segment out of the log; keep it, zeroed, if there are few spares."""
        disk = self._disk
        try:
            disk.rename(segment.name, _OLD)
            disk.fsync_directory()
            if len(self._spares) >= SPARES_MAX:
                disk.remove(_OLD)
                return
            handle = disk.open(_OLD)
            try:
                disk.pwrite(handle, bytes(disk.size(_OLD)), 0)
                disk.fdatasync(handle)
            finally:
                disk.close(handle)
            spare = f"spare-{segment.number:016x}"
            disk.rename(_OLD, spare)
            disk.fsync_directory()
            self._spares.append(spare)
        except OSError as error:
            self._fail(error)


def open_log(disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> Recovered:
    """Read the log, cut a torn tail, and return it ready for appending.

    Raises WalCorrupt (segment, offset) for any damage but a torn tail, Unavailable (`disk_full`), Broken (`wal_failed`).
    """
    assert segment_bytes >= SEGMENT_BYTES_MIN
    names = disk.names()
    for name in (_NEW, _OLD):
        if name in names:
            disk.remove(name)
    contents = _read_segments(disk, [name for name in names if _SEGMENT_NAME.fullmatch(name)])
    log = Wal(disk, contents.segments, hard_state=contents.hard_state, segment_bytes=segment_bytes)
    if contents.segments:
        _settle_tail(disk, contents)
    return Recovered(
        log, contents.entries, contents.hard_state, contents.torn, not contents.segments
    )


def _settle_tail(disk: Disk, contents: _Contents) -> None:
    """Put on disk for certain what the reader took as read: the last batch, and zeros where a torn one stood."""
    segment = contents.segments[-1]
    handle = disk.open(segment.name)
    try:
        if contents.last_batch is not None:
            offset, data = contents.last_batch
            disk.pwrite(handle, data, offset)
        if contents.torn is not None:
            disk.pwrite(handle, bytes(segment.filled - segment.end), segment.end)
        disk.fdatasync(handle)
        disk.fsync_directory()
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise disk_full(disk.where) from error
        raise Broken(
            f"{disk.where}/{segment.name} cannot be synced: {error}", code="wal_failed"
        ) from error
    finally:
        disk.close(handle)


def _read_segments(disk: Disk, names: list[str]) -> _Contents:
    contents = _Contents()
    for place, name in enumerate(names):
        data = disk.read(name)
        segment = _read_header(disk, name, data)
        if contents.segments and segment.number != contents.segments[-1].number + 1:
            raise _corrupt(disk, name, 0, "the segment before it is missing")
        contents.segments.append(segment)
        _read_batches(disk, data, contents, is_last=place == len(names) - 1)
    return contents


def _read_header(disk: Disk, name: str, data: bytes) -> _Segment:
    header = records.decode_segment_header(data)
    match = _SEGMENT_NAME.fullmatch(name)
    assert match is not None
    if header is None or header[0] != int(match[1], 16):
        raise _corrupt(disk, name, 0, "its header is damaged")
    return _Segment(header[0], header[1], filled=len(data))


def _read_batches(disk: Disk, data: bytes, contents: _Contents, *, is_last: bool) -> None:
    segment = contents.segments[-1]
    contents.last_batch = None
    while True:  # ends: every batch moves the end on, and the data is finite
        batch = records.decode_batch(data, segment.end, seed=segment.seed)
        if batch is None:
            break
        _take(disk, batch, contents)
        contents.last_batch = (segment.end, data[segment.end : batch.end])
        segment.end = batch.end
    if records.is_blank(data, segment.end):
        return
    later = records.find_batch(data, segment.end + 1, seed=segment.seed)
    if later is not None or not is_last:
        what = f"a valid one follows at {later}" if later is not None else "a segment follows"
        raise _corrupt(disk, segment.name, segment.end, f"a batch is damaged ({what})")
    contents.torn = Torn(
        segment.name,
        segment.end,
        f"{disk.where}/{segment.name}: an unfinished last write at offset {segment.end} was cut; it was never acknowledged",
    )


def _take(disk: Disk, batch: records.Batch, contents: _Contents) -> None:
    segment = contents.segments[-1]
    if batch.hard_state is not None:
        contents.hard_state = batch.hard_state
    for entry in batch.entries:
        entries = contents.entries
        if entries and entry.index <= entries[-1].index:
            del entries[max(0, entry.index - entries[0].index) :]
        if entries and entry.index != entries[-1].index + 1:
            text = f"entry {entry.index} follows entry {entries[-1].index}"
            raise _corrupt(disk, segment.name, segment.end, text)
        entries.append(entry)
        segment.last_index = entry.index


def _corrupt(disk: Disk, segment: str, offset: int, text: str) -> WalCorrupt:
    return WalCorrupt(
        f"{disk.where}/{segment} is damaged at offset {offset}: {text}",
        hint="the log is left as it is; put back a copy of the directory, or start with an empty one and lose its state",
    )
