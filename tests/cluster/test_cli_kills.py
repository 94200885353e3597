"""`runi run`, or only its slices, killed with -9 at every state of a run: what was there is old or new as a whole, and the next start finishes or clears.

The run is watched through a second connection to its cluster, and killed when the state is seen.  Publishing forty outputs takes long enough to be
met in the middle.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest
from runi_project import Project
from runink.barn.keys import RUNS
from runink.clients.cluster import Cluster
from runink.clients.connecting import connected
from runink.clients.run_requests import RunView
from runink.config import NodeSettings, offered
from runink.errors import NotFound, Unavailable
from runink.runs.records import RunRecord, RunState, SliceState

OUTPUTS = [f"out/o{number:02}.jsonl" for number in range(40)]
OLD = '{"what": "was there before"}\n'
NEW = '{"a":1}\n{"a":2}\n'
STATES = [
    RunState.SUBMITTED,
    RunState.ADMITTED,
    RunState.PLACED,
    RunState.RUNNING,
    RunState.COMMITTING,
]


@pytest.fixture
def wide(project: Project) -> Project:
    """A pipeline of forty outputs, all there from an earlier run, and another one that starts a cluster."""
    project.write("in.csv", "a\n1\n2\n")
    for path in OUTPUTS:
        project.write(path, OLD)
    sinks = "\n".join(f'@sink("jsonl://{path}")' for path in OUTPUTS)
    project.pipeline(f'@source("csv://in.csv")\n{sinks}')
    project.pipeline('@source("csv://in.csv")\n@sink("jsonl://other.jsonl")', file="features/q.dsl")
    return project


def watched(project: Project, act: Callable[[RunView], bool]) -> RunView:
    """Follow the one run through a connection of our own until `act` says that it has acted, or the run is over; return the last view."""

    async def whole() -> RunView:
        settings = NodeSettings(state=project.root / ".runink", capacity=offered())
        while True:  # ends with a run: the command makes one, or the test's time-out comes
            try:
                async with connected(settings) as cluster:
                    return await _until(cluster, act)
            except (NotFound, Unavailable):
                os.sched_yield()  # it does not listen yet

    return anyio.run(whole)


async def _until(cluster: Cluster, act: Callable[[RunView], bool]) -> RunView:
    listing = await cluster.barn.range(RUNS.prefix(), RunRecord)
    [found] = listing.items or [None]
    if found is None:
        raise NotFound("it has not been submitted yet")
    view = None
    async for view in cluster.follow(found.value.run):
        if act(view):
            return view
    assert view is not None
    return view


def states_of(project: Project) -> list[str]:
    return [run["state"] for run in project.runi("runs", "-o", "json").document]


def check_whole(project: Project) -> str:
    """Check that all outputs are old, or all are new, and that nothing else lies there; return which it is."""
    assert project.files("out") == OUTPUTS
    found = {project.read(path) for path in OUTPUTS}
    assert found in ({OLD}, {NEW}), found
    return "old" if found == {OLD} else "new"


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.value)
def test_a_run_that_is_killed_is_finished_or_cleared_away_by_the_next_start(
    wide: Project, state: RunState
):
    child = wide.popen("run", "features/p.dsl", stderr=subprocess.DEVNULL)

    def kill(view: RunView) -> bool:
        if STATES.index(state) > (
            STATES.index(view.record.state) if view.record.state in STATES else len(STATES)
        ):
            return False
        child.kill()
        return True

    watched(wide, kill)
    child.communicate(timeout=60)
    for path in OUTPUTS:
        assert wide.read(path) in (OLD, NEW), "each is whole at any moment"
    again = wide.runi("run", "features/q.dsl", "-q")
    assert again.code == 0, again
    which = check_whole(wide)
    newest, killed = states_of(wide)
    assert newest == "succeeded"
    if which == "new":
        assert killed == "succeeded"
    else:
        assert killed == "failed"
        assert "was ended before it was done" in again.err, again
    assert wide.processes() == []


def test_slices_that_are_killed_while_they_run_fail_the_run_and_leave_nothing(wide: Project):
    wide.step(
        'import time\n@step(each="record")\ndef work(row):\n    while True: time.sleep(0.01)\n'
    )
    sinks = "\n".join(f'@sink("jsonl://{path}")' for path in OUTPUTS)
    wide.pipeline(f'@source("csv://in.csv")\n@step("work")\n{sinks}')
    child = wide.popen("run", "features/p.dsl", "-o", "json")

    def kill(view: RunView) -> bool:
        running = [one.pid for one in view.slices if one.state is SliceState.RUNNING and one.pid]
        for pid in running:
            os.kill(pid, signal.SIGKILL)
        return bool(running)

    watched(wide, kill)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 1, out
    assert b'"slice_killed"' in out
    assert check_whole(wide) == "old"
    assert states_of(wide) == ["failed"]
    assert wide.processes() == []


@pytest.mark.parametrize("count", [1, 10, 30])
def test_when_everything_is_killed_between_two_publishes_the_next_start_finishes(
    wide: Project, count: int
):
    with wide.popen("run", "features/p.dsl", stderr=subprocess.DEVNULL) as child:
        while sum(wide.read(path) == NEW for path in OUTPUTS) < count and child.poll() is None:
            os.sched_yield()
        for pid in wide.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert {wide.read(path) for path in OUTPUTS} <= {OLD, NEW}
    again = wide.runi("run", "features/q.dsl", "-q")
    assert again.code == 0, again
    assert check_whole(wide) == "new"
    assert states_of(wide) == ["succeeded", "succeeded"]
    assert wide.processes() == []
