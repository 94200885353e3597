"""The bytes of an edge: frames around Arrow IPC messages, so that a clean end, a failure and a cut are three different things.

A stream is one greeting, then frames. Integers are little-endian.

    greeting   0   6   RUNINK
               6   2   version of this format: 1
               8   2   length of the fingerprint, at most 256
              10   n   fingerprint of the contract both ends expect, UTF-8; empty where there is none

    frame      0   4   RnkF
               4   1   kind
               5   3   zero
               8   4   length of the origin, at most 16 KiB
              12   8   length of the body, at most 1 GiB
              20   8   number: see below
              28   4   CRC-32 of bytes 0 to 27
              32   n   origin, UTF-8
                   m   body

    kind       origin   number               body
    1 schema   -        0                    the IPC schema message; a new IPC stream begins, also in mid-stream
    2 batch    its own  its first row there  dictionary messages that are new, then the record batch message
    3 barrier  -        epoch                -
    4 error    -        0                    why the producer has failed, UTF-8, at most 16 KiB
    5 end      -        rows in all          -

Behind error or end nothing comes.  The checksum is of the header only: a pipe does not turn bits, but a stray `print` or a
reader that lost its place must be seen before its bytes are taken for a length.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from runink.errors import ProtocolViolation

VERSION: Final = 1
FINGERPRINT_BYTES_MAX: Final = 256  # a hash in hexadecimal has 64
ORIGIN_BYTES_MAX: Final = 16 << 10  # a URI; paths end at 4 KiB
BODY_BYTES_MAX: Final = 1 << 30  # one row with a huge value; other batches are cut far below this
ERROR_BYTES_MAX: Final = 16 << 10  # the end of a traceback; the slice's own report has all of it

_MAGIC: Final = b"RUNINK"
_MARK: Final = b"RnkF"
_GREETING: Final = struct.Struct("<6sHH")
_HEADER: Final = struct.Struct("<4sB3xIQq")
_CHECKSUM: Final = struct.Struct("<I")
GREETING_BYTES: Final = _GREETING.size
HEADER_BYTES: Final = _HEADER.size + _CHECKSUM.size


class Kind(IntEnum):
    SCHEMA = 1
    BATCH = 2
    BARRIER = 3
    ERROR = 4
    END = 5


_BODY_BYTES_MAX: Final = {
    Kind.SCHEMA: BODY_BYTES_MAX,
    Kind.BATCH: BODY_BYTES_MAX,
    Kind.BARRIER: 0,
    Kind.ERROR: ERROR_BYTES_MAX,
    Kind.END: 0,
}


@dataclass(frozen=True, slots=True)
class Header:
    kind: Kind
    origin_bytes: int = 0
    body_bytes: int = 0
    number: int = 0


def greeting(fingerprint: str) -> bytes:
    """Return the bytes that a stream begins with."""
    text = fingerprint.encode()
    assert len(text) <= FINGERPRINT_BYTES_MAX
    return _GREETING.pack(_MAGIC, VERSION, len(text)) + text


def fingerprint_bytes(head: bytes) -> int:
    """Return the length of the fingerprint behind these first bytes of a greeting. Raises ProtocolViolation."""
    magic, version, length = _GREETING.unpack(head)
    if magic != _MAGIC:
        raise ProtocolViolation(f"this is no edge of Runink: it begins with {head!r}")
    if version != VERSION:
        raise ProtocolViolation(f"the edge's writer speaks version {version}, its reader {VERSION}")
    if length > FINGERPRINT_BYTES_MAX:
        raise ProtocolViolation(
            f"a fingerprint of {length} bytes, more than {FINGERPRINT_BYTES_MAX}"
        )
    return int(length)


def packed(header: Header) -> bytes:
    """Return the header's 32 bytes."""
    assert header.origin_bytes <= ORIGIN_BYTES_MAX
    assert header.body_bytes <= _BODY_BYTES_MAX[header.kind]
    head = _HEADER.pack(_MARK, header.kind, header.origin_bytes, header.body_bytes, header.number)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def unpacked(head: bytes) -> Header:
    """Return what 32 bytes say, within the limits. Raises ProtocolViolation."""
    mark, kind, origin_bytes, body_bytes, number = _HEADER.unpack_from(head)
    (checksum,) = _CHECKSUM.unpack_from(head, _HEADER.size)
    if mark != _MARK or checksum != zlib.crc32(head[: _HEADER.size]):
        raise ProtocolViolation(f"these bytes are no frame of an edge: {head!r}")
    if kind not in _BODY_BYTES_MAX:
        raise ProtocolViolation(f"a frame of the unknown kind {kind}")
    if origin_bytes > ORIGIN_BYTES_MAX or body_bytes > _BODY_BYTES_MAX[Kind(kind)]:
        raise ProtocolViolation(
            f"a {Kind(kind).name} frame of {origin_bytes} and {body_bytes} bytes, more than there may be"
        )
    return Header(Kind(kind), origin_bytes, body_bytes, number)
