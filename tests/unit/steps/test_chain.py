"""The engine: strands, tees, diamonds, side inputs, memory, and how a chain ends or fails."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from chain_world import (
    MemoryPipe,
    MemorySink,
    MemorySource,
    World,
    chained,
    function,
    job_of,
    run,
    sink,
    source,
    sql,
)
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import MAIN, REJECTED, Check, Each, Link, OnInvalid
from runink.expressions import Binary, Literal, Name, Operator
from runink.jobs import Done, Failed, NodeFacts, Port, Progress, Rejections
from runink.pipes.batch import Batch
from runink.steps import chain
from runink.steps.chain import Cancelled, cancel_on_signals, run_chain

CONTRACT = ContractSpec("Number", "1.0.0", (FieldSpec("n", Kind.INT, ge=0),))
NUMBERS = [{"n": n} for n in range(10)]
ADD = """
@step(each="batch")
def add(batch):
    return batch.set_column(0, "n", pc.add(batch.column("n"), 100))
"""
both_ways = pytest.mark.parametrize("cpus", [1, 2])


def world_of(rows: list[dict], size: int = 2, **more: MemorySource) -> World:
    return World(sources={"in": MemorySource(rows, size), **more})


def check(name: str = "check", policy: OnInvalid = OnInvalid.DEAD_LETTER) -> Check:
    return Check(name, "s", CONTRACT, policy)


def facts(result: Done | Failed) -> dict[str, NodeFacts]:
    return {node.node: node for node in result.nodes}


@both_ways
def test_a_chain_takes_rows_from_a_source_through_steps_to_a_sink(
    tmp_path, steps_file, cpus
) -> None:
    steps_file(ADD)
    world = world_of(NUMBERS)
    nodes = (source("in"), function("add"), sink("out"))
    result = run(job_of(tmp_path, nodes, chained("in", "add", "out"), cpus=cpus), world)
    assert isinstance(result, Done)
    assert world.sinks["out"].rows == [{"n": n + 100} for n in range(10)]
    assert [(p.sink, p.rows) for p in result.prepared] == [("out", 10)]
    assert facts(result)["add"].rows_in == facts(result)["add"].rows_out == 10
    assert [node.batches for node in result.nodes] == [5, 5, 5]
    assert [(e.source, e.target, e.rows) for e in result.edges] == [
        ("in", "add", 10),
        ("add", "out", 10),
    ]
    assert result.schemas["add"] == (("n", "int64"),)
    assert world.sources["in"].closed


@both_ways
def test_a_tee_gives_every_branch_every_row(tmp_path, steps_file, cpus) -> None:
    steps_file(ADD)
    world = world_of(NUMBERS)
    nodes = (
        source("in"),
        function("add"),
        sql("count", "SELECT count(*) AS c FROM input"),
        sink("raw"),
        sink("sum"),
        sink("few"),
    )
    links = (*chained("in", "add", "sum"), *chained("in", "count", "few"), *chained("in", "raw"))
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["raw"].rows == NUMBERS
    assert len(world.sinks["sum"].rows) == 10
    assert world.sinks["few"].rows == [{"c": 10}]


@both_ways
def test_a_diamond_gives_every_row_from_both_sides_without_deadlock(
    tmp_path, steps_file, cpus
) -> None:
    steps_file(
        ADD
        + ADD.replace("def add", "def more").replace("100", "200")
        + ADD.replace("def add", "def join")
    )
    rows = [{"n": n} for n in range(200)]
    world = world_of(rows, 1)
    nodes = (source("in"), function("add"), function("more"), function("join"), sink("out"))
    links = (*chained("in", "add", "join", "out"), *chained("in", "more", "join"))
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert sorted(row["n"] for row in world.sinks["out"].rows) == sorted(
        n + by + 100 for n in range(200) for by in (100, 200)
    )


def test_a_union_into_a_sink_takes_both_sources(tmp_path) -> None:
    world = world_of(NUMBERS, other=MemorySource([{"n": 50}], 1))
    nodes = (source("in"), source("other"), sink("out"))
    links = (*chained("in", "out"), *chained("other", "out"))
    assert isinstance(run(job_of(tmp_path, nodes, links), world), Done)
    assert sorted(row["n"] for row in world.sinks["out"].rows) == [*range(10), 50]


def test_a_union_of_different_columns_is_refused(tmp_path, steps_file) -> None:
    steps_file(ADD.replace('each="batch"', 'each="input"').replace("batch.column", "batch.column"))
    world = world_of(NUMBERS, other=MemorySource([{"m": 50}], 1))
    nodes = (source("in"), source("other"), function("add", Each.INPUT), sink("out"))
    links = (*chained("in", "add", "out"), *chained("other", "add"))
    result = run(job_of(tmp_path, nodes, links), world)
    assert isinstance(result, Failed)
    assert result.error.code == "step_schema_changed"


SIDE = """
@step(each="batch")
def named(batch, names: dict):
    return batch.append_column("name", pa.array([names["name"][names["n"].index(n)] for n in batch.column("n").to_pylist()]))
@step(each="input")
def names(table):
    return table.append_column("name", pa.array([f"#{n}" for n in table.column("n").to_pylist()]))
"""


@both_ways
def test_side_inputs_come_whole_before_the_first_batch(tmp_path, steps_file, cpus) -> None:
    steps_file(SIDE)
    world = world_of(NUMBERS, side=MemorySource([{"n": n, "name": f"#{n}"} for n in range(10)], 3))
    nodes = (source("in"), source("side"), function("named", Each.BATCH, "names"), sink("out"))
    links = (*chained("in", "named", "out"), Link("side", "named", "names"))
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["out"].rows == [{"n": n, "name": f"#{n}"} for n in range(10)]


@both_ways
def test_a_main_input_waits_on_disk_for_a_side_input_of_the_same_source(
    tmp_path, steps_file, cpus
) -> None:
    steps_file(SIDE)
    rows = [{"n": n} for n in range(300)]
    world = world_of(rows, 3)
    nodes = (
        source("in"),
        function("names", Each.INPUT),
        function("named", Each.BATCH, "names"),
        sink("out"),
    )
    links = (
        Link("in", "names"),
        Link("in", "named", MAIN, spool=True),
        Link("names", "named", "names"),
        Link("named", "out"),
    )
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["out"].rows == [{"n": n, "name": f"#{n}"} for n in range(300)]
    assert list(tmp_path.glob("*.arrow")) == []


def test_a_step_without_input_begins_a_chain(tmp_path, steps_file) -> None:
    steps_file('@step(each="stream")\ndef made():\n    yield {"n": [1]}\n    yield {"n": [2]}\n')
    world = World()
    nodes = (function("made", Each.STREAM, takes_input=False), sink("out"))
    assert isinstance(run(job_of(tmp_path, nodes, chained("made", "out")), world), Done)
    assert world.sinks["out"].rows == [{"n": 1}, {"n": 2}]


@both_ways
def test_a_check_sends_good_rows_on_and_bad_ones_to_the_dead_letter(tmp_path, cpus) -> None:
    world = world_of([{"n": n} for n in (1, -2, 3, -4)])
    nodes = (source("in"), check(), sink("out"), sink("dead", dead_letter=True))
    links = (*chained("in", "check", "out"), Link("check", "dead", REJECTED))
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done)
    assert world.sinks["out"].rows == [{"n": 1}, {"n": 3}]
    assert world.sinks["dead"].rows == [{"n": -2}, {"n": -4}]
    assert result.rejections == (Rejections("check", "n", "ge", "n is negative", 2),)
    assert facts(result)["check"].rejected == 2


def test_a_check_that_fails_its_run_says_why_and_where(tmp_path) -> None:
    world = world_of([{"n": n} for n in (1, 2, 3, -4)])
    nodes = (source("in"), check(policy=OnInvalid.FAIL), sink("out"))
    result = run(job_of(tmp_path, nodes, chained("in", "check", "out")), world)
    assert isinstance(result, Failed)
    assert result.error.code == "contract_broken"
    assert "first by row 3 of data/in.csv" in result.error.text
    assert "n is negative: 1 rows" in result.error.text
    assert (result.step, result.position) == ("check", "data/in.csv rows 2 to 3")
    assert world.sinks["out"].state == "aborted"


def test_a_sinks_condition_keeps_only_what_is_true(tmp_path) -> None:
    world = world_of(NUMBERS)
    few = sink("few", when=Binary(Operator.GT, Name("n"), Literal(7)))
    result = run(job_of(tmp_path, (source("in"), few), chained("in", "few")), world)
    assert [row["n"] for row in world.sinks["few"].rows] == [8, 9]
    assert (facts(result)["few"].rows_in, facts(result)["few"].rows_out) == (10, 2)


def test_an_empty_source_gives_sinks_their_columns(tmp_path, steps_file) -> None:
    steps_file(ADD)
    world = World(sources={"in": MemorySource([], 2, schema=pa.schema([("n", pa.int64())]))})
    nodes = (source("in"), check(), function("add"), sql("all", "FROM input"), sink("out"))
    result = run(job_of(tmp_path, nodes, chained("in", "check", "add", "all", "out")), world)
    assert isinstance(result, Done), result
    assert [(b.num_rows, b.schema.names) for b in world.sinks["out"].batches] == [(0, ["n"])]


FAILS = """
def inner(n):
    raise ValueError(f"no such month: {n}")
@step(each="record")
def fails(record):
    if record.n == 9:
        inner(record.n)
    return record
"""


@both_ways
def test_a_step_that_raises_in_the_last_batch_fails_with_its_own_lines(
    tmp_path, steps_file, cpus
) -> None:
    steps_file(FAILS)
    world = world_of(NUMBERS, 4)
    world.pipes = {0: MemoryPipe(room=100)}
    link = Link("fails", "elsewhere")
    nodes = (
        source("in"),
        check(),
        sink("dead", dead_letter=True),
        function("fails", Each.RECORD),
        sink("out"),
    )
    links = (*chained("in", "check", "fails", "out"), Link("check", "dead", REJECTED), link)
    world.sources["in"].rows = [*NUMBERS[:3], {"n": -1}, *NUMBERS[3:]]
    result = run(job_of(tmp_path, nodes, links, outputs=(Port(link, 0),), cpus=cpus), world)
    assert isinstance(result, Failed)
    assert result.error.code == "step_raised"
    assert result.error.text == "step fails (steps/f.py) raised ValueError: no such month: 9"
    assert result.step == "fails"
    assert result.traceback == (
        '  File "steps/f.py", line 10, in fails',
        "    inner(record.n)",
        '  File "steps/f.py", line 6, in inner',
        '    raise ValueError(f"no such month: {n}")',
        "ValueError: no such month: 9",
    )
    assert result.position == "data/in.csv rows 8 to 10"
    assert not result.consequence
    assert world.sinks["out"].state == "aborted"
    assert world.sinks["dead"].state == "prepared"
    assert [prepared.sink for prepared in result.prepared] == ["dead"]
    assert world.pipes[0].failed_with == result.error.text
    assert not world.pipes[0].ended
    assert world.pipes[0].closed
    assert world.sources["in"].closed


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ("return None", "step_returned", "step bad returned nothing"),
        ("return 7", "step_returned", "step bad returned a int"),
        ("raise SystemExit(3)", "step_raised", "raised SystemExit: 3"),
        ("raise MemoryError", "out_of_memory", "bad ran out of memory"),
        ("import no_such_module", "step_raised", "ModuleNotFoundError"),
        ("return batch.column('m')", "step_raised", "KeyError"),
    ],
)
def test_what_a_bad_step_does_is_told(tmp_path, steps_file, body, code, text) -> None:
    steps_file(f'@step(each="batch")\ndef bad(batch):\n    {body}\n')
    world = world_of(NUMBERS)
    job = job_of(
        tmp_path, (source("in"), function("bad"), sink("out")), chained("in", "bad", "out")
    )
    result = run(job, world)
    assert isinstance(result, Failed)
    assert result.error.code == code
    assert text in result.error.text
    assert world.sinks["out"].state == "aborted"


def test_a_step_that_cannot_be_imported_fails_before_anything_is_read(tmp_path, steps_file) -> None:
    steps_file("1 / 0\n")
    world = world_of(NUMBERS)
    world.sources["in"].on_batch = lambda number: pytest.fail("read")
    job = job_of(
        tmp_path, (sink("out"), source("in"), function("bad")), chained("in", "bad", "out")
    )
    result = run(job, world)
    assert isinstance(result, Failed)
    assert result.error.code == "step_import_failed"
    assert result.traceback[0] == '  File "steps/f.py", line 4, in <module>'
    assert world.sinks["out"].state == "aborted"


def test_steps_may_print(tmp_path, steps_file, capfd) -> None:
    steps_file('@step(each="batch")\ndef loud(batch):\n    print("hello")\n    return batch\n')
    job = job_of(
        tmp_path, (source("in"), function("loud"), sink("out")), chained("in", "loud", "out")
    )
    assert isinstance(run(job, world_of(NUMBERS, 10)), Done)
    assert capfd.readouterr().out == "hello\n"


@both_ways
def test_an_error_in_front_of_sql_or_a_step_is_told_as_its_own(tmp_path, steps_file, cpus) -> None:
    steps_file(
        '@step(each="stream")\ndef wraps(batches):\n    try:\n        yield from batches\n    except Exception as e:\n        raise RuntimeError("mine") from e\n'
    )
    for behind in (sql("wraps", "SELECT count(*) AS n FROM input"), function("wraps", Each.STREAM)):
        world = world_of(NUMBERS)

        def breaks(number: int) -> None:
            if number == 3:
                raise OSError(5, "Input/output error", "data/in.csv")

        world.sources["in"].on_batch = breaks
        job = job_of(
            tmp_path, (source("in"), behind, sink("out")), chained("in", "wraps", "out"), cpus=cpus
        )
        result = run(job, world)
        assert isinstance(result, Failed)
        assert (result.step, result.error.code) == ("in", "io_failed")
        assert "Input/output error" in result.error.text


def test_a_sink_that_cannot_write_is_the_one_that_failed(tmp_path) -> None:
    world = world_of(NUMBERS)

    def full(batch) -> None:
        raise OSError(28, "No space left on device", "out/x.parquet")

    world.sinks["out"] = MemorySink("out", on_write=full)
    result = run(job_of(tmp_path, (source("in"), sink("out")), chained("in", "out")), world)
    assert isinstance(result, Failed)
    assert (result.step, result.error.code) == ("out", "io_failed")
    assert "free some space" in result.error.hint


def test_a_sink_that_cannot_be_prepared_fails_all_and_takes_the_others_away(tmp_path) -> None:
    world = world_of(NUMBERS)
    world.sinks["b"] = MemorySink("b", prepare_error=OSError(28, "No space left on device"))
    nodes = (source("in"), sink("a"), sink("b"), sink("c"))
    links = (*chained("in", "a"), *chained("in", "b"), *chained("in", "c"))
    result = run(job_of(tmp_path, nodes, links), world)
    assert isinstance(result, Failed)
    assert result.step == "b"
    assert world.discarded == ["a"]
    assert (world.sinks["b"].state, world.sinks["c"].state) == ("aborted", "aborted")


@both_ways
def test_two_chains_are_joined_by_a_pipe(tmp_path, steps_file, cpus) -> None:
    steps_file(ADD)
    world = world_of(NUMBERS)
    world.pipes = {0: MemoryPipe()}
    link = Link("in", "add")
    first = job_of(tmp_path, (source("in"),), (link,), outputs=(Port(link, 0),), cpus=cpus)
    second = job_of(
        tmp_path,
        (function("add"), sink("out")),
        (link, Link("add", "out")),
        inputs=(Port(link, 0),),
        cpus=cpus,
    )
    results: list[Done | Failed] = []
    front = threading.Thread(target=lambda: results.append(run(first, world)))
    front.start()
    result = run(second, world)
    front.join()
    assert isinstance(result, Done)
    assert isinstance(results[0], Done)
    assert world.sinks["out"].rows == [{"n": n + 100} for n in range(10)]
    assert [edge.rows for edge in results[0].edges] == [10]


@both_ways
def test_a_neighbours_failure_is_a_consequence(tmp_path, steps_file, cpus) -> None:
    steps_file(ADD)
    world = World(pipes={0: MemoryPipe()})
    link = Link("in", "add")
    world.pipes[0].fail("in broke")
    job = job_of(
        tmp_path,
        (function("add"), sink("out")),
        (link, Link("add", "out")),
        inputs=(Port(link, 0),),
        cpus=cpus,
    )
    result = run(job, world)
    assert isinstance(result, Failed)
    assert result.consequence
    assert world.sinks["out"].state == "aborted"


@both_ways
def test_side_inputs_and_unions_may_come_by_pipes(tmp_path, steps_file, cpus) -> None:
    steps_file(SIDE)
    world = World(pipes={place: MemoryPipe() for place in range(3)})
    names = [{"n": n, "name": f"#{n}"} for n in range(10)]
    links = (Link("a", "named"), Link("b", "named"), Link("side", "named", "names"))
    fed = [(0, NUMBERS[:5]), (1, NUMBERS[5:]), (2, names)]

    def feed(place: int, rows: list[dict]) -> None:
        for batch in MemorySource(rows, 2).batches():
            world.pipes[place].write(batch)
        world.pipes[place].end()

    threads = [threading.Thread(target=feed, args=each) for each in fed]
    for thread in threads:
        thread.start()
    nodes = (function("named", Each.BATCH, "names"), sink("out"))
    ports = tuple(Port(link, place) for place, link in enumerate(links))
    job = job_of(tmp_path, nodes, (*links, Link("named", "out")), inputs=ports, cpus=cpus)
    result = run(job, world)
    for thread in threads:
        thread.join()
    assert isinstance(result, Done), result
    assert sorted(row["n"] for row in world.sinks["out"].rows) == list(range(10))


EARLY = """
@step(each="stream")
def head(batches):
    yield next(batches)
"""


@both_ways
def test_a_step_that_stops_early_does_not_cut_off_others(tmp_path, steps_file, cpus) -> None:
    steps_file(EARLY)
    world = world_of([*NUMBERS, {"n": -1}])
    nodes = (
        source("in"),
        check(),
        sink("all"),
        function("head", Each.STREAM),
        sink("out"),
        sink("dead", dead_letter=True),
    )
    links = (
        *chained("in", "check", "all"),
        *chained("check", "head", "out"),
        Link("check", "dead", REJECTED),
    )
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["out"].rows == NUMBERS[:2]
    assert world.sinks["all"].rows == NUMBERS
    assert world.sinks["dead"].rows == [{"n": -1}]


@both_ways
def test_a_source_is_not_read_to_its_end_for_nobody(tmp_path, steps_file, cpus) -> None:
    steps_file(EARLY)
    world = world_of([{"n": n} for n in range(1000)], 1)
    read: list[int] = []
    world.sources["in"].on_batch = read.append
    nodes = (source("in"), function("head", Each.STREAM), sink("out"))
    assert isinstance(
        run(job_of(tmp_path, nodes, chained("in", "head", "out"), cpus=cpus), world), Done
    )
    assert len(read) < 1000


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


@both_ways
def test_three_fused_steps_with_a_slow_last_one_hold_two_batches_each_at_most(
    tmp_path: Path, steps_file: Callable[[str], None], probe: ModuleType, cpus: int
) -> None:
    """Counts the batches that are alive, by the step that made them, whenever the slow step is at work."""
    steps_file(HOLD)
    alive: dict[str, weakref.WeakSet] = {
        name: weakref.WeakSet() for name in ("in", "first", "second", "slow")
    }
    most = dict.fromkeys(alive, 0)

    class Tracked:
        """Its life is that of the column's buffer: Arrow keeps the object that a foreign buffer came from."""

    def made(name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        data = bytearray(batch.num_rows * 8)
        owner = Tracked()
        owner.data = data
        address = (memoryview(data), owner)
        buffer = pa.foreign_buffer(pa.py_buffer(data).address, len(data), base=address)
        alive[name].add(owner)
        del owner
        column = pa.Array.from_buffers(pa.int64(), batch.num_rows, [None, buffer])
        return pa.RecordBatch.from_arrays([column], names=["n"])

    def at_slow() -> None:
        for name, held in alive.items():
            most[name] = max(most[name], len(held))

    probe.made, probe.at_slow = made, at_slow
    world = world_of([{"n": n} for n in range(60)], 2)
    world.sinks["out"] = MemorySink(
        "out", on_write=lambda batch: world.sinks["out"].batches.clear()
    )
    nodes = (source("in"), function("first"), function("second"), function("slow"), sink("out"))
    result = run(
        job_of(tmp_path, nodes, chained("in", "first", "second", "slow", "out"), cpus=cpus), world
    )
    assert isinstance(result, Done), result
    assert most["first"] >= 1
    assert max(most["first"], most["second"], most["slow"]) <= 2


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
    world.sources["in"].on_batch = lambda number: number == 4 and heard.wait(10)
    result = run(job_of(tmp_path, (source("in"), sink("out")), chained("in", "out")), world, report)
    assert isinstance(result, Done)
    assert told[0].nodes[0].rows_out == 8


class Endless(MemorySource):
    def batches(self) -> Iterator[Batch]:
        while True:
            yield from super().batches()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), Cancelled("SIGTERM")])
def test_a_cancelled_chain_keeps_the_dead_letter_and_publishes_nothing(tmp_path, interrupt) -> None:
    world = World(sources={"in": Endless([{"n": -1}], 1)}, pipes={0: MemoryPipe(room=0)})
    link = Link("in", "elsewhere")
    nodes = (source("in"), check(), sink("out"), sink("dead", dead_letter=True))
    links = (*chained("in", "check", "out"), Link("check", "dead", REJECTED), link)

    def report(progress: Progress) -> None:
        raise interrupt

    result = run(job_of(tmp_path, nodes, links, outputs=(Port(link, 0),)), world, report)
    assert isinstance(result, Failed)
    assert result.error.code == "cancelled"
    assert [prepared.sink for prepared in result.prepared] == ["dead"]
    assert world.sinks["out"].state == "aborted"
    assert world.pipes[0].failed_with


def test_a_step_that_hangs_does_not_keep_a_cancelled_chain(
    tmp_path, steps_file, probe, monkeypatch
) -> None:
    monkeypatch.setattr(chain, "UNWIND_S", 0.01)
    steps_file(
        'import probe\n@step(each="batch")\ndef hangs(batch):\n    probe.forever.wait()\n    return batch\n'
    )
    probe.forever = threading.Event()

    def report(progress: Progress) -> None:
        raise Cancelled("SIGTERM")

    job = job_of(
        tmp_path, (source("in"), function("hangs"), sink("out")), chained("in", "hangs", "out")
    )
    result = run(job, world_of(NUMBERS), report)
    probe.forever.set()
    assert isinstance(result, Failed)
    assert result.error.text == "cancelled by SIGTERM"


def test_a_signal_cancels_the_main_thread() -> None:
    kept = signal.getsignal(signal.SIGUSR1)
    try:
        cancel_on_signals(signal.SIGUSR1)
        with pytest.raises(Cancelled, match="SIGUSR1"):
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, kept)
