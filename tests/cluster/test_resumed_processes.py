"""`runi resume` and `runi restart` with real processes: what was killed in the middle goes on from what had been done, its output is complete, and no row comes twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from runi_project import Project
from runink.clients.run_requests import RunView
from runink.runs.records import SliceState
from test_cli_kills import watched

ROWS = 300
ALL = list(range(ROWS))
STEPS = """
import signal
@step(each="batch")
def first(rows):
    return rows

@step(each="stream")
def second(batches, go):
    for batch in batches:
        yield batch
    if not len(go):
        signal.pause()

@step(each="stream")
def third(batches, go):
    for batch in batches:
        if not len(go):
            raise ValueError("not yet")
        yield batch
"""


@pytest.fixture
def numbers(project: Project) -> Project:
    """Each of two steps has a checkpoint in front; they read whether they may go on, and the sinks add to what is there."""
    project.write("in.csv", "a\n" + "".join(f"{number}\n" for number in ALL))
    project.write("go.csv", "x\n")
    project.write("then.csv", "x\n1\n")
    project.step(STEPS)
    project.pipeline(
        '@source("csv://go.csv", as=go)\n@source("csv://in.csv")\n@step("first")\n@sink("jsonl://early", mode=append)\n@checkpoint\n'
        '@step("second")\n@sink("jsonl://out", mode=append)'
    )
    return project


def rows_in(project: Project, folder: str) -> list[int]:
    return sorted(
        int(row["a"])
        for path in project.files(folder)
        if not Path(path).name.startswith(".")
        for row in project.rows(path)
    )


def left_aside(project: Project) -> list[Path]:
    return list(project.root.rglob(".runink-*"))


def test_what_was_killed_in_the_middle_goes_on_from_its_checkpoint(numbers: Project) -> None:
    child = numbers.popen("run", "features/p.dsl")

    def is_behind(view: RunView) -> bool:
        return any(
            one.slice == "one.go" and one.state is SliceState.RUNNING and one.pid
            for one in view.slices
        )

    watched(numbers, is_behind)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)
    numbers.write("go.csv", "x\n1\n")
    said = numbers.runi("resume", "last", "-o", "json", "-q")
    assert said.code == 0, said
    new, old = numbers.runi("runs", "-o", "json").document
    assert (new["state"], new["resumes"]) == ("succeeded", old["run"])
    assert (old["state"], old["error"], old["resumed_by"]) == ("failed", "cut", new["run"])
    assert rows_in(numbers, "early") == rows_in(numbers, "out") == ALL
    assert left_aside(numbers) == []
    again = numbers.runi("resume", old["run"], "-o", "json")
    assert (again.code, again.document["run"]) == (0, new["run"]), "no second run goes on from it"
    assert rows_in(numbers, "out") == ALL
    assert numbers.processes() == []


def test_what_failed_is_gone_on_with_or_begun_again_and_taken_away_when_it_is_forgotten(
    numbers: Project,
) -> None:
    numbers.pipeline(
        '@source("csv://then.csv", as=go)\n@source("csv://in.csv")\n@step("first")\n@checkpoint\n@step("second")\n@checkpoint\n'
        '@step("third")\n@sink("jsonl://out", mode=append)'
    )
    assert numbers.runi("resume", "last").code == 3, "nothing was run here"
    numbers.write("then.csv", "x\n1\n")
    numbers.step(STEPS.replace("if not len(go):\n            raise", "if True:\n            raise"))
    failed = numbers.run()
    assert failed.code == 1, failed
    assert failed.document["kept_until_ms"]
    assert left_aside(numbers)
    told = numbers.runi("resume", "last", "-q")
    assert told.code == 1, "it meets the same again"
    assert "3 slices of it were not done again" in told.out, told
    assert "runi resume" in told.out
    begun = numbers.runi("restart", "last", "--from", "second", "-o", "json", "-q")
    assert begun.code == 1, begun
    taken = {one["name"]: one["taken_from"] for one in begun.document["slices"]}
    assert taken["one.source"] == failed.document["run"], "not by way of the one between"
    assert taken["one.first-kept"] is None
    assert "again from second" in numbers.runi("runs").out
    numbers.step(STEPS)
    refused = numbers.runi("resume", "last", "-o", "json")
    assert (refused.code, refused.error["code"]) == (5, "code_changed"), refused
    assert left_aside(numbers)
    cleaned = numbers.runi("clean", "--keep", "0")
    assert cleaned.code == 0, cleaned
    assert left_aside(numbers) == []
    assert numbers.processes() == []
