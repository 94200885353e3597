"""Runs through the HTTP API of real processes: submitted, followed, read, cancelled, gone on from. What they do is done by a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from runi_project import Project, ready
from runink.client import Client
from runink.errors import Conflict, NotFound
from runink.operations.answers import Event
from runink.runs.records import RunState
from team_world import HELD_BY_FILES, Team, team

pytestmark = pytest.mark.anyio
HERD, PIPELINE = "default", "p"
# The first step's rows are kept; the second one goes on when it may, and fails when it must.
TEXT = """@schedule("0 6 * * *")
Feature: P
  Scenario: S
    @source("csv://data/*.csv")
    @step("first")
    @checkpoint
    @step("second")
    @sink("jsonl://out/o.jsonl")
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def held(project: Project) -> Project:
    """A project with a pipeline that is deployed, and waits in its second step."""
    project.write("data/in.csv", "a,b\n1,x\n2,y\n")
    project.write("out/kept", "")
    project.step(HELD_BY_FILES)
    project.write("features/p.dsl", TEXT)
    return project


@contextmanager
def asked(project: Project) -> Iterator[Client]:
    """Have a cluster of one process, and a client of its API."""
    with ready(project.popen("up", "--api", "")):
        deployed = project.runi("deploy", "features/p.dsl", "--paused")
        assert deployed.code == 0, deployed
        with Client(f"unix:{project.root / '.runink/api.sock'}") as client:
            yield client


def submitted(client: Client, **more: Any) -> str:
    return str(client.runs.submit(herd=HERD, pipeline=PIPELINE, **more).run)


def begun(client: Client, run: str) -> list[Event]:
    """Follow the logs of a run until its second step has begun."""
    found = []
    with client.logs.follow(herd=HERD, run=run) as events:
        for event in events:
            found.append(event)
            if event.kind == "line" and event.data.text == "begun":
                return found
    raise AssertionError(found)


def end_of(client: Client, run: str) -> Any:
    """Follow a run to its end, and return it."""
    last = None
    with client.runs.follow(herd=HERD, run=run) as events:
        for event in events:
            if event.kind == "run":
                last = event.data.run
    assert last is not None
    return last


def printed(client: Client, run: str) -> list[str]:
    return [line.text for line in client.logs.list(herd=HERD, run=run)]


def test_a_run_is_submitted_once_followed_to_its_end_and_read(held: Project):
    with asked(held) as client:
        run = submitted(client, idempotency_key="once")
        assert submitted(client, idempotency_key="once") == run
        assert begun(client, run)[-1].data.node == "local"
        held.write("out/go", "")
        ended = end_of(client, run)
        assert (ended.state, ended.outputs[0].rows) == (RunState.SUCCEEDED, 2)
        assert held.rows("out/o.jsonl") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        assert "begun" in printed(client, run)
        assert [one.run for one in client.runs.list(herd=HERD)] == [run]
        slices = {one.slice: one for one in client.slices.list(herd=HERD, run=run)}
        assert all(one.error is None for one in slices.values())
        name = next(iter(slices))
        assert client.slices.get(herd=HERD, run=run, slice=name).run == run
        assert client.placements.why(herd=HERD, run=run).run == run
        lineage = client.lineage.get(herd=HERD, run=run)
        assert [one.uri for one in lineage.outputs] == ["jsonl://out/o.jsonl"]
        uses = client.lineage.of_dataset(herd=HERD, uri="csv://data/*.csv")
        assert [(one.run, one.use) for one in uses] == [(run, "read")]
        with pytest.raises(Conflict):
            client.runs.cancel(herd=HERD, run=run)
        with pytest.raises(NotFound):
            client.runs.get(herd="other", run=run)


def test_a_project_is_pushed_to_a_context_and_run_there_to_its_end(held: Project) -> None:
    held.environment |= {"XDG_CONFIG_HOME": str(held.root / "config")}
    with asked(held) as client:
        client.herds.create(says={"herd": {"id": HERD}})
        added = held.runi("context", "add", "here", "unix:.runink/api.sock", "--use")
        assert added.code == 0, added
        pushed = held.runi("pipeline", "push", "features/p.dsl")
        assert pushed.code == 0, pushed
        words = ("submit", PIPELINE, "--herd", HERD, "--version", "1.0.0", "--wait", "-o", "json")
        held.write("out/go", "")
        done = held.runi(*words)
        assert (done.code, done.document["state"]) == (0, "succeeded"), done
        assert held.rows("out/o.jsonl") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        (held.root / "out/go").unlink()
        held.write("out/fail", "")
        failed = held.runi(*words)
        assert (failed.code, failed.document["state"]) == (1, "failed"), failed


def test_a_run_is_cancelled_and_another_one_goes_on_from_one_that_failed(held: Project):
    with asked(held) as client:
        first = submitted(client)
        begun(client, first)
        assert client.runs.progress(herd=HERD, run=first).state is RunState.RUNNING
        client.runs.cancel(herd=HERD, run=first)
        assert end_of(client, first).state is RunState.CANCELLED

        held.write("out/fail", "")
        second = submitted(client)
        failed = end_of(client, second)
        assert (failed.state, failed.error.code) == (RunState.FAILED, "step_raised")
        (held.root / "out/fail").unlink()
        held.write("out/go", "")
        third = client.runs.retry(herd=HERD, run=second)
        assert third.resumes == second
        ended = end_of(client, third.run)
        assert ended.state is RunState.SUCCEEDED
        taken = [
            client.slices.get(herd=HERD, run=third.run, slice=one.slice).taken_from
            for one in client.slices.list(herd=HERD, run=third.run)
        ]
        assert second in taken, "what had succeeded was not done again"
        assert client.runs.get(herd=HERD, run=second).resumed_by == third.run


async def test_what_a_node_elsewhere_keeps_of_a_run_is_read_through_a_member(
    tmp_path: Path, held: Project
) -> None:
    async with team(tmp_path / "team", held, "w1", size=1) as made:
        await anyio.to_thread.run_sync(read_through, made, held)


def read_through(made: Team, held: Project) -> None:
    deployed = held.runi("deploy", "features/p.dsl", "--paused")
    assert deployed.code == 0, deployed
    path = made.group.state(1) / "api.sock"
    with Client(f"unix:{path}") as client:
        run = submitted(client)
        assert begun(client, run)[-1].data.node == "w1"
        held.write("out/go", "")
        assert end_of(client, run).state is RunState.SUCCEEDED
        assert "begun" in printed(client, run)
