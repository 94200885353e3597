"""Runs of higher priority on a full cluster, in virtual time: what gives way to them, who goes first, and that a decision can be made again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace as changed
from runink.actors.placing import TURN_KEY
from runink.barn.keys import (
    DECISIONS,
    PLACEMENTS,
    RESERVATIONS,
    decision_key,
    herd_key,
    node_key,
    slice_key,
)
from runink.clients.barn import Committed, Transaction
from runink.clients.placement_tables import read_tables
from runink.dag import Resources
from runink.errors import OutcomeUnknown
from runink.herds.record import HerdRecord
from runink.names import RunId
from runink.placement.solver import decide
from runink.runs.draining import PREEMPTED
from runink.runs.records import (
    NodeRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runs.reservations import ReservationRecord
from runink.scheduling.decisions import DECISIONS_MAX, DecisionRecord
from runink.scheduling.snapshots import snapshot_of

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import HERD, NODE, SOON_S, Controlled, controlled, refuse_commits
from runink.testing.lives import now_ms

pytestmark = pytest.mark.trio
ONE_SLICE = Resources(100, 8 << 30)  # room for one slice of the default size


async def submit(world: Controlled, priority: int) -> RunId:
    request = changed(world.request(), priority=priority)
    await world.client.submit(request)
    await trio.sleep(SOON_S)
    return request.run


async def begin(world: Controlled, run: RunId) -> None:
    """Be the agent that begins with a run's only slice."""
    (one,) = await world.slices(run)
    assert one.state is SliceState.PLACED
    await put(world, changed(one, state=SliceState.RUNNING, launched_ms=1))


async def put(world: Controlled, one: SliceRecord) -> None:
    await world.client.barn.put(slice_key(one.herd, one.run, one.slice), one)
    await trio.sleep(SOON_S)


async def state(world: Controlled, run: RunId) -> tuple[SliceState, int]:
    (one,) = await world.slices(run)
    return one.state, one.attempt


async def reservations(world: Controlled) -> list[ReservationRecord]:
    listing = await world.client.barn.range(RESERVATIONS.prefix(), ReservationRecord)
    return [found.value for found in listing.items]


async def is_placed(world: Controlled, run: RunId) -> bool:
    listing = await world.client.barn.range(PLACEMENTS.prefix(NODE, run), bytes)
    return bool(listing.items)


async def test_a_run_of_lower_priority_gives_way_and_ends_complete_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        low = await submit(world, 0)
        await begin(world, low)
        high = await submit(world, 5)
        (kept,) = await reservations(world)
        assert (kept.key, [victim.key for victim in kept.victims]) == ((high, "a"), [(low, "a")])
        assert await state(world, low) == (SliceState.RUNNING, 1)
        assert not await is_placed(world, low), "its agent is told by this"
        assert await state(world, high) == (SliceState.PENDING, 1)
        (one,) = await world.slices(low)
        await put(world, changed(one, state=SliceState.CANCELLED, ended_ms=2))
        assert await state(world, high) == (SliceState.PLACED, 1)
        assert await reservations(world) == []
        (again,) = await world.slices(low)
        assert (again.state, again.attempt) == (SliceState.PENDING, 2)
        assert (again.tries.losses, again.tries.code) == (0, PREEMPTED)
        await world.end_placed()
        await trio.sleep(SOON_S)
        assert await state(world, low) == (SliceState.PLACED, 2)
        await world.end_placed()
        await trio.sleep(SOON_S)
        assert (await world.run(high)).state is RunState.SUCCEEDED
        assert (await world.run(low)).state is RunState.SUCCEEDED


async def test_what_has_not_begun_gives_way_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        low = await submit(world, 0)
        assert await state(world, low) == (SliceState.PLACED, 1)
        high = await submit(world, 5)
        assert await state(world, high) == (SliceState.PLACED, 1)
        assert await state(world, low) == (SliceState.PENDING, 2)


@pytest.mark.parametrize("priority", [0, -1])
async def test_nothing_gives_way_to_what_has_no_higher_priority(
    autojump_clock: trio.testing.MockClock, priority: int
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        low = await submit(world, 0)
        await begin(world, low)
        await submit(world, priority)
        assert not any(kept.victims for kept in await reservations(world))
        assert await is_placed(world, low)


async def test_nothing_gives_way_to_what_would_not_fit_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        await world.client.barn.put(node_key("n2"), NodeRecord("n2", Resources(200, 1)))
        low = await submit(world, 0)
        await begin(world, low)
        specs = tuple(changed(one, resources=Resources(200, 64 << 20)) for one in world.dag.slices)
        world.dag = changed(world.dag, slices=specs)
        await submit(world, 5)
        assert await is_placed(world, low)


async def test_who_comes_next_goes_on_with_what_the_scheduler_before_had_begun(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        low = await submit(world, 0)
        await begin(world, low)
        high = await submit(world, 5)
        await world.crash_scheduler()
        await trio.sleep(SOON_S)
        other = await submit(world, 5)
        (one,) = await world.slices(low)
        await put(world, changed(one, state=SliceState.CANCELLED, ended_ms=2))
        assert await state(world, high) == (SliceState.PLACED, 1)
        assert await state(world, other) == (SliceState.PENDING, 1)
        assert await state(world, low) == (SliceState.PENDING, 2)


async def test_what_was_kept_is_kept_no_longer_when_the_run_is_cancelled_that_it_was_kept_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(ONE_SLICE)
        low = await submit(world, 0)
        await begin(world, low)
        high = await submit(world, 5)
        assert await reservations(world)
        await world.client.cancel(high)
        await trio.sleep(SOON_S)
        assert await reservations(world) == []
        (one,) = await world.slices(low)
        await put(world, changed(one, state=SliceState.CANCELLED, ended_ms=2))
        assert await state(world, low) == (SliceState.PLACED, 2)


async def test_of_what_waits_the_highest_priority_goes_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        runs = [await submit(world, priority) for priority in (0, 1, 7, 3)]
        await world.add_node(ONE_SLICE)
        await trio.sleep(SOON_S)
        states = [(await state(world, run))[0] for run in runs]
        assert [one is SliceState.PLACED for one in states] == [False, False, True, False]


async def test_a_decision_of_the_past_is_made_again_from_the_barn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(Resources(250, 8 << 30))
        runs = [await submit(world, priority) for priority in (0, 0, 5)]
        records = []
        listing = await world.client.barn.range(DECISIONS.prefix(), DecisionRecord)
        for found in listing.items:
            record = found.value
            assert found.key == decision_key(record.revision)
            tables = await read_tables(world.client.barn, revision=record.revision)
            snapshot = snapshot_of(tables, now_ms=record.now_ms, policy=record.policy)
            assert decide(snapshot, record.seed).digest == record.digest
            records.append(record)
        assert [record.placed for record in records[:2]] == [1, 1]
        assert any(record.stopped for record in records)
        (one,) = await world.slices(runs[2])
        assert one.state is SliceState.PLACED
        assert one.decision in {record.revision for record in records}


async def test_a_plan_that_is_stale_changes_nothing(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        barn = world.schedulers[0]._barn
        commit = barn.commit
        outcomes: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not outcomes:  # The herd gets less while the plan is under way.
                await world.client.barn.put(herd_key(HERD.herd), changed(HERD, cpu_m=50))
            outcomes.append(await commit(transaction))
            return outcomes[-1]

        run = await submit(world, 0)
        monkeypatch.setattr(barn, "commit", late)
        outcomes.clear()
        await world.add_node(ONE_SLICE)
        await trio.sleep(SOON_S)
        assert not outcomes[0].succeeded
        assert herd_key(HERD.herd) in outcomes[0].failed
        (one,) = await world.slices(run)
        assert one.state is not SliceState.PLACED
        found = await world.client.barn.get(herd_key(HERD.herd), HerdRecord)
        assert found is not None
        assert found.value.cpu_m == 50


async def test_retries_that_wait_cost_one_timer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        run = await submit(world, 0)
        (one,) = await world.slices(run)
        before = tasks()
        begun_ms = now_ms()
        for number in range(40):
            held = changed(
                one,
                slice=f"held{number}",
                gang=f"held{number}",
                state=SliceState.PENDING,
                node=None,
                not_before_ms=begun_ms + 60_000 - 1000 * number,
            )
            await put(world, held)
        assert tasks() == before
        await trio.sleep(5)
        at = slice_key(one.herd, one.run, "held39")
        found = await world.client.barn.get(at, SliceRecord)
        assert found is not None
        assert found.value.state is SliceState.PLACED


async def test_so_many_decisions_are_kept_and_no_more(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.scheduler.DECISIONS_MAX", 3)
    assert DECISIONS_MAX > 3
    async with controlled() as world:
        await world.add_node()
        for _ in range(6):
            await submit(world, 0)
        listing = await world.client.barn.range(DECISIONS.prefix(), DecisionRecord)
        assert len(listing.items) == 3
        await world.crash_scheduler()
        await submit(world, 0)
        kept = await world.client.barn.range(DECISIONS.prefix(), DecisionRecord)
        assert len(kept.items) == 3
        assert kept.items[0].key == listing.items[1].key


async def test_a_decision_that_the_barn_does_not_take_leaves_none_behind_that_is_too_old(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.scheduler.DECISIONS_MAX", 3)
    async with controlled() as world:
        await world.add_node()
        for _ in range(4):
            await submit(world, 0)
        came_s = refuse_commits(world.schedulers[0]._barn, monkeypatch, times=3)
        await submit(world, 0)
        await trio.sleep(5)
        assert len(came_s) > 3
        for _ in range(4):
            await submit(world, 0)
        listing = await world.client.barn.range(DECISIONS.prefix(), DecisionRecord)
        assert len(listing.items) == 3


def tasks() -> int:
    """Return how many tasks there are."""
    found, left = 0, [trio.lowlevel.current_root_task()]
    while left:
        task = left.pop()
        if task is not None:
            found += 1
            left += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def test_how_long_slices_took_is_the_estimate_of_the_next_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        await submit(world, 0)
        await world.end_placed()
        await trio.sleep(SOON_S)
        run = await submit(world, 0)
        (one,) = await world.slices(run)
        assert one.turn.estimate_ms == 1, "the agent of this test takes so long"
        assert one.turn.rank_ms == 1


async def test_what_the_scheduler_has_sent_without_an_answer_does_not_come_in_late(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        barn = world.schedulers[0]._barn
        commit = barn.commit
        under_way: list[Transaction] = []

        async def unanswered(transaction: Transaction) -> Committed:
            if under_way:
                return await commit(transaction)
            under_way.append(transaction)
            raise OutcomeUnknown("no answer")

        await world.add_node(ONE_SLICE)
        await trio.sleep(SOON_S)
        monkeypatch.setattr(barn, "commit", unanswered)
        first = await submit(world, 0)
        await world.client.cancel(first)  # what takes its place is put there first
        other = await submit(world, 0)
        await trio.sleep(5)
        assert (await state(world, other))[0] is SliceState.PLACED
        late = await commit(under_way[0])
        assert not late.succeeded
        assert TURN_KEY in late.failed
