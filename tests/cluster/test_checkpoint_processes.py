"""`@checkpoint` with real processes: what is behind it is repeated alone, every row comes once, and nothing of it stays."""

from __future__ import annotations

import os
import signal

import pytest
from runi_project import Project
from runink.clients.run_requests import RunView
from runink.runs.records import SliceState
from test_cli_kills import watched

ROWS = 500
STEPS = """
import runink, signal
@step(each="batch")
def first(rows):
    return rows

@step(each="stream")
def second(batches):
    for batch in batches:
        yield batch
    if runink.context().attempt == 1:
        signal.pause()
"""


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_a_process_that_is_killed_behind_a_checkpoint_begins_there_again(
    project: Project, kind: str
) -> None:
    """The first attempt has handed rows on and then waits for its end, which the test gives it; the sink adds to what is there."""
    project.write("in.csv", "a\n" + "".join(f"{number}\n" for number in range(ROWS)))
    project.step(STEPS)
    file = project.pipeline(
        f'@source("csv://in.csv")\n@step("first")\n@checkpoint({kind})\n@step("second")\n@retry(1, delay=10ms)\n'
        '@sink("jsonl://out", mode=append)'
    )
    child = project.popen("run", file, "-o", "json")

    def kill(view: RunView) -> bool:
        second = next((one for one in view.slices if one.slice == "one.first-kept"), None)
        if second is None or second.state is not SliceState.RUNNING or not second.pid:
            return False
        kept = list((project.root / ".runink/runs").glob("*/checkpoints/.runink-*"))
        assert [path.suffix for path in kept] == [f".{kind}"]
        os.kill(second.pid, signal.SIGKILL)
        return True

    watched(project, kill)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, out
    listed = project.runi("slice", "list", "last", "-o", "json").document
    attempts = {one["slice"]: one["attempt"] for one in listed}
    assert attempts["one.source"] == 1, "what is in front of it was not done again"
    assert attempts["one.first-kept"] == 2
    (part,) = project.files("out")
    assert sorted(int(row["a"]) for row in project.rows(part)) == list(range(ROWS))
    assert not list((project.root / ".runink/runs").glob("*/checkpoints/.runink-*"))
    assert project.processes() == []
