"""Worker nodes that are not what they were: a machine that goes and comes back while its lease still holds, a spawner that goes, an agent that stands still."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import anyio
import pytest
from barn_group import until
from runi_project import Project, first_of, proc_text
from runink.barn.keys import health_key
from runink.names import NodeId
from runink.runs.health import NodeHealth
from runink.runs.records import SliceRecord
from team_world import Team, ended, gate, team

pytestmark = pytest.mark.anyio

LONG = (
    "--lost-after",
    "10m",
)  # longer than anything is waited for: it is not the end of a lease that tells it


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def gated(project: Project) -> Project:
    return gate(project)


def kill_spawner(made: Team, node: str) -> None:
    """End a node's spawner by force; its slices end with it."""
    socket = str(made.group.folder / node / f"spawner-{node}.sock")
    pids = made.project.processes()
    found = [pid for pid in pids if socket in proc_text(pid, "cmdline").split("\0")]
    os.kill(first_of(found), signal.SIGKILL)


async def begun_anew(made: Team) -> SliceRecord:
    async def found() -> SliceRecord | None:
        chains = await made.chains()
        return next((one for one in chains if one.attempt > 1 and made.has_begun(one)), None)

    return await until(found, "the next attempt")


async def test_a_machine_that_comes_back_within_its_lease_has_lost_what_ran_there_at_once(
    tmp_path: Path, gated: Project
):
    async with team(tmp_path / "team", gated, "w1", "w2", options=LONG) as made:
        child = made.submit()
        before = await made.slice()
        assert before.node is not None
        agent = made.agents.pop(before.node)
        agent.kill()
        kill_spawner(made, before.node)
        agent.wait()
        made.hire(before.node)
        after = await begun_anew(made)
        assert (after.attempt, after.failed_on, after.tries.losses) == (2, {before.node}, 1)
        assert after.node != before.node, "it does not go back where another node is there"
        await made.is_there(before.node)
        gated.write("data/go", "")
        ended(child, gated)


async def test_a_node_whose_spawner_is_gone_has_lost_what_ran_there_at_once(
    tmp_path: Path, gated: Project
):
    async with team(tmp_path / "team", gated, "w1", "w2", options=LONG) as made:
        child = made.submit()
        before = await made.slice()
        assert before.node is not None
        kill_spawner(made, before.node)
        after = await begun_anew(made)
        assert (after.attempt, after.failed_on, after.tries.losses) == (2, {before.node}, 1)
        assert after.node != before.node
        gated.write("data/go", "")
        ended(child, gated)


async def test_a_node_that_was_lost_brings_back_what_its_herd_has_go_on(
    tmp_path: Path, gated: Project
):
    gated.write("herds/edge.toml", '[herd]\nid = "edge"\non_lost = "continue"\n')
    gated.pipeline(
        '@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")', herd="edge"
    )
    options = ("--lost-after", "10s")
    async with team(tmp_path / "team", gated, "w1", "w2", options=options) as made:
        child = made.submit()
        before = await made.slice()
        assert before.node is not None
        node = before.node

        async def is_lost() -> bool:
            found = await made.barn.get(health_key(node), NodeHealth)
            return found is not None and found.value.lost_ms > 0

        made.agents[node].send_signal(signal.SIGSTOP)
        try:
            await until(is_lost, "a lost node")
            said = await anyio.to_thread.run_sync(gated.runi, "node", "list")
            assert f"{node}: lost since" in said.out
            assert "waited for until" in said.out
        finally:
            made.agents[node].send_signal(signal.SIGCONT)
        gated.write("data/go", "")
        ended(child, gated)
        (after,) = await made.chains()
        assert (after.node, after.attempt, after.pid) == (node, 1, before.pid)


async def test_the_only_node_that_a_run_may_have_is_waited_for_while_it_is_started_anew(
    tmp_path: Path, gated: Project
):
    gated.write("data/go", "")
    gated.pipeline(
        '@source("csv://data/*.csv")\n@step("work")\n@affinity(label="gpu")\n@sink("jsonl://out/o.jsonl")'
    )
    async with team(tmp_path / "team", gated, "w2") as made:
        made.hire("w1", "--label", "gpu")
        await made.is_there("w1")
        await made.lose("w1", signal.SIGTERM)
        child = made.submit()

        async def waits() -> bool:
            return any(one.waits_for.startswith("node w1, lost ") for one in await made.chains())

        await until(waits, "a run that waits for a node")
        said = await anyio.to_thread.run_sync(gated.runi, "why", "last")
        assert " s ago, would fit: waiting until " in said.out
        made.hire("w1", "--label", "gpu")
        ended(child, gated)
        assert {one.node for one in await made.chains()} == {"w1"}


async def test_a_node_that_says_nothing_is_suspect_and_gets_nothing_until_it_is_heard(
    tmp_path: Path, gated: Project
):
    gated.write("data/go", "")

    async def are_listed(made: Team, **wanted: str) -> bool:
        said = await anyio.to_thread.run_sync(gated.runi, "node", "list", "-o", "json")
        return {one["node"]: one["state"] for one in said.document} == wanted

    async with team(tmp_path / "team", gated, "w1", "w2", options=LONG) as made:

        async def is_suspect(*, wanted: bool) -> bool:
            found = await made.barn.get(health_key(NodeId("w1")), NodeHealth)
            return found is not None and found.value.is_suspect is wanted

        made.agents["w1"].send_signal(signal.SIGSTOP)
        try:
            await until(partial(is_suspect, wanted=True), "a suspect node")
            await until(partial(are_listed, made, w1="suspect", w2="ready"), "word of it")
            ended(made.submit(), gated)
            assert {one.node for one in await made.chains()} == {"w2"}
        finally:
            made.agents["w1"].send_signal(signal.SIGCONT)
        await until(partial(is_suspect, wanted=False), "a node that is heard")
        await until(partial(are_listed, made, w1="ready", w2="ready"), "word of it")
