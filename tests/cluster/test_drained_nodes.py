"""`runi node cordon`, `drain`, `uncordon` with real processes: what runs there goes on elsewhere, and its output is whole."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import anyio
import pytest
from barn_group import WAIT_S, until
from runi_project import Project
from runink.cli.exits import ExitCode
from runink.runs.records import SliceState
from team_world import ended, gate, team
from test_cluster_life import running


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def gated(project: Project) -> Project:
    return gate(project)


@pytest.mark.anyio
async def test_a_node_is_drained_in_the_middle_of_a_run_that_ends_whole_on_the_other(
    tmp_path: Path, gated: Project
):
    async with team(tmp_path / "team", gated, "w1", "w2") as made:
        child = made.submit()
        before = await made.slice()
        assert before.node is not None
        drained = await anyio.to_thread.run_sync(
            gated.runi, "node", "drain", before.node, "--timeout", "60s", "-o", "json"
        )
        assert drained.code == ExitCode.DONE, drained
        said = {"node": before.node, "standing": "cordoned", "moved": 1}
        assert drained.document == said
        assert f"has left {before.node}, 0 to go" in drained.err
        assert before.pid not in gated.processes()

        async def elsewhere() -> bool:
            return any(
                one.node not in (None, before.node) and made.has_begun(one)
                for one in await made.chains()
            )

        await until(elsewhere, "a step that has begun on the other node")
        gated.write("data/go", "")
        ended(child, gated)
        (after,) = await made.chains()
        assert (after.state, after.attempt) == (SliceState.SUCCEEDED, 2)
        assert (after.failed_on, after.tries.losses) == (set(), 0)
        (listed,) = [
            one
            for one in gated.runi("node", "list", "-o", "json").document
            if one["node"] == before.node
        ]
        assert (listed["standing"], listed["slices"]) == ("cordoned", 0)


def held(project: Project) -> tuple[str | None, int]:
    """Return what is said of the only node, and how many slices are on it."""
    node = project.runi("node", "get", "local", "-o", "json").document
    return node["standing"], node["slices"]


def test_a_drain_whose_time_is_over_says_what_is_left_and_leaves_the_node_cordoned(gated: Project):
    with gated.up():
        child = running(gated)
        said = gated.runi("node", "drain", "local", "--timeout", "100ms", "-o", "json")
        assert said.code == ExitCode.TIMED_OUT
        assert said.error["code"] == "not_empty"
        assert "local is not empty after 0.1 s: 1 slice left there" in said.error["text"]
        assert held(gated)[0] == "cordoned"
        assert gated.runi("node", "uncordon", "local").code == ExitCode.DONE
        gated.write("data/go", "")
        ended(child, gated)
        assert held(gated) == (None, 0)


def test_a_drain_that_is_interrupted_leaves_the_node_cordoned(gated: Project):
    with gated.up():
        child = running(gated)
        drain = gated.popen("node", "drain", "local")
        while held(gated)[0] != "draining":
            assert drain.poll() is None
        drain.send_signal(signal.SIGINT)
        drain.communicate(timeout=WAIT_S)
        assert drain.returncode in (ExitCode.INTERRUPTED, -signal.SIGINT)
        assert held(gated)[0] == "cordoned"
        gated.runi("node", "uncordon", "local")
        gated.write("data/go", "")
        ended(child, gated)


def test_a_run_waits_while_the_only_node_is_cordoned_and_says_for_what(gated: Project):
    gated.write("data/go", "")
    with gated.up():
        assert (
            gated.runi("node", "cordon", "local").out == "local is cordoned: it gets nothing new\n"
        )
        assert "local: cordoned, 0 slices" in gated.runi("node", "list").out
        assert "standing      cordoned" in gated.runi("node", "get", "local").out
        child = gated.popen("run", "features/p.dsl", "-o", "json", stderr=subprocess.STDOUT)

        def waits() -> str:
            rows = gated.runi("runs", "-o", "json").document
            return rows[0]["waits_for"] if rows else ""

        while waits() != "local is cordoned":
            assert child.poll() is None, child.communicate()
        drained = gated.runi("node", "drain", "local")
        assert drained.out == "local is empty and cordoned; 0 slices left it\n"
        said = json.loads(gated.runi("node", "uncordon", "local", "-o", "json").out)
        assert said == {"node": "local", "standing": None}
        ended(child, gated)


def test_what_is_said_of_a_node_outlives_its_cluster(gated: Project):
    with gated.up():
        gated.runi("node", "cordon", "local")
    with gated.up():
        assert held(gated)[0] == "cordoned"


def test_a_node_that_is_not_there_is_neither_cordoned_nor_drained(gated: Project):
    with gated.up():
        for word in ("cordon", "uncordon", "drain"):
            said = gated.runi("node", word, "nobody", "-o", "json")
            assert (said.code, said.error["code"]) == (ExitCode.NOT_FOUND, "no_such_node")
