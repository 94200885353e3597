"""How a chain fails or is cancelled, and what it tells then."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from chain_world import (
    ADD,
    BOTH_WAYS,
    NUMBERS,
    MemoryPipe,
    MemorySink,
    MemorySource,
    World,
    chained,
    check,
    function,
    job_of,
    program,
    run,
    sink,
    source,
    sql,
    world_of,
)
from runink.dag import REJECTED, Each, Link
from runink.jobs import Done, Failed, Port, Progress
from runink.pipes.batch import Batch
from runink.steps import chain
from runink.steps.chain import Cancelled, cancel_on_signals

FAILS = """
def inner(n):
    raise ValueError(f"no such month: {n}")
@step(each="record")
def fails(record):
    if record.n == 9:
        inner(record.n)
    return record
"""


@BOTH_WAYS
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
    assert world.sinks["dead"].rows == [{"n": -1}]
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


@BOTH_WAYS
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
    assert {world.sinks[name].state for name in "abc"} == {"aborted"}


def test_a_sink_that_cannot_be_prepared_leaves_the_dead_letter_that_was_prepared_before_it(
    tmp_path,
) -> None:
    world = world_of([*NUMBERS, {"n": -1}])
    world.sinks["out"] = MemorySink("out", prepare_error=OSError(28, "No space left on device"))
    nodes = (source("in"), check(), sink("dead", dead_letter=True), sink("out"))
    links = (*chained("in", "check", "out"), Link("check", "dead", REJECTED))
    result = run(job_of(tmp_path, nodes, links), world)
    assert isinstance(result, Failed)
    assert (result.step, result.error.code) == ("out", "io_failed")
    assert [prepared.sink for prepared in result.prepared] == ["dead"]
    assert world.sinks["dead"].state == "prepared"
    assert world.discarded == []


@BOTH_WAYS
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


def test_a_program_has_no_way_for_side_inputs(tmp_path) -> None:
    world = world_of(NUMBERS, side=MemorySource([{"n": 1}], 1))
    nodes = (source("in"), source("side"), program("cat", "cat"), sink("out"))
    links = (*chained("in", "cat", "out"), Link("side", "cat", "names"))
    result = run(job_of(tmp_path, nodes, links), world)
    assert isinstance(result, Failed)
    assert (result.step, result.error.code) == ("cat", "step_sides")
    assert "join the side inputs in a step before it" in result.error.hint


def test_what_nobody_foresaw_is_told_as_ours_with_its_traceback_in_the_log(tmp_path, capfd) -> None:
    world = world_of(NUMBERS)

    def breaks(batch) -> None:
        raise ZeroDivisionError("a library of somebody's")

    world.sinks["out"] = MemorySink("out", on_write=breaks)
    result = run(job_of(tmp_path, (source("in"), sink("out")), chained("in", "out")), world)
    assert isinstance(result, Failed)
    assert (result.step, result.error.kind) == ("out", "Broken")
    assert result.error.text == "out: ZeroDivisionError: a library of somebody's"
    assert "in breaks" in capfd.readouterr().err


def test_a_strand_that_hangs_in_a_sink_keeps_its_sink_from_being_touched(
    tmp_path, monkeypatch
) -> None:
    """What it wrote aside goes with the job's leftovers: aborting under its hands could do anything."""
    monkeypatch.setattr(chain, "UNWIND_S", 0.01)
    world = world_of(NUMBERS)
    entered, release = threading.Event(), threading.Event()

    def hang(batch) -> None:
        entered.set()
        release.wait()

    world.sinks["out"] = MemorySink("out", on_write=hang)

    def report(progress: Progress) -> None:
        assert entered.wait(60)
        raise Cancelled("SIGTERM")

    job = job_of(tmp_path, (source("in"), sink("out")), chained("in", "out"))
    result = run(job, world, report)
    assert isinstance(result, Failed)
    assert world.sinks["out"].state == "open"
    release.set()
