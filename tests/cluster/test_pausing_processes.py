"""`runi pause` with real processes: what runs goes on, the next gang waits, and after `runi unpause` the output is whole."""

from __future__ import annotations

from runi_project import Project
from runink.clients.run_requests import RunView
from runink.runs.pausing import PAUSED
from runink.runs.records import SliceState
from test_cli_kills import watched

STEP = """
import os, time
@step(each="batch")
def work(rows):
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return rows
"""


def test_the_next_gang_waits_until_the_run_goes_on(project: Project) -> None:
    project.write("data/in.csv", "a\n1\n2\n")
    project.step(STEP)
    project.write(
        "features/p.dsl",
        "Feature: paused\n\n  Scenario: first\n"
        '    @source("csv://data/in.csv")\n    @step("work")\n    @sink("jsonl://out/first.jsonl")\n\n'
        '  Scenario: second\n    @source("jsonl://out/first.jsonl")\n    @sink("jsonl://out/second.jsonl")\n',
    )
    child = project.popen("run", "features/p.dsl", "--no-isolation", "-o", "json")
    watched(project, lambda view: any(one.state is SliceState.RUNNING for one in view.slices))
    said = project.runi("pause", "last")
    assert said.code == 0, said
    assert "paused; runi unpause goes on with it" in said.out
    project.write("data/go", "")

    def has_stopped(view: RunView) -> bool:
        return all(one.state is SliceState.SUCCEEDED for one in view.slices)

    view = watched(project, has_stopped)
    assert [one.slice for one in view.slices] == ["first"]
    assert PAUSED in project.runi("runs").out
    assert project.runi("runs", "-o", "json").document[0]["paused"] is True
    assert not (project.root / "out/first.jsonl").exists()
    assert "goes on" in project.runi("unpause", "last").out
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    assert len(project.rows("out/first.jsonl")) == len(project.rows("out/second.jsonl")) == 2
    assert project.runi("pause", "last").code == 5
    assert project.processes() == []
