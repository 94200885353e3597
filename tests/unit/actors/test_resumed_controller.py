"""The run controller and runs that go on from others: one run takes over what was kept, whoever asks how often, and in time it goes."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
import trio.testing
from msgspec.structs import replace as changed
from runink.barn.keys import SLICES
from runink.clients.barn import Transaction
from runink.clients.run_requests import Submit
from runink.errors import Conflict, NotFound, WireError
from runink.herds.record import HerdRecord
from runink.jobs import Done, Failed
from runink.names import BundleHash, RunId
from runink.runs.records import RunState, SliceRecord, SliceState
from runink.testing.lives import Crash

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import HERD, NODE, Controlled, controlled, follow_to_the_end
from run_world import prepared, staged_dag
from runink.barn.keys import PLACEMENTS

pytestmark = pytest.mark.trio
FAILED = Failed(WireError("Refused", "x", "x"))
SOON_MS = 5_000


async def work(world: Controlled, failing: set[str]) -> None:
    """Be an agent whose slices succeed at once, but for those that are `failing`."""
    while True:
        listing = await world.client.barn.range(SLICES.prefix(), SliceRecord)
        for found in (one for one in listing.items if one.value.state is SliceState.PLACED):
            one = found.value
            is_bad = one.slice in failing
            output = (prepared(one.slice),) if one.slice in {"a", "b"} else ()
            done = changed(
                one,
                state=SliceState.FAILED if is_bad else SliceState.SUCCEEDED,
                launched_ms=1,
                ended_ms=2,
                report=FAILED if is_bad else Done(prepared=output),
            )
            at = PLACEMENTS.key(NODE, one.run, one.slice)
            await world.client.barn.commit(Transaction().put(found.key, done).delete(at))
        await anyio.sleep(0.05)


async def failed(world: Controlled, herd: HerdRecord = HERD) -> RunId:
    """Let a run of two scenarios fail in the second."""
    world.dag = staged_dag("a", "b")
    await world.add_node()
    request = world.request(herd)
    await world.client.submit(request)
    await follow_to_the_end(world, request.run)
    record = await world.run(request.run)
    assert (record.state, record.kept) == (RunState.FAILED, ("a",))
    return request.run


def going_on(world: Controlled, run: RunId, *, restart: str = "") -> Submit:
    return changed(world.request(), resumes=run, restart=restart)


async def let_go(world: Controlled, run: RunId) -> None:
    while (await world.run(run)).kept_until_ms:  # noqa: ASYNC110 - it is the Barn that knows, in virtual time
        await anyio.sleep(0.1)  # virtual time


@pytest.mark.parametrize("crashes", [False, True])
async def test_of_two_that_ask_at_once_one_goes_on_and_the_other_is_told_so(
    autojump_clock: trio.testing.MockClock, *, crashes: bool
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        failing = {"b"}
        group.start_soon(work, world, failing)
        old = await failed(world)
        failing.clear()
        if crashes:
            await world.runs.tell(Crash())
        requests = [going_on(world, old), going_on(world, old)]
        told: list[str] = []

        async def ask(request: Submit) -> None:
            try:
                told.append((await world.client.submit(request)).run)
            except Conflict as error:
                told.append(error.code)

        async with anyio.create_task_group() as asking:
            for request in requests:
                asking.start_soon(ask, request)
        assert max(told) == "resumed_already"
        new = RunId(min(told))
        winner = next(one for one in requests if one.run == new)
        assert (await world.client.submit(winner)).run == new, "the same run again is the same run"
        await follow_to_the_end(world, new)
        record = await world.run(new)
        assert (record.state, record.resumes) == (RunState.SUCCEEDED, old)
        assert record.prepared == (prepared("a"), prepared("b"))
        taken = {one.slice: one.taken_from for one in await world.slices(new)}
        assert (taken["a"], taken["b"]) == (old, None)
        kept = await world.run(old)
        assert (kept.state, kept.resumed_by, kept.kept_until_ms) == (RunState.FAILED, new, 0)
        await anyio.sleep(1.0)
        assert not list(world.controllers[-1]._sight.living()), "none of them costs anything now"
        group.cancel_scope.cancel()


async def test_what_is_kept_goes_in_time_also_if_the_controller_began_anew_meanwhile(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        group.start_soon(work, world, {"b"})
        run = await failed(world, changed(HERD, keep_failed_ms=SOON_MS))
        await world.runs.tell(Crash())
        await let_go(world, run)
        record = await world.run(run)
        assert (record.state, record.kept) == (RunState.FAILED, ())
        with pytest.raises(Conflict) as caught:
            await world.client.submit(going_on(world, run))
        assert caught.value.code == "nothing_kept"
        group.cancel_scope.cancel()


async def test_it_goes_at_once_when_somebody_asks(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        group.start_soon(work, world, {"b"})
        run = await failed(world)
        await world.client.drop(run)
        await let_go(world, run)
        assert (await world.run(run)).kept == ()
        assert (await world.client.drop(run)).kept_until_ms == 0
        group.cancel_scope.cancel()


async def test_a_restart_from_the_first_step_takes_nothing_over_and_what_was_kept_goes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        failing = {"b"}
        group.start_soon(work, world, failing)
        old = await failed(world)
        failing.clear()
        new = await world.client.submit(going_on(world, old, restart="a.source"))
        await follow_to_the_end(world, new.run)
        await let_go(world, old)
        assert {one.taken_from for one in await world.slices(new.run)} == {None}
        assert (await world.run(new.run)).state is RunState.SUCCEEDED
        group.cancel_scope.cancel()


async def test_what_nothing_may_go_on_from_is_refused_and_changes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        group.start_soon(work, world, {"b"})
        old = await failed(world)
        before = await world.run(old)
        other = changed(going_on(world, old), bundle=BundleHash("other"))
        for request, code in (
            (other, "code_changed"),
            (changed(other, resumes=RunId("9" * 26)), "not_found"),
            (going_on(world, old, restart="a.nothing"), "no_such_step"),
        ):
            with pytest.raises((Conflict, NotFound)) as caught:
                await world.client.submit(request)
            assert caught.value.code == code
        alive = world.request()
        world.dag = staged_dag("a", "b")
        await world.client.submit(alive)
        with pytest.raises(Conflict) as alive_told:
            await world.client.submit(going_on(world, alive.run))
        assert alive_told.value.code == "run_alive"
        assert await world.run(old) == before
        group.cancel_scope.cancel()
