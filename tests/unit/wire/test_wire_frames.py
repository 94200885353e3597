"""Frames: cut where they belong, bounded, and nothing reserved for what was only announced."""

from __future__ import annotations

import pytest
from runink.errors import Invalid, ProtocolViolation
from runink.wire.frames import FrameReader, frame


def read_all(reader: FrameReader) -> list[bytes]:
    found = []
    while (body := reader.next()) is not None:
        found.append(body)
    return found


def test_a_frame_is_its_length_and_its_body():
    assert frame(b"\xc0") == b"\0\0\0\1\xc0"


def test_frames_that_come_in_one_piece_are_told_apart():
    reader = FrameReader()
    reader.feed(frame(b"one") + frame(b"two") + b"\0\0")
    assert read_all(reader) == [b"one", b"two"]
    assert not reader.is_between_frames


def test_a_length_above_the_limit_is_refused_before_the_body_has_come():
    reader = FrameReader(bytes_max=1024)
    reader.feed((1025).to_bytes(4, "big"))
    with pytest.raises(ProtocolViolation, match="1025 bytes: it has 1 to 1024") as info:
        reader.next()
    assert info.value.code == "frame_too_large"


def test_text_on_the_stream_is_a_length_above_the_limit():
    reader = FrameReader()
    reader.feed(b"Traceback (most recent call last)")
    with pytest.raises(ProtocolViolation):
        reader.next()


def test_an_empty_frame_is_refused():
    reader = FrameReader()
    reader.feed(b"\0\0\0\0")
    with pytest.raises(ProtocolViolation) as info:
        reader.next()
    assert info.value.code == "frame_empty"


def test_a_body_above_the_limit_is_refused_where_it_is_sent():
    assert len(frame(b"x" * 16, bytes_max=16)) == 20
    with pytest.raises(Invalid, match="17 bytes, at most 16"):
        frame(b"x" * 17, bytes_max=16)


def test_what_was_read_is_let_go():
    reader = FrameReader()
    piece = frame(b"x" * 1000)
    for _ in range(1000):
        reader.feed(piece + piece[:100])
        reader.next()
        reader.feed(piece[100:])
        reader.next()
    assert reader.is_between_frames
    assert len(reader._buffer) < 100_000
