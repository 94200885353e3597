"""Edges: batches of flights over a pipe and over slots between two processes, against the same bytes through a bare pipe.

Ours decodes every batch and reads one column; the reference is `os.write` and `readinto` of 1 MiB at a time through a pipe of 1 MiB and looks
at nothing.  They take turns in one run; the ratio is the median of the turns', because the machine's mood changes between them.

Writer and reader have a core each, as slices that work have.  Where the kernel puts both on one, its 1 MiB stays in that core's cache and the bare
pipe is twice as fast as between two: the ratio would say where it put them, and not what an edge costs.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from runink.pipes import os_pipe, slots
from runink.pipes.batch import Batch
from runink.pipes.edge import EdgeReader, EdgeWriter
from runink.pipes.open import PipeEnds, open_pipe, open_slots

from figures import FLIGHTS, Figure, main

CHUNK_BYTES = 1 << 20
TURNS = 7
CORES = sorted(os.sched_getaffinity(0))
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


class Turn(NamedTuple):
    """What one way through an edge took: seconds, and those of the reader's processor; and how many bytes came."""

    seconds: float
    reader_cpu_s: float
    bytes: int

    @property
    def megabytes_a_second(self) -> float:
        return self.bytes / self.seconds / 1e6


def in_child(ends: PipeEnds, write: Callable[[int], None], read: Callable[[int], int]) -> Turn:
    """Write in a forked child, read here; `read` returns how many bytes came."""
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, CORES[-1:])
        os.close(ends.read)
        write(ends.write)
        os._exit(0)
    os.close(ends.write)
    began, cpu_before = time.perf_counter(), time.process_time()
    size = read(ends.read)
    turn = Turn(time.perf_counter() - began, time.process_time() - cpu_before, size)
    _, status = os.waitpid(child, 0)
    assert status == 0
    return turn


class Kind(NamedTuple):
    """A kind of edge, and how many times as fast as the bare pipe it must be."""

    name: str
    ends: Callable[[], PipeEnds]
    writer: Callable[..., EdgeWriter]
    reader: Callable[..., EdgeReader]
    must: float


PIPE = Kind("pipe", open_pipe, os_pipe.open_writer, os_pipe.open_reader, 0.6)
SLOTS = Kind("slots", open_slots, slots.open_writer, slots.open_reader, 2.0)


def ours(kind: Kind, batches: list[pa.RecordBatch], repeats: int) -> Turn:
    def write(descriptor: int) -> None:
        writer = kind.writer(descriptor, fingerprint="bench")
        for _ in range(repeats):
            for data in batches:
                writer.write(Batch(data, "bench", 0))
        writer.end()
        writer.close()

    def read(descriptor: int) -> int:
        reader = kind.reader(descriptor, fingerprint="bench")
        total = sum(pc.sum(batch.data.column("distance")).as_py() for batch in reader)
        assert total > 0
        reader.close()
        return reader.statistics().bytes

    return in_child(kind.ends(), write, read)


def bare(size: int) -> Turn:
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

    return in_child(open_pipe(), write, read)


def speed(kind: Kind, rows: int, turns: list[tuple[Turn, Turn]]) -> Figure:
    return Figure(
        f"{kind.name}, batches of {rows} rows, MB/s",
        round(median(mine.megabytes_a_second for mine, _ in turns)),
        round(median(other.megabytes_a_second for _, other in turns)),
        round(ratio := ratio_of(turns, lambda turn: turn.megabytes_a_second), 2),
        f">= {kind.must}",
        ratio >= kind.must,
    )


def reader_cpu(kind: Kind, rows: int, turns: list[tuple[Turn, Turn]]) -> Figure:
    return Figure(
        f"{kind.name}, batches of {rows} rows, reader's processor, s a GB",
        round(median(mine.reader_cpu_s / mine.bytes * 1e9 for mine, _ in turns), 3),
        round(median(other.reader_cpu_s / other.bytes * 1e9 for _, other in turns), 3),
        round(ratio_of(turns, lambda turn: turn.reader_cpu_s), 2),
        "-",
        met=True,
    )


def ratio_of(turns: list[tuple[Turn, Turn]], figure: Callable[[Turn], float]) -> float:
    return median(figure(mine) / figure(other) for mine, other in turns)


def figures(table: pa.Table, rows: int, repeats: int) -> Iterator[Figure]:
    batches = batches_of(table, rows)
    found: dict[Kind, list[tuple[Turn, Turn]]] = {PIPE: [], SLOTS: []}
    for _ in range(TURNS):
        for kind, turns in found.items():
            mine = ours(kind, batches, repeats)
            turns.append((mine, bare(mine.bytes)))
    for kind, turns in found.items():
        yield speed(kind, rows, turns)
        yield reader_cpu(kind, rows, turns)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """`repeats` is how often the 336,776 flights go through the pipe in one turn."""
    table = flights()
    os.sched_setaffinity(0, CORES[:1])
    return [one for rows in BATCH_ROWS for one in figures(table, rows, arguments.repeats)]


if __name__ == "__main__":
    main(measure, "Edges against a bare pipe.", repeats=10)
