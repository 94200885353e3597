"""A cluster of three servers and two worker nodes, each a process: what is killed in the middle of a run, and what becomes of the run."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from barn_group import DYING_WITH_US, WAIT_S, BarnGroup, barn_group, until
from runi_project import RUNI, Project
from runink.actors.office import CONTROL_KEY, Holder
from runink.barn.keys import NODES, SLICES
from runink.clients.barn import BarnClient
from runink.runs.records import NodeRecord, SliceRecord, SliceState, Task
from test_cluster_life import GATED

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@dataclass
class Team:
    """The servers, the worker nodes beside them, and a project whose commands ask the servers."""

    group: BarnGroup
    project: Project
    barn: BarnClient
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def hire(self, name: str) -> None:
        folder = self.group.folder / name
        words = [*DYING_WITH_US, *RUNI, "agent", "--state", str(folder), "--node", name]
        for member in self.group.members:
            words += ["--server", self.group.place(member)]
        with (self.group.folder / f"{name}.log").open("ab") as log:
            words += ["--secret", str(self.group.secret)]
            self.agents[name] = subprocess.Popen(words, stdout=log, stderr=log)

    async def is_there(self, name: str) -> None:
        async def found() -> bool:
            assert self.agents[name].poll() is None, (self.group.folder / f"{name}.log").read_text()
            listing = await self.barn.range(NODES.prefix(), NodeRecord)
            return name in {one.value.node for one in listing.items}

        await until(found, f"node {name}")

    async def acting(self) -> int:
        async def found() -> int:
            holder = await self.barn.get(CONTROL_KEY, Holder)
            return int(holder.value.member.removeprefix("member-")) if holder else 0

        return await until(found, "a member that acts")

    async def slice(self) -> SliceRecord:
        """Return the one slice of the one run, when its step has begun."""

        async def found() -> SliceRecord | None:
            chains = await self.chains()
            return next((one for one in chains if self.has_begun(one)), None)

        return await until(found, "a step that has begun")

    def has_begun(self, one: SliceRecord) -> bool:
        logs = self.group.folder / f"{one.node}/runs/{one.run}/logs"
        return one.state is SliceState.RUNNING and any(
            b"begun" in path.read_bytes() for path in logs.glob(f"*{one.attempt}*.jsonl")
        )

    async def chains(self) -> list[SliceRecord]:
        listing = await self.barn.range(SLICES.prefix(), SliceRecord)
        return [one.value for one in listing.items if one.value.task is Task.CHAIN]

    def submit(self) -> subprocess.Popen[bytes]:
        return self.project.popen("run", "features/p.dsl", "-o", "json", stderr=subprocess.STDOUT)

    def end(self) -> None:
        for agent in self.agents.values():
            agent.send_signal(signal.SIGTERM)
        for agent in self.agents.values():
            agent.wait(timeout=WAIT_S)


@asynccontextmanager
async def team(folder: Path, project: Project, *nodes: str) -> AsyncIterator[Team]:
    async with barn_group(folder) as group, group.client() as barn:
        places = ",".join(map(group.place, group.members))
        project.environment |= {"RUNINK_SERVER": places, "RUNINK_SECRET": str(group.secret)}
        made = Team(group, project, barn)
        try:
            for name in nodes:
                made.hire(name)
            for name in nodes:
                await made.is_there(name)
            yield made
        finally:
            made.end()


@pytest.fixture
def gated(project: Project) -> Project:
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    return project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "team"
    made.mkdir()
    return made


def ended(child: subprocess.Popen[bytes], project: Project) -> str:
    out, _ = child.communicate(timeout=WAIT_S)
    assert child.returncode == 0, out.decode()
    assert project.rows("out/o.jsonl") == ROWS
    assert project.files("out") == ["out/o.jsonl"]
    return out.decode()


async def test_a_project_s_code_comes_to_nodes_that_have_never_seen_it(
    folder: Path, gated: Project
):
    gated.write("data/go", "")
    async with team(folder, gated, "w1") as made:
        ended(made.submit(), gated)
        (bundle,) = (folder / "w1/bundles").iterdir()
        assert (bundle / "steps/s.py").read_text() == gated.read("steps/s.py")


async def test_the_server_that_acts_is_killed_and_the_run_goes_on(folder: Path, gated: Project):
    async with team(folder, gated, "w1", "w2") as made:
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
    folder: Path, gated: Project
):
    async with team(folder, gated, "w1") as made:
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
    folder: Path, gated: Project
):
    async with team(folder, gated, "w1", "w2") as made:
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


async def test_whoever_does_not_show_the_secret_is_told_so(folder: Path, gated: Project):
    async with team(folder, gated) as made:
        other = folder / "other"
        other.write_text("not the secret of anybody here")
        other.chmod(0o600)
        said: Any = gated.runi("agent", "--state", str(folder / "w9"), "--server", made.group.place(1), "--secret", str(other))  # fmt: skip
        assert said.code != 0
        assert "does not show the secret" in said.err
