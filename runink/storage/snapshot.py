"""Snapshots: the whole state at one index, in one file, so that the log before it can go.

    offset  bytes  what (big-endian)
         0      8  magic `RNKSNP02`; the last two digits are the format's version
         8      8  term of the last entry in it
        16      8  index of that entry
        24      8  bytes of the body
        32     32  SHA-256 of the body
        64      4  bytes of the membership
        68      4  CRC-32 of bytes 0 to 67 and of the membership
        72         the membership (MessagePack of `ConfState`), then the body

Version 1 is read too: a CRC-32 of the body (4 bytes) in place of the SHA-256, the CRC-32 of bytes 0 to 35 at 36, the body from 40 on, no
membership, because the group had one member, 1.

A snapshot is written to `snapshot.new`, synced, renamed to `snapshot-INDEX` (16 hex digits) and the directory synced; then older ones go.
So a file with the name of a snapshot was whole once: if it is not any more, that is damage and an error, never passed over in
silence for an older state, because the log behind it is gone.  Who reads one chunk by chunk keeps the file open, and has it whole also when a newer one
takes its place.  One that another member sends arrives by `receiving.py`.

The snapshot of index 0 has no body: it is the membership that a group began with.  One thread at a time may write.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.errors import Broken, Unavailable
from runink.raft.messages import ConfState, SnapshotMetadata
from runink.storage.disk import Disk, FileHandle, telling_full
from runink.storage.records import Position

MAGIC: Final = b"RNKSNP02"
MAGIC_1: Final = b"RNKSNP01"
HEADER_BYTES: Final = 72
HEADER_BYTES_1: Final = 40
MEMBERSHIP_BYTES_MAX: Final = 4096  # some hundred members; a group has five
SYNC_BYTES: Final = (
    8 << 20
)  # written without a sync: more at a time, and the log's syncs would wait behind it
READ_BYTES: Final = 1 << 20  # what is read at a time to be checked
NAME: Final = re.compile(r"snapshot-([0-9a-f]{16})")
NEW: Final = "snapshot.new"

_HEAD: Final = struct.Struct(">8sQQQ32sI")
_HEAD_1: Final = struct.Struct(">8sQQQI")
_CHECKSUM: Final = struct.Struct(">I")
ONLY_MEMBER: Final = ConfState(voters=(1,))  # of a group of version 1

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_membership: Final = msgspec.msgpack.Decoder(ConfState).decode


class SnapshotFacts(msgspec.Struct, frozen=True, array_like=True):
    """Which snapshot it is and what its body must be: all that a receiver has to know. Equal facts, equal bytes."""

    metadata: SnapshotMetadata
    body_bytes: int
    sha256: bytes

    def __post_init__(self) -> None:
        """Refuse what no header could hold: facts come from other members too. Raises ValueError, in decoding msgspec.ValidationError."""
        numbers = (self.metadata.index, self.metadata.term, self.body_bytes)
        if min(numbers) < 0 or max(numbers) >= 1 << 63 or len(self.sha256) != 32:
            raise ValueError("facts of no snapshot")
        if len(_encode(self.metadata.conf_state)) > MEMBERSHIP_BYTES_MAX:
            raise ValueError("a membership that is too large")

    @property
    def position(self) -> Position:
        return Position(self.metadata.index, self.metadata.term)


_decode_facts: Final = msgspec.msgpack.Decoder(SnapshotFacts).decode


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as it was read: the place in the log that it stands for, and its bytes."""

    facts: SnapshotFacts
    body: bytes

    @property
    def metadata(self) -> SnapshotMetadata:
        return self.facts.metadata


def encode_facts(facts: SnapshotFacts) -> bytes:
    return _encode(facts)


def decode_facts(data: bytes) -> SnapshotFacts:
    """Return what `encode_facts` made bytes of. Raises msgspec.MsgspecError for others."""
    return _decode_facts(data)


def facts_of(metadata: SnapshotMetadata, body: bytes) -> SnapshotFacts:
    return SnapshotFacts(metadata, len(body), hashlib.sha256(body).digest())


def encode_header(facts: SnapshotFacts, *, magic: bytes = MAGIC) -> bytes:
    """Return what stands before the body."""
    metadata = facts.metadata
    membership = _encode(metadata.conf_state)
    place = (metadata.term, metadata.index, facts.body_bytes, facts.sha256)
    head = _HEAD.pack(magic, *place, len(membership))
    return head + _CHECKSUM.pack(zlib.crc32(membership, zlib.crc32(head))) + membership


def decode_header(data: bytes, *, magic: bytes = MAGIC) -> tuple[SnapshotFacts, int] | None:
    """Return the facts and where the body begins, or nothing if these are not the bytes of a header of version 2."""
    if len(data) < HEADER_BYTES:
        return None
    found, term, index, body_bytes, sha256, length = _HEAD.unpack_from(data)
    membership = data[HEADER_BYTES : HEADER_BYTES + length]
    checksum = zlib.crc32(membership, zlib.crc32(data[: _HEAD.size]))
    if found != magic or checksum != _CHECKSUM.unpack_from(data, _HEAD.size)[0]:
        return None
    try:
        metadata = SnapshotMetadata(_decode_membership(membership), index, term)
        return SnapshotFacts(metadata, body_bytes, sha256), HEADER_BYTES + length
    except (msgspec.MsgspecError, ValueError):
        return None


class SnapshotReader:
    """A snapshot that is open for reading. `close` it."""

    def __init__(
        self, disk: Disk, name: str, handle: FileHandle, facts: SnapshotFacts, *, begin: int
    ) -> None:
        self.name = name
        self.facts = facts
        self._disk = disk
        self._handle = handle
        self._begin = begin

    def read(self, offset: int, length: int) -> bytes:
        """Return a chunk of the body, shorter only at its end. It is checked by nobody: the whole is, by its SHA-256."""
        wanted = max(0, min(length, self.facts.body_bytes - offset))
        return self._disk.pread(self._handle, wanted, self._begin + offset)

    def damage(self) -> str:
        """Read it all, and say what is wrong with it; nothing if it is whole."""
        digest = hashlib.sha256()
        for offset in range(0, self.facts.body_bytes, READ_BYTES):
            digest.update(self.read(offset, READ_BYTES))
        return "" if digest.digest() == self.facts.sha256 else "its body is damaged"

    def close(self) -> None:
        self._disk.close(self._handle)


def write_snapshot(
    disk: Disk, metadata: SnapshotMetadata, chunks: Iterable[bytes]
) -> SnapshotFacts:
    """Write a snapshot; when this returns it is on disk and older ones are gone.

    Raises Unavailable (`disk_full`) for want of space, OSError for other errors of the disk; the older snapshot is there still.
    """
    if NEW in disk.names():
        disk.remove(NEW)
    try:
        with telling_full(disk.where):
            facts = _write_new(disk, metadata, chunks)
            disk.rename(NEW, snapshot_name(metadata.index))
        disk.fsync_directory()
    except (OSError, Unavailable):
        if NEW in disk.names():
            disk.remove(NEW)
        raise
    remove_older(disk, metadata.index)
    return facts


def _write_new(disk: Disk, metadata: SnapshotMetadata, chunks: Iterable[bytes]) -> SnapshotFacts:
    handle = disk.open(NEW, create=True)
    try:
        facts = _write_body(disk, handle, metadata, chunks)
        disk.fdatasync(handle)
    finally:
        disk.close(handle)
    return facts


def _write_body(
    disk: Disk, handle: FileHandle, metadata: SnapshotMetadata, chunks: Iterable[bytes]
) -> SnapshotFacts:
    begin = len(encode_header(SnapshotFacts(metadata, 0, bytes(32))))
    digest = hashlib.sha256()
    length = synced = 0
    for chunk in chunks:
        disk.pwrite(handle, chunk, begin + length)
        digest.update(chunk)
        length += len(chunk)
        if length - synced >= SYNC_BYTES:
            disk.fdatasync(handle)
            synced = length
    facts = SnapshotFacts(metadata, length, digest.digest())
    disk.pwrite(handle, encode_header(facts), 0)
    return facts


def remove_older(disk: Disk, index: int) -> None:
    """Remove the snapshots before the one at `index`. Where a leader's and one of our own are made at once, both do it."""
    for name in snapshot_names(disk):
        if name < snapshot_name(index):
            with suppress(FileNotFoundError):
                disk.remove(name)


def newest_snapshot(disk: Disk) -> SnapshotReader | None:
    """Open the newest snapshot, or return nothing if there is none. Raises Broken (`snapshot_corrupt`) if its header is damaged."""
    while names := snapshot_names(disk):  # ends: one that has gone made place for a newer one
        with suppress(FileNotFoundError):
            return open_snapshot(disk, names[-1])
    return None


def open_snapshot(disk: Disk, name: str) -> SnapshotReader:
    """Open the snapshot of that name. Raises Broken (`snapshot_corrupt`) if its header is damaged."""
    handle = disk.open(name)
    try:
        facts, begin = _read_header(disk, name, handle)
    except BaseException:
        disk.close(handle)
        raise
    return SnapshotReader(disk, name, handle, facts, begin=begin)


def _read_header(disk: Disk, name: str, handle: FileHandle) -> tuple[SnapshotFacts, int]:
    data = disk.pread(handle, HEADER_BYTES + MEMBERSHIP_BYTES_MAX, 0)
    decoded = decode_header(data)
    if decoded is None and data.startswith(MAGIC_1):
        decoded = _read_version_1(disk, name)
    if len(data) < HEADER_BYTES_1:
        raise damaged(disk, name, "it is shorter than its header")
    if decoded is None:
        raise damaged(disk, name, "its header is damaged, or of a newer version")
    facts, begin = decoded
    if name != snapshot_name(facts.metadata.index):
        raise damaged(disk, name, "it has another's name")
    size = disk.size(name)
    if size != begin + facts.body_bytes:
        raise damaged(disk, name, f"it has {size} bytes in place of {begin + facts.body_bytes}")
    return decoded


def _read_version_1(disk: Disk, name: str) -> tuple[SnapshotFacts, int] | None:
    """Return the facts of a snapshot of version 1, which has to be read whole for them: those were small."""
    data = disk.read(name)
    if len(data) < HEADER_BYTES_1:
        return None
    _, term, index, length, checksum = _HEAD_1.unpack_from(data)
    if zlib.crc32(data[: _HEAD_1.size]) != _CHECKSUM.unpack_from(data, _HEAD_1.size)[0]:
        return None
    body = data[HEADER_BYTES_1:]
    if len(body) != length or zlib.crc32(body) != checksum:
        raise damaged(disk, name, "its body is damaged")
    metadata = SnapshotMetadata(ONLY_MEMBER, index, term)
    return facts_of(metadata, body), HEADER_BYTES_1


def load_snapshot(disk: Disk) -> Snapshot:
    """Return the newest snapshot, that of nothing if there is none. Raises Broken (`snapshot_corrupt`) if it is damaged."""
    reader = newest_snapshot(disk)
    if reader is None:
        return Snapshot(facts_of(SnapshotMetadata(), b""), b"")
    try:
        body = reader.read(0, reader.facts.body_bytes)
        if hashlib.sha256(body).digest() != reader.facts.sha256:
            raise damaged(disk, reader.name, "its body is damaged")
    finally:
        reader.close()
    return Snapshot(reader.facts, body)


def snapshot_name(index: int) -> str:
    return f"snapshot-{index:016x}"


def snapshot_names(disk: Disk) -> list[str]:
    return [name for name in disk.names() if NAME.fullmatch(name)]


def damaged(disk: Disk, name: str, text: str) -> Broken:
    return Broken(
        f"{disk.where}/{name} is damaged: {text}",
        code="snapshot_corrupt",
        hint="it is left as it is; put back a backup, or let this member join its group anew with an empty directory",
    )
