"""A snapshot that another member sends: chunk after chunk into a file aside, which survives a restart, and counts only when it is whole.

The file `snapshot-INDEX-TERM.part` (16 hex digits each) has the form of a snapshot, but for its magic: `RNKPRT02` while it is not whole.  The header is
written first, from what the sender told (`SnapshotFacts`), then the chunks in their order; how far it is, is the size of the file.

    begun      header on disk                           a restart goes on with the bytes that are there
    whole      the SHA-256 of all bytes is right, they are synced, then the magic is made that of a snapshot and synced
    installed  the log has a snapshot record, and the file the name of a snapshot

A snapshot that is *whole* changes nothing yet.  It takes effect with the log's snapshot record: one synced write, by which the log begins anew behind
it.  Only then is the file renamed; a crash between the two is mended when the directory is opened (`finish_install`).  So a crash anywhere leaves
either the old log with the old snapshot, or the new snapshot with a log that joins it.

A file aside that is not whole goes when another snapshot is offered: one arrives at a time.  One that is whole stays until it or a newer one is installed, because
its message may be on its way through consensus already.  After a power cut the last chunks may be missing though the size says otherwise; then
the SHA-256 is wrong in the end, and the transfer begins anew.  One thread at a time may call.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from runink.errors import Unavailable
from runink.storage.disk import Disk, FileHandle, disk_full, telling_full
from runink.storage.records import Position
from runink.storage.snapshot import (
    HEADER_BYTES,
    MEMBERSHIP_BYTES_MAX,
    READ_BYTES,
    SYNC_BYTES,
    SnapshotFacts,
    decode_header,
    encode_header,
    remove_older,
    snapshot_name,
)

PART_MAGIC: Final = b"RNKPRT02"
PART_NAME: Final = re.compile(r"snapshot-([0-9a-f]{16})-([0-9a-f]{16})\.part")


class SnapshotReceiver:
    """A snapshot that arrives; made by `open_receiver`. `close` it, whether it is whole or not."""

    def __init__(self, disk: Disk, handle: FileHandle, facts: SnapshotFacts) -> None:
        self.facts = facts
        self.have_bytes = 0
        self.is_whole = False
        self._disk = disk
        self._handle = handle
        self._begin = len(encode_header(facts))
        self._synced = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes, offset: int) -> int:
        """Take a chunk if it is the next one, and return how many bytes are there: where the sender has to go on.

        A chunk that is there already, or one behind a gap, changes nothing.  Raises Unavailable: `disk_full`, then the same chunk may come
        again; `snapshot_damaged` if all bytes are there and are not those that were promised, then it begins anew.  Raises OSError for other
        errors of the disk.
        """
        begun = self.have_bytes - offset
        if begun < 0 or begun >= len(chunk):
            return self.have_bytes
        fresh = chunk[begun:]
        if self.have_bytes + len(fresh) > self.facts.body_bytes:
            raise self._wrong("more bytes")
        with telling_full(self._disk.where):
            self._disk.pwrite(self._handle, fresh, self._begin + self.have_bytes)
        self._digest.update(fresh)
        self.have_bytes += len(fresh)
        if self.have_bytes - self._synced >= SYNC_BYTES:
            self._disk.fdatasync(self._handle)
            self._synced = self.have_bytes
        if self.have_bytes == self.facts.body_bytes and not self._is_right():
            self._begin_anew()
            raise self._wrong("other bytes")
        return self.have_bytes

    def close(self) -> None:
        self._disk.close(self._handle)

    def resume(self) -> None:
        """Take what an earlier life has received."""
        size = self._disk.size(part_name(self.facts.position)) - self._begin
        there = max(0, min(size, self.facts.body_bytes))
        for offset in range(0, there, READ_BYTES):
            length = min(READ_BYTES, there - offset)
            self._digest.update(self._disk.pread(self._handle, length, self._begin + offset))
        self.have_bytes = there
        if there == self.facts.body_bytes and not self._is_right():
            self._begin_anew()

    def _is_right(self) -> bool:
        """Say whether the bytes are those that were promised; if so, they are whole from now on, also on disk."""
        if self._digest.digest() != self.facts.sha256:
            return False
        self._disk.fdatasync(self._handle)
        self._disk.pwrite(self._handle, encode_header(self.facts), 0)
        self._disk.fdatasync(self._handle)
        self.is_whole = True
        return True

    def _begin_anew(self) -> None:
        self.begin()
        self.have_bytes = self._synced = 0
        self._digest = hashlib.sha256()

    def begin(self) -> None:
        """Say on disk that what follows is not whole."""
        self._disk.pwrite(self._handle, encode_header(self.facts, magic=PART_MAGIC), 0)
        self._disk.fdatasync(self._handle)

    def _wrong(self, what: str) -> Unavailable:
        return Unavailable(
            f"the snapshot up to entry {self.facts.metadata.index} arrived with {what} than were promised",
            code="snapshot_damaged",
            hint="it is sent again by itself",
        )


def open_receiver(disk: Disk, facts: SnapshotFacts) -> SnapshotReceiver:
    """Begin to receive a snapshot, or go on with it if a part of it is there; any other part goes.

    Raises Unavailable (`disk_full`) if it will not fit, OSError for other errors of the disk.
    """
    name = part_name(facts.position)
    for other in part_names(disk):
        there_facts, is_whole = _header_of(disk, other)
        if there_facts != facts and (other == name or not is_whole):
            disk.remove(other)
    is_begun = name in disk.names()
    there = disk.size(name) if is_begun else 0
    if disk.free_bytes() < facts.body_bytes + len(encode_header(facts)) - there:
        raise disk_full(disk.where)
    with telling_full(disk.where):
        handle = disk.open(name, create=True)
        receiver = SnapshotReceiver(disk, handle, facts)
        try:
            if not is_begun:
                receiver.begin()
                disk.fsync_directory()
            receiver.resume()
        except BaseException:
            disk.close(handle)
            raise
    return receiver


def _header_of(disk: Disk, name: str) -> tuple[SnapshotFacts | None, bool]:
    """Return the facts of a file aside, if they can be read, and whether it is whole."""
    handle = disk.open(name)
    try:
        head = disk.pread(handle, HEADER_BYTES + MEMBERSHIP_BYTES_MAX, 0)
    finally:
        disk.close(handle)
    whole = decode_header(head)
    decoded = whole or decode_header(head, magic=PART_MAGIC)
    return (decoded[0] if decoded else None), whole is not None


def whole_part(disk: Disk, position: Position) -> SnapshotFacts | None:
    """Return the facts of the snapshot aside that stands for `position`, if it is there and whole."""
    name = part_name(position)
    facts, is_whole = _header_of(disk, name) if name in disk.names() else (None, False)
    return facts if is_whole else None


def finish_install(disk: Disk, position: Position) -> None:
    """Give a whole snapshot its name, now that the log begins behind it; older snapshots and parts go. Raises OSError."""
    disk.rename(part_name(position), snapshot_name(position.index))
    disk.fsync_directory()
    remove_older(disk, position.index)
    remove_old_parts(disk, position.index)


def remove_old_parts(disk: Disk, index: int) -> None:
    """Remove what arrived or was to arrive of snapshots up to `index`."""
    for name in part_names(disk):
        match = PART_NAME.fullmatch(name)
        assert match is not None
        if int(match[1], 16) <= index:
            disk.remove(name)


def part_name(position: Position) -> str:
    return f"snapshot-{position.index:016x}-{position.term:016x}.part"


def part_names(disk: Disk) -> list[str]:
    return [name for name in disk.names() if PART_NAME.fullmatch(name)]
