"""An edge over a pipe: what goes in comes out, a clean end is told from every other, and a slow reader holds the writer."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from contextlib import suppress

import pyarrow as pa
import pytest
from edge_world import ORIGIN, all_of, edge, numbers, read_from, sent, text
from runink.errors import ProtocolViolation, Refused
from runink.pipes import frames, os_pipe
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, ConsumerGone, ProducerFailed
from runink.pipes.frames import GREETING_BYTES, HEADER_BYTES, Header, Kind, greeting, packed
from runink.pipes.open import open_pipe, widen
from runink.pipes.os_pipe import open_reader, open_writer

HEAD = greeting("f")


def ended(*batches: Batch) -> bytes:
    def write(writer) -> None:
        for batch in batches:
            writer.write(batch)
        writer.end()

    return sent(write)


def test_batches_come_out_as_they_went_in_with_their_places() -> None:
    with edge() as (writer, reader):
        writer.write(numbers(1, None, 3, row=7))
        writer.write(numbers(4, row=10, origin="s3://b/ü.csv"))
        writer.end()
        writer.close()
        first, second = reader
        assert first == numbers(1, None, 3, row=7)
        assert second == numbers(4, row=10, origin="s3://b/ü.csv")
        assert writer.statistics() == reader.statistics()
        assert (reader.statistics().rows, reader.statistics().batches) == (4, 2)


def test_a_stream_without_batches_ends_cleanly() -> None:
    assert all_of(read_from(ended())) == ([], None)


def test_a_batch_without_rows_brings_its_columns() -> None:
    events, error = all_of(read_from(ended(text())))
    assert error is None
    assert [event.data.schema.names for event in events] == [["t"]]


def test_barriers_stand_where_they_were_written_and_the_plain_reader_leaves_them_out() -> None:
    def write(writer) -> None:
        writer.barrier(1)
        writer.write(numbers(1))
        writer.barrier(2)
        writer.end()

    data = sent(write)
    assert all_of(read_from(data)) == ([Barrier(1), numbers(1), Barrier(2)], None)
    reader = read_from(data)
    assert list(reader) == [numbers(1)]
    reader.close()


def test_the_schema_may_change_in_mid_stream_and_back() -> None:
    batches = [numbers(1), text("a", None), numbers(2, row=1)]
    assert all_of(read_from(ended(*batches))) == (batches, None)


def test_metadata_of_the_schema_travels_and_its_change_is_a_change() -> None:
    plain = numbers(1)
    marked = Batch(plain.data.replace_schema_metadata({"k": "v"}), ORIGIN, 1)
    events, error = all_of(read_from(ended(plain, marked, plain)))
    assert error is None
    assert [event.data.schema.metadata for event in events] == [None, {b"k": b"v"}, None]


def test_dictionaries_travel_once_and_are_replaced_where_they_change() -> None:
    def coded(*values: str | None) -> Batch:
        column = pa.array(values, pa.string()).dictionary_encode()
        return Batch(pa.record_batch({"c": column}), ORIGIN, 0)

    batches = [coded("UA", "DL", None), coded("UA", "DL", None), coded("AA"), coded()]
    events, error = all_of(read_from(ended(*batches)))
    assert error is None
    assert [event.data.to_pylist() for event in events] == [b.data.to_pylist() for b in batches]
    assert all(pa.types.is_dictionary(event.data.schema.types[0]) for event in events)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, None], [], None]),
        pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": ""}]),
        pa.array([b"\x00\xff", b"", None]),
        pa.array([None, None, None]),
        pa.array(["x" * 100, "y", None], pa.string_view()),
        pa.array([True, False, None]),
    ],
)
def test_nested_and_odd_types_come_out_as_they_went_in(column) -> None:
    batch = Batch(pa.record_batch({"c": column}), ORIGIN, 0)
    assert all_of(read_from(ended(batch, batch))) == ([batch, batch], None)


def test_a_slice_of_a_large_batch_carries_its_own_rows_only() -> None:
    whole = pa.record_batch({"t": pa.array(["x" * 1000] * 1000)})
    data = ended(Batch(whole.slice(500, 2), ORIGIN, 500))
    assert len(data) < 5000
    events, _ = all_of(read_from(data))
    assert events[0].data.equals(whole.slice(500, 2))


def test_huge_batches_are_cut_and_their_rows_keep_their_places(monkeypatch) -> None:
    monkeypatch.setattr(os_pipe, "BATCH_BYTES_MAX", 1000)
    batch = Batch(pa.record_batch({"n": pa.array(range(1000), pa.int64())}), ORIGIN, 50)
    events, error = all_of(read_from(ended(batch)))
    assert error is None
    assert all(event.data.nbytes <= 1100 for event in events)
    assert [event.row for event in events] == [50 + start for start in range(0, 1000, 125)]
    assert [n for event in events for n in event.data["n"].to_pylist()] == list(range(1000))


def test_a_row_larger_than_an_edge_carries_is_refused_with_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr(frames, "BODY_BYTES_MAX", 10_000)
    with edge() as (writer, _), pytest.raises(Refused) as caught:
        writer.write(text("x" * 20_000, row=3))
    assert caught.value.code == "batch_too_large"
    assert f"row 3 of {ORIGIN}" in caught.value.text


def test_an_origin_longer_than_there_may_be_is_cut_and_stays_readable() -> None:
    events, error = all_of(read_from(ended(numbers(1, origin="ü" * frames.ORIGIN_BYTES_MAX))))
    assert error is None
    assert events[0].origin.startswith("üüü")


# Ends that are none.


def test_a_stream_that_stops_without_its_end_is_a_failed_producer() -> None:
    data = sent(lambda writer: writer.write(numbers(1)))
    events, error = all_of(read_from(data))
    assert events == [numbers(1)]
    assert isinstance(error, ProducerFailed)
    assert error.code == "producer_failed"


def test_a_producer_that_says_why_is_quoted() -> None:
    def write(writer) -> None:
        writer.write(numbers(1))
        writer.fail("step x raised ValueError: ü")

    events, error = all_of(read_from(sent(write)))
    assert events == [numbers(1)]
    assert isinstance(error, ProducerFailed)
    assert error.text == "step x raised ValueError: ü"


def test_a_long_complaint_keeps_its_end() -> None:
    _, error = all_of(read_from(sent(lambda writer: writer.fail("x" * 100_000 + "the cause"))))
    assert isinstance(error, ProducerFailed)
    assert error.text.endswith("the cause")
    assert len(error.text) == frames.ERROR_BYTES_MAX


def test_a_stream_torn_at_any_byte_gives_whole_batches_and_then_a_failed_producer() -> None:
    whole = [numbers(1, 2), text("a")]
    data = ended(*whole)
    for size in range(len(data)):
        events, error = all_of(read_from(data[:size]))
        assert events == whole[: len(events)]
        assert isinstance(error, ProducerFailed), size


def test_a_count_of_rows_that_is_not_what_came_is_seen() -> None:
    data = HEAD + packed(Header(Kind.END, number=1))
    _, error = all_of(read_from(data))
    assert isinstance(error, ProtocolViolation)
    assert error.text == "the producer wrote 1 rows, 0 came"


# Bytes that are no edge's.


def test_other_contracts_on_the_two_ends_are_told_once_at_the_start() -> None:
    events, error = all_of(read_from(ended(numbers(1)), fingerprint="other"))
    assert events == []
    assert isinstance(error, ProtocolViolation)
    assert error.code == "fingerprint_differs"
    assert "the writer's contract is f, the reader's other" in error.text
    _, error = all_of(read_from(sent(lambda writer: writer.end(), fingerprint="")))
    assert isinstance(error, ProtocolViolation)
    assert "contract is none" in error.text


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


# Neighbours that go, and neighbours that are slow.


def test_a_reader_that_has_gone_is_told_to_the_writer_and_nothing_follows() -> None:
    with edge() as (writer, reader):
        reader.close()
        with pytest.raises(ConsumerGone):
            writer.write(numbers(1))
        writer.fail("nobody hears this")
        writer.close()
        writer.fail("nor this")


def test_a_reader_that_has_gone_before_the_greeting_is_told_at_once() -> None:
    ends = open_pipe()
    os.close(ends.read)
    with pytest.raises(ConsumerGone):
        open_writer(ends.write, fingerprint="f")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends.write)


def test_closing_twice_closes_nobody_elses_descriptor() -> None:
    with edge() as (_, reader):
        number = reader.fileno()
        reader.close()
        other = os.open("/dev/null", os.O_RDONLY)
        reused = os.dup2(other, number)
        reader.close()
        os.close(reused)
        if other != reused:
            os.close(other)


def test_nothing_is_read_ahead_so_that_a_poll_tells_the_truth() -> None:
    with edge() as (writer, reader):
        writer.write(numbers(1))
        events = reader.events()
        next(events)
        assert select.select([reader.fileno()], [], [], 0)[0] == []
        writer.write(numbers(2))
        writer.write(numbers(3))
        next(events)
        assert select.select([reader.fileno()], [], [], 0)[0] == [reader.fileno()]
        next(events)
        assert select.select([reader.fileno()], [], [], 0)[0] == []


def test_a_slow_reader_holds_the_writer() -> None:
    """The pipe has room for two batches: the third waits until one has been read, and no more than that is ever under way."""
    ends = open_pipe()
    room = widen(ends.write)
    batch = numbers(*range(room // 8 // 2 - 1000))
    reader = open_reader(ends.read, fingerprint="f")
    writer = open_writer(ends.write, fingerprint="f")
    written: list[int] = []

    def write() -> None:
        for number in range(6):
            writer.write(batch)
            written.append(number)
        writer.end()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    read = 0
    deadline = time.monotonic() + 20
    for _ in reader:
        read += 1
        # The pipe is full, or all is written: then the thread can be no further than this.
        while select.select([], [ends.write], [], 0)[1] and len(written) < 6:
            assert time.monotonic() < deadline, "the writer stands still though there is room"
            os.sched_yield()
        assert len(written) <= read + 2
    thread.join(20)
    assert (read, len(written)) == (6, 6)
    writer.close()
    reader.close()


def test_a_failure_never_waits_for_a_reader_that_stands_still() -> None:
    """Readers may wait for another pipe of the same slice, whose end only comes when this call returns."""
    with edge() as (writer, reader):
        os.set_blocking(writer._descriptor.number, False)
        with suppress(BlockingIOError):
            while os.write(writer._descriptor.number, bytes(4096)):
                pass
        os.set_blocking(writer._descriptor.number, True)
        thread = threading.Thread(target=writer.fail, args=("why",), daemon=True)
        thread.start()
        thread.join(10)
        stands = thread.is_alive()
        reader.close()
        assert not stands


def test_an_interrupted_frame_is_not_followed_by_another() -> None:
    """A signal that raises in the middle of a frame leaves it torn: the reader must see a cut, never a frame inside a frame."""
    with edge() as (writer, reader):
        writer.write(numbers(1))
        real = writer._descriptor.write

        def interrupted(pieces) -> int:
            real([bytes(pieces[0])])
            raise KeyboardInterrupt

        writer._descriptor.write = interrupted
        with pytest.raises(KeyboardInterrupt):
            writer.write(numbers(2))
        writer._descriptor.write = real
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
