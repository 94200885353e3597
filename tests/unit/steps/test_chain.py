"""The engine: strands, tees, diamonds, unions, side inputs and pipes."""

from __future__ import annotations

import threading

import pyarrow as pa
from chain_world import (
    ADD,
    BOTH_WAYS,
    NUMBERS,
    SIDE,
    MemoryPipe,
    MemorySource,
    World,
    chained,
    check,
    facts,
    function,
    job_of,
    program,
    run,
    sink,
    source,
    sql,
    world_of,
)
from runink.dag import MAIN, REJECTED, Each, Link, OnInvalid
from runink.expressions import Binary, Literal, Name, Operator
from runink.jobs import Done, Failed, Port, Rejections


@BOTH_WAYS
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


@BOTH_WAYS
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


@BOTH_WAYS
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


@BOTH_WAYS
def test_side_inputs_come_whole_before_the_first_batch(tmp_path, steps_file, cpus) -> None:
    steps_file(SIDE)
    world = world_of(NUMBERS, side=MemorySource([{"n": n, "name": f"#{n}"} for n in range(10)], 3))
    nodes = (source("in"), source("side"), function("named", Each.BATCH, "names"), sink("out"))
    links = (*chained("in", "named", "out"), Link("side", "named", "names"))
    result = run(job_of(tmp_path, nodes, links, cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["out"].rows == [{"n": n, "name": f"#{n}"} for n in range(10)]


@BOTH_WAYS
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


@BOTH_WAYS
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
    assert "n is negative: 1 row" in result.error.text
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


@BOTH_WAYS
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


@BOTH_WAYS
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


@BOTH_WAYS
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


@BOTH_WAYS
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


@BOTH_WAYS
def test_a_program_is_a_step_like_any_other(tmp_path, cpus) -> None:
    world = world_of(NUMBERS)
    nodes = (source("in"), program("few", "sed", "-n", "1,3p"), sink("out"))
    result = run(job_of(tmp_path, nodes, chained("in", "few", "out"), cpus=cpus), world)
    assert isinstance(result, Done), result
    assert world.sinks["out"].rows == NUMBERS[:3]
    assert [(edge.source, edge.rows) for edge in result.edges] == [("in", 10), ("few", 3)]
