"""A chain at work: what it holds in memory, whose time it is, how far it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from chain_world import (
    NUMBERS,
    MemorySink,
    World,
    chained,
    facts,
    function,
    job_of,
    run,
    sink,
    source,
    world_of,
)
from runink.jobs import Done, Progress
from runink.pipes.batch import Batch
from runink.steps.chain import limit_threads, run_chain

HOLD = """
import probe
@step(each="batch")
def first(batch):
    return probe.made("first", batch)
@step(each="batch")
def second(batch):
    return probe.made("second", batch)
@step(each="batch")
def slow(batch):
    probe.at_slow()
    return probe.made("slow", batch)
"""


class Tracked:
    """Owns a batch's memory: Arrow keeps the object that a foreign buffer came from as long as anything points into it."""


@dataclass
class Ledger:
    """Counts the batches that are alive, by who made them, and the most that were whenever somebody looked."""

    alive: dict[str, weakref.WeakSet] = field(default_factory=lambda: defaultdict(weakref.WeakSet))
    most: Counter[str] = field(default_factory=Counter)

    def made(self, name: str, rows: int) -> pa.RecordBatch:
        data = bytearray(rows * 8)
        owner = Tracked()
        buffer = pa.foreign_buffer(pa.py_buffer(data).address, len(data), base=(data, owner))
        column = pa.Array.from_buffers(pa.int64(), rows, [None, buffer])
        self.alive[name].add(owner)
        return pa.RecordBatch.from_arrays([column], names=["n"])

    def look(self) -> None:
        for name, held in list(self.alive.items()):
            self.most[name] = max(self.most[name], len(held))


@dataclass
class CountingSource:
    """Makes tracked batches and says how many it has made."""

    ledger: Ledger
    batches_max: int
    given: int = 0
    moved: threading.Condition = field(default_factory=threading.Condition)

    def batches(self) -> Iterator[Batch]:
        for number in range(self.batches_max):
            with self.moved:
                self.given = number + 1
                self.moved.notify_all()
            yield Batch(self.ledger.made("in", 2), "data/in.csv", number * 2)

    def wait_until_given(self, count: int) -> bool:
        with self.moved:
            return self.moved.wait_for(lambda: self.given >= min(count, self.batches_max), 10)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("cpus", "ahead"), [(1, 0), (2, 2)])
def test_three_fused_steps_with_a_slow_last_one_hold_two_batches_each_at_most(
    tmp_path: Path, steps_file: Callable[[str], None], probe: ModuleType, cpus: int, ahead: int
) -> None:
    """The slow step is a gate: it opens when the source has come as far as it may, and nobody may have come further."""
    steps_file(HOLD)
    ledger = Ledger()
    counting = CountingSource(ledger, 60)
    worked_on = 0
    furthest = 0

    def at_slow() -> None:
        nonlocal worked_on, furthest
        worked_on += 1
        assert counting.wait_until_given(worked_on + ahead), "the source is held back too early"
        furthest = max(furthest, counting.given - worked_on)
        ledger.look()

    probe.made = lambda name, batch: ledger.made(name, batch.num_rows)
    probe.at_slow = at_slow
    written: list[int] = []

    def write(batch: Batch) -> None:
        written.append(batch.data.num_rows)
        out.batches.clear()

    out = MemorySink("out", on_write=write)
    world = World(sources={"in": counting}, sinks={"out": out})
    nodes = (source("in"), function("first"), function("second"), function("slow"), sink("out"))
    links = chained("in", "first", "second", "slow", "out")
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert sum(written) == 120
    assert furthest == ahead
    assert max(ledger.most[name] for name in ("first", "second", "slow")) <= 2
    assert ledger.most["in"] <= 2 + ahead
    out.batches.clear()
    assert not any(ledger.alive.values())


def test_busy_time_is_each_nodes_own(tmp_path, steps_file, probe) -> None:
    """The clock moves only inside nodes, so each second can be told."""
    now = [0.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    probe.passes = passes
    steps_file(
        'import probe\n@step(each="batch")\ndef works(batch):\n    probe.passes(10)\n    return batch\n'
    )
    world = world_of(NUMBERS, 5)
    world.sources["in"].on_batch = lambda number: passes(1)
    world.sinks["out"] = MemorySink("out", on_write=lambda batch: passes(100))
    job = job_of(
        tmp_path, (source("in"), function("works"), sink("out")), chained("in", "works", "out")
    )
    result = run_chain(job, (), lambda progress: None, doors=world, clock=lambda: now[0])
    assert {name: node.busy_s for name, node in facts(result).items()} == {
        "in": 2,
        "works": 20,
        "out": 200,
    }


def test_progress_is_told_while_it_runs(tmp_path) -> None:
    told: list[Progress] = []
    heard = threading.Event()

    def report(progress: Progress) -> None:
        told.append(progress)
        heard.set()

    world = world_of(NUMBERS)
    world.sources["in"].on_batch = lambda number: number == 4 and heard.wait(60)
    result = run(job_of(tmp_path, (source("in"), sink("out")), chained("in", "out")), world, report)
    assert isinstance(result, Done)
    assert told[0].nodes[0].rows_out == 8


@pytest.mark.parametrize("is_traced", [False, True])
def test_a_strand_has_a_thread_that_does_not_keep_the_process_and_whoever_traces_threads_sees_it(
    tmp_path: Path, steps_file: Callable[[str], None], probe: ModuleType, *, is_traced: bool
) -> None:
    steps_file(
        'import probe\n@step(each="batch")\ndef looks(batch):\n    probe.look()\n    return batch\n'
    )
    found: list[threading.Thread] = []
    probe.look = lambda: found.append(threading.current_thread())
    job = job_of(
        tmp_path, (source("in"), function("looks"), sink("out")), chained("in", "looks", "out")
    )
    kept = threading.gettrace()
    threading.settrace((lambda *_: None) if is_traced else None)  # type: ignore[arg-type] # typeshed does not know that nothing ends it
    try:
        assert isinstance(run(job, world_of(NUMBERS)), Done)
    finally:
        threading.settrace(kept)  # type: ignore[arg-type] # as above
    assert all(one.daemon and one is not threading.main_thread() for one in found)
    assert {one.name == "in" for one in found} == {is_traced}


def test_libraries_are_told_again_where_they_may_use_another_number_of_threads() -> None:
    for cpus in (3, 2, 2, 1):
        os.environ.pop(
            "POLARS_MAX_THREADS", None
        )  # as it is in a slice: its fork server has it not
        limit_threads(cpus)
        assert (pa.cpu_count(), os.environ["POLARS_MAX_THREADS"]) == (cpus, str(cpus))


POLARS_LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
import polars
from pathlib import Path
from chain_world import NUMBERS, chained, function, job_of, run, sink, source, world_of
from runink.jobs import Done
nodes = source("in"), function("counts"), sink("out")
world = world_of(NUMBERS)
job = job_of(Path(sys.argv[2]), nodes, chained("in", "counts", "out"), cpus=int(sys.argv[3]))
assert isinstance(found := run(job, world), Done), found
print(world.sinks["out"].rows[0]["n"], polars.DataFrame({"n": [2, 1]}).sort("n")["n"][0])
"""


def test_polars_has_as_many_threads_as_the_slice_asked_for_also_where_it_was_loaded_before(
    tmp_path: Path, steps_file: Callable[[str], None]
) -> None:
    steps_file(
        "import polars\n"
        '@step(each="batch")\ndef counts(batch):\n    return pa.record_batch({"n": [polars.thread_pool_size()]})\n'
    )
    cpus = (os.cpu_count() or 1) + 1  # what it takes by itself is another number
    command = [sys.executable, "-c", POLARS_LOADED, str(Path(__file__).parent), str(tmp_path)]
    found = subprocess.run(
        [*command, str(cpus)],
        env={name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(cpus), "1"]
