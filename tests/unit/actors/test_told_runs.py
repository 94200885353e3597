"""A run whose steps have a grace, on a full cluster in virtual time: its placement is marked, and what it comes to within the grace counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace as changed
from runink.barn.keys import RESERVATIONS, placement_key, slice_key
from runink.clients.barn import Found, Transaction
from runink.dag import Resources
from runink.jobs import Done
from runink.names import RunId, SliceId
from runink.runs.draining import PREEMPTED
from runink.runs.records import Placement, RunState, SliceRecord, SliceState
from runink.runs.reservations import ReservationRecord
from runink.wants import Wants

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import NODE, SOON_S, Controlled, controlled
from runink.testing.lives import now_ms

pytestmark = pytest.mark.trio
ONE_SLICE = Resources(100, 8 << 30)  # room for one slice of the default size
GRACE_MS = 60_000


async def submit(world: Controlled, priority: int) -> RunId:
    request = changed(world.request(), priority=priority)
    await world.client.submit(request)
    await trio.sleep(SOON_S)
    return request.run


async def placement(world: Controlled, run: RunId) -> Found[Placement] | None:
    return await world.client.barn.get(placement_key(NODE, run, SliceId("a")), Placement)


async def only(world: Controlled, run: RunId) -> SliceRecord:
    (one,) = await world.slices(run)
    return one


async def told(world: Controlled) -> tuple[RunId, RunId]:
    """Have a run with a grace run on a full node, and another one come that is more urgent."""
    patient = tuple(changed(spec, asks=Wants(grace_ms=GRACE_MS)) for spec in world.dag.slices)
    await world.add_node(ONE_SLICE)
    plain, world.dag = world.dag, changed(world.dag, slices=patient)
    low = await submit(world, 0)
    begun = changed(await only(world, low), state=SliceState.RUNNING, launched_ms=1)
    await world.client.barn.put(slice_key(begun.herd, low, begun.slice), begun)
    await trio.sleep(SOON_S)
    world.dag = plain
    high = await submit(world, 5)
    return low, high


async def end(world: Controlled, run: RunId, **how: object) -> None:
    """Be the agent whose slice has ended."""
    one = changed(await only(world, run), ended_ms=2, **how)
    transaction = Transaction().put(slice_key(one.herd, run, one.slice), one)
    await world.client.barn.commit(transaction.delete(placement_key(NODE, run, one.slice)))
    await trio.sleep(SOON_S)


async def test_its_placement_is_marked_and_its_room_expected_behind_the_grace(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        before_ms = now_ms()
        low, high = await told(world)
        found = await placement(world, low)
        assert found is not None
        assert (found.value.is_leaving, found.value.attempt) == (True, 1)
        (kept,) = (await world.client.barn.range(RESERVATIONS.prefix(), ReservationRecord)).items
        assert GRACE_MS <= kept.value.at_ms - before_ms <= GRACE_MS + 60_000
        await trio.sleep(GRACE_MS / 1000)
        again = await placement(world, low)
        assert again is not None
        assert again.revision == found.revision, "it is marked once"
        assert (await only(world, high)).state is SliceState.PENDING


async def test_what_it_comes_to_within_its_grace_counts_and_the_other_has_its_room(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        low, high = await told(world)
        await end(world, low, state=SliceState.SUCCEEDED, report=Done())
        assert (await world.run(low)).state is RunState.SUCCEEDED
        assert (await only(world, low)).attempt == 1
        assert (await only(world, high)).state is SliceState.PLACED


async def test_what_does_not_end_begins_anew_later_and_says_what_it_had(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        low, high = await told(world)
        await end(world, low, state=SliceState.CANCELLED, is_moved=True)
        assert (await only(world, high)).state is SliceState.PLACED
        again = await only(world, low)
        assert (again.state, again.attempt) == (SliceState.PENDING, 2)
        assert again.tries.code == PREEMPTED
        assert again.tries.why.endswith("with priority 5; it had 1m for its end")
        await world.end_placed()
        await trio.sleep(SOON_S)
        placed = await placement(world, low)
        assert placed is not None
        assert (placed.value.attempt, placed.value.is_leaving) == (2, False)


async def test_a_slice_that_has_ended_meanwhile_gets_no_placement_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        low, _ = await told(world)
        await end(world, low, state=SliceState.SUCCEEDED, report=Done())
        await trio.sleep(GRACE_MS / 1000)
        assert await placement(world, low) is None


async def test_a_run_that_is_cancelled_within_its_grace_is_stopped_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        low, _ = await told(world)
        await world.client.cancel(low)
        await trio.sleep(SOON_S)
        assert await placement(world, low) is None, "its agent stops it by this"
