"""A cluster of three servers and two worker nodes, each a process: what is killed in the middle of a run, and what becomes of the run."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from barn_group import WAIT_S, until
from runi_project import Project
from team_world import ended, gate, team

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def gated(project: Project) -> Project:
    return gate(project)


async def test_a_project_s_code_comes_to_nodes_that_have_never_seen_it(
    tmp_path: Path, gated: Project
):
    gated.write("data/go", "")
    async with team(tmp_path / "team", gated, "w1") as made:
        ended(made.submit(), gated)
        (bundle,) = (tmp_path / "team" / "w1/bundles").iterdir()
        assert (bundle / "steps/s.py").read_text() == gated.read("steps/s.py")


async def test_the_server_that_acts_is_killed_and_the_run_goes_on(tmp_path: Path, gated: Project):
    async with team(tmp_path / "team", gated, "w1", "w2") as made:
        child = made.submit()
        before = await made.slice()
        acting = await made.acting()
        made.group.kill(acting)

        async def another() -> bool:
            return await made.acting() not in (0, acting)

        await until(another, "another member that acts")
        gated.write("data/go", "")
        ended(child, gated)
        (after,) = await made.chains()
        assert (after.attempt, after.pid, after.node) == (1, before.pid, before.node)


async def test_each_server_may_be_lost_and_come_back_while_a_run_is_under_way(
    tmp_path: Path, gated: Project
):
    async with team(tmp_path / "team", gated, "w1") as made:
        child = made.submit()
        before = await made.slice()
        for member in made.group.members:
            made.group.kill(member)
            made.group.start(member)
            await made.group.ready(member)
            await made.group.leader()
        gated.write("data/go", "")
        ended(child, gated)
        (after,) = await made.chains()
        assert (after.attempt, after.pid) == (1, before.pid)


async def test_a_node_that_is_killed_with_its_slices_loses_them_to_another(
    tmp_path: Path, gated: Project
):
    options = ("--lost-after", "10s")
    async with team(tmp_path / "team", gated, "w1", "w2", options=options) as made:
        child = made.submit()
        before = await made.slice()
        assert before.node is not None
        agent = made.agents.pop(before.node)
        agent.send_signal(signal.SIGKILL)
        agent.wait()

        async def elsewhere() -> bool:
            return any(one.node not in (None, before.node) for one in await made.chains())

        began_s = time.monotonic()
        await until(elsewhere, "a slice on the other node")
        assert time.monotonic() - began_s < WAIT_S
        gated.write("data/go", "")
        ended(child, gated)
        (after,) = await made.chains()
        assert after.attempt == 2
        assert after.node != before.node


async def test_whoever_does_not_show_the_secret_is_told_so(tmp_path: Path, gated: Project):
    async with team(tmp_path / "team", gated) as made:
        other = tmp_path / "team" / "other"
        other.write_text("not the secret of anybody here")
        other.chmod(0o600)
        said: Any = gated.runi("agent", "--state", str(tmp_path / "team" / "w9"), "--server", made.group.place(1), "--secret", str(other))  # fmt: skip
        assert said.code != 0
        assert "does not show the secret" in said.err
