"""An edge over slots: nothing is copied, a slot is filled anew only when nobody reads it any more, and a reader that keeps everything holds nobody up."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from edge_world import ENDED_S, SLOTS, all_of, edge, ending, given, many, wait_for_writers
from runink.pipes.edge import ProducerFailed
from runink.pipes.open import open_slots
from runink.pipes.slot_pool import (
    LENT_MAX,
    SLOT_BYTES_MAX,
    SLOT_BYTES_MIN,
    SLOTS_MAX,
    new_slot,
    pool_bytes,
    slot_bytes,
)
from runink.pipes.slot_protocol import INLINE_BYTES_MAX
from runink.pipes.slots import open_reader, open_writer

ROWS = 50_000  # 400 KB: too much for a message, little for a slot


@pytest.fixture(autouse=True)
def _no_writer_is_left() -> Iterator[None]:
    """The next test counts what this process has mapped and open."""
    yield
    wait_for_writers()


def descriptors() -> int:
    gc.collect()  # what earlier tests have dropped in circles closes its own now, and not between two counts
    return len(list(Path("/proc/self/fd").iterdir()))


def slots_mapped() -> int:
    """Return how many mappings of slots this process has, on both sides of its edges."""
    return Path("/proc/self/maps").read_text().count("memfd:runink-slot")


def lies_in_a_slot(data: pa.RecordBatch) -> bool:
    address = data.column(0).buffers()[1].address
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(number, 16) for number in line.split()[0].split("-"))
        if first <= address < last:
            return "memfd:runink-slot" in line
    return False


# Slots go round.


def test_a_batch_is_read_where_it_was_written() -> None:
    with edge(SLOTS) as (writer, reader):
        writer.write(many(ROWS))
        batch = next(iter(reader))
        assert batch == many(ROWS)
        assert lies_in_a_slot(batch.data)


def test_a_slot_that_comes_back_is_the_next_to_be_filled() -> None:
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        for row in range(3 * SLOTS_MAX):
            writer.write(many(ROWS, row=row))
            came = next(events).row
            assert came == row
        assert slots_mapped() == 2, "one slot, seen from both ends"


def test_a_batch_that_is_dropped_gives_its_slot_back_at_once() -> None:
    with edge(SLOTS) as (writer, reader):
        writer.write(many(ROWS))
        writer.end()
        assert sum(batch.data.num_rows for batch in reader) == ROWS
        writer.close()
        assert slots_mapped() == 1, "the reader keeps it for the next batch"
        reader.close()
        assert slots_mapped() == 0


@pytest.mark.parametrize(
    "kept",
    [
        lambda data: data,
        lambda data: data.column(0),
        lambda data: data.slice(7, 1),
        lambda data: pa.Table.from_batches([data]),
        pl.from_arrow,
        lambda data: pl.from_arrow(data).lazy().filter(pl.col("n") >= 0).collect(),
    ],
)
def test_whatever_keeps_a_batch_keeps_its_slot(kept) -> None:
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        writer.write(many(ROWS))
        held = kept(next(events).data)
        for row in range(1, 2 * SLOTS_MAX):
            writer.write(many(ROWS, row=row))
            next(events)
        before = first_of(held)
        assert before in (0, 7)
        del held
        gc.collect()
        for row in range(SLOTS_MAX):
            writer.write(many(ROWS, row=row))  # There is room again, or this would wait for ever.


def first_of(held: Any) -> int:
    column = held if isinstance(held, pa.Array) else held["n"]
    first = column[0]
    return first.as_py() if isinstance(first, pa.Scalar) else first


def test_duckdb_reads_what_lies_in_slots() -> None:
    reader = given(SLOTS, ending(*(many(ROWS) for _ in range(3 * SLOTS_MAX))))
    batches = (batch.data for batch in reader)
    stream = pa.RecordBatchReader.from_batches(many(1).data.schema, batches)
    total = duckdb.connect().from_arrow(stream).aggregate("sum(n), count(*)").fetchall()
    assert total == [(3 * SLOTS_MAX * sum(range(ROWS)), 3 * SLOTS_MAX * ROWS)]
    del stream
    reader.close()


def test_a_consumer_that_keeps_every_batch_gets_copies_and_holds_nobody_up() -> None:
    batches = [many(ROWS, row=row) for row in range(5 * SLOTS_MAX)]
    reader = given(SLOTS, ending(*batches))
    kept = list(reader)
    assert kept == batches
    assert [lies_in_a_slot(one.data) for one in kept] == [n < LENT_MAX for n in range(len(kept))]
    reader.close()


def test_a_consumer_that_drops_its_batches_late_gets_slots_again() -> None:
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        kept = []
        for row in range(LENT_MAX + 1):
            writer.write(many(ROWS, row=row))
            kept.append(next(events))
        assert not lies_in_a_slot(kept[-1].data)
        kept.clear()
        writer.write(many(ROWS))
        assert lies_in_a_slot(next(events).data)


def test_batches_outlive_their_reader_and_take_their_memory_along() -> None:
    before = descriptors()
    with edge(SLOTS) as (writer, reader):
        writer.write(many(ROWS))
        writer.end()
        (batch,) = reader
    is_whole = batch == many(ROWS)
    assert is_whole
    assert slots_mapped() == 1
    del batch
    assert slots_mapped() == 0
    assert descriptors() == before


def test_a_writer_that_goes_leaves_what_was_read_and_what_waits() -> None:
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        writer.write(many(ROWS, row=1))
        first = next(events)
        writer.write(many(ROWS, row=2))
        writer.write(many(ROWS, row=3))
        del first  # Its credit is never read: the kernel tells the reader of that before all else.
        writer.end()
        writer.close()
        assert list(events) == [many(ROWS, row=2), many(ROWS, row=3)]


def test_a_child_that_a_step_forks_gives_no_credit() -> None:
    with edge(SLOTS) as (writer, reader):
        events = iter(reader)
        writer.write(many(ROWS))
        batch = next(events)
        child = os.fork()
        if child == 0:
            del batch
            reader.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for row in range(2 * SLOTS_MAX):
            writer.write(many(ROWS // 2, row=row))
            came = next(events).row
            assert came == row
        assert batch == many(ROWS)


def test_batches_may_be_dropped_by_any_thread() -> None:
    count = 50
    reader = given(SLOTS, ending(*(many(ROWS, row=row) for row in range(count))))
    rows: list[int] = []

    def drop(batches: list) -> None:
        rows.extend(batch.row for batch in batches)
        batches.clear()

    threads = []
    events = iter(reader)
    while (batch := next(events, None)) is not None:
        thread = threading.Thread(target=drop, args=([batch],))
        del batch
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(ENDED_S)
    assert sorted(rows) == list(range(count))
    reader.close()
    wait_for_writers()
    assert slots_mapped() == 0


def test_an_interrupted_frame_is_not_followed_by_another() -> None:
    """A signal that raises between filling a slot and naming it: the reader must see a cut, and never that slot."""
    with edge(SLOTS) as (writer, reader):
        writer.write(many(ROWS))
        real = writer._line._send

        def interrupted(*_) -> int:
            raise KeyboardInterrupt

        writer._line._send = interrupted
        with pytest.raises(KeyboardInterrupt):
            writer.write(many(ROWS, row=1))
        writer._line._send = real
        writer.fail("too late")
        writer.close()
        events, error = all_of(reader)
        assert events == [many(ROWS)]
        assert isinstance(error, ProducerFailed)
        assert "ended without saying" in error.text


def test_a_failure_never_waits_for_a_reader_that_stands_still() -> None:
    with edge(SLOTS) as (writer, reader):
        with suppress(BlockingIOError):
            while True:
                writer._line._send([bytes(1000)], flags=socket.MSG_DONTWAIT)
        thread = threading.Thread(target=writer.fail, args=("why",), daemon=True)
        thread.start()
        thread.join(60)
        stands = thread.is_alive()
        reader.close()
        assert not stands


# Memory.


def test_the_memory_of_a_slot_is_sealed() -> None:
    _, descriptor = new_slot(SLOT_BYTES_MIN)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 2 * SLOT_BYTES_MIN)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, SLOT_BYTES_MIN)
    with pytest.raises(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_slots_take_a_part_of_the_writers_memory() -> None:
    assert pool_bytes(0) == SLOTS_MAX * SLOT_BYTES_MAX
    assert pool_bytes(8 << 30) == SLOTS_MAX * SLOT_BYTES_MAX
    assert pool_bytes(64 << 20) == 16 << 20
    assert slot_bytes(1) == SLOT_BYTES_MIN
    assert slot_bytes((64 << 20) + 12_345) % 4096 == 0


def test_a_writer_with_little_memory_cuts_its_batches_to_its_slots() -> None:
    ends = open_slots()
    reader = open_reader(ends.read, fingerprint="f")
    writer = open_writer(ends.write, fingerprint="f", memory_bytes=1)
    thread = threading.Thread(target=ending(many(10 * ROWS)), args=(writer,))
    thread.start()
    sizes = []
    for batch in reader:
        sizes.append(batch.data.nbytes)
        is_in_slot = lies_in_a_slot(batch.data)
        assert is_in_slot or sizes[-1] < INLINE_BYTES_MAX
        del batch
    thread.join(ENDED_S)
    assert sum(sizes) == 10 * ROWS * 8
    assert max(sizes) <= SLOT_BYTES_MIN
    writer.close()
    reader.close()


def test_a_thousand_edges_leave_nothing_behind() -> None:
    gc.collect()
    before = descriptors()
    for number in range(1000):
        with edge(SLOTS) as (writer, reader):
            writer.write(many(ROWS if number % 100 == 0 else 3000))
            if number % 3:
                next(iter(reader))
    assert slots_mapped() == 0
    assert descriptors() == before
