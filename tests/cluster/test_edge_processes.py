"""An edge between two real processes: however one of them ends, the other knows whether that was the end of the stream.

The producer is this file, run as a script.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from runink.errors import ProtocolViolation
from runink.pipes import os_pipe, slots
from runink.pipes.batch import Batch
from runink.pipes.edge import ConsumerGone, EdgeReader, EdgeWriter, ProducerFailed
from runink.pipes.open import open_pipe, open_slots
from runink.pipes.slot_pool import SLOTS_MAX
from runink.sandbox import seccomp
from runink.sandbox.syscalls import PR_SET_NO_NEW_PRIVS, prctl

ENDS: Final = {"pipe": open_pipe, "slots": open_slots}
WRITERS: Final = {"pipe": os_pipe.open_writer, "slots": slots.open_writer}
READERS: Final = {"pipe": os_pipe.open_reader, "slots": slots.open_reader}
ROWS: Final = 50_000  # 400 KB a batch: several do not fit into a pipe
BATCHES: Final = 8
KEPT: Final = 3
ENDED_S: Final = 60  # for a child to end: far more than it takes, far less than for ever


def batch(number: int) -> Batch:
    start = number * ROWS
    column = pa.array(range(start, start + ROWS), pa.int64())
    return Batch(pa.record_batch({"n": column}), "producer", start)


def huge(number: int) -> Batch:
    """Return a batch of one row that cannot be cut: larger than a pipe, and than two slots."""
    return Batch(pa.record_batch({"t": [str(number) * (20 << 20)]}), "producer", number)


def consume(reader: EdgeReader) -> None:
    """Keep what comes, say that it has come, and stand still."""
    kept = [one for one, _ in zip(reader, range(KEPT), strict=False)]
    os.write(sys.stdout.fileno(), b"%d\n" % len(kept))
    signal.pause()


def produce(writer: EdgeWriter, ending: str) -> None:
    """Write batches and end as told. Returns only if the stream ended."""
    for number in range(BATCHES):
        writer.write(huge(number) if ending == "huge" else batch(number))
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
    if sys.argv[2] == "consume":
        consume(READERS[sys.argv[3]](int(sys.argv[1]), fingerprint="f"))
    writer = WRITERS[sys.argv[3]](int(sys.argv[1]), fingerprint="f")
    try:
        produce(writer, sys.argv[2])
    except ConsumerGone:
        return 7
    writer.close()
    return 0


@pytest.fixture(params=ENDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@contextmanager
def producer(
    ending: str, kind: str, *, fingerprint: str = "f"
) -> Iterator[tuple[EdgeReader, subprocess.Popen[bytes]]]:
    """Run a producer, and give the reader of its edge."""
    ends = ENDS[kind]()
    child = subprocess.Popen(
        [sys.executable, __file__, str(ends.write), ending, kind], pass_fds=[ends.write]
    )
    os.close(ends.write)
    reader = READERS[kind](ends.read, fingerprint=fingerprint)
    try:
        yield reader, child
    finally:
        reader.close()
        child.kill()
        child.wait(ENDED_S)


def test_all_batches_come_over_and_the_end_is_clean(kind: str) -> None:
    with producer("end", kind) as (reader, child):
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
    kind: str, ending, status, told
) -> None:
    with producer(ending, kind) as (reader, child):
        came = []
        with pytest.raises(ProducerFailed, match=told):
            came.extend(one.data.num_rows for one in reader)
        assert came == [ROWS] * BATCHES
        assert child.wait(ENDED_S) == status


def test_what_is_printed_into_an_edge_is_not_taken_for_data(kind: str) -> None:
    with producer("print", kind) as (reader, _):
        came = []
        with pytest.raises(ProtocolViolation, match="no frame of an edge"):
            came.extend(one.data.num_rows for one in reader)
        assert came == [ROWS] * BATCHES


def test_a_producer_that_is_killed_in_the_middle_of_a_frame_has_failed(kind: str) -> None:
    """The pipe is full and nobody reads, so that the producer is in the middle of a batch when it is killed."""
    with producer("for ever", kind) as (reader, child):
        stream = iter(reader)
        next(stream)
        child.kill()
        child.wait(ENDED_S)
        came = []
        with pytest.raises(ProducerFailed):
            came.extend(one.data.num_rows for one in stream)
        assert came == [ROWS] * len(came)
        assert len(came) < BATCHES


def test_a_producer_that_is_killed_in_the_middle_of_a_row_has_failed(kind: str) -> None:
    """Of the second row nobody has read the beginning, and there is no room for the rest."""
    with producer("huge", kind) as (reader, child):
        stream = iter(reader)
        first = next(stream)
        child.kill()
        child.wait(ENDED_S)
        with pytest.raises(ProducerFailed):
            next(stream)
        assert first.data == huge(0).data
        assert shared_memory(os.getpid()) <= SLOTS_MAX
        reader.close()
        del first, stream
        assert shared_memory(os.getpid()) == 0


def test_a_reader_that_is_killed_while_it_reads_is_told_to_its_writer_and_leaves_nothing(
    kind: str,
) -> None:
    before = descriptors()
    ends = ENDS[kind]()
    child = subprocess.Popen(
        [sys.executable, __file__, str(ends.read), "consume", kind],
        pass_fds=[ends.read],
        stdout=subprocess.PIPE,
    )
    os.close(ends.read)
    writer = WRITERS[kind](ends.write, fingerprint="f")
    killer = threading.Thread(target=kill_when_it_reads, args=(child,))
    killer.start()
    with pytest.raises(ConsumerGone):
        produce(writer, "for ever")
    killer.join(ENDED_S)
    writer.close()
    assert child.wait(ENDED_S) == -signal.SIGKILL
    assert shared_memory(os.getpid()) == 0
    assert descriptors() == before


def kill_when_it_reads(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout is not None
    with child.stdout as said:
        assert int(said.readline()) == KEPT
    child.kill()


def test_a_producer_whose_reader_goes_is_told_and_ends(kind: str) -> None:
    with producer("for ever", kind) as (reader, child):
        next(iter(reader))
        reader.close()
        assert child.wait(ENDED_S) == 7


def test_ends_of_two_pipelines_part_at_the_first_frame(kind: str) -> None:
    with producer("for ever", kind, fingerprint="other") as (reader, child):
        with pytest.raises(ProtocolViolation, match="the writer's contract is f"):
            next(iter(reader))
        reader.close()
        assert child.wait(ENDED_S) == 7


def test_a_stopped_reader_stops_the_producer_with_bounded_memory(kind: str) -> None:
    """The producer writes for ever: with nobody reading it waits in the kernel, and what it holds does not grow."""
    with producer("for ever", kind) as (reader, child):
        stream = iter(reader)
        sizes = []
        for _ in range(200):
            next(stream)
            sizes.append(resident_kb(child.pid))
        assert max(sizes[100:]) <= max(sizes[:100]) * 1.1 + 1024


def test_an_edge_needs_nothing_that_a_slice_may_not(kind: str) -> None:
    """Both ends are behind the filter of a slice without network."""
    wall = seccomp.prepared(egress=False)
    ends = ENDS[kind]()
    writing = behind(wall, lambda: produce(WRITERS[kind](ends.write, fingerprint="f"), "end"))
    os.close(ends.write)
    reading = behind(wall, lambda: check_all(READERS[kind](ends.read, fingerprint="f")))
    os.close(ends.read)
    assert [os.waitpid(child, 0)[1] for child in (writing, reading)] == [0, 0]


def behind(wall: seccomp.Filter, work: Callable[[], None]) -> int:
    """Do the work in a child that is behind the filter; return its pid."""
    child = os.fork()
    if child:
        return child
    try:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(wall)
        work()
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it is
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def check_all(reader: EdgeReader) -> None:
    assert sum(one.data.num_rows for one in reader) == ROWS * BATCHES


def shared_memory(pid: int) -> int:
    """Return how many slots the process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:runink-slot")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    sys.exit(main())
