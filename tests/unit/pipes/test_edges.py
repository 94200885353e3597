"""An edge, whatever carries it: what goes in comes out, a clean end is told from every other, and a slow reader holds the writer."""

from __future__ import annotations

import os
import select
import threading
import time

import pyarrow as pa
import pytest
from edge_world import (
    ENDED_S,
    ORIGIN,
    PIPE,
    SLOTS,
    Kind,
    all_of,
    edge,
    ending,
    given,
    many,
    numbers,
    text,
)
from runink.errors import ProtocolViolation, Refused
from runink.pipes import frames, os_pipe, slots
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, ConsumerGone, ProducerFailed
from runink.pipes.open import widen
from runink.pipes.slot_pool import SLOTS_MAX


def test_batches_come_out_as_they_went_in_with_their_places(kind: Kind) -> None:
    with edge(kind) as (writer, reader):
        writer.write(numbers(1, None, 3, row=7))
        events = iter(reader)
        assert next(events) == numbers(1, None, 3, row=7)
        writer.write(numbers(4, row=10, origin="s3://b/ü.csv"))
        assert next(events) == numbers(4, row=10, origin="s3://b/ü.csv")
        writer.end()
        writer.close()
        assert list(events) == []
        assert writer.statistics() == reader.statistics()
        assert (reader.statistics().rows, reader.statistics().batches) == (4, 2)


def test_a_stream_without_batches_ends_cleanly(kind: Kind) -> None:
    assert all_of(given(kind, ending())) == ([], None)


def test_a_batch_without_rows_brings_its_columns(kind: Kind) -> None:
    events, error = all_of(given(kind, ending(text())))
    assert error is None
    assert [event.data.schema.names for event in events] == [["t"]]


def test_a_batch_without_columns_keeps_its_rows(kind: Kind) -> None:
    empty = pa.record_batch({"n": pa.array([1, 2, 3])}).select([])
    events, error = all_of(given(kind, ending(Batch(empty, ORIGIN, 5))))
    assert error is None
    assert [(event.data.num_rows, event.data.num_columns) for event in events] == [(3, 0)]


def test_barriers_stand_where_they_were_written_and_the_plain_reader_leaves_them_out(
    kind: Kind,
) -> None:
    def write(writer) -> None:
        writer.barrier(1)
        writer.write(numbers(1))
        writer.barrier(2)
        writer.end()

    assert all_of(given(kind, write)) == ([Barrier(1), numbers(1), Barrier(2)], None)
    reader = given(kind, write)
    assert list(reader) == [numbers(1)]
    reader.close()


def test_the_schema_may_change_in_mid_stream_and_back(kind: Kind) -> None:
    batches = [numbers(1), text("a", None), numbers(2, row=1)]
    assert all_of(given(kind, ending(*batches))) == (batches, None)


def test_metadata_of_the_schema_travels_and_its_change_is_a_change(kind: Kind) -> None:
    plain = numbers(1)
    marked = Batch(plain.data.replace_schema_metadata({"k": "v"}), ORIGIN, 1)
    events, error = all_of(given(kind, ending(plain, marked, plain)))
    assert error is None
    assert [event.data.schema.metadata for event in events] == [None, {b"k": b"v"}, None]


def test_a_schema_of_any_size_travels(kind: Kind) -> None:
    column = pa.array([1], pa.int64())
    wide = Batch(pa.record_batch({f"column {n}": column for n in range(2000)}), ORIGIN, 0)
    assert all_of(given(kind, ending(wide, wide))) == ([wide, wide], None)


def coded(*values: str | None) -> Batch:
    column = pa.array(values, pa.string()).dictionary_encode()
    return Batch(pa.record_batch({"c": column}), ORIGIN, 0)


def test_dictionaries_travel_once_and_are_replaced_where_they_change(kind: Kind) -> None:
    batches = [coded("UA", "DL", None), coded("UA", "DL", None), coded("AA"), coded()]
    events, error = all_of(given(kind, ending(*batches)))
    assert error is None
    assert [event.data.to_pylist() for event in events] == [b.data.to_pylist() for b in batches]
    assert all(pa.types.is_dictionary(event.data.schema.types[0]) for event in events)


def test_dictionaries_that_are_kept_hold_nobody_up(kind: Kind) -> None:
    """The reader's stream keeps the last one of each column; in slots that is memory which the writer waits for."""
    values = [f"value {number}" for number in range(5000)]
    batches = [coded(*values[number:]) for number in range(3 * SLOTS_MAX)]
    events, error = all_of(given(kind, ending(*batches)))
    assert error is None
    came = [value for event in events for value in event.data["c"].to_pylist()]
    assert came == [value for batch in batches for value in batch.data["c"].to_pylist()]


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
def test_nested_and_odd_types_come_out_as_they_went_in(kind: Kind, column) -> None:
    batch = Batch(pa.record_batch({"c": column}), ORIGIN, 0)
    assert all_of(given(kind, ending(batch, batch))) == ([batch, batch], None)


def test_a_slice_of_a_large_batch_carries_its_own_rows_only(kind: Kind) -> None:
    whole = pa.record_batch({"t": pa.array(["x" * 1000] * 1000)})
    reader = given(kind, ending(Batch(whole.slice(500, 2), ORIGIN, 500)))
    events, _ = all_of(reader)
    assert events[0].data.equals(whole.slice(500, 2))
    assert reader.statistics().bytes < 5000


def test_huge_batches_are_cut_and_their_rows_keep_their_places(kind: Kind, monkeypatch) -> None:
    monkeypatch.setattr(os_pipe, "BATCH_BYTES_MAX", 1000)
    monkeypatch.setattr(slots._Outgoing, "batch_bytes_max", 1000)
    batch = Batch(pa.record_batch({"n": pa.array(range(1000), pa.int64())}), ORIGIN, 50)
    events, error = all_of(given(kind, ending(batch)))
    assert error is None
    assert all(event.data.nbytes <= 1100 for event in events)
    assert [event.row for event in events] == [50 + start for start in range(0, 1000, 125)]
    assert [n for event in events for n in event.data["n"].to_pylist()] == list(range(1000))


def test_a_row_of_any_size_travels_whole(kind: Kind) -> None:
    """It cannot be cut, and is larger than a slot."""
    batch = text("x" * (20 << 20))
    assert all_of(given(kind, ending(batch, numbers(1)))) == ([batch, numbers(1)], None)


def test_a_row_larger_than_an_edge_carries_is_refused_with_what_to_do(
    kind: Kind, monkeypatch
) -> None:
    monkeypatch.setattr(frames, "BODY_BYTES_MAX", 10_000)
    with edge(kind) as (writer, _), pytest.raises(Refused) as caught:
        writer.write(text("x" * 20_000, row=3))
    assert caught.value.code == "batch_too_large"
    assert f"row 3 of {ORIGIN}" in caught.value.text


def test_an_origin_longer_than_there_may_be_is_cut_and_stays_readable(kind: Kind) -> None:
    long = numbers(1, origin="ü" * frames.ORIGIN_BYTES_MAX)
    events, error = all_of(given(kind, ending(long)))
    assert error is None
    assert events[0].origin.startswith("üüü")


# Ends that are none.


def test_a_stream_that_stops_without_its_end_is_a_failed_producer(kind: Kind) -> None:
    events, error = all_of(given(kind, lambda writer: writer.write(numbers(1))))
    assert events == [numbers(1)]
    assert isinstance(error, ProducerFailed)
    assert error.code == "producer_failed"


def test_a_producer_that_says_why_is_quoted(kind: Kind) -> None:
    def write(writer) -> None:
        writer.write(numbers(1))
        writer.fail("step x raised ValueError: ü")

    events, error = all_of(given(kind, write))
    assert events == [numbers(1)]
    assert isinstance(error, ProducerFailed)
    assert error.text == "step x raised ValueError: ü"


def test_a_long_complaint_keeps_its_end(kind: Kind) -> None:
    _, error = all_of(given(kind, lambda writer: writer.fail("x" * 100_000 + "the cause")))
    assert isinstance(error, ProducerFailed)
    assert error.text.endswith("the cause")
    assert len(error.text) == frames.ERROR_BYTES_MAX


def test_a_count_of_rows_that_is_not_what_came_is_seen(kind: Kind) -> None:
    def write(writer) -> None:
        writer.write(numbers(1, 2))
        writer._rows = 3
        writer.end()

    _, error = all_of(given(kind, write))
    assert isinstance(error, ProtocolViolation)
    assert error.text == "the producer wrote 3 rows, 2 came"


def test_other_contracts_on_the_two_ends_are_told_once_at_the_start(kind: Kind) -> None:
    events, error = all_of(given(kind, ending(numbers(1)), fingerprint="other"))
    assert events == []
    assert isinstance(error, ProtocolViolation)
    assert error.code == "fingerprint_differs"
    assert "the writer's contract is f, the reader's other" in error.text
    _, error = all_of(given(kind, ending(), fingerprint=""))
    assert isinstance(error, ProtocolViolation)
    assert "the reader's none" in error.text


# Neighbours that go, and neighbours that are slow.


def test_a_reader_that_has_gone_is_told_to_the_writer_and_nothing_follows(kind: Kind) -> None:
    with edge(kind) as (writer, reader):
        reader.close()
        with pytest.raises(ConsumerGone):
            writer.write(numbers(1))
        writer.fail("nobody hears this")
        writer.close()
        writer.fail("nor this")


def test_a_reader_that_goes_with_much_unread_is_told_to_a_writer_that_waits(kind: Kind) -> None:
    raised: list[BaseException] = []

    def write(writer) -> None:
        try:
            while True:
                writer.write(many(300_000))
        except ConsumerGone as error:
            raised.append(error)
            raise

    reader = given(kind, write)
    next(iter(reader))
    reader.close()
    wait_until(lambda: bool(raised))


def test_a_reader_that_has_gone_before_the_greeting_is_told_at_once(kind: Kind) -> None:
    ends = kind.ends()
    os.close(ends.read)
    with pytest.raises(ConsumerGone):
        kind.writer(ends.write, fingerprint="f")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends.write)


def test_closing_twice_closes_nobody_elses_descriptor(kind: Kind) -> None:
    with edge(kind) as (_, reader):
        number = reader.fileno()
        reader.close()
        other = os.open("/dev/null", os.O_RDONLY)
        reused = os.dup2(other, number)
        reader.close()
        os.close(reused)
        if other != reused:
            os.close(other)


def test_nothing_is_read_ahead_so_that_a_poll_tells_the_truth(kind: Kind) -> None:
    with edge(kind) as (writer, reader):
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


def test_the_end_and_a_failure_wake_who_waits_for_the_descriptor(kind: Kind) -> None:
    for finish in ("end", "fail", "close"):
        with edge(kind) as (writer, reader):
            writer.write(numbers(1))
            events = reader.events()
            next(events)
            {"end": writer.end, "fail": lambda w=writer: w.fail("why"), "close": writer.close}[
                finish
            ]()
            assert select.select([reader.fileno()], [], [], 0)[0] == [reader.fileno()]


@pytest.mark.parametrize("kind", [PIPE, SLOTS], ids=str)
def test_a_slow_reader_holds_the_writer(kind: Kind) -> None:
    """The writer is ahead by what waits on the way, and by no more: a pipe has room for two of these batches, and slots for one each."""
    ends = kind.ends()
    room = widen(ends.write) if kind is PIPE else 1 << 20
    ahead_max = 2 if kind is PIPE else SLOTS_MAX
    batch = many(room // 8 // 2 - 1000)
    reader = kind.reader(ends.read, fingerprint="f")
    writer = kind.writer(ends.write, fingerprint="f")
    count = 3 * SLOTS_MAX
    written: list[int] = []

    def write() -> None:
        for number in range(count):
            writer.write(batch)
            written.append(number)
        writer.end()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    read = 0
    for _ in reader:
        read += 1
        expected = min(count, read + ahead_max - (kind is SLOTS))  # one is held here
        wait_until(lambda least=expected: len(written) >= least)
        assert len(written) <= read + ahead_max
    thread.join(ENDED_S)
    assert (read, len(written)) == (count, count)
    writer.close()
    reader.close()


def wait_until(holds) -> None:
    """Let the other thread go on until it has got so far."""
    deadline = time.monotonic() + ENDED_S
    while not holds():
        assert time.monotonic() < deadline, "the other side stands still"
        os.sched_yield()
