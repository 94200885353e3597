"""Runs whose attempts end badly on nodes, and herds that have nodes of their own: where they go, in virtual time."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from controlled_world import HERD, NODE, SOON_S, Controlled, controlled
from msgspec.structs import replace as changed
from runink.barn.keys import PLACEMENTS, node_key, slice_key
from runink.clients.barn import Transaction
from runink.dag import Resources
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import NodeId, RunId
from runink.runs.records import NodeRecord, RunState, SliceRecord, SliceState
from runink.tries import Retry

pytestmark = pytest.mark.trio

OTHER = NodeId("n2")
RAISED = Failed(WireError("Refused", "step_raised", "step x raised KeyError"), step="a.source")
RETRIES = {"a.source": Retry(5, 1000, 1000)}


async def fail(world: Controlled, run: RunId) -> SliceRecord:
    """Be the agent on whose node the one slice of a run fails; return its next attempt, once that was decided on."""
    (one,) = await world.slices(run)
    assert one.node is not None
    failed = changed(one, state=SliceState.FAILED, report=RAISED, ended_ms=1)
    transaction = Transaction().put(slice_key(one.herd, one.run, one.slice), failed)
    transaction = transaction.delete(PLACEMENTS.key(one.node, one.run, one.slice))
    await world.client.barn.commit(transaction)
    await anyio.sleep(1.0 + SOON_S)
    (again,) = await world.slices(run)
    assert again.attempt == one.attempt + 1
    return again


async def test_what_failed_on_a_node_is_tried_on_each_other_before_it_comes_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        world.dag = changed(world.dag, retries=RETRIES)
        for name in (NODE, OTHER):
            await world.client.barn.put(node_key(name), NodeRecord(name, Resources(150, 8 << 30)))
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        assert (await world.slices(request.run))[0].node == NODE
        again = await fail(world, request.run)
        assert (again.state, again.node) == (SliceState.PLACED, OTHER)
        again = await fail(world, request.run)
        assert (again.failed_on, again.state, again.node) == (
            {NODE, OTHER},
            SliceState.PLACED,
            NODE,
        )


async def test_what_failed_on_a_node_waits_for_a_busy_one_and_goes_back_when_that_is_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(Resources(150, 8 << 30))
        world.dag = changed(world.dag, retries=RETRIES)
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        other = NodeRecord(OTHER, Resources(150, 8 << 30))
        await world.client.barn.put(node_key(OTHER), other)
        busy = world.request()
        await world.client.submit(busy)
        await anyio.sleep(SOON_S)
        assert (await world.slices(busy.run))[0].node == OTHER
        again = await fail(world, request.run)
        assert again.state is SliceState.PENDING
        assert again.waits_for.startswith("it was lost or failed on n1 before; it needs cpu 100m")
        await world.client.barn.delete(node_key(OTHER))
        await anyio.sleep(SOON_S)
        assert (await world.slices(request.run))[0].node == NODE


async def test_a_run_of_a_herd_that_uses_its_own_nodes_fails_where_it_has_none_and_is_told_how_to_have_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        own = changed(HERD, own_nodes=True)
        first = world.request(own)
        await world.client.submit(first)
        await anyio.sleep(SOON_S)
        run = await world.run(first.run)
        assert run.state is RunState.FAILED
        assert run.failure is not None
        assert run.failure.error.code == "never_fits"
        assert "n1 is for all herds, and default uses its own nodes only" in run.failure.error.text
        assert "start a node with --herd default" in run.failure.error.hint
        record = NodeRecord(OTHER, Resources(8000, 8 << 30), herds=(HERD.herd,))
        await world.client.barn.put(node_key(OTHER), record)
        second = world.request(own)
        await world.client.submit(second)
        await anyio.sleep(SOON_S)
        assert (await world.slices(second.run))[0].node == OTHER
