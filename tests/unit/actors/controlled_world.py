"""Barn, run controller and scheduler in virtual time; the test is the agent."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from runink.actors.barn import Barn
from runink.actors.runs import RunController
from runink.actors.scheduler import Scheduler
from runink.barn.keys import (
    PLACEMENTS,
    SLICES,
    node_key,
    run_key,
)
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.clients.cluster import Cluster
from runink.clients.run_requests import Submit
from runink.dag import Dag, Resources
from runink.errors import Unavailable
from runink.herds.record import HerdRecord
from runink.jobs import Done
from runink.names import BundleHash, HerdName, NodeId, RunId, run_id
from runink.runs.records import (
    NodeRecord,
    RunRecord,
    SliceRecord,
    SliceState,
)
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.lives import Crash, CrashingActor, now_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

HERD = HerdRecord(HerdName("default"))
NODE = NodeId("n1")
SOON_S = 0.5


@dataclass
class Controlled:
    """Barn, run controller and scheduler; the test is the agent."""

    client: Cluster
    runs: LocalRef[Any]
    scheduler: LocalRef[Any]
    controllers: list[RunController] = field(default_factory=list)
    schedulers: list[Scheduler] = field(default_factory=list)
    dag: Dag = field(default_factory=lambda: staged_dag("a"))
    made: int = 0

    async def add_node(self, capacity: Resources = Resources(8000, 8 << 30)) -> None:  # noqa: B008 - it is frozen
        await self.client.barn.put(node_key(NODE), NodeRecord(NODE, capacity))

    def request(self, herd: HerdRecord = HERD) -> Submit:
        self.made += 1
        run = run_id(now_ms=self.made, entropy=bytes(10))
        return Submit(run, self.dag, herd, "/p", BundleHash("b"))

    async def crash_scheduler(self) -> None:
        await self.scheduler.tell(Crash())

    async def run(self, run: RunId) -> RunRecord:
        found = await self.client.barn.get(run_key(HERD.herd, run), RunRecord)
        assert found is not None
        return found.value

    async def slices(self, run: RunId) -> list[SliceRecord]:
        listing = await self.client.barn.range(SLICES.prefix(HERD.herd, run), SliceRecord)
        return [found.value for found in listing.items]

    async def end_placed(self) -> int:
        """Let every slice that is placed succeed; return how many that were."""
        listing = await self.client.barn.range(SLICES.prefix(), SliceRecord)
        placed = [one for one in listing.items if one.value.state is SliceState.PLACED]
        for found in placed:
            one = found.value
            done = changed(
                one, state=SliceState.SUCCEEDED, launched_ms=1, ended_ms=2, report=Done()
            )
            at = PLACEMENTS.key(NODE, one.run, one.slice)
            transaction = Transaction().put(found.key, done).delete(at)
            await self.client.barn.commit(transaction)
        return len(placed)

    async def work(self) -> None:
        """Be an agent whose slices succeed at once."""
        while True:
            await self.end_placed()
            await anyio.sleep(0.05)


@asynccontextmanager
async def controlled(disk: FaultyDisk | None = None) -> AsyncIterator[Controlled]:
    used = disk or FaultyDisk()
    controllers: list[RunController] = []
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: used, offload=in_loop))
        )

        def controller() -> CrashingActor:
            client = BarnClient(barn, new_id=lambda: f"runs{len(controllers)}")
            controllers.append(RunController(client, session="", now_ms=now_ms))
            return CrashingActor(controllers[-1])

        runs = await supervisor.start(ChildSpec("runs", controller))
        schedulers: list[Scheduler] = []

        def scheduler() -> CrashingActor:
            client = BarnClient(barn, new_id=lambda: f"scheduler{len(schedulers)}")
            schedulers.append(Scheduler(client, now_ms=now_ms))
            return CrashingActor(schedulers[-1])

        acting = await supervisor.start(ChildSpec("scheduler", scheduler))
        client = Cluster(BarnClient(barn, new_id=lambda: "t"), runs, runs)
        yield Controlled(client, runs, acting, controllers, schedulers)


def refuse_commits(barn: BarnClient, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[float]:
    """Let the next commits of this client meet a full disk; return when they came, as they come."""
    commit = barn.commit
    came_s: list[float] = []

    async def full(transaction: Transaction) -> Committed:
        came_s.append(anyio.current_time())
        if len(came_s) > times:
            return await commit(transaction)
        raise Unavailable("no space left", code="disk_full")

    monkeypatch.setattr(barn, "commit", full)
    return came_s


async def follow_to_the_end(world: Controlled, run: RunId) -> None:
    async for _ in world.client.follow(run):
        pass


async def seen(client: BarnClient, prefix: str, count: int, after: int) -> None:
    """Return when so many keys have been put there."""
    async with aclosing(client.watch(prefix, after_revision=after)) as watch:
        async for watched in watch:
            count -= len(watched.changes)
            if count <= 0:
                return
