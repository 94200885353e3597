"""Slices whose placements are marked, in virtual time: told that they are to give way, and stopped when their grace is over."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import SOON_S, AgentWorld, agent_world
from runink.errors import WireError
from runink.jobs import Failed
from runink.runs.records import SliceRecord, SliceState
from runink.sandbox.protocol import GRACE_S, TOLD
from runink.wants import Wants

pytestmark = pytest.mark.trio
WITHIN_S = 60.0
PATIENT = Wants(grace_ms=int(WITHIN_S * 1000))
STOPPED = Failed(WireError("Refused", "cancelled", "x"))


async def told(world: AgentWorld) -> None:
    """Launch the gang, and have it told."""
    await world.place(*gang(world))
    await anyio.sleep(SOON_S)
    assert len(world.spawner.living) == 2
    await world.mark(*gang(world))
    await anyio.sleep(SOON_S)


def gang(world: AgentWorld) -> list[SliceRecord]:
    return [world.record(name, wants=PATIENT) for name in ("a", "a-1")]


async def test_a_slice_that_is_told_and_ends_within_its_grace_is_done(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await told(world)
        willing = world.slice("a"), world.slice("a-1")
        assert [one.signals for one in willing] == [[TOLD], [TOLD]]
        await anyio.sleep(WITHIN_S - 1)
        for one in willing:
            one.succeed()
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            record = await world.seen(name)
            assert (record.state, record.is_moved) == (SliceState.SUCCEEDED, False)
            assert not await world.is_placed(name)
        await anyio.sleep(WITHIN_S)
        assert [one.signals for one in willing] == [[TOLD], [TOLD]], "nothing more was asked"
        assert world.is_idle()


async def test_a_slice_that_does_not_end_within_its_grace_is_stopped_as_any_other(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await told(world)
        willing, deaf = world.slice("a"), world.slice("a-1")
        await anyio.sleep(WITHIN_S - 1)
        assert willing.signals == deaf.signals == [TOLD]
        await anyio.sleep(1)
        assert willing.signals == deaf.signals == [TOLD, signal.SIGTERM]
        willing.report(STOPPED)
        willing.exit(1)
        await anyio.sleep(GRACE_S + SOON_S)
        assert deaf.ended is not None
        assert deaf.ended.cause == "killed"
        for name in ("a", "a-1"):
            record = await world.seen(name)
            assert (record.state, record.is_moved) == (SliceState.CANCELLED, True)
        assert world.is_idle()


async def test_a_slice_that_gives_up_when_it_is_told_has_given_way_and_not_failed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await told(world)
        one = world.slice("a")
        one.report(Failed(WireError("Refused", "step_failed", "saved up to 3")))
        one.exit(1)
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert (record.state, record.is_moved) == (SliceState.CANCELLED, True)


async def test_a_slice_that_is_cancelled_within_its_grace_is_stopped_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await told(world)
        await world.take_back("a", "a-1")
        await anyio.sleep(SOON_S)
        deaf = world.slice("a")
        assert deaf.signals == [TOLD, signal.SIGTERM]
        await anyio.sleep(GRACE_S)
        assert deaf.ended is not None
        assert deaf.ended.cause == "killed"
        await anyio.sleep(WITHIN_S)
        assert world.is_idle()


async def test_a_new_life_of_the_agent_tells_it_again_and_gives_the_grace_anew(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await told(world)
        await world.crash()
        one = world.slice("a")
        assert one.signals == [TOLD, TOLD]
        await anyio.sleep(WITHIN_S - 2)
        one.succeed()
        world.slice("a-1").succeed()
        await anyio.sleep(SOON_S)
        assert (await world.seen("a")).state is SliceState.SUCCEEDED
        assert world.is_idle()


async def test_what_is_told_before_it_has_begun_never_begins(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.stop()
        for one in gang(world):
            await world.put(one)
        await world.mark(*gang(world))
        await world.start()
        await anyio.sleep(2.0)
        assert not world.spawner.slices
        assert (await world.seen("a")).state is SliceState.CANCELLED
        assert world.is_idle()
