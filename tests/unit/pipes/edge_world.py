"""Edges of every kind: both ends in one process, and what either makes of it.

What is written in the same thread as it is read is small enough to wait on the way; what is not has a thread of its own (`given`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from runink.pipes import os_pipe, slots
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, ConsumerGone, EdgeReader, EdgeWriter
from runink.pipes.open import PipeEnds, open_pipe, open_slots

ORIGIN = "data/in.csv"
ENDED_S = 20  # for a thread to end: far more than it takes
WRITER = "given"


@dataclass(frozen=True)
class Kind:
    """What carries an edge, and how many batches of the largest size wait on the way before the writer does."""

    name: str
    ends: Callable[[], PipeEnds]
    writer: Callable[..., EdgeWriter]
    reader: Callable[..., EdgeReader]

    def __str__(self) -> str:
        return self.name


PIPE = Kind("pipe", open_pipe, os_pipe.open_writer, os_pipe.open_reader)
SLOTS = Kind("slots", open_slots, slots.open_writer, slots.open_reader)
SMALL_SLOTS = Kind(  # of a page each, see `conftest.py`: most bodies lie in several
    "small slots", open_slots, partial(slots.open_writer, memory_bytes=1), slots.open_reader
)
KINDS = (PIPE, SLOTS, SMALL_SLOTS)


def numbers(*values: int | None, row: int = 0, origin: str = ORIGIN) -> Batch:
    return Batch(pa.record_batch({"n": pa.array(values, pa.int64())}), origin, row)


def many(count: int, *, row: int = 0) -> Batch:
    """Return a batch of which nothing fits into a message: it lies in a slot."""
    return Batch(pa.record_batch({"n": pa.array(range(count), pa.int64())}), ORIGIN, row)


def text(*values: str | None, row: int = 0) -> Batch:
    return Batch(pa.record_batch({"t": pa.array(values, pa.string())}), ORIGIN, row)


@contextmanager
def edge(kind: Kind = PIPE, fingerprint: str = "f") -> Iterator[tuple[EdgeWriter, EdgeReader]]:
    ends = kind.ends()
    reader = kind.reader(ends.read, fingerprint=fingerprint)
    writer = kind.writer(ends.write, fingerprint=fingerprint)
    try:
        yield writer, reader
    finally:
        writer.close()
        reader.close()


def given(kind: Kind, write: Callable[[EdgeWriter], None], *, fingerprint: str = "f") -> EdgeReader:
    """Return a reader of what these writes send in a thread of their own; the writer closes behind them."""
    ends = kind.ends()

    def written() -> None:
        with suppress(ConsumerGone):
            writer = kind.writer(ends.write, fingerprint="f")
            try:
                write(writer)
            finally:
                writer.close()

    threading.Thread(target=written, name=WRITER, daemon=True).start()
    return kind.reader(ends.read, fingerprint=fingerprint)


def wait_for_writers() -> None:
    """Return when the writers of `given` have ended and closed what was theirs."""
    for thread in threading.enumerate():
        if thread.name == WRITER:
            thread.join(ENDED_S)
            assert not thread.is_alive()


def ending(*batches: Batch) -> Callable[[EdgeWriter], None]:
    """Return the writes of these batches and a clean end."""

    def write(writer: EdgeWriter) -> None:
        for batch in batches:
            writer.write(batch)
        writer.end()

    return write


def sent(write: Callable[[EdgeWriter], None], fingerprint: str = "f") -> bytes:
    """Return the bytes that these writes make on a pipe, with the greeting; close without an end unless `write` ends."""
    ends = open_pipe()
    writer = os_pipe.open_writer(ends.write, fingerprint=fingerprint)
    write(writer)
    writer.close()
    with os.fdopen(ends.read, "rb") as file:
        return file.read()


def read_from(data: bytes, fingerprint: str = "f") -> EdgeReader:
    """Return a reader of these bytes on a pipe and nothing behind them."""
    ends = open_pipe()
    os.set_blocking(ends.write, False)
    assert os.write(ends.write, data) == len(data)
    os.close(ends.write)
    return os_pipe.open_reader(ends.read, fingerprint=fingerprint)


def all_of(reader: EdgeReader) -> tuple[list[Batch | Barrier], Exception | None]:
    """Return what the reader gives until it ends or raises, and what it raises."""
    events: list[Batch | Barrier] = []
    try:
        events.extend(reader.events())
    except Exception as error:  # noqa: BLE001 - the test looks at what it is
        return events, error
    finally:
        reader.close()
    return events, None
