"""Segments as they are written: one that takes batches, and the room ahead of them.

Room is zeros, in steps of FILL_BYTES, in the segment that is written to; where that one ends too soon, in the file `segment.new`, which will be
the next one.  Only making room may fail for want of space (Unavailable, `disk_full`): nothing stands in it yet, so it may be tried again.  Everything else
fails with OSError, also a sync that finds the disk full: nobody knows then what is on disk, and the log must not go on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from runink.raft.messages import HardState
from runink.storage import records
from runink.storage.disk import Disk, FileHandle, telling_full
from runink.storage.reading import ReadSegment, segment_name
from runink.storage.records import Position

FILL_BYTES: Final = 256 << 10  # zeroing more at a time would be felt as a pause of one append
NEW: Final = "segment.new"
_OLD_NAMES: Final = ("spare-", "segment.old")  # what version 1 kept of segments it no longer needed


def is_leftover(name: str) -> bool:
    """Say whether a file of that name is of no use once a log is opened."""
    return name == NEW or name.startswith(_OLD_NAMES)


@dataclass(slots=True)
class Segment:
    """A segment and what of it is used: `end` is where the next batch goes, up to `filled` it is zeroed."""

    number: int
    seed: int
    end: int
    filled: int
    last_index: int = 0
    is_current: bool = True  # of the version that is written

    @property
    def name(self) -> str:
        return segment_name(self.number)

    @property
    def room_bytes(self) -> int:
        return self.filled - self.end if self.is_current else 0


def opened_segment(read: ReadSegment) -> Segment:
    """Return a segment that was read, to be written on."""
    header = read.header
    assert header is not None
    is_current = header.version == records.VERSION
    return Segment(
        header.number,
        header.seed,
        end=read.end,
        filled=read.size,
        last_index=read.last_index,
        is_current=is_current,
    )


class SegmentFile:
    """The file that takes the next batch, and the one prepared to come after it."""

    def __init__(self, disk: Disk, *, segment_bytes: int) -> None:
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._handle: FileHandle | None = None
        self._next: FileHandle | None = None
        self._next_filled = 0

    @property
    def next_room_bytes(self) -> int:
        """How much room is made in the next segment."""
        return max(0, self._next_filled - records.SEGMENT_HEADER_BYTES)

    def fits(self, segment: Segment, frame_bytes: int) -> bool:
        """Say whether a batch goes into this segment. One that is larger than a segment gets one of its own; room that is made is used to its end."""
        if not segment.is_current:
            return False
        if segment.end == records.SEGMENT_HEADER_BYTES:
            return True
        return segment.end + frame_bytes <= max(self._segment_bytes, segment.filled)

    def fill(self, segment: Segment, frame_bytes: int) -> None:
        """Make room for so many bytes in the segment that is written to."""
        assert self.fits(segment, frame_bytes)
        if self._handle is None:
            self._handle = self._disk.open(segment.name)
        segment.filled = self._filled(self._handle, segment.filled, segment.end + frame_bytes)

    def fill_next(self, frame_bytes: int) -> None:
        """Make room for so many bytes in the next segment."""
        end = records.SEGMENT_HEADER_BYTES + frame_bytes
        if self._next is None:
            with telling_full(self._disk.where):
                self._next = self._disk.open(NEW, create=True)
        self._next_filled = self._filled(self._next, self._next_filled, end)

    def _filled(self, handle: FileHandle, filled: int, end: int) -> int:
        """Write zeros behind `filled`, to `end` at least, and return how far they go."""
        if end <= filled:
            return filled
        goal = max(end, min(-(-end // FILL_BYTES) * FILL_BYTES, self._segment_bytes))
        with telling_full(self._disk.where):
            self._disk.pwrite(handle, bytes(goal - filled), filled)
        return goal

    def begin(self, number: int, *, before: Position, hard_state: HardState) -> Segment:
        """Go on in the next segment: its header is written and synced under another name, so that a `wal-N` is whole or absent."""
        data = records.encode_segment_header(
            number, nonce=os.urandom(8), before=before, hard_state=hard_state
        )
        header = records.decode_segment_header(data)
        assert header is not None
        assert self._next is not None, "no room was made"
        segment = Segment(number, header.seed, end=len(data), filled=self._next_filled)
        self._disk.pwrite(self._next, data, 0)
        self._disk.fdatasync(self._next)
        with telling_full(self._disk.where):
            self._disk.rename(NEW, segment.name)
        self._close_current()
        self._handle, self._next, self._next_filled = self._next, None, 0
        self._disk.fsync_directory()
        return segment

    def write(self, frame: bytes, offset: int) -> None:
        """Write and sync; when this returns, it is on disk."""
        assert self._handle is not None
        self._disk.pwrite(self._handle, frame, offset)
        self._disk.fdatasync(self._handle)

    def _close_current(self) -> None:
        if self._handle is not None:
            self._disk.close(self._handle)
            self._handle = None

    def close(self) -> None:
        self._close_current()
        if self._next is not None:
            self._disk.close(self._next)
            self._next = None
