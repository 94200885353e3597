"""A herd whose slices go on when their node cannot reach the cluster: it waits for them, for as long as it says, and no longer."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import agent_world, launched
from msgspec.structs import replace as changed
from runink.actors.registration import LEASE_S, PARTED_S
from runink.barn.keys import herd_key, node_key, slice_key
from runink.clients.barn import Transaction
from runink.herds.record import HerdRecord
from runink.jobs import Done
from runink.names import HerdName, NodeId
from runink.runs.records import RunState, SliceRecord, SliceState
from runink.testing.links import Way

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import NODE, SOON_S
from test_vigil import Watched, watched

pytestmark = pytest.mark.trio
OTHER = NodeId("n2")
WAIT_S = 120.0
EDGE = HerdRecord(HerdName("default"), lost_wait_ms=round(WAIT_S * 1000))


async def begun(made: Watched, herd: HerdRecord = EDGE) -> SliceRecord:
    """Return a slice that runs on NODE, which is lost then."""
    request = made.world.request(herd)
    await made.world.client.submit(request)
    await anyio.sleep(SOON_S)
    (one,) = await made.world.slices(request.run)
    assert one.node == NODE
    await write(made, one, SliceState.RUNNING)
    await made.barn.delete(node_key(NODE))
    made.living.discard(NODE)
    await anyio.sleep(SOON_S)
    return one


async def write(made: Watched, one: SliceRecord, state: SliceState) -> bool:
    """Do as the agent: write how a slice stands, unless somebody has changed it meanwhile."""
    key = slice_key(one.herd, one.run, one.slice)
    found = await made.barn.get(key, SliceRecord)
    assert found is not None
    if found.value.attempt != one.attempt:
        return False
    now = changed(found.value, state=state, launched_ms=1, report=Done())
    done = Transaction().if_revision(key, found.revision).put(key, now)
    return (await made.barn.commit(done)).succeeded


async def now(made: Watched, one: SliceRecord) -> SliceRecord:
    return next(found for found in await made.world.slices(one.run) if found.slice == one.slice)


async def test_what_runs_on_a_lost_node_is_waited_for_and_counted_when_it_comes_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, OTHER) as made:
        one = await begun(made)
        await anyio.sleep(WAIT_S - 10.0)
        assert (await now(made, one)).state is SliceState.RUNNING
        await made.hire(NODE)
        assert await write(made, one, SliceState.SUCCEEDED)
        await anyio.sleep(SOON_S)
        assert (await made.world.run(one.run)).state is RunState.SUCCEEDED
        assert (await now(made, one)).attempt == 1


async def test_it_is_waited_for_as_long_as_the_herd_says_and_then_begun_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, OTHER) as made:
        one = await begun(made)
        await anyio.sleep(WAIT_S + 2.0)
        after = await now(made, one)
        assert (after.attempt, after.failed_on, after.node) == (2, {NODE}, OTHER)
        assert not await write(made, one, SliceState.SUCCEEDED), "it is not its slice any more"


async def test_another_herd_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with watched(NODE, OTHER) as made:
        one = await begun(made, changed(EDGE, lost_wait_ms=0))
        await anyio.sleep(2.0)
        assert (await now(made, one)).attempt == 2


async def test_who_cancels_a_run_does_not_wait_for_the_node(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, OTHER) as made:
        one = await begun(made)
        await made.world.client.cancel(one.run)
        await anyio.sleep(SOON_S)
        assert (await now(made, one)).state is SliceState.LOST


async def test_an_agent_that_is_parted_lets_such_slices_go_on_and_tells_how_they_ended(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.barn.put(herd_key(EDGE.herd), EDGE)
        await launched(world)
        assert (await world.seen("a")).goes_on
        world.link.way = Way.LOSES_REQUESTS
        await anyio.sleep(2 * LEASE_S + PARTED_S)
        assert not await world.has_node()
        assert not world.slice("a").signals
        world.slice("a").succeed(Done())
        await anyio.sleep(LEASE_S)
        world.slice("a-1").succeed(Done())
        world.link.way = Way.OPEN
        await anyio.sleep(20.0)
        assert [(await world.seen(name)).state for name in ("a", "a-1")] == [SliceState.SUCCEEDED] * 2  # fmt: skip
        assert await world.has_node()
        assert world.is_idle()
