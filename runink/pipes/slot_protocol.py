"""The messages of an edge over slots: what goes over its SOCK_SEQPACKET socket, while the data lies in shared memory.

The writer sends one greeting, as on a pipe (`frames.py`), then frames; the reader sends credits.  A message is sent whole or not at all.
Integers are little-endian.

    frame      0   32   the header, as on a pipe
              32    8   rows of the batch; 0 in other frames
              40   12   the first part of the body
              52    n   origin, UTF-8
              52+n  m   the body itself where it has no more than 16 KiB; its part is nowhere then

    part       0    4   RnkP
               4    4   place of the slot that holds it, 4294967295 for nowhere
               8    4   bytes of it there, from the slot's beginning

    credit     0    1   place of a slot that the reader has done with

A body that is larger than a slot has further parts, a message each, behind the frame's.  The first message that names a place brings the
descriptor of its memory; no other message brings one.  A slot belongs to the reader from the message that names it until its credit.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from runink.errors import ProtocolViolation
from runink.pipes import frames
from runink.pipes.frames import Header

INLINE_BYTES_MAX: Final = (
    16 << 10  # an error fits, and is never waited for; below, a slot costs more than a copy
)
NOWHERE: Final = 0xFFFFFFFF
_MARK: Final = b"RnkP"
_PART: Final = struct.Struct("<4sII")
_ROWS: Final = struct.Struct("<Q")
PART_BYTES: Final = _PART.size
_PART_AT: Final = frames.HEADER_BYTES + _ROWS.size
HEAD_BYTES: Final = _PART_AT + PART_BYTES
MESSAGE_BYTES_MAX: Final = HEAD_BYTES + frames.ORIGIN_BYTES_MAX + INLINE_BYTES_MAX

assert frames.ERROR_BYTES_MAX <= INLINE_BYTES_MAX
assert frames.GREETING_BYTES + frames.FINGERPRINT_BYTES_MAX <= MESSAGE_BYTES_MAX


class Part(NamedTuple):
    """A stretch of a body: that many bytes from the beginning of the slot at that place, or none."""

    place: int
    bytes: int


class Head(NamedTuple):
    """What the first message of a frame says."""

    header: Header
    rows: int
    part: Part
    origin: str
    inline: bytes


def packed_part(part: Part) -> bytes:
    return _PART.pack(_MARK, part.place, part.bytes)


def unpacked_part(data: bytes) -> Part:
    """Return what 12 bytes say. Raises ProtocolViolation."""
    if len(data) != PART_BYTES:
        raise ProtocolViolation(f"a message of {len(data)} bytes is no part of a frame")
    mark, place, size = _PART.unpack(data)
    if mark != _MARK:
        raise ProtocolViolation(f"these bytes are no part of a frame: {data!r}")
    return Part(place, size)


def packed_head(header: Header, rows: int, part: Part) -> bytes:
    """Return the beginning of a frame's first message; origin and inline body follow it."""
    return frames.packed(header) + _ROWS.pack(rows) + packed_part(part)


def unpacked_head(message: bytes) -> Head:
    """Return what a frame's first message says. Raises ProtocolViolation, also where it is longer or shorter than it says."""
    if len(message) < HEAD_BYTES:
        raise ProtocolViolation(f"a message of {len(message)} bytes is no frame of an edge")
    header = frames.unpacked(message[: frames.HEADER_BYTES])
    (rows,) = _ROWS.unpack_from(message, frames.HEADER_BYTES)
    part = unpacked_part(message[_PART_AT:HEAD_BYTES])
    body_at = HEAD_BYTES + header.origin_bytes
    elsewhere = 0 if part.place == NOWHERE else header.body_bytes
    if len(message) != body_at + header.body_bytes - elsewhere or part.bytes > elsewhere:
        raise ProtocolViolation(
            f"a message of {len(message)} bytes for a frame of {header.origin_bytes} and {header.body_bytes}"
        )
    origin = message[HEAD_BYTES:body_at].decode(errors="replace")
    return Head(header, rows, part, origin, message[body_at:])
