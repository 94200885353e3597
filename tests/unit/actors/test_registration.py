"""A node's record in the Barn: what it says of the machine, and when it is written again."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import NODE, AgentWorld, agent_world
from msgspec.structs import replace as changed
from runink.actors.metrics_pages import health
from runink.actors.registration import HEARTBEAT_S, LEASE_S, REFRESH_S, SKEW_S
from runink.barn.keys import node_key
from runink.clients.barn import Found
from runink.machines import Machine, Pressure
from runink.runs.records import NodeRecord

pytestmark = pytest.mark.trio
MACHINE = Machine(2000, 1 << 33, 100 << 30, 50 << 30, pressure=Pressure())


class Eyes:
    """Looks at a machine that the test changes."""

    def __init__(self) -> None:
        self.machine = MACHINE
        self.looks = 0

    def look(self, node: NodeRecord) -> NodeRecord:
        self.looks += 1
        return changed(node, machine=self.machine)


async def stored(world: AgentWorld) -> Found[NodeRecord]:
    found = await world.barn.get(node_key(NODE), NodeRecord)
    assert found is not None
    return found


async def restarted(world: AgentWorld, eyes: Eyes) -> Found[NodeRecord]:
    world.look = eyes.look
    await world.crash()
    return await stored(world)


async def test_the_record_tells_of_the_machine(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        assert (await stored(world)).value.machine is None
        node = (await restarted(world, Eyes())).value
        assert node.machine == MACHINE
        assert node.told_ms > 0


async def test_the_record_is_not_written_again_while_nothing_changes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        eyes = Eyes()
        before = await restarted(world, eyes)
        await anyio.sleep(5 * REFRESH_S)
        assert eyes.looks >= 5
        eyes.machine = changed(MACHINE, pressure=Pressure(cpu_some=9.0))
        await anyio.sleep(2 * REFRESH_S)
        after = await stored(world)
        assert (after.revision, after.value) == (before.revision, before.value)


async def test_news_is_written_once_and_keeps_the_lease(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        eyes = Eyes()
        before = await restarted(world, eyes)
        eyes.machine = changed(MACHINE, disk_free_bytes=10 << 30)
        await anyio.sleep(REFRESH_S + HEARTBEAT_S)
        after = await stored(world)
        assert after.value.machine == eyes.machine
        assert after.lease == before.lease
        await anyio.sleep(3 * REFRESH_S)
        assert (await stored(world)).revision == after.revision


async def test_a_machine_that_changes_all_the_time_is_written_once_in_a_refresh(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        eyes = Eyes()
        revisions = {(await restarted(world, eyes)).revision}
        for number in range(24):
            eyes.machine = changed(MACHINE, pressure=Pressure(cpu_some=number % 2 * 50.0))
            await anyio.sleep(HEARTBEAT_S)
            revisions.add((await stored(world)).revision)
        assert 2 < len(revisions) <= 1 + 24 * HEARTBEAT_S / REFRESH_S


async def test_a_clock_that_is_ahead_of_the_barn_s_is_told(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        assert (await stored(world)).value.clock_skew_ms == 0
        world.clock.behind_ms = 1500
        await world.crash()
        told = await stored(world)
        assert told.value.clock_skew_ms == 1500
        world.clock.behind_ms = 1450  # the noise of a busy machine
        await anyio.sleep(SKEW_S + REFRESH_S)
        assert (await stored(world)).revision == told.revision
        world.clock.behind_ms = 1600
        await anyio.sleep(SKEW_S + REFRESH_S)
        assert (await stored(world)).value.clock_skew_ms == 1600


async def test_health_follows_the_lease(tmp_path: Path, autojump_clock: trio.testing.MockClock):
    assert health(None).status == 503
    async with agent_world(tmp_path) as world:
        await anyio.sleep(20 * HEARTBEAT_S)
        age_s = world.metrics.heartbeat_age_s
        assert age_s is not None
        assert age_s <= HEARTBEAT_S
        assert health(age_s).status == 200
        await world.supervisor.stop("barn")
        await anyio.sleep(LEASE_S + HEARTBEAT_S)
        late_s = world.metrics.heartbeat_age_s
        assert late_s is not None
        page = health(late_s)
        assert (page.status, b"not renewed" in page.body) == (503, True)
        missed = [
            one.value
            for one in world.metrics.readings(tmp_path)
            if one.labels == {"outcome": "missed"}
        ]
        assert missed[0] >= LEASE_S / HEARTBEAT_S
