"""The scheduler in virtual time: what waits, why, and for how long."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import anyio
import pytest
import trio.testing
from msgspec.structs import replace as changed
from runink.actors.barn import Barn
from runink.actors.scheduler import Scheduler
from runink.barn.keys import (
    NODES,
    PLACEMENTS,
    SLICES,
    node_key,
    slice_key,
)
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.clients.run_requests import Submit
from runink.dag import Resources, Source
from runink.names import RunId, SliceId
from runink.runs.records import (
    NodeRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.lives import now_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import (
    HERD,
    NODE,
    SOON_S,
    Controlled,
    controlled,
    follow_to_the_end,
    refuse_commits,
)
from run_world import staged_dag

pytestmark = pytest.mark.trio


async def waiting_apart(world: Controlled, count: int) -> Submit:
    """Have a run wait whose pipeline has so many gangs that have nothing to do with each other; return what asked for it."""
    dag = staged_dag(*(f"s{number}" for number in range(count)))
    apart = (changed(one, staged_from="") if isinstance(one, Source) else one for one in dag.nodes)
    world.dag = changed(dag, nodes=tuple(apart))
    request = world.request()
    await world.client.submit(request)
    await anyio.sleep(SOON_S)
    return request


async def test_a_run_says_what_it_waits_for_once(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.waits_for) == (SliceState.PENDING, "no node is ready")
        assert (await world.run(request.run)).waits_for == "no node is ready"
        revision = (await world.client.barn.status()).revision
        await anyio.sleep(60.0)
        assert (await world.client.barn.status()).revision == revision
        await world.add_node()
        await anyio.sleep(SOON_S)
        (one,) = await world.slices(request.run)
        assert (one.state, one.node, one.waits_for) == (SliceState.PLACED, NODE, "")


async def test_why_many_gangs_wait_is_said_in_one_revision(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = await waiting_apart(world, 30)
        prefix = SLICES.prefix(HERD.herd, request.run)
        found = (await world.client.barn.range(prefix, SliceRecord)).items
        assert {one.value.waits_for for one in found} == {"no node is ready"}
        assert len(found) == 30
        assert len({one.revision for one in found}) == 1


async def test_what_a_plan_places_is_placed_in_one_revision(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = await waiting_apart(world, 5)
        await world.add_node()
        await anyio.sleep(SOON_S)
        prefix = SLICES.prefix(HERD.herd, request.run)
        found = (await world.client.barn.range(prefix, SliceRecord)).items
        assert {one.value.state for one in found} == {SliceState.PLACED}
        assert len({one.revision for one in found}) == 1


async def test_a_gang_that_is_stale_leaves_the_others_to_the_next_plan(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        request = await waiting_apart(world, 5)
        barn = world.schedulers[0]._barn
        commit = barn.commit
        outcomes: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not outcomes:  # One of them is taken back while the plan is under way.
                (first, *_) = await world.slices(request.run)
                gone = changed(first, state=SliceState.CANCELLED)
                await world.client.barn.put(slice_key(gone.herd, gone.run, gone.slice), gone)
            outcomes.append(await commit(transaction))
            return outcomes[-1]

        monkeypatch.setattr(barn, "commit", late)
        await world.add_node()
        await anyio.sleep(SOON_S)
        assert not outcomes[0].succeeded
        states = Counter(one.state for one in await world.slices(request.run))
        assert states == {SliceState.PLACED: 5}, "and the one that was taken back begins anew"


async def test_a_gang_that_changes_under_each_plan_holds_up_no_other(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        request = await waiting_apart(world, 5)
        barn = world.schedulers[0]._barn
        commit = barn.commit
        changes = 0

        async def late(transaction: Transaction) -> Committed:
            nonlocal changes
            first, *others = await world.slices(request.run)
            if changes < 50 and any(one.node is None for one in others):
                changes += 1
                other = changed(first, waits_for=f"change {changes}")
                await world.client.barn.put(slice_key(first.herd, first.run, first.slice), other)
            return await commit(transaction)

        monkeypatch.setattr(barn, "commit", late)
        await world.add_node()
        await anyio.sleep(SOON_S)
        assert all(one.node == NODE for one in await world.slices(request.run))
        assert 0 < changes < 50, "the others did not wait until it stood still"


async def test_what_never_fits_fails_at_once_and_says_what_it_asked_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(Resources(50, 1 << 20))
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        record = await world.run(request.run)
        assert record.state is RunState.FAILED
        assert record.failure is not None
        assert record.failure.error.code == "never_fits"
        assert "it needs cpu 100m, n1 has 50m" in record.failure.error.text


@pytest.mark.parametrize(
    ("missing", "code", "hint"),
    [
        ({"seccomp": "not built in"}, "capability_missing", 'allow_missing = ["seccomp"]'),
        ({"namespaces": "ENOSPC"}, "isolation_unavailable", "--no-isolation"),
    ],
)
async def test_what_no_node_can_close_off_fails_at_once_and_says_what_is_missing_where(
    autojump_clock: trio.testing.MockClock, missing: dict[str, str], code: str, hint: str
) -> None:
    async with controlled() as world:
        record = NodeRecord(NODE, Resources(8000, 8 << 30), missing=missing)
        await world.client.barn.put(node_key(NODE), record)
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        run = await world.run(request.run)
        assert run.failure is not None
        error = run.failure.error
        assert (run.state, error.code) == (RunState.FAILED, code)
        assert "n1 lacks {} ({})".format(*next(iter(missing.items()))) in error.text
        assert hint in error.hint


async def test_a_full_node_holds_a_run_back_until_another_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node(Resources(150, 8 << 30))
        first, second = world.request(), world.request()
        for request in (first, second):
            await world.client.submit(request)
        await anyio.sleep(SOON_S)
        (waits,) = await world.slices(second.run)
        assert waits.waits_for == "it needs cpu 100m, n1 has 50m of 150m left"
        assert await world.end_placed() == 1
        await anyio.sleep(SOON_S)
        (placed,) = await world.slices(second.run)
        assert placed.state is SliceState.PLACED


async def test_a_herd_runs_as_many_as_it_may_in_the_order_of_their_ids(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        herd = changed(HERD, runs=1)
        requests = [world.request(herd) for _ in range(3)]
        for request in requests:
            await world.client.submit(request)
        await anyio.sleep(SOON_S)
        states = [(await world.run(request.run)).state for request in requests]
        assert states == [RunState.ADMITTED, RunState.SUBMITTED, RunState.SUBMITTED]
        assert (await world.run(requests[1].run)).waits_for == "herd default has 1 of 1 runs"
        await world.add_node()
        group.start_soon(world.work)
        await follow_to_the_end(world, requests[2].run)
        ended = [(await world.run(request.run)).ended_ms for request in requests]
        assert ended == sorted(ended)
        group.cancel_scope.cancel()


async def test_a_retry_held_back_is_placed_when_it_is_due(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        await world.client.barn.delete(node_key(NODE))
        await anyio.sleep(0.1)
        (again,) = await world.slices(request.run)
        assert (again.state, again.attempt) == (SliceState.PENDING, 2)
        assert again.not_before_ms > now_ms()
        assert again.failed_on == {NODE}
        await world.add_node()
        await anyio.sleep((again.not_before_ms - now_ms()) / 1000 - 0.01)
        assert (await world.slices(request.run))[0].state is SliceState.PENDING
        await anyio.sleep(0.1)
        (placed,) = await world.slices(request.run)
        assert (placed.state, placed.node) == (SliceState.PLACED, NODE)
        assert not await world.client.barn.get(
            PLACEMENTS.key(NODE, request.run, SliceId("x")), dict
        )
        assert len((await world.client.barn.range(NODES.prefix(), NodeRecord)).items) == 1


async def test_the_scheduler_keeps_nothing_of_slices_that_are_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervise() as supervisor:
        disk = FaultyDisk()
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        client = BarnClient(barn, new_id=lambda: "t")
        scheduler = Scheduler(BarnClient(barn, new_id=lambda: "s"), now_ms=now_ms)
        await supervisor.start(ChildSpec("scheduler", lambda: scheduler))
        for number in range(100):
            name = SliceId(f"s{number}")
            one = SliceRecord(
                name, RunId("r"), HERD.herd, "g", SliceState.RUNNING, Resources(), node=NODE
            )
            await client.put(slice_key(HERD.herd, RunId("r"), name), one)
        await anyio.sleep(SOON_S)
        assert len(scheduler._sight._slices) == 100
        for number in range(100):
            name = SliceId(f"s{number}")
            over = SliceRecord(
                name, RunId("r"), HERD.herd, "g", SliceState.SUCCEEDED, Resources(), node=NODE
            )
            await client.put(slice_key(HERD.herd, RunId("r"), name), over)
        await anyio.sleep(SOON_S)
        assert not len(scheduler._sight._slices)


@pytest.mark.parametrize("who", ["controller", "scheduler"])
async def test_a_decision_that_met_a_full_disk_is_made_again_though_nothing_changes(
    who: str, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        await world.add_node()
        request = world.request()
        actor = world.controllers[0] if who == "controller" else world.schedulers[0]
        if who == "scheduler":
            came_s = refuse_commits(actor._barn, monkeypatch, times=3)
            await world.client.submit(request)
        else:
            await world.client.submit(request)
            await anyio.sleep(SOON_S)
            came_s = refuse_commits(actor._barn, monkeypatch, times=3)
            assert await world.end_placed() == 1
        await anyio.sleep(10.0)
        assert len(came_s) >= 4
        assert came_s[3] - came_s[0] >= 2.0, "it is not asked again and again at once"
        states = [one.state for one in await world.slices(request.run)]
        expected = SliceState.PLACED if who == "scheduler" else SliceState.SUCCEEDED
        assert states == [expected]
        if who == "controller":
            assert (await world.run(request.run)).state is RunState.SUCCEEDED
        assert len(world.controllers) == len(world.schedulers) == 1
