"""Snapshots: the whole state at one index, in one file, so that the log before it can go.

    offset  bytes  what (big-endian)
         0      8  magic `RNKSNP01`; the last two digits are the format's version
         8      8  term of the last entry in it
        16      8  index of that entry
        24      8  bytes of the body
        32      4  CRC-32 of the body
        36      4  CRC-32 of bytes 0 to 35
        40         the body

A snapshot is written to `snapshot.new`, synced, renamed to `snapshot-INDEX` (16 hex digits) and the directory synced; then older ones go.
So a file with the name of a snapshot was whole once: if it is not any more, that is damage and an error, never passed over in
silence for an older state, because the log behind it is gone.  One thread at a time may call.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runink.errors import Broken
from runink.storage.disk import FULL_ERRNOS, Disk, FileHandle, disk_full

MAGIC: Final = b"RNKSNP01"
HEADER_BYTES: Final = 40

_HEAD: Final = struct.Struct(">8sQQQI")
_CHECKSUM: Final = struct.Struct(">I")
_NAME: Final = re.compile(r"snapshot-([0-9a-f]{16})")
_NEW: Final = "snapshot.new"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as it was read: the place in the log that it stands for, and its bytes."""

    term: int
    index: int
    body: bytes


def write_snapshot(disk: Disk, *, term: int, index: int, chunks: Iterable[bytes]) -> int:
    """Write a snapshot; when this returns it is on disk and older ones are gone. Return its bytes.

    Raises Unavailable (`disk_full`) for want of space, OSError for other errors of the disk; the older snapshot is there still.
    """
    try:
        handle = disk.open(_NEW, create=True)
        try:
            size = _write_body(disk, handle, term=term, index=index, chunks=chunks)
            disk.fdatasync(handle)
        finally:
            disk.close(handle)
        disk.rename(_NEW, _name(index))
        disk.fsync_directory()
    except OSError as error:
        if _NEW in disk.names():
            disk.remove(_NEW)
        if error.errno in FULL_ERRNOS:
            raise disk_full(disk.where) from error
        raise
    for name in _names(disk):
        if name < _name(index):
            disk.remove(name)
    return size


def _write_body(
    disk: Disk, handle: FileHandle, *, term: int, index: int, chunks: Iterable[bytes]
) -> int:
    length = 0
    checksum = 0
    for chunk in chunks:
        disk.pwrite(handle, chunk, HEADER_BYTES + length)
        checksum = zlib.crc32(chunk, checksum)
        length += len(chunk)
    head = _HEAD.pack(MAGIC, term, index, length, checksum)
    disk.pwrite(handle, head + _CHECKSUM.pack(zlib.crc32(head)), 0)
    return HEADER_BYTES + length


def load_snapshot(disk: Disk) -> Snapshot | None:
    """Return the newest snapshot, or nothing if there is none. Raises Broken (`snapshot_corrupt`) if it is damaged."""
    if _NEW in disk.names():
        disk.remove(_NEW)
    names = _names(disk)
    if not names:
        return None
    name = names[-1]
    data = disk.read(name)
    if len(data) < HEADER_BYTES:
        raise _damaged(disk, name, "it is shorter than its header")
    magic, term, index, length, checksum = _HEAD.unpack_from(data)
    if zlib.crc32(data[: _HEAD.size]) != _CHECKSUM.unpack_from(data, _HEAD.size)[0]:
        raise _damaged(disk, name, "its header is damaged")
    if magic != MAGIC or name != _name(index):
        raise _damaged(disk, name, "it is of an unknown format or has another's name")
    body = data[HEADER_BYTES:]
    if len(body) != length or zlib.crc32(body) != checksum:
        raise _damaged(disk, name, "its body is damaged")
    return Snapshot(term, index, body)


def _name(index: int) -> str:
    return f"snapshot-{index:016x}"


def _names(disk: Disk) -> list[str]:
    return [name for name in disk.names() if _NAME.fullmatch(name)]


def _damaged(disk: Disk, name: str, text: str) -> Broken:
    return Broken(
        f"{disk.where}/{name} is damaged: {text}",
        code="snapshot_corrupt",
        hint="it is left as it is; put back a copy of the directory, or start with an empty one and lose its state",
    )
