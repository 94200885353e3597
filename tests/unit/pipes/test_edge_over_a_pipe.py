"""The bytes of an edge over a pipe: a cut at any of them is seen, and what is no edge's is not taken for data."""

from __future__ import annotations

import os
import select
import struct
import threading
from contextlib import suppress

import pytest
from edge_world import all_of, edge, ending, numbers, read_from, sent, text
from runink.errors import ProtocolViolation
from runink.pipes import frames
from runink.pipes.edge import ProducerFailed
from runink.pipes.frames import GREETING_BYTES, HEADER_BYTES, Header, Kind, greeting, packed
from runink.pipes.open import open_pipe, widen
from runink.pipes.os_pipe import open_writer

HEAD = greeting("f")


def test_a_stream_torn_at_any_byte_gives_whole_batches_and_then_a_failed_producer() -> None:
    whole = [numbers(1, 2), text("a")]
    data = sent(ending(*whole))
    for size in range(len(data)):
        events, error = all_of(read_from(data[:size]))
        assert events == whole[: len(events)]
        assert isinstance(error, ProducerFailed), size


def test_a_stray_print_is_no_frame() -> None:
    data = sent(lambda writer: writer.write(numbers(1)))
    events, error = all_of(read_from(data + b"hello, I am a library that prints\n"))
    assert events == [numbers(1)]
    assert isinstance(error, ProtocolViolation)
    assert "no frame of an edge" in error.text


def test_a_batch_before_its_schema_is_a_violation() -> None:
    _, error = all_of(read_from(HEAD + packed(Header(Kind.BATCH))))
    assert isinstance(error, ProtocolViolation)
    assert "before its schema" in error.text


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff" * 64, b"\x00" * 64, struct.pack("<II", 0xFFFFFFFF, 0x7FFFFFF0) + b"x" * 64],
)
def test_a_body_that_is_no_arrow_message_is_a_violation(body) -> None:
    _, error = all_of(read_from(HEAD + packed(Header(Kind.SCHEMA, body_bytes=len(body))) + body))
    assert isinstance(error, ProtocolViolation), error
    schema = sent(lambda writer: writer.write(numbers()))
    batch = packed(Header(Kind.BATCH, body_bytes=len(body))) + body
    _, error = all_of(read_from(schema + batch))
    assert isinstance(error, ProtocolViolation), error


def test_a_frame_with_more_than_its_arrow_messages_is_a_violation() -> None:
    data = sent(lambda writer: writer.write(numbers(1)))
    size = struct.unpack_from("<Q", data, len(HEAD) + 12)[0]
    at = len(HEAD) + HEADER_BYTES + size
    origin, body = struct.unpack_from("<IQ", data, at + 8)
    longer = packed(Header(Kind.BATCH, origin, body + 8)) + data[at + HEADER_BYTES :] + b"\x00" * 8
    _, error = all_of(read_from(data[:at] + longer))
    assert isinstance(error, ProtocolViolation)
    assert "8 bytes more than its Arrow messages" in error.text


def test_a_failure_never_waits_for_a_reader_that_stands_still() -> None:
    """Readers may wait for another pipe of the same slice, whose end only comes when this call returns."""
    with edge() as (writer, reader):
        os.set_blocking(writer._line.number, False)
        with suppress(BlockingIOError):
            while os.write(writer._line.number, bytes(4096)):
                pass
        os.set_blocking(writer._line.number, True)
        thread = threading.Thread(target=writer.fail, args=("why",), daemon=True)
        thread.start()
        thread.join(60)
        stands = thread.is_alive()
        reader.close()
        assert not stands


def test_an_interrupted_frame_is_not_followed_by_another() -> None:
    """A signal that raises in the middle of a frame leaves it torn: the reader must see a cut, never a frame inside a frame."""
    with edge() as (writer, reader):
        writer.write(numbers(1))
        real = writer._line._write

        def interrupted(pieces) -> int:
            real([bytes(pieces[0])])
            raise KeyboardInterrupt

        writer._line._write = interrupted
        with pytest.raises(KeyboardInterrupt):
            writer.write(numbers(2))
        writer._line._write = real
        writer.fail("too late")
        writer.close()
        events, error = all_of(reader)
        assert events == [numbers(1)]
        assert isinstance(error, ProducerFailed)
        assert "ended without saying" in error.text


def test_a_pipe_has_the_room_that_the_kernel_allows() -> None:
    ends = open_pipe()
    assert widen(ends.write) >= 1 << 16
    assert not os.get_inheritable(ends.read)
    assert os.get_blocking(ends.read)
    os.close(ends.read)
    os.close(ends.write)


def test_a_non_blocking_descriptor_is_made_blocking() -> None:
    ends = open_pipe()
    os.set_blocking(ends.write, False)
    writer = open_writer(ends.write, fingerprint="f")
    assert os.get_blocking(ends.write)
    writer.close()
    os.close(ends.read)


def test_the_greeting_is_short_enough_to_wait_in_any_pipe() -> None:
    assert GREETING_BYTES + frames.FINGERPRINT_BYTES_MAX <= select.PIPE_BUF
