"""The write-ahead log: what was appended here and came back is on disk, whatever happens to the process or its machine.

The format stands in `records.py`, what is read and refused in `reading.py`.  Files of the directory:

    wal-N          a segment, N in 16 hex digits, counted up without gaps; only the last one is written to
    segment.new    a segment being made: of no use after a crash, removed when the log is opened

**Writing.**  `append` makes room (zeros, ahead of the records: a sync into blocks that are there and zeroed need not write the file's size,
which is 1.3 times as fast here), then one pwrite, then one fdatasync.  Only making room may fail for want of space and be tried again, see
`segments.py`; `make_room` does it beforehand.  After any other error, and after any failed sync, the log is *failed* for good: nobody knows what is on disk,
and a second sync that succeeds proves nothing.  The owner must open the log anew.

**Opening.**  A torn tail is cut (zeroed, synced) and reported.  The last valid batch is written again and synced before anyone sees it: a
killed process may have left it in the page cache only.  A segment of an older version is read, never written to: the log goes on in a new one.

**Rewriting.**  An entry with an index that is there already replaces it and all behind it; a snapshot record replaces all.  The reader does the
same, so nothing is ever changed in place.

**Truncating.**  Segments whose entries all lie behind a snapshot go, oldest first.  Every segment begins with the hard state, so none is lost with them.

One thread at a time may call; which one does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from runink.errors import Broken, Unavailable
from runink.raft.messages import Entry, HardState
from runink.storage import records
from runink.storage.disk import Disk, telling_full
from runink.storage.reading import (
    Contents,
    ReadSegment,
    Torn,
    add_up,
    joining_faults,
    raise_faults,
    read_segments,
)
from runink.storage.records import Position
from runink.storage.segments import Segment, SegmentFile, is_leftover, opened_segment

SEGMENT_BYTES: Final = 4 << 20  # small, so that a laptop's log and its replay at start stay small
SERVER_SEGMENT_BYTES: Final = 64 << 20  # a new one costs two syncs: at most every few seconds
ENTRY_ROOM_BYTES: Final = 96  # beside an entry's data: with a batch and a hard state of its own, 79
SEGMENT_BYTES_MIN: Final = 4096  # tests tear small logs; smaller ones hold no batch worth the name


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an opened log holds: entries in order of their index, none twice, and the last hard state."""

    log: Wal
    entries: list[Entry]
    hard_state: HardState
    torn: Torn | None
    version: int  # of its oldest segment


@dataclass(frozen=True, slots=True)
class WalStatistics:
    segments: int
    last_index: int
    syncs: int
    entries: int
    bytes: int


class Wal:
    """A log that is open for appending; made by `open_log`."""

    def __init__(
        self, disk: Disk, segments: list[Segment], *, contents: Contents, segment_bytes: int
    ) -> None:
        self._disk = disk
        self._segments = segments
        self._segment_bytes = segment_bytes
        self._file = SegmentFile(disk, segment_bytes=segment_bytes)
        self._hard_state = contents.hard_state
        self._last = contents.last or Position()
        self._failure: OSError | None = None
        self._syncs = 0
        self._entries = 0
        self._bytes = 0

    @property
    def room_bytes(self) -> int:
        """How much can be appended for certain, each entry counted with its data and ENTRY_ROOM_BYTES."""
        here = self._segments[-1].room_bytes if self._segments else 0
        return max(here, self._file.next_room_bytes)

    @property
    def last_index(self) -> int:
        return self._last.index

    @property
    def last(self) -> Position:
        """Where the log ends: its last entry, or the snapshot that it begins behind."""
        return self._last

    @property
    def hard_state(self) -> HardState:
        return self._hard_state

    def append(
        self,
        entries: Sequence[Entry],
        *,
        hard_state: HardState | None = None,
        snapshot: Position | None = None,
    ) -> None:
        """Write the entries and the hard state with one sync; when this returns, they are on disk.

        With `snapshot` the log begins anew behind that snapshot, in the same write.  Raises Unavailable (`disk_full`) if nothing was written for
        want of space, Broken (`wal_failed`) if it is unknown what was written; then every later call raises that too.
        """
        self._check_usable()
        self._check_order(entries, snapshot or self._last)
        assert entries or hard_state or snapshot, "nothing to write"
        body, count = records.encode_records(entries, hard_state, snapshot)
        try:
            segment = self._room_for(records.batch_bytes(len(body)))
            frame = records.frame_batch(body, count, seed=segment.seed, offset=segment.end)
            self._file.write(frame, segment.end)
        except OSError as error:
            self._fail(error)
        segment.end += len(frame)
        self._syncs += 1
        self._bytes += len(frame)
        self._written(entries, hard_state, snapshot)

    def make_room(self, size: int) -> None:
        """Make room for so much, counted as in `room_bytes`, but not for more than a segment holds. Raises as `append` does."""
        self._check_usable()
        size = min(size, self._segment_bytes - records.SEGMENT_HEADER_BYTES)
        try:
            if self._segments and self._file.fits(self._segments[-1], size):
                self._file.fill(self._segments[-1], size)
            else:
                self._file.fill_next(size)
        except OSError as error:
            self._fail(error)

    def _written(
        self, entries: Sequence[Entry], hard_state: HardState | None, snapshot: Position | None
    ) -> None:
        self._hard_state = hard_state or self._hard_state
        self._last = snapshot or self._last
        self._entries += len(entries)
        if entries:
            self._last = Position(entries[-1].index, entries[-1].term)
            self._segments[-1].last_index = self._last.index

    def truncate_behind(self, index: int) -> int:
        """Drop the segments that hold only entries up to `index`; return how many. Raises Broken like `append`."""
        self._check_usable()
        dropped = 0
        while self._may_drop_first() and self._segments[0].last_index <= index:
            # A later segment may begin below what an earlier one ends with (rewritten entries), never the other way round.
            try:
                self._disk.remove(self._segments[0].name)
                self._disk.fsync_directory()  # each by itself: a later one must not be gone while an earlier one is there
            except OSError as error:
                self._fail(error)
            del self._segments[0]
            dropped += 1
        return dropped

    def _may_drop_first(self) -> bool:
        """Say whether a hard state stands in what is left: a segment of version 1 tells it in its batches only."""
        if len(self._segments) < 2:
            return False
        last = self._segments[-1]
        return last.is_current or last.end > records.SEGMENT_HEADER_BYTES_1

    def statistics(self) -> WalStatistics:
        return WalStatistics(
            segments=len(self._segments),
            last_index=self._last.index,
            syncs=self._syncs,
            entries=self._entries,
            bytes=self._bytes,
        )

    def close(self) -> None:
        """Close the file. The disk stays its owner's to shut."""
        self._file.close()

    def _check_usable(self) -> None:
        if self._failure is not None:
            self._fail(self._failure)

    def _check_order(self, entries: Sequence[Entry], last: Position) -> None:
        if not entries:
            return
        assert entries[0].index <= last.index + 1 or last.index == 0
        assert entries[-1].index - entries[0].index == len(entries) - 1

    def _fail(self, error: OSError) -> NoReturn:
        self._failure = error
        raise Broken(
            f"the log in {self._disk.where} failed: {error}",
            code="wal_failed",
            hint="look for errors of the disk (dmesg); the log is checked when it is opened again",
        ) from error

    def _room_for(self, frame_bytes: int) -> Segment:
        """Return the segment that takes the next batch, with zeroed room for it."""
        segments = self._segments
        if segments and self._file.fits(segments[-1], frame_bytes):
            try:
                self._file.fill(segments[-1], frame_bytes)
            except Unavailable:
                if self._file.next_room_bytes < frame_bytes:
                    raise
            else:
                return segments[-1]
        self._file.fill_next(frame_bytes)
        number = segments[-1].number + 1 if segments else 1
        segments.append(self._file.begin(number, before=self._last, hard_state=self._hard_state))
        return segments[-1]


def open_log(
    disk: Disk,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    snapshot_for: Callable[[Position | None], Position] | None = None,
) -> Recovered:
    """Read the log, cut a torn tail, and return it ready for appending.

    `snapshot_for` is asked where the newest snapshot ends, once it is known which one the log begins behind; the log must join it.  Raises
    WalCorrupt (segment, offset) for any damage but a torn tail, Unavailable (`disk_full`), Broken (`wal_failed`, `wal_version`).
    """
    assert segment_bytes >= SEGMENT_BYTES_MIN
    found = list(read_segments(disk))
    contents = add_up(found)
    raise_faults(disk.where, contents.faults)
    if snapshot_for is not None:
        behind = snapshot_for(contents.snapshot)
        raise_faults(disk.where, joining_faults(contents, behind))
        contents.last = contents.last or behind
    _remove_leftovers(disk)
    segments = [opened_segment(one) for one in found]
    log = Wal(disk, segments, contents=contents, segment_bytes=segment_bytes)
    torn = contents.torn
    if found:
        _settle_tail(disk, found[-1], is_torn=torn is not None)
    if torn is not None:
        text = f"{disk.where}/{torn.segment}: an unfinished last write at offset {torn.offset} was cut; it was never acknowledged"
        torn = Torn(torn.segment, torn.offset, text)
    version = min((one.header.version for one in found if one.header), default=records.VERSION)
    return Recovered(log, contents.entries, contents.hard_state, torn, version)


def _remove_leftovers(disk: Disk) -> None:
    for name in filter(is_leftover, disk.names()):
        disk.remove(name)


def _settle_tail(disk: Disk, segment: ReadSegment, *, is_torn: bool) -> None:
    """Put on disk for certain what the reader took as read: the last batch, and zeros where a torn one stood."""
    handle = disk.open(segment.name)
    try:
        with telling_full(disk.where):
            if segment.last_batch is not None:
                offset, data = segment.last_batch
                disk.pwrite(handle, data, offset)
            if is_torn:
                disk.pwrite(handle, bytes(segment.size - segment.end), segment.end)
        disk.fdatasync(handle)
        disk.fsync_directory()
    except OSError as error:
        raise Broken(
            f"{disk.where}/{segment.name} cannot be synced: {error}", code="wal_failed"
        ) from error
    finally:
        disk.close(handle)
