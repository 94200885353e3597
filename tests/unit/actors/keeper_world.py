"""A keeper of schedules beside run controller and scheduler, in virtual time; the wall clock is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from controlled_world import HERD, Controlled, controlled
from msgspec.structs import replace as changed
from runink.actors.schedules import ScheduleKeeper
from runink.barn.keys import RUNS, backfill_key, deployment_key, run_key, schedule_key
from runink.calendars import Schedule, moment
from runink.clients.barn import BarnClient, Transaction
from runink.dsl.recipes import Recipe
from runink.names import BundleHash
from runink.runs.records import RunRecord, RunState
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord, ScheduleRecord
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import in_loop
from runink.testing.lives import Crash, CrashingActor

NOON = moment("2026-11-29T12:00", "UTC")
MINUTE = 60_000


@dataclass
class Clock:
    """The wall clock: it goes with virtual time, and is put forward and back by tests."""

    base_ms: int = NOON

    def __call__(self) -> int:
        return self.base_ms + round(anyio.current_time() * 1000)


@dataclass
class Kept:
    world: Controlled
    clock: Clock
    keepers: list[LocalRef[Any]] = field(default_factory=list)
    clients: list[BarnClient] = field(default_factory=list)  # of each life of a keeper

    @property
    def barn(self) -> BarnClient:
        return self.world.client.barn

    async def crash(self) -> None:
        for keeper in self.keepers:
            await keeper.tell(Crash())

    async def deploy(self, schedule: Schedule, *, recipe: Recipe | None = None) -> ScheduleRecord:
        dag = changed(self.world.dag, parameters={name: "" for name in ("tick_date",) if recipe})
        seen_ms = self.clock()
        record = ScheduleRecord(HERD.herd, dag.pipeline, dag.hash, schedule, seen_ms)
        deployment = DeploymentRecord(dag, "/p", BundleHash("b"), seen_ms, recipe=recipe)
        transaction = Transaction().put(deployment_key(HERD.herd, dag.pipeline), deployment)
        await self.barn.commit(transaction.put(self.key, record))
        return record

    @property
    def key(self) -> str:
        return schedule_key(HERD.herd, self.world.dag.pipeline)

    async def record(self) -> ScheduleRecord:
        found = await self.barn.get(self.key, ScheduleRecord)
        assert found is not None
        return found.value

    async def change(self, **what: Any) -> None:
        await self.barn.put(self.key, changed(await self.record(), **what))

    async def backfill(self, *ticks: int, at_once: int) -> None:
        pipeline = self.world.dag.pipeline
        record = BackfillRecord("01J", HERD.herd, pipeline, ticks, at_once, asked_ms=1)
        await self.barn.put(backfill_key(HERD.herd, pipeline, "01J"), record)

    async def backfilled(self) -> BackfillRecord:
        key = backfill_key(HERD.herd, self.world.dag.pipeline, "01J")
        found = await self.barn.get(key, BackfillRecord)
        assert found is not None
        return found.value

    async def runs(self) -> list[RunRecord]:
        listing = await self.barn.range(RUNS.prefix(), RunRecord)
        return [found.value for found in listing.items]

    async def ticks(self) -> list[int]:
        return [one.occasion.tick_ms for one in await self.runs() if one.occasion is not None]

    async def end(self, record: RunRecord, state: RunState = RunState.SUCCEEDED) -> None:
        """End a run that nobody runs: there is no node."""
        await self.barn.put(run_key(record.herd, record.run), changed(record, state=state))


@asynccontextmanager
async def kept(*, keepers: int = 1) -> AsyncIterator[Kept]:
    clock = Clock()
    async with controlled() as world, supervise() as supervisor:
        found = Kept(world, clock)
        lives = iter(range(1000))
        barn = world.client.barn._barn

        def keeper() -> CrashingActor:
            found.clients.append(BarnClient(barn, new_id=lambda: f"keeper{next(lives)}"))
            return CrashingActor(ScheduleKeeper(found.clients[-1], now_ms=clock, offload=in_loop))

        for number in range(keepers):
            found.keepers.append(await supervisor.start(ChildSpec(f"keeper{number}", keeper)))
        yield found
