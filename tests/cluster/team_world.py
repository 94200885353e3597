"""A team of machines: three servers, some worker nodes, each a process, and a project whose commands ask the servers."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from barn_group import DYING_WITH_US, SAID_MAX, WAIT_S, BarnGroup, barn_group, until
from runi_project import RUNI, Project
from runink.actors.office import CONTROL_KEY, Holder
from runink.barn.keys import NODES, SLICES
from runink.clients.barn import BarnClient
from runink.runs.records import NodeRecord, SliceRecord, SliceState, Task
from test_cluster_life import GATED

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
# A checkpoint may stand before the second one, which goes on when `out/go` is there and fails when `out/fail` is.
HELD_BY_FILES = """
import os, time
@step(each="batch")
def first(rows):
    return rows

@step(each="stream")
def second(batches):
    for batch in batches:
        yield batch
    print("begun", flush=True)
    while not os.path.exists("out/go"):
        if os.path.exists("out/fail"):
            raise ValueError("not yet")
        time.sleep(0.01)
"""


@dataclass
class Team:
    """The servers, the worker nodes beside them, and a project whose commands ask the servers. `options` are those of the nodes."""

    group: BarnGroup
    project: Project
    barn: BarnClient
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def hire(self, name: str, *more: str) -> None:
        """Start a worker node, with more words for its command."""
        folder = self.group.folder / name
        words = [
            *DYING_WITH_US,
            *RUNI,
            "agent",
            "--state",
            str(folder),
            "--node",
            name,
            *self.options,
        ]
        for member in self.group.members:
            words += ["--server", self.group.place(member)]
        with (self.group.folder / f"{name}.log").open("ab") as log:
            words += ["--secret", str(self.group.secret), *more]
            self.agents[name] = subprocess.Popen(words, stdout=log, stderr=log)

    async def is_there(self, name: str) -> None:
        async def found() -> bool:
            check_lives(name, self.agents[name], self.group.folder)
            listing = await self.barn.range(NODES.prefix(), NodeRecord)
            return name in {one.value.node for one in listing.items}

        await until(found, f"node {name}")

    async def lose(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End an agent, and have its node lost, as it would be half a minute later."""
        lost = self.agents.pop(name)
        lost.send_signal(how)
        lost.wait()
        record = await self.barn.get(NODES.key(name), NodeRecord)
        assert record is not None
        await self.barn.revoke_lease(record.lease)

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
async def team(
    folder: Path,
    project: Project,
    *nodes: str,
    options: tuple[str, ...] = (),
    size: int = 3,
) -> AsyncIterator[Team]:
    """Run so many servers and these worker nodes for as long as the block, with what they keep in a folder that is made."""
    folder.mkdir()  # noqa: ASYNC240 - before anything runs
    async with barn_group(folder, size=size) as group, group.client() as barn:
        places = ",".join(map(group.place, group.members))
        project.environment |= {"RUNINK_SERVER": places, "RUNINK_SECRET": str(group.secret)}
        made = Team(group, project, barn, options=options)
        try:
            for name in nodes:
                made.hire(name)
            for name in nodes:
                await made.is_there(name)
            yield made
        finally:
            made.end()


def check_lives(name: str, agent: subprocess.Popen[bytes], folder: Path) -> None:
    """Fail if a node's process has ended: with how it did, and what it and its spawner had said by then."""
    code = agent.poll()
    if code is None:
        return
    how = f"by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with exit code {code}"
    logs = (folder / f"{name}.log", *folder.glob(f"{name}/*.log"))
    said = "\n".join(
        f"{path.relative_to(folder)}: {path.read_text()[-SAID_MAX:] or '(empty)'}"
        for path in logs
        if path.exists()
    )
    raise AssertionError(f"node {name} ended {how}\n{said or 'it has no log'}")


def gate(project: Project) -> Project:
    """Give a project a pipeline whose step waits until `data/go` is there, and return it."""
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED)
    project.pipeline('@source("csv://data/*.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    return project


def ended(child: subprocess.Popen[bytes], project: Project) -> str:
    out, _ = child.communicate(timeout=WAIT_S)
    assert child.returncode == 0, out.decode()
    assert project.rows("out/o.jsonl") == ROWS
    assert project.files("out") == ["out/o.jsonl"]
    return out.decode()
