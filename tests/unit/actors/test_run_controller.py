"""The run controller and the scheduler in a cluster of their own, in virtual time: what clients are told, and what is kept."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from msgspec.structs import replace as changed
from runink.actors.barn import Barn
from runink.actors.followers import PAUSE_S
from runink.actors.runs import RunController
from runink.actors.scheduler import Scheduler
from runink.barn.keys import (
    NODES,
    PLACEMENTS,
    SLICES,
    lineage_key,
    node_key,
    pipeline_key,
    run_key,
    slice_key,
)
from runink.clients.barn import BarnClient, Transaction
from runink.clients.cluster import Cluster
from runink.clients.run_requests import RunView, SliceProgress, Submit
from runink.dag import Dag, Resources
from runink.errors import NotFound, Overloaded
from runink.jobs import Done, NodeFacts
from runink.names import BundleHash, HerdName, NodeId, RunId, SliceId, run_id
from runink.runs.records import (
    HerdRecord,
    NodeRecord,
    PipelineRecord,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.cluster import Crash, CrashingActor, now_ms
from runink.testing.disk import FaultyDisk, in_loop

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

pytestmark = pytest.mark.trio

HERD = HerdRecord(HerdName("default"))
NODE = NodeId("n1")
SOON_S = 0.5


@dataclass
class Controlled:
    """Barn, run controller and scheduler; the test is the agent."""

    client: Cluster
    runs: LocalRef[Any]
    scheduler: LocalRef[Any]
    controllers: list[RunController] = field(default_factory=list)
    dag: Dag = field(default_factory=lambda: staged_dag("a"))
    made: int = 0

    async def add_node(self, capacity: Resources = Resources(8000, 8 << 30)) -> None:  # noqa: B008 - it is frozen
        await self.client.barn.put(node_key(NODE), NodeRecord(NODE, capacity))

    def request(self, herd: HerdRecord = HERD) -> Submit:
        self.made += 1
        run = run_id(now_ms=self.made, entropy=bytes(10))
        return Submit(run, self.dag, herd, "/p", BundleHash("b"))

    async def run(self, run: RunId) -> RunRecord:
        found = await self.client.barn.get(run_key(HERD.herd, run), RunRecord)
        assert found is not None
        return found.value

    async def slices(self, run: RunId) -> list[SliceRecord]:
        listing = await self.client.barn.range(SLICES.prefix(HERD.herd, run), SliceRecord)
        return [found.value for found in listing.items]

    async def end_placed(self) -> int:
        """Let every slice that is placed succeed; return how many that were."""
        listing = await self.client.barn.range(SLICES.prefix(), SliceRecord)
        placed = [one for one in listing.items if one.value.state is SliceState.PLACED]
        for found in placed:
            one = found.value
            done = changed(
                one, state=SliceState.SUCCEEDED, launched_ms=1, ended_ms=2, report=Done()
            )
            at = PLACEMENTS.key(NODE, one.run, one.slice)
            transaction = Transaction().put(found.key, done).delete(at)
            await self.client.barn.commit(transaction)
        return len(placed)

    async def work(self) -> None:
        """Be an agent whose slices succeed at once."""
        while True:
            await self.end_placed()
            await anyio.sleep(0.05)


@asynccontextmanager
async def controlled(disk: FaultyDisk | None = None) -> AsyncIterator[Controlled]:
    used = disk or FaultyDisk()
    controllers: list[RunController] = []
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: used, offload=in_loop))
        )

        def controller() -> CrashingActor:
            client = BarnClient(barn, new_id=lambda: f"runs{len(controllers)}")
            controllers.append(RunController(client, session="", now_ms=now_ms))
            return CrashingActor(controllers[-1])

        runs = await supervisor.start(ChildSpec("runs", controller))
        scheduler = await supervisor.start(
            ChildSpec(
                "scheduler",
                lambda: Scheduler(BarnClient(barn, new_id=lambda: "scheduler"), now_ms=now_ms),
            )
        )
        client = Cluster(BarnClient(barn, new_id=lambda: "t"), runs, runs)
        yield Controlled(client, runs, scheduler, controllers)


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
                await _follow_to_the_end(world, request.run)
            assert anyio.current_time() - began_s < 1.0


async def _follow_to_the_end(world: Controlled, run: RunId) -> None:
    async for _ in world.client.follow(run):
        pass


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
            group.start_soon(_follow_to_the_end, world, request.run)
        await anyio.sleep(SOON_S)
        with pytest.raises(Overloaded):
            await _follow_to_the_end(world, request.run)
        await world.client.cancel(request.run)
        await anyio.sleep(SOON_S)
        await _follow_to_the_end(world, request.run)


# What waits, and why.


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
        await _follow_to_the_end(world, requests[2].run)
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
        assert again.lost_on == NODE
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
        assert len(scheduler._slices) == 100
        for number in range(100):
            name = SliceId(f"s{number}")
            over = SliceRecord(
                name, RunId("r"), HERD.herd, "g", SliceState.SUCCEEDED, Resources(), node=NODE
            )
            await client.put(slice_key(HERD.herd, RunId("r"), name), over)
        await anyio.sleep(SOON_S)
        assert not len(scheduler._slices)
