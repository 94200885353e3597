"""Edges: batches of flights through a pipe between two processes, against the same bytes through a bare pipe.

Ours decodes every batch and reads one column; the reference is `os.write` and `readinto` of 1 MiB at a time through a pipe of 1 MiB and looks
at nothing.  They take turns in one run; the ratio is the median of the turns', because the machine's mood changes between them.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from runink.pipes.batch import Batch
from runink.pipes.open import open_pipe
from runink.pipes.os_pipe import open_reader, open_writer

from figures import FLIGHTS, Figure, main

MUST = 0.6
CHUNK_BYTES = 1 << 20
TURNS = 7
BATCH_ROWS = (10_000, 65_536)


def flights() -> pa.Table:
    convert = pa_csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return pa_csv.read_csv(FLIGHTS, convert_options=convert).combine_chunks()


def batches_of(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    """Cut the table into batches that own their memory, as sources and steps make them."""
    file = pa.BufferOutputStream()
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    with pa.ipc.open_stream(file.getvalue()) as reader:
        return list(reader)


def in_child(write: Callable[[int], None], read: Callable[[int], int]) -> tuple[float, int]:
    """Write in a forked child, read here; return seconds and what the reader returned."""
    ends = open_pipe()
    child = os.fork()
    if child == 0:
        os.close(ends.read)
        write(ends.write)
        os._exit(0)
    os.close(ends.write)
    began = time.perf_counter()
    result = read(ends.read)
    seconds = time.perf_counter() - began
    _, status = os.waitpid(child, 0)
    assert status == 0
    return seconds, result


def ours(batches: list[pa.RecordBatch], repeats: int) -> tuple[float, int]:
    def write(descriptor: int) -> None:
        writer = open_writer(descriptor, fingerprint="bench")
        for _ in range(repeats):
            for data in batches:
                writer.write(Batch(data, "bench", 0))
        writer.end()
        writer.close()

    def read(descriptor: int) -> int:
        reader = open_reader(descriptor, fingerprint="bench")
        total = sum(pc.sum(batch.data.column("distance")).as_py() for batch in reader)
        assert total > 0
        reader.close()
        return reader.statistics().bytes

    return in_child(write, read)


def bare(size: int) -> tuple[float, int]:
    def write(descriptor: int) -> None:
        chunk = memoryview(os.urandom(CHUNK_BYTES))
        left = size
        while left:
            left -= os.write(descriptor, chunk[: min(left, CHUNK_BYTES)])

    def read(descriptor: int) -> int:
        buffer = bytearray(CHUNK_BYTES)
        got = 0
        with io.FileIO(descriptor) as file:
            while count := file.readinto(buffer):
                got += count
        return got

    return in_child(write, read)


def figure(table: pa.Table, rows: int, repeats: int) -> Figure:
    batches = batches_of(table, rows)
    pairs: list[tuple[float, float]] = []
    for _ in range(TURNS):
        seconds, size = ours(batches, repeats)
        bare_seconds, same = bare(size)
        assert same == size
        pairs.append((size / seconds / 1e6, size / bare_seconds / 1e6))
    ratio = median(one / other for one, other in pairs)
    return Figure(
        f"pipe edge, batches of {rows} rows, MB/s",
        round(median(one for one, _ in pairs)),
        round(median(other for _, other in pairs)),
        round(ratio, 2),
        f">= {MUST}",
        ratio >= MUST,
    )


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """`repeats` is how often the 336,776 flights go through the pipe in one turn."""
    table = flights()
    return [figure(table, rows, arguments.repeats) for rows in BATCH_ROWS]


if __name__ == "__main__":
    main(measure, "Edges against a bare pipe.", repeats=10)
