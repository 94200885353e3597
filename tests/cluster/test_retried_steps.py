"""`@retry` and `@timeout` with real processes: what fails is tried again whole, and what comes out has no row twice, however the first attempts ended."""

from __future__ import annotations

import os
import signal

import pytest
from runi_project import Project
from runink.clients.run_requests import RunView
from runink.runs.records import SliceState
from test_cli_kills import watched

ROWS = 500
FAILING = """
import os, runink
@step(each="batch")
def work(rows):
    if runink.context().attempt < 3:
        {how}
    return rows
"""
WAYS = {
    "raises": "raise ConnectionError('the service is away')",
    "exits": "os._exit(7)",
    "is killed": "os.kill(os.getpid(), 9)",
}


@pytest.fixture
def numbers(project: Project) -> Project:
    project.write("in.csv", "a\n" + "".join(f"{number}\n" for number in range(ROWS)))
    return project


def found_in(project: Project, path: str = "out.jsonl") -> list[int]:
    return sorted(int(row["a"]) for row in project.rows(path))


@pytest.mark.parametrize("how", WAYS)
def test_a_step_that_fails_twice_and_then_goes_well_gives_all_rows_once(
    numbers: Project, how: str
) -> None:
    numbers.step(FAILING.format(how=WAYS[how]))
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@retry(2, delay=10ms)\n@sink("jsonl://out.jsonl")'
    )
    said = numbers.run(file, "-o", "json")
    assert said.code == 0, said
    attempts = {one["name"]: one["attempt"] for one in said.document["slices"]}
    assert attempts["one"] == 3
    assert found_in(numbers) == list(range(ROWS))
    told = numbers.runi("slice", "get", "last", "one")
    assert "failed 2 times" in told.out, told
    assert numbers.processes() == []


def test_one_that_fails_once_more_than_it_may_fails_the_run_and_leaves_nothing(
    numbers: Project,
) -> None:
    numbers.step(FAILING.format(how=WAYS["raises"]))
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@retry(1, delay=10ms)\n@sink("jsonl://out.jsonl")'
    )
    said = numbers.run(file, "-o", "json")
    assert said.code == 1, said
    assert said.error["code"] == "step_raised"
    assert not (numbers.root / "out.jsonl").exists()


def test_a_process_that_is_killed_in_the_middle_is_repeated_and_no_row_comes_twice(
    numbers: Project,
) -> None:
    """The first attempt has handed rows on and then waits for its end, which the test gives it; the sink adds to what is there."""
    numbers.step(
        "import runink, signal\n"
        '@step(each="stream")\n'
        "def work(batches):\n"
        "    for batch in batches:\n"
        "        yield batch\n"
        "    if runink.context().attempt == 1:\n"
        "        signal.pause()\n"
    )
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@retry(1, delay=10ms)\n@step("work", isolate=true)\n@sink("jsonl://out.jsonl")'
    )
    child = numbers.popen("run", file, "-o", "json")

    def kill(view: RunView) -> bool:
        running = [one.pid for one in view.slices if one.state is SliceState.RUNNING and one.pid]
        if len(running) < 2:
            return False
        first = next(one for one in view.slices if one.slice == "one.source")
        os.kill(first.pid, signal.SIGKILL)
        return True

    watched(numbers, kill)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    assert found_in(numbers) == list(range(ROWS))
    assert numbers.processes() == []


HANGING = """
import os, signal, runink
@step(each="batch")
def work(rows):
    if runink.context().attempt == 1:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    return rows
"""


def test_a_step_that_hangs_is_ended_with_all_that_it_started_and_tried_again(
    numbers: Project,
) -> None:
    numbers.step(HANGING)
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@timeout(2s)\n@retry(9, delay=10ms)\n@sink("jsonl://out.jsonl")'
    )
    said = numbers.run(file, "-o", "json")
    assert said.code == 0, said
    assert found_in(numbers) == list(range(ROWS))
    told = numbers.runi("slice", "get", "last", "one")
    assert "[wall_time] slice one timed out after 2 s, limit from @timeout in line 6" in told.out, (
        told
    )
    assert "limit         wall_time 2s, from @timeout in line 6" in told.out, told
    assert numbers.processes() == []


def test_a_run_that_is_out_of_its_time_fails_and_publishes_nothing(numbers: Project) -> None:
    numbers.step(HANGING)
    numbers.write(
        "features/late.dsl",
        "@timeout(1s)\nFeature: late\n\n  Scenario: first\n"
        '    @source("csv://in.csv")\n    @sink("jsonl://first.jsonl")\n\n  Scenario: second\n'
        '    @source("jsonl://first.jsonl")\n    @step("work")\n    @sink("jsonl://out.jsonl")\n',
    )
    said = numbers.run("features/late.dsl", "-o", "json")
    assert said.code == 1, said
    assert said.error["code"] == "deadline"
    assert "@timeout in line 1" in said.error["text"]
    assert not (numbers.root / "first.jsonl").exists()
    assert not (numbers.root / "out.jsonl").exists()
    assert numbers.processes() == []


def test_a_run_is_cancelled_while_it_waits_for_its_next_attempt(numbers: Project) -> None:
    numbers.step(FAILING.format(how=WAYS["raises"]))
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@retry(5, delay=10m)\n@sink("jsonl://out.jsonl")'
    )
    child = numbers.popen("run", file, "-o", "json")

    def waits(view: RunView) -> bool:
        return any(one.state is SliceState.PENDING and one.attempt == 2 for one in view.slices)

    watched(numbers, waits)
    told = numbers.runi("runs")
    assert "attempt 2, because step work (steps/s.py) raised ConnectionError" in told.out, told
    assert "begins" in numbers.runi("slice", "get", "last", "one").out
    assert numbers.runi("cancel", "last").code == 0
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130, out
    assert [path for path in numbers.root.iterdir() if "out" in path.name] == []
    assert numbers.processes() == []


def test_a_cancel_takes_the_whole_gang_and_what_it_had_begun_to_write(numbers: Project) -> None:
    numbers.step(HANGING)
    file = numbers.pipeline(
        '@source("csv://in.csv")\n@step("work")\n@retry(5)\n@step("work", isolate=true)\n@sink("jsonl://out.jsonl")'
    )
    child = numbers.popen("run", file, "-o", "json")

    def are_running(view: RunView) -> bool:
        return len([one for one in view.slices if one.state is SliceState.RUNNING]) == 3

    watched(numbers, are_running)
    assert numbers.runi("cancel", "last").code == 0
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 130, out
    assert [path for path in numbers.root.iterdir() if "out" in path.name] == []
    assert numbers.processes() == []
