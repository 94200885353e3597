"""The bytes of an edge: what the table in `frames.py` says, and what is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from runink.errors import ProtocolViolation
from runink.pipes import frames
from runink.pipes.frames import (
    BODY_BYTES_MAX,
    ERROR_BYTES_MAX,
    FINGERPRINT_BYTES_MAX,
    GREETING_BYTES,
    HEADER_BYTES,
    ORIGIN_BYTES_MAX,
    Header,
    Kind,
    fingerprint_bytes,
    greeting,
    packed,
    unpacked,
)


def sealed(body: bytes) -> bytes:
    """A header with any contents and the checksum that belongs to them."""
    return body + struct.pack("<I", zlib.crc32(body))


def raw(kind: int, *, origin: int = 0, body: int = 0, mark: bytes = b"RnkF") -> bytes:
    return sealed(struct.pack("<4sB3xIQq", mark, kind, origin, body, 0))


def test_a_greeting_is_what_the_table_says() -> None:
    assert greeting("ab") == b"RUNINK" + b"\x01\x00" + b"\x02\x00" + b"ab"
    assert GREETING_BYTES == 10
    assert fingerprint_bytes(greeting("ab")[:GREETING_BYTES]) == 2
    assert fingerprint_bytes(greeting("")[:GREETING_BYTES]) == 0


def test_a_header_is_what_the_table_says() -> None:
    head = packed(Header(Kind.BATCH, origin_bytes=3, body_bytes=7, number=-1))
    assert len(head) == HEADER_BYTES == 32
    assert head[:4] == b"RnkF"
    assert head[4:8] == b"\x02\x00\x00\x00"
    assert head[8:12] == b"\x03\x00\x00\x00"
    assert head[12:20] == b"\x07" + b"\x00" * 7
    assert head[20:28] == b"\xff" * 8
    assert head[28:] == struct.pack("<I", zlib.crc32(head[:28]))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"HTTP/1.1 2", "no edge of Runink"),
        (b"\x00" * 10, "no edge of Runink"),
        (struct.pack("<6sHH", b"RUNINK", 2, 0), "speaks version 2, its reader 1"),
        (struct.pack("<6sHH", b"RUNINK", 1, FINGERPRINT_BYTES_MAX + 1), "fingerprint of 257 bytes"),
    ],
)
def test_a_greeting_of_somebody_else_is_refused(head, told) -> None:
    with pytest.raises(ProtocolViolation, match=told):
        fingerprint_bytes(head)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"\x00" * HEADER_BYTES, "no frame of an edge"),
        (b"Loading model weights, please wait", "no frame of an edge"),
        (raw(2, mark=b"RnkG"), "no frame of an edge"),
        (raw(2)[:-1] + b"\x00", "no frame of an edge"),
        (raw(0), "unknown kind 0"),
        (raw(6), "unknown kind 6"),
        (raw(255), "unknown kind 255"),
        (raw(2, origin=ORIGIN_BYTES_MAX + 1), "BATCH frame of 16385 and 0 bytes"),
        (raw(2, body=BODY_BYTES_MAX + 1), "more than there may be"),
        (raw(1, body=1 << 63), "more than there may be"),
        (raw(3, body=1), "BARRIER frame of 0 and 1 bytes"),
        (raw(4, body=ERROR_BYTES_MAX + 1), "ERROR frame"),
        (raw(5, body=1), "END frame"),
    ],
)
def test_a_hostile_header_is_refused_before_its_lengths_are_believed(head, told) -> None:
    with pytest.raises(ProtocolViolation, match=told):
        unpacked(head[:HEADER_BYTES])


@pytest.mark.parametrize(
    "header",
    [
        Header(Kind.BATCH, origin_bytes=ORIGIN_BYTES_MAX + 1),
        Header(Kind.BATCH, body_bytes=BODY_BYTES_MAX + 1),
        Header(Kind.END, body_bytes=1),
    ],
)
def test_a_header_beyond_the_limits_is_never_written(header) -> None:
    with pytest.raises(AssertionError):
        packed(header)


def test_every_kind_has_a_limit() -> None:
    assert set(frames._BODY_BYTES_MAX) == set(Kind)
