"""What people say of a node, in virtual time: a cordoned one gets nothing new, one that is drained is emptied."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from runink.barn.keys import PLACEMENTS, node_key, standing_key
from runink.clients.barn import Committed, Transaction
from runink.clients.standings import say
from runink.dag import Resources
from runink.errors import NotFound
from runink.names import NodeId
from runink.runs.records import NodeRecord, NodeStanding, Placement, SliceState, Standing

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import NODE, SOON_S, Controlled, controlled

pytestmark = pytest.mark.trio
OTHER = NodeId("n2")


async def add_other(world: Controlled) -> None:
    await world.client.barn.put(node_key(OTHER), NodeRecord(OTHER, Resources(8000, 8 << 30)))


async def placements(world: Controlled, node: NodeId) -> int:
    return len((await world.client.barn.range(PLACEMENTS.prefix(node), Placement)).items)


async def test_a_cordoned_node_gets_nothing_new_and_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        await say(world.client.barn, NODE, Standing.CORDONED)
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.waits_for) == (SliceState.PENDING, "n1 is cordoned")
        await say(world.client.barn, NODE, None)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.node) == (SliceState.PLACED, NODE)


async def test_what_runs_on_a_node_that_is_cordoned_stays_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        await say(world.client.barn, NODE, Standing.CORDONED)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.node, one.attempt) == (SliceState.PLACED, NODE, 1)


async def test_what_is_said_outlives_the_node(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        await world.add_node()
        await say(world.client.barn, NODE, Standing.CORDONED)
        await world.client.barn.delete(node_key(NODE))
        await world.add_node()
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert one.waits_for == "n1 is cordoned"


async def test_a_node_that_is_drained_loses_its_slices_to_another(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        assert await placements(world, NODE) == 1
        await add_other(world)
        await say(world.client.barn, NODE, Standing.DRAINING)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.node, one.attempt) == (SliceState.PLACED, OTHER, 2)
        assert (one.failed_on, one.tries.losses) == (set(), 0)
        assert await placements(world, NODE) == 0


async def test_a_decision_from_before_a_node_was_cordoned_places_nothing_there(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        await world.add_node()
        (scheduler,) = world.schedulers
        commit = scheduler._barn.commit
        tried: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not tried:  # somebody is quicker than the decision
                await say(world.client.barn, NODE, Standing.CORDONED)
            tried.append(await commit(transaction))
            return tried[-1]

        monkeypatch.setattr(scheduler._barn, "commit", late)
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        assert [tried[0].succeeded, tried[0].failed] == [False, (standing_key(NODE),)]
        (one,) = await world.slices(request.run)
        assert (one.state, one.waits_for) == (SliceState.PENDING, "n1 is cordoned")


async def test_nothing_is_said_of_a_node_that_is_not_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        with pytest.raises(NotFound, match="there is no node n1"):
            await say(world.client.barn, NODE, Standing.CORDONED)
        assert await world.client.barn.get(standing_key(NODE), NodeStanding) is None


async def test_who_ends_a_drain_does_not_take_back_what_others_have_said(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        await say(world.client.barn, NODE, Standing.CORDONED, only_if=Standing.DRAINING)
        assert await world.client.barn.get(standing_key(NODE), NodeStanding) is None
        await say(world.client.barn, NODE, Standing.DRAINING)
        await say(world.client.barn, NODE, Standing.CORDONED, only_if=Standing.DRAINING)
        found = await world.client.barn.get(standing_key(NODE), NodeStanding)
        assert found is not None
        assert found.value.standing is Standing.CORDONED
