"""What is over goes when its herd has said so: runs by their age, lineage before them, whole herds behind their time; and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
import trio.testing
from controlled_world import controlled
from msgspec.structs import replace as changed
from run_world import staged_dag
from runink.actors.retention import AGAIN_S, LOOK_S, Retention
from runink.barn.keys import (
    LINEAGE,
    PIPELINES,
    RUNS,
    SLICES,
    herd_key,
    lineage_key,
    pipeline_key,
    run_key,
    slice_key,
)
from runink.clients.barn import BarnClient
from runink.dag import Resources
from runink.errors import Unavailable
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.herds.record import Retention as Kept
from runink.names import BundleHash, HerdName, RunId, SliceId, run_id
from runink.runs.records import PipelineRecord, RunRecord, RunState, SliceRecord, SliceState
from runink.runtime.supervisor import ChildSpec, supervise

pytestmark = pytest.mark.trio

CRM, OTHER = HerdName("crm"), HerdName("other")
DAG = staged_dag("a")
DAY = 86_400_000
START = 100 * DAY


@dataclass
class Keeping:
    """A keeper of what is over; its wall clock goes with virtual time."""

    barn: BarnClient
    at_ms: int = START

    def now_ms(self) -> int:
        return self.at_ms + round(anyio.current_time() * 1000)

    async def herd(self, kept: Kept, name: HerdName = CRM) -> None:
        await self.barn.put(herd_key(name), HerdRecord(name, retention=kept))

    async def put(self, ago_days: int, herd: HerdName = CRM, **changes: object) -> RunId:
        """Put a run that has ended so long ago, with a slice and lineage."""
        ended_ms = START - ago_days * DAY
        run = run_id(now_ms=ended_ms, entropy=herd.ljust(10).encode()[:10])
        record = RunRecord(
            run, herd, DAG.pipeline, DAG.hash, "P", "p.dsl", "/p", BundleHash("b"),
            RunState.SUCCEEDED, ended_ms,
        )  # fmt: skip
        await self.barn.put(pipeline_key(herd, DAG.pipeline, DAG.hash), PipelineRecord(DAG))
        record = changed(record, ended_ms=ended_ms, **changes)
        await self.barn.put(run_key(herd, run), record)
        done = SliceRecord(SliceId("a"), run, herd, "a", SliceState.SUCCEEDED, Resources())
        await self.barn.put(slice_key(herd, run, done.slice), done)
        await self.barn.put(lineage_key(herd, run), b"{}")
        return run

    async def runs(self) -> list[RunId]:
        return [one.value.run for one in (await self.barn.range(RUNS.prefix(), RunRecord)).items]

    async def lineages(self) -> list[str]:
        found = await self.barn.range(LINEAGE.prefix(), bytes)
        return [one.key.rpartition("/")[2] for one in found.items]


class Away(BarnClient):
    """A client whose Barn does not answer at first."""

    silent = 0

    async def range(self, prefix, kind, *, limit=0):
        if self.silent:
            self.silent -= 1
            raise Unavailable("nobody leads")
        return await super().range(prefix, kind, limit=limit)


@asynccontextmanager
async def keeping(*, silent: int = 0) -> AsyncIterator[Keeping]:
    """Yield what the test fills; the keeper begins with the first look at virtual time."""
    async with controlled() as world, supervise() as supervisor:
        found = Keeping(world.client.barn)
        client = Away(world.client.barn._barn, new_id=lambda: "retention")
        client.silent = silent
        keeper = Retention(client, world.runs, now_ms=found.now_ms)
        await supervisor.start(ChildSpec("retention", lambda: keeper))
        yield found


async def test_runs_go_when_they_ended_so_long_ago_as_their_herd_keeps_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping() as kept:
        await kept.herd(Kept(runs_ms=30 * DAY))
        await kept.herd(Kept(), OTHER)
        old, young = await kept.put(31), await kept.put(29)
        others = await kept.put(99, OTHER)
        await anyio.sleep(LOOK_S + 1)
        assert sorted(await kept.runs()) == sorted([young, others])
        assert old not in await kept.lineages()
        assert not (await kept.barn.range(SLICES.prefix(CRM, old), bytes)).items
        kept.at_ms += 2 * DAY
        await anyio.sleep(LOOK_S + 1)
        assert await kept.runs() == [others]


async def test_a_run_under_way_stays_whatever_its_age(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping() as kept:
        await kept.herd(Kept(runs_ms=DAY, lineage_ms=DAY))
        run = await kept.put(5, state=RunState.RUNNING, paused=True)
        await anyio.sleep(LOOK_S + 1)
        assert await kept.runs() == [run]
        assert await kept.lineages() == [run]


async def test_lineage_may_go_before_its_run(autojump_clock: trio.testing.MockClock) -> None:
    async with keeping() as kept:
        await kept.herd(Kept(lineage_ms=7 * DAY))
        old, young = await kept.put(8), await kept.put(6)
        await anyio.sleep(LOOK_S + 1)
        assert await kept.runs() == [old, young]
        assert await kept.lineages() == [young]


async def test_what_a_failed_run_keeps_goes_first_and_its_record_when_that_is_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping() as kept:
        await kept.herd(Kept(runs_ms=DAY))
        run = await kept.put(2, state=RunState.FAILED, kept_until_ms=START + DAY, kept=("a",))
        await anyio.sleep(LOOK_S + 1)
        found = await kept.barn.get(run_key(CRM, run), RunRecord)
        assert found is not None
        assert found.value.kept_until_ms <= START, "its node is to let go of it"
        await kept.barn.put(found.key, changed(found.value, kept_until_ms=0, kept=()))
        await anyio.sleep(LOOK_S + 1)
        assert await kept.runs() == []


async def test_a_deleted_herd_goes_when_its_time_has_come_and_is_there_until_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping() as kept:
        gone = Deletion(START, START + DAY, "ann")
        record = HerdRecord(CRM, declared=Declared(1, 1, "ann"), deletion=gone)
        await kept.barn.put(herd_key(CRM), record)
        await kept.put(3)
        others = await kept.put(3, OTHER)
        await anyio.sleep(LOOK_S + 1)
        assert await kept.barn.get(herd_key(CRM), HerdRecord) is not None
        kept.at_ms += DAY
        await anyio.sleep(LOOK_S + 1)
        assert await kept.barn.get(herd_key(CRM), HerdRecord) is None
        assert await kept.runs() == [others]


async def test_what_only_forgotten_runs_needed_goes_with_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping() as kept:
        await kept.herd(Kept(runs_ms=DAY))
        await kept.put(2)
        await anyio.sleep(LOOK_S + 1)
        assert not (await kept.barn.range(PIPELINES.prefix(), bytes)).items


async def test_it_looks_again_soon_where_the_barn_does_not_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with keeping(silent=2) as kept:
        await kept.herd(Kept(runs_ms=DAY))
        await kept.put(2)
        await anyio.sleep(3 * AGAIN_S)
        assert await kept.runs() == []
