"""Both ends of a pipe in one process; what is written is small enough to wait in the pipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, EdgeReader, EdgeWriter
from runink.pipes.open import open_pipe
from runink.pipes.os_pipe import open_reader, open_writer

ORIGIN = "data/in.csv"


def numbers(*values: int | None, row: int = 0, origin: str = ORIGIN) -> Batch:
    return Batch(pa.record_batch({"n": pa.array(values, pa.int64())}), origin, row)


def text(*values: str | None, row: int = 0) -> Batch:
    return Batch(pa.record_batch({"t": pa.array(values, pa.string())}), ORIGIN, row)


@contextmanager
def edge(fingerprint: str = "f") -> Iterator[tuple[EdgeWriter, EdgeReader]]:
    ends = open_pipe()
    reader = open_reader(ends.read, fingerprint=fingerprint)
    writer = open_writer(ends.write, fingerprint=fingerprint)
    try:
        yield writer, reader
    finally:
        writer.close()
        reader.close()


def sent(write: Callable[[EdgeWriter], None], fingerprint: str = "f") -> bytes:
    """Return the bytes that these writes make, with the greeting; close without an end unless `write` ends."""
    ends = open_pipe()
    writer = open_writer(ends.write, fingerprint=fingerprint)
    write(writer)
    writer.close()
    with os.fdopen(ends.read, "rb") as file:
        return file.read()


def read_from(data: bytes, fingerprint: str = "f") -> EdgeReader:
    """Return a reader of these bytes and nothing behind them."""
    ends = open_pipe()
    os.set_blocking(ends.write, False)
    assert os.write(ends.write, data) == len(data)
    os.close(ends.write)
    return open_reader(ends.read, fingerprint=fingerprint)


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
