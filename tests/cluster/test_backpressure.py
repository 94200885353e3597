"""A slow reader at the end holds everything before it: the input is read no faster than the output is taken, and no process grows.

The pipeline reads standard input and writes standard output, through three slices joined by pipes.  The test is both ends: it takes a
megabyte at a time and looks how much of the input has gone in by then.
"""

from __future__ import annotations

import os
import threading

from runi_project import Project, proc_text

LINE = b"1234567,abcdefghijklmnopqrstuvwxyz,2013-01-01\n"
BLOCK = LINE * (1 << 14)  # about 750 KB
TAKEN_BYTES = 1 << 20
WARM_TAKES = 30
TAKES = 150
AHEAD_BYTES_MAX = (
    160 << 20
)  # two batches a hand-over, some pipes, Arrow's own reading ahead: not the input
GROWTH_MAX = 1.3


class Feed(threading.Thread):
    """Writes lines without end into a descriptor, and knows how many bytes have gone in."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(daemon=True)
        self._descriptor = descriptor
        self.bytes = 0

    def run(self) -> None:
        try:
            self.bytes += os.write(self._descriptor, b"a,b,c\n")
            while True:  # ends when nobody reads any more
                self.bytes += os.write(self._descriptor, BLOCK)
        except BrokenPipeError:
            return


def memory_bytes(pids: list[int]) -> int:
    """Return the memory of all these processes, shared pages divided among those that share them."""
    total = 0
    for pid in pids:
        lines = proc_text(pid, "smaps_rollup").splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total << 10


def test_a_slow_reader_holds_the_source_and_nothing_grows(project: Project):
    project.step('@step(each="batch")\ndef work(rows):\n    return rows\n')
    project.pipeline(
        '@source("csv://-", isolate=true)\n@step("work", isolate=true)\n@sink("csv://-", isolate=true)'
    )
    child = project.popen("run", "features/p.dsl", "-q", stdin=-1)
    assert child.stdin is not None
    assert child.stdout is not None
    feed = Feed(child.stdin.fileno())
    feed.start()
    taken = warm = ahead = 0
    try:
        for take in range(TAKES):
            piece = child.stdout.read(TAKEN_BYTES)
            assert len(piece) == TAKEN_BYTES, child.stderr.read() if child.stderr else ""
            taken += len(piece)
            ahead = max(ahead, feed.bytes - taken)
            if take == WARM_TAKES:
                warm = memory_bytes(project.processes())
        late = memory_bytes(project.processes())
    finally:
        child.kill()
        feed.join(timeout=60)
        child.communicate(timeout=60)
    assert ahead < AHEAD_BYTES_MAX, f"{ahead >> 20} MiB were read ahead of the reader"
    assert late < GROWTH_MAX * warm, f"{warm >> 20} MiB became {late >> 20} MiB"
