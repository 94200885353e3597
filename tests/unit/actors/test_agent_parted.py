"""An agent that is parted from the Barn, and what is told to it twice, late, or of an attempt that is over."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import SOON_S, agent_world, launched, write_for_ever
from runink.actors.registration import HEARTBEAT_S, PARTED_S
from runink.errors import Unavailable
from runink.jobs import Done
from runink.runs.records import SliceState
from runink.sandbox.protocol import GRACE_S
from runink.testing.disk import FaultyDisk
from runink.testing.links import Way

pytestmark = pytest.mark.trio


@pytest.mark.parametrize("way", [Way.LOSES_REQUESTS, Way.LOSES_ANSWERS])
@pytest.mark.parametrize("away_s", [3.0, 15.0, 24.0])
async def test_an_end_is_told_once_though_the_barn_was_away(
    tmp_path: Path, way: Way, away_s: float, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        before = await world.versions("a", "a-1")
        world.link.way = way
        await anyio.sleep(1.0)
        world.slice("a").succeed(Done())
        world.slice("a-1").exit(7)
        await anyio.sleep(away_s)
        world.link.way = Way.OPEN
        await anyio.sleep(20.0)
        assert (await world.seen("a")).state is SliceState.SUCCEEDED
        other = await world.seen("a-1")
        assert other.exit is not None
        assert (other.state, other.exit.code) == (SliceState.FAILED, 7)
        assert await world.versions("a", "a-1") == [version + 1 for version in before]
        assert world.is_idle()
        assert not world.spawner.slices
        assert await world.has_node()


async def test_slices_of_an_agent_that_is_parted_end_before_its_lease_does(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        await anyio.sleep(2 * HEARTBEAT_S)
        world.link.way = Way.LOSES_REQUESTS
        willing, deaf = world.slice("a"), world.slice("a-1")
        await anyio.sleep(PARTED_S - HEARTBEAT_S - SOON_S)
        assert not willing.signals
        await anyio.sleep(HEARTBEAT_S + 2 * SOON_S)
        assert willing.signals == deaf.signals == [signal.SIGTERM]
        willing.exit(1)
        await anyio.sleep(GRACE_S)
        assert deaf.ended is not None
        await anyio.sleep(60.0)
        assert not await world.has_node()
        world.link.way = Way.OPEN
        await anyio.sleep(20.0)
        assert (await world.seen("a")).state is SliceState.CANCELLED
        assert await world.has_node()
        assert world.is_idle()
        assert len(world.agents) == 1


async def test_a_short_absence_of_the_barn_touches_no_slice(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        for _ in range(5):
            world.link.way = Way.LOSES_REQUESTS
            await anyio.sleep(2 * HEARTBEAT_S)
            world.link.way = Way.OPEN
            await anyio.sleep(3 * HEARTBEAT_S)
        assert not world.slice("a").signals
        assert len(world.agents) == 1


async def test_an_agent_that_stood_still_asks_the_barn_before_it_ends_anything(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    """Its process was stopped, or its machine was: the Barn's too, or the Barn says that the lease has ended."""
    async with agent_world(tmp_path) as world:
        await launched(world)
        for _ in range(3):
            autojump_clock.jump(2 * PARTED_S)
            await anyio.sleep(2 * HEARTBEAT_S)
        assert not world.slice("a").signals
        assert await world.has_node()
        assert len(world.agents) == 1


async def test_a_new_life_that_cannot_reach_the_barn_ends_the_slices_of_the_one_before(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    """It cannot attend them, and holds the spawner: nobody else would end them."""
    async with agent_world(tmp_path) as world:
        await launched(world)
        world.link.way = Way.LOSES_REQUESTS
        await world.crash()
        await anyio.sleep(PARTED_S - 2 * HEARTBEAT_S)
        assert len(world.spawner.living) == 2
        await anyio.sleep(4 * HEARTBEAT_S)
        assert not world.spawner.living
        world.link.way = Way.OPEN
        await anyio.sleep(60.0)
        assert (await world.seen("a")).state is SliceState.LOST
        assert world.is_idle()


async def test_a_barn_without_room_is_not_parted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    disk = FaultyDisk()
    async with agent_world(tmp_path, disk) as world:
        await launched(world)
        disk.space_bytes -= disk.free_bytes()
        for size in (30_000, 1_000, 200):
            with pytest.raises(Unavailable, match="no space"):
                await write_for_ever(world, b"x" * size)
        await anyio.sleep(3 * PARTED_S)
        assert not world.slice("a").signals


# Commands: placements, with the attempt that they are for.


async def test_a_placement_that_is_told_again_launches_nothing_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        for name in ("a", "a-1"):
            await world.place_only(world.record(name))
        await anyio.sleep(SOON_S)
        assert len(world.spawner.launched) == 2
        assert not world.slice("a").signals
        world.slice("a").succeed()
        world.slice("a-1").succeed()
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            await world.place_only(world.record(name))
        await anyio.sleep(SOON_S)
        assert len(world.spawner.launched) == 2, "what is over is not begun with again"


async def test_a_placement_of_an_older_attempt_is_refused(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await world.place_gang(attempt=2)
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            await world.place_only(world.record(name, attempt=1))
        await anyio.sleep(SOON_S)
        assert [one.attempt for one in world.spawner.living] == [2, 2]
        assert not world.slice("a", 2).signals
        assert len(world.spawner.launched) == 2


async def test_a_placement_that_the_slice_s_record_has_overtaken_is_refused(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        for name in ("a", "a-1"):
            await world.put(world.record(name, attempt=3, state=SliceState.PENDING, node=None))
            await world.place_only(world.record(name, attempt=2))
        await anyio.sleep(SOON_S)
        assert not world.spawner.launched
