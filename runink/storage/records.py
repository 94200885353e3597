"""Bytes of the write-ahead log: segment headers, batches, records. Pure: no file is touched here.

The log is a row of segments, a segment is a header and batches, a batch is what one `append` wrote and synced: the unit that
can tear.  All numbers are big-endian.

Segment header, 72 bytes
    offset  bytes  what
         0      8  magic `RNKWAL02`; the last two digits are the format's version
         8      8  number of the segment, one more than that of the segment before it
        16      8  random bytes: makes a segment unlike every other, so that old bytes never pass for new ones
        24      8  term   } of the log's last entry as the segment was begun; 0 if there was none
        32      8  index  }
        40      8  term          }
        48      8  vote          } the hard state as the segment was begun
        56      8  commit index  }
        64      4  zero
        68      4  CRC-32 of bytes 0 to 67; called the segment's seed

Batch, on a multiple of 8
         0      4  magic `RBAT`
         4      4  CRC-32 of bytes 8 to the end of the body, begun with the CRC-32 of the batch's offset (8 bytes), begun with the seed
         8      4  bytes of the body
        12      4  number of records
        16         body: the records; then zeros up to a multiple of 8

Record, 24 bytes and its payload
         0      8  term
         8      8  entry: its index              hard state: the commit index    snapshot: the index of its last entry
        16      4  bytes of the payload
        20      1  type: 1 entry, 2 hard state, 3 snapshot
        21      1  entry: its type by the numbers of `EntryType`; else zero
        22      2  zero
        24         entry: its data               hard state: the vote (8 bytes)  snapshot: nothing

A snapshot record says that the log begins anew behind a snapshot that a leader sent: what stood before it counts no more.  In a batch stand
first the snapshot, then the hard state, then the entries.

Version 1 is read too: its header ends behind the random bytes (zero and CRC-32 stand at 24 and 28, 32 bytes in all), its first batch begins with
a hard state, its entries are all of type 0, and it has no snapshot records.

One checksum stands over a batch, not over each record: a power cut may keep the end of a write and lose its beginning, so the records of
one write stand or fall together.  A valid batch *behind* a bad one was written after the bad one was synced: that is damage, not a tear.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from runink.errors import Broken
from runink.raft.messages import Entry, EntryType, HardState

VERSION: Final = 2
SEGMENT_MAGIC: Final = b"RNKWAL02"
SEGMENT_MAGIC_1: Final = b"RNKWAL01"
BATCH_MAGIC: Final = b"RBAT"
SEGMENT_HEADER_BYTES: Final = 72
SEGMENT_HEADER_BYTES_1: Final = 32
BATCH_HEADER_BYTES: Final = 16
RECORD_HEADER_BYTES: Final = 24
ALIGNMENT: Final = 8
TYPE_ENTRY: Final = 1
TYPE_HARD_STATE: Final = 2
TYPE_SNAPSHOT: Final = 3

_SEGMENT: Final = struct.Struct(">8sQ8sQQQQQ4x")
_SEGMENT_1: Final = struct.Struct(">8sQ8s4x")
_CHECKSUM: Final = struct.Struct(">I")
_BATCH: Final = struct.Struct(">4sIII")
_BATCH_SIZES: Final = struct.Struct(">II")
_RECORD: Final = struct.Struct(">QQIBB2x")
_NUMBER: Final = struct.Struct(">Q")
_ENTRY_TYPES: Final = tuple(EntryType)  # by number, which they count from 0

assert _SEGMENT.size + _CHECKSUM.size == SEGMENT_HEADER_BYTES
assert _SEGMENT_1.size + _CHECKSUM.size == SEGMENT_HEADER_BYTES_1
assert _BATCH.size == BATCH_HEADER_BYTES
assert _RECORD.size == RECORD_HEADER_BYTES


class Position(msgspec.Struct, frozen=True, gc=False, order=True):
    """A place in the log: behind the entry `index` of `term`. Index 0 is its beginning."""

    index: int = 0
    term: int = 0


class SegmentHeader(msgspec.Struct, frozen=True):
    """The header of a segment. `before` is where the log ended as the segment was begun, and `hard_state` the one of then; version 1 tells neither."""

    version: int
    number: int
    seed: int
    before: Position | None
    hard_state: HardState | None

    @property
    def bytes(self) -> int:
        return SEGMENT_HEADER_BYTES if self.version == VERSION else SEGMENT_HEADER_BYTES_1


class Batch(msgspec.Struct, frozen=True):
    """One batch as it was read. `end` is the offset behind it, where the next one begins."""

    snapshot: Position | None
    hard_state: HardState | None
    entries: tuple[Entry, ...]
    end: int


def encode_segment_header(
    number: int, *, nonce: bytes, before: Position, hard_state: HardState
) -> bytes:
    assert len(nonce) == 8
    state = (hard_state.term, hard_state.vote, hard_state.commit)
    head = _SEGMENT.pack(SEGMENT_MAGIC, number, nonce, before.term, before.index, *state)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode_segment_header(data: bytes) -> SegmentHeader | None:
    """Return the header, of whichever version, or nothing if these are not the bytes of one."""
    if data[:8] == SEGMENT_MAGIC:
        seed = _header_seed(data, _SEGMENT.size)
        if seed is None:
            return None
        _, number, _, term, index, *state = _SEGMENT.unpack_from(data)
        return SegmentHeader(VERSION, number, seed, Position(index, term), HardState(*state))
    if data[:8] == SEGMENT_MAGIC_1:
        seed = _header_seed(data, _SEGMENT_1.size)
        if seed is None:
            return None
        return SegmentHeader(1, _SEGMENT_1.unpack_from(data)[1], seed, None, None)
    return None


def _header_seed(data: bytes, size: int) -> int | None:
    """Return the checksum behind the first `size` bytes, if it is theirs."""
    if len(data) < size + _CHECKSUM.size:
        return None
    (seed,) = _CHECKSUM.unpack_from(data, size)
    return int(seed) if zlib.crc32(data[:size]) == seed else None


def encode_records(
    entries: Sequence[Entry], hard_state: HardState | None, snapshot: Position | None = None
) -> tuple[bytes, int]:
    """Return the body of a batch and the number of its records."""
    parts: list[bytes] = []
    if snapshot is not None:
        parts += _RECORD.pack(snapshot.term, snapshot.index, 0, TYPE_SNAPSHOT, 0), b""
    if hard_state is not None:
        vote = _NUMBER.pack(hard_state.vote)
        state = (hard_state.term, hard_state.commit)
        parts += _RECORD.pack(*state, len(vote), TYPE_HARD_STATE, 0), vote
    for entry in entries:
        data = entry.data
        parts.append(_RECORD.pack(entry.term, entry.index, len(data), TYPE_ENTRY, entry.type))
        parts.append(data)
    return b"".join(parts), len(parts) // 2


def batch_bytes(body_bytes: int) -> int:
    """Return how much of a segment a batch with such a body takes."""
    return -(-(BATCH_HEADER_BYTES + body_bytes) // ALIGNMENT) * ALIGNMENT


def frame_batch(body: bytes, records: int, *, seed: int, offset: int) -> bytes:
    """Return the bytes of a batch that will stand at `offset` of the segment with this seed."""
    assert offset % ALIGNMENT == 0
    sizes = _BATCH_SIZES.pack(len(body), records)
    checksum = _checksum(sizes, body, seed=seed, offset=offset)
    padding = bytes(batch_bytes(len(body)) - BATCH_HEADER_BYTES - len(body))
    return b"".join((BATCH_MAGIC, _CHECKSUM.pack(checksum), sizes, body, padding))


def _checksum(sizes: bytes, body: bytes | memoryview, *, seed: int, offset: int) -> int:
    begun = zlib.crc32(_NUMBER.pack(offset), seed)
    return zlib.crc32(body, zlib.crc32(sizes, begun))


def decode_batch(data: bytes, offset: int, *, seed: int) -> Batch | None:
    """Return the batch that stands at `offset`, or nothing if no whole and unharmed batch does.

    Raises Broken (`wal_version`) for a record of an unknown type.
    """
    body = _checked_body(data, offset, seed=seed)
    if body is None:
        return None
    snapshot: Position | None = None
    hard_state: HardState | None = None
    entries: list[Entry] = []
    at = 0
    while at < len(body):  # ends: every record takes at least its header
        term, index, length, kind, entry_type = _RECORD.unpack_from(body, at)
        payload = bytes(body[at + RECORD_HEADER_BYTES : at + RECORD_HEADER_BYTES + length])
        at += RECORD_HEADER_BYTES + length
        if kind == TYPE_ENTRY and entry_type < len(_ENTRY_TYPES):
            entries.append(Entry(term, index, _ENTRY_TYPES[entry_type], payload))
        elif kind == TYPE_HARD_STATE:
            hard_state = HardState(term, _NUMBER.unpack(payload)[0], index)
        elif kind == TYPE_SNAPSHOT:
            snapshot = Position(index, term)
        else:
            raise Broken(
                f"the log holds a record of type {kind}.{entry_type}, which this version does not know",
                code="wal_version",
                hint="it was written by a newer Runink: run that one",
            )
    return Batch(snapshot, hard_state, tuple(entries), offset + batch_bytes(len(body)))


def _checked_body(data: bytes, offset: int, *, seed: int) -> memoryview | None:
    if offset + BATCH_HEADER_BYTES > len(data):
        return None
    magic, checksum, length, _records = _BATCH.unpack_from(data, offset)
    begin = offset + BATCH_HEADER_BYTES
    end = offset + batch_bytes(length)
    if magic != BATCH_MAGIC or end > len(data):
        return None
    body = memoryview(data)[begin : begin + length]
    sizes = data[offset + 8 : begin]
    if _checksum(sizes, body, seed=seed, offset=offset) != checksum:
        return None
    return None if any(data[begin + length : end]) else body


def find_batch(data: bytes, offset: int, *, seed: int) -> int | None:
    """Return the offset of the first valid batch at or behind `offset`, wherever it stands, or nothing."""
    at = data.find(BATCH_MAGIC, offset)
    while at >= 0:  # ends: the search goes on behind what it found
        if at % ALIGNMENT == 0 and _checked_body(data, at, seed=seed) is not None:
            return at
        at = data.find(BATCH_MAGIC, at + 1)
    return None


def is_blank(data: bytes, offset: int) -> bool:
    """Say whether nothing but zeros stands from `offset` on."""
    return data.count(0, offset) == max(0, len(data) - offset)
