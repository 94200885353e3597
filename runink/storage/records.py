"""Bytes of the write-ahead log: segment headers, batches, records. Pure: no file is touched here.

The log is a row of segments, a segment is a header and batches, a batch is what one `append` wrote and synced: the unit that
can tear.  All numbers are big-endian.

Segment header, 32 bytes
    offset  bytes  what
         0      8  magic `RNKWAL01`; the last two digits are the format's version
         8      8  number of the segment, one more than that of the segment before it
        16      8  random bytes: makes a segment unlike every other, so that old bytes never pass for new ones
        24      4  zero
        28      4  CRC-32 of bytes 0 to 27; called the segment's seed

Batch, on a multiple of 8
         0      4  magic `RBAT`
         4      4  CRC-32 of bytes 8 to the end of the body, begun with the CRC-32 of the batch's offset (8 bytes), begun with the seed
         8      4  bytes of the body
        12      4  number of records
        16         body: the records; then zeros up to a multiple of 8

Record, 24 bytes and its payload
         0      8  term
         8      8  entry: its index              hard state: the commit index
        16      4  bytes of the payload
        20      1  type: 1 entry, 2 hard state
        21      3  zero
        24         entry: what was proposed      hard state: the vote (8 bytes)

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

SEGMENT_MAGIC: Final = b"RNKWAL01"
BATCH_MAGIC: Final = b"RBAT"
SEGMENT_HEADER_BYTES: Final = 32
BATCH_HEADER_BYTES: Final = 16
RECORD_HEADER_BYTES: Final = 24
ALIGNMENT: Final = 8
TYPE_ENTRY: Final = 1
TYPE_HARD_STATE: Final = 2

_SEGMENT: Final = struct.Struct(">8sQ8s4x")
_CHECKSUM: Final = struct.Struct(">I")
_BATCH: Final = struct.Struct(">4sIII")
_BATCH_SIZES: Final = struct.Struct(">II")
_RECORD: Final = struct.Struct(">QQIB3x")
_NUMBER: Final = struct.Struct(">Q")

assert _SEGMENT.size + _CHECKSUM.size == SEGMENT_HEADER_BYTES
assert _BATCH.size == BATCH_HEADER_BYTES
assert _RECORD.size == RECORD_HEADER_BYTES


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the replicated log: what was proposed, and the place that consensus gave it."""

    term: int
    index: int
    payload: bytes


class HardState(msgspec.Struct, frozen=True, gc=False):
    """What a member must not forget (Raft, figure 2): its term, whom it voted for in it (0: nobody), and how far it knew the log committed."""

    term: int = 0
    vote: int = 0
    commit: int = 0


class Batch(msgspec.Struct, frozen=True):
    """One batch as it was read. `end` is the offset behind it, where the next one begins."""

    entries: tuple[LogEntry, ...]
    hard_state: HardState | None
    end: int


def encode_segment_header(number: int, *, nonce: bytes) -> bytes:
    assert len(nonce) == 8
    head = _SEGMENT.pack(SEGMENT_MAGIC, number, nonce)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def decode_segment_header(data: bytes) -> tuple[int, int] | None:
    """Return (number, seed), or nothing if these are not the bytes of a header."""
    if len(data) < SEGMENT_HEADER_BYTES:
        return None
    magic, number, _nonce = _SEGMENT.unpack_from(data)
    (seed,) = _CHECKSUM.unpack_from(data, _SEGMENT.size)
    if magic != SEGMENT_MAGIC or zlib.crc32(data[: _SEGMENT.size]) != seed:
        return None
    return number, seed


def encode_records(entries: Sequence[LogEntry], hard_state: HardState | None) -> tuple[bytes, int]:
    """Return the body of a batch and the number of its records; the hard state stands first."""
    parts: list[bytes] = []
    if hard_state is not None:
        vote = _NUMBER.pack(hard_state.vote)
        parts.append(_RECORD.pack(hard_state.term, hard_state.commit, len(vote), TYPE_HARD_STATE))
        parts.append(vote)
    for entry in entries:
        parts.append(_RECORD.pack(entry.term, entry.index, len(entry.payload), TYPE_ENTRY))
        parts.append(entry.payload)
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
    entries: list[LogEntry] = []
    hard_state: HardState | None = None
    at = 0
    while at < len(body):  # ends: every record takes at least its header
        term, index, length, kind = _RECORD.unpack_from(body, at)
        payload = bytes(body[at + RECORD_HEADER_BYTES : at + RECORD_HEADER_BYTES + length])
        at += RECORD_HEADER_BYTES + length
        if kind == TYPE_ENTRY:
            entries.append(LogEntry(term, index, payload))
        elif kind == TYPE_HARD_STATE:
            hard_state = HardState(term, _NUMBER.unpack(payload)[0], index)
        else:
            raise Broken(
                f"the log holds a record of type {kind}, which this version does not know",
                code="wal_version",
                hint="it was written by a newer Runink: run that one",
            )
    return Batch(tuple(entries), hard_state, offset + batch_bytes(len(body)))


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
