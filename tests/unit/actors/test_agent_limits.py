"""What an agent asks the spawner to hold its slices to, and what it writes of that."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from agent_world import HERD, SOON_S, agent_world
from msgspec.structs import replace as changed
from runink.barn.keys import herd_key
from runink.dag import Limit, Limits
from runink.herds.record import HerdRecord
from runink.runs.records import HerdLimits, SliceState

pytestmark = pytest.mark.anyio
LIMITS = Limits(memory=Limit(512 << 20, 12), cpu=Limit(500, 3))


async def test_limits_go_to_the_spawner_and_what_is_in_force_into_the_record(tmp_path: Path):
    async with agent_world(tmp_path) as world:
        herd = HerdRecord(HERD, cpu_m=4000, memory_bytes=8 << 30)
        await world.barn.put(herd_key(HERD), herd)
        await world.place(world.record("a", limits=LIMITS), world.record("a-1"))
        await anyio.sleep(SOON_S)
        held, free = world.slice("a").wanted, world.slice("a-1").wanted
        assert (held.cpu_m, held.memory_bytes) == (500, 512 << 20)
        assert (free.cpu_m, free.memory_bytes, free.cpu_weight) == (0, 0, 10)
        for wanted in (held, free):
            assert (wanted.herd_cpu_m, wanted.herd_memory_bytes) == (4000, 8 << 30)
        record = await world.seen("a")
        assert record.state is SliceState.RUNNING
        assert record.sealed == {"isolation": "none"}  # as the spawner of tests says
        assert record.herd_limits == HerdLimits(4000, 8 << 30)
        assert record.limits == LIMITS


async def test_an_agent_that_takes_slices_up_knows_what_is_in_force(tmp_path: Path):
    async with agent_world(tmp_path) as world:
        await world.place_gang()
        await anyio.sleep(SOON_S)
        await world.put(changed(await world.seen("a"), sealed={}))
        await world.crash()
        assert (await world.seen("a")).sealed == {"isolation": "none"}


async def test_a_herd_that_the_barn_does_not_know_has_no_limits(tmp_path: Path):
    async with agent_world(tmp_path) as world:
        await world.place_gang()
        await anyio.sleep(SOON_S)
        assert world.slice("a").wanted.herd_cpu_m == 0
        assert (await world.seen("a")).herd_limits == HerdLimits()
