"""The run controller in virtual time: what clients are told, and what is kept."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.actors.followers import PAUSE_S
from runink.actors.runs import RunController
from runink.actors.tables import Seen
from runink.barn.keys import (
    lineage_key,
    pipeline_key,
    run_key,
)
from runink.clients.barn import Committed, Transaction
from runink.clients.run_requests import Follow, RunView, SliceProgress, SliceUsed, Used
from runink.errors import NotFound, OutcomeUnknown, Overloaded
from runink.jobs import NodeFacts
from runink.names import RunId, SliceId
from runink.runs.records import (
    PipelineRecord,
    RunState,
)
from runink.testing.lives import Crash

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import HERD, SOON_S, controlled, follow_to_the_end

pytestmark = pytest.mark.trio


async def test_a_run_that_was_answered_for_is_there_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request()
        async with anyio.create_task_group() as group:
            submitted = await world.client.submit(request)
            assert submitted.state is RunState.SUBMITTED
            group.start_soon(world.client.cancel, request.run)
            async for view in world.client.follow(request.run):
                last = view
            assert last.record.state is RunState.CANCELLED


async def test_a_run_whose_first_answer_was_lost_is_found_before_the_watch_shows_it(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def show_nothing(self: RunController, seen: Seen) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(RunController, "_tell", show_nothing)
    async with controlled() as world:
        barn = world.controllers[-1]._barn
        commit = barn.commit

        async def lose_the_answer(transaction: Transaction) -> Committed:
            monkeypatch.setattr(barn, "commit", commit)
            await commit(transaction)
            raise OutcomeUnknown("the answer is lost")

        monkeypatch.setattr(barn, "commit", lose_the_answer)
        request = world.request()
        with pytest.raises(OutcomeUnknown):
            await world.client.submit(request)
        await world.client.submit(request)
        assert (await world.client.look(request.run)).record.run == request.run


async def test_the_same_run_twice_is_one_run(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        request = world.request()
        first = await world.client.submit(request)
        await anyio.sleep(SOON_S)
        again = await world.client.submit(request)
        assert again.submitted_ms == first.submitted_ms
        assert again.state is not RunState.SUBMITTED


async def test_a_pipeline_that_was_cleaned_away_is_put_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.client.submit(world.request())
        at = pipeline_key(HERD.herd, world.dag.pipeline, world.dag.hash)
        assert await world.client.barn.get(at, PipelineRecord) is not None
        await world.client.barn.delete(at)
        await world.client.submit(world.request())
        found = await world.client.barn.get(at, PipelineRecord)
        assert found is not None
        assert found.version == 1, "and not a second time"
        await world.client.submit(world.request())
        assert await world.client.barn.get(at, PipelineRecord) == found


async def test_a_run_is_carried_to_its_end_and_costs_nothing_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        await world.add_node()
        group.start_soon(world.work)
        requests = [world.request() for _ in range(10)]
        for request in requests:
            await world.client.submit(request)
            facts = (NodeFacts("a.source", 1),)
            await world.runs.tell(SliceProgress(request.run, SliceId("a"), facts))
        async for view in world.client.follow(requests[-1].run):
            last = view
        await anyio.sleep(SOON_S)
        assert last.record.state is RunState.SUCCEEDED
        (controller,) = world.controllers
        sight = controller._sight
        assert not list(sight.living())
        kept = (sight._slices, sight._placed, controller._own, controller._wakes)
        assert not any(kept)
        assert not len(controller._followers)
        for request in requests:
            at = lineage_key(HERD.herd, request.run)
            assert await world.client.barn.get(at, dict) is not None
        group.cancel_scope.cancel()


async def test_a_run_that_is_over_is_told_from_the_barn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        await world.add_node()
        group.start_soon(world.work)
        request = world.request()
        await world.client.submit(request)
        views = [[view async for view in world.client.follow(request.run)] for _ in range(2)]
        assert views[0][-1].record == views[1][-1].record
        assert views[0][-1].slices == views[1][-1].slices
        assert len(views[1]) == 1
        assert (await world.client.cancel(request.run)).state is RunState.SUCCEEDED
        group.cancel_scope.cancel()


async def test_a_controller_that_starts_anew_knows_its_runs_before_it_is_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        await world.runs.tell(Crash())
        record = await world.client.cancel(request.run)
        assert record.cancel
        assert len(world.controllers) == 2
        group.cancel_scope.cancel()


async def test_progress_is_told_also_to_who_has_followed_before_a_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Numbers begin anew: one who has seen a higher one must not wait until it is passed."""
    async with controlled() as world, anyio.create_task_group() as group:
        request = world.request()
        await world.client.submit(request)
        views: list[RunView] = []

        async def follow() -> None:
            while True:
                try:
                    async for view in world.client.follow(request.run):
                        views.append(view)  # noqa: PERF401 - it is looked at meanwhile
                except Exception:  # noqa: BLE001 - it is asked again, as a person would
                    await anyio.sleep(0.1)

        group.start_soon(follow)
        facts = (NodeFacts("a.source", 1),)
        for _ in range(20):
            await world.runs.tell(SliceProgress(request.run, SliceId("a"), facts))
            await anyio.sleep(0.1)
        assert views[-1].number > 20
        await world.runs.tell(Crash())
        await anyio.sleep(1.0)
        await world.runs.tell(SliceProgress(request.run, SliceId("a"), facts))
        await anyio.sleep(2 * PAUSE_S)
        assert views[-1].number < 20
        assert views[-1].progress == facts
        group.cancel_scope.cancel()


async def test_followers_are_told_at_a_pace_that_people_can_follow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world, anyio.create_task_group() as group:
        request = world.request()
        await world.client.submit(request)
        views: list[RunView] = []

        async def follow() -> None:
            async for view in world.client.follow(request.run):
                views.append(view)  # noqa: PERF401 - it is looked at meanwhile

        group.start_soon(follow)
        await anyio.sleep(SOON_S)
        before = len(views)
        for number in range(100):
            facts = (NodeFacts("a.source", number),)
            await world.runs.tell(SliceProgress(request.run, SliceId("a"), facts))
            await anyio.sleep(PAUSE_S / 50)
        await anyio.sleep(2 * PAUSE_S)
        assert len(views) - before <= 4
        assert views[-1].progress[0].rows_in == 99
        group.cancel_scope.cancel()


async def test_an_unknown_run_is_not_found(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        with pytest.raises(NotFound):
            await world.client.cancel(RunId("0" * 26))
        with pytest.raises(NotFound):
            await anext(world.client.follow(RunId("0" * 26)))
        facts = (NodeFacts("a.source", 1),)
        await world.runs.tell(SliceProgress(RunId("0" * 26), SliceId("a"), facts))
        await anyio.sleep(SOON_S)
        assert not len(world.controllers[0]._followers), "nothing is kept of what is not there"


async def test_those_who_follow_a_run_that_is_forgotten_are_told_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request()
        await world.client.submit(request)

        async def forget() -> None:
            await anyio.sleep(SOON_S)
            await world.client.barn.delete(run_key(HERD.herd, request.run))

        async with anyio.create_task_group() as group:
            group.start_soon(forget)
            began_s = anyio.current_time()
            with pytest.raises(NotFound):
                await follow_to_the_end(world, request.run)
            assert anyio.current_time() - began_s < 1.0


async def test_too_many_who_follow_are_turned_away_and_the_others_are_not(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runink.actors.followers.FOLLOWERS_MAX", 5)
    monkeypatch.setattr("runink.clients.cluster.FOLLOW_S", 60.0)
    async with controlled() as world, anyio.create_task_group() as group:
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        for _ in range(5):
            group.start_soon(follow_to_the_end, world, request.run)
        await anyio.sleep(SOON_S)
        with pytest.raises(Overloaded):
            await follow_to_the_end(world, request.run)
        await world.client.cancel(request.run)
        await anyio.sleep(SOON_S)
        await follow_to_the_end(world, request.run)


async def test_progress_of_an_attempt_that_another_has_followed_is_not_listened_to(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request()
        await world.client.submit(request)
        shown = []
        for attempt, rows in ((1, 10), (2, 3), (1, 20), (2, 4)):
            facts = (NodeFacts("a.source", rows),)
            await world.runs.tell(SliceProgress(request.run, SliceId("a"), facts, attempt))
            view = await world.runs.ask(Follow(request.run), within=1.0)
            shown += [one.rows_in for one in view.progress]
        assert shown == [10, 3, 3, 4]


async def test_what_a_slice_uses_is_told_while_it_runs_and_of_its_newest_attempt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request()
        await world.client.submit(request)
        await anyio.sleep(SOON_S)
        (pending,) = (await world.client.look(request.run)).slices

        async def told(attempt: int, cpu_s: float) -> list[float]:
            used = SliceUsed(request.run, pending.slice, attempt, Used(7, cpu_s))
            await world.runs.tell(used)
            return [one.cpu_s for one in (await world.client.look(request.run)).used.values()]

        assert await told(1, 2.0) == [2.0]
        number = (await world.client.look(request.run)).number
        assert await told(1, 3.0) == [3.0]
        assert (await world.client.look(request.run)).number == number, "nobody is told for that"
        assert await told(2, 0.5) == [], "the record has not come so far yet"
        assert await told(1, 4.0) == [], "and the first attempt is over"
