"""An edge between two real processes: however one of them ends, the other knows whether that was the end of the stream.

The producer is this file, run as a script.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from runink.errors import ProtocolViolation
from runink.pipes.batch import Batch
from runink.pipes.edge import ConsumerGone, EdgeReader, EdgeWriter, ProducerFailed
from runink.pipes.open import open_pipe
from runink.pipes.os_pipe import open_reader, open_writer

ROWS: Final = 50_000  # 400 KB a batch: several do not fit into a pipe
BATCHES: Final = 8
ENDED_S: Final = 30  # for a child to end: far more than it takes, far less than for ever


def batch(number: int) -> Batch:
    start = number * ROWS
    column = pa.array(range(start, start + ROWS), pa.int64())
    return Batch(pa.record_batch({"n": column}), "producer", start)


def produce(writer: EdgeWriter, ending: str) -> None:
    """Write batches and end as told. Returns only if the stream ended."""
    for number in range(BATCHES):
        writer.write(batch(number))
    match ending:
        case "end":
            writer.end()
        case "fail":
            writer.fail("the producer has its reasons")
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "print":
            os.write(int(sys.argv[1]), b"a library that prints to what it takes for its own\n")
        case "for ever":
            while True:
                writer.write(batch(0))


def main() -> int:
    writer = open_writer(int(sys.argv[1]), fingerprint="f")
    try:
        produce(writer, sys.argv[2])
    except ConsumerGone:
        return 7
    writer.close()
    return 0


@contextmanager
def producer(
    ending: str, *, fingerprint: str = "f"
) -> Iterator[tuple[EdgeReader, subprocess.Popen[bytes]]]:
    """Run a producer, and give the reader of its edge."""
    ends = open_pipe()
    child = subprocess.Popen(
        [sys.executable, __file__, str(ends.write), ending], pass_fds=[ends.write]
    )
    os.close(ends.write)
    reader = open_reader(ends.read, fingerprint=fingerprint)
    try:
        yield reader, child
    finally:
        reader.close()
        child.kill()
        child.wait(ENDED_S)


def test_all_batches_come_over_and_the_end_is_clean() -> None:
    with producer("end") as (reader, child):
        numbers = [n for one in reader for n in one.data["n"].to_pylist()]
        assert numbers == list(range(ROWS * BATCHES))
        assert child.wait(ENDED_S) == 0
        assert reader.statistics().rows == ROWS * BATCHES


@pytest.mark.parametrize(
    ("ending", "status", "told"),
    [
        ("fail", 0, "the producer has its reasons"),
        ("exit", 3, "ended without saying that it was done"),
        ("kill", -signal.SIGKILL, "ended without saying that it was done"),
        ("forget", 0, "ended without saying that it was done"),
    ],
)
def test_every_other_end_is_a_failed_producer_behind_all_that_it_wrote(
    ending, status, told
) -> None:
    with producer(ending) as (reader, child):
        came = []
        with pytest.raises(ProducerFailed, match=told):
            came.extend(one.data.num_rows for one in reader)
        assert came == [ROWS] * BATCHES
        assert child.wait(ENDED_S) == status


def test_what_is_printed_into_an_edge_is_not_taken_for_data() -> None:
    with producer("print") as (reader, _):
        came = []
        with pytest.raises(ProtocolViolation, match="no frame of an edge"):
            came.extend(one.data.num_rows for one in reader)
        assert came == [ROWS] * BATCHES


def test_a_producer_that_is_killed_in_the_middle_of_a_frame_has_failed() -> None:
    """The pipe is full and nobody reads, so that the producer is in the middle of a batch when it is killed."""
    with producer("for ever") as (reader, child):
        stream = iter(reader)
        next(stream)
        child.kill()
        child.wait(ENDED_S)
        came = []
        with pytest.raises(ProducerFailed):
            came.extend(one.data.num_rows for one in stream)
        assert came == [ROWS] * len(came)
        assert len(came) < BATCHES


def test_a_producer_whose_reader_goes_is_told_and_ends() -> None:
    with producer("for ever") as (reader, child):
        next(iter(reader))
        reader.close()
        assert child.wait(ENDED_S) == 7


def test_ends_of_two_pipelines_part_at_the_first_frame() -> None:
    with producer("for ever", fingerprint="other") as (reader, child):
        with pytest.raises(ProtocolViolation, match="the writer's contract is f"):
            next(iter(reader))
        reader.close()
        assert child.wait(ENDED_S) == 7


def test_a_stopped_reader_stops_the_producer_with_bounded_memory() -> None:
    """The producer writes for ever: with nobody reading it waits in the kernel, and what it holds does not grow."""
    with producer("for ever") as (reader, child):
        stream = iter(reader)
        sizes = []
        for _ in range(200):
            next(stream)
            sizes.append(resident_kb(child.pid))
        assert max(sizes[100:]) <= max(sizes[:100]) * 1.1 + 1024


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    sys.exit(main())
