"""The agent of a worker node, in virtual time: gangs that are launched, taken back, taken up again and lost."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from agent_world import RUN, SOON_S, agent_world, launched
from runink.actors import launching
from runink.errors import LinkLost, Refused, WireError
from runink.jobs import Done, Failed, NodeFacts, Progress
from runink.observe.slice_logs import log_path, read_log
from runink.runs.records import SliceState
from runink.sandbox.protocol import GRACE_S

pytestmark = pytest.mark.trio


async def test_a_gang_is_launched_whole_and_its_records_follow_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        record = await world.seen("a")
        assert record.state is SliceState.RUNNING
        assert record.pid
        assert record.launched_ms
        writer, reader = world.slice("a"), world.slice("a-1")
        assert len(writer.descriptors) == len(reader.descriptors) == 1, "an end for each"
        report = Done(nodes=(NodeFacts("a.source", rows_out=3),))
        writer.print(b"hello\n")
        writer.succeed(report)
        reader.succeed()
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert (record.state, record.report) == (SliceState.SUCCEEDED, report)
        assert not await world.is_placed("a")
        assert [one.text for one in read_log(log_path(tmp_path / "runs" / RUN, "a", 1))] == [
            "hello"
        ]
        assert world.is_idle()
        assert not world.spawner.slices, "both were released"


async def test_a_slice_that_failed_says_so_with_its_last_lines(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        failure = Failed(WireError("Refused", "step_failed", "x"))
        world.slice("a").print(b"why\n", to_stderr=True)
        world.slice("a").report(failure)
        world.slice("a").exit(1)
        world.slice("a-1").die(signal.SIGKILL)
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert (record.state, record.report) == (SliceState.FAILED, failure)
        assert record.log_tail == ("why",)
        other = await world.seen("a-1")
        assert other.exit is not None
        assert (other.state, other.exit.signal) == (SliceState.FAILED, signal.SIGKILL)


async def test_progress_is_told_to_the_run_controller(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        facts = (NodeFacts("a.source", rows_out=3),)
        world.slice("a").report(Progress(facts))
        await anyio.sleep(SOON_S)
        assert [(one.run, one.slice, one.nodes) for one in world.told] == [(RUN, "a", facts)]


# Placements that are taken back.


async def test_a_placement_taken_back_ends_the_slice_with_a_grace(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        willing, deaf = world.slice("a"), world.slice("a-1")
        await world.take_back("a", "a-1")
        await anyio.sleep(SOON_S)
        assert willing.signals == deaf.signals == [signal.SIGTERM]
        willing.report(Failed(WireError("Refused", "cancelled", "x")))
        willing.exit(1)
        await anyio.sleep(GRACE_S)
        assert deaf.ended is not None
        assert deaf.ended.cause == "killed"
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            assert (await world.seen(name)).state is SliceState.CANCELLED
        assert world.is_idle()


async def test_a_slice_that_succeeds_while_it_is_stopped_has_succeeded(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.take_back("a", "a-1")
        await anyio.sleep(SOON_S)
        world.slice("a").succeed()
        await anyio.sleep(SOON_S)
        assert (await world.seen("a")).state is SliceState.SUCCEEDED


async def test_a_gang_taken_back_before_it_is_launched_never_begins(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.stop()
        await world.place_gang()
        for name in ("a", "a-1"):
            await world.put(world.record(name, state=SliceState.CANCELLED))
        await world.start()
        await anyio.sleep(SOON_S)
        await world.take_back("a", "a-1")
        await anyio.sleep(SOON_S)
        assert not world.spawner.slices
        assert (await world.seen("a")).state is SliceState.CANCELLED
        assert world.is_idle()


async def test_a_gang_taken_back_during_its_launch_is_stopped_as_soon_as_it_is_there(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with agent_world(tmp_path) as world:
        launch = world.spawner.launch
        may_go = anyio.Event()

        async def slow(*arguments: object, **named: object) -> object:
            await may_go.wait()
            return await launch(*arguments, **named)  # type: ignore[arg-type] # handed on as they came

        monkeypatch.setattr(world.spawner, "launch", slow)
        await world.place_gang()
        await anyio.sleep(SOON_S)
        assert (await world.seen("a")).state is SliceState.LAUNCHING, "it is said before it is done"
        assert not world.spawner.slices
        await world.take_back("a", "a-1")
        await anyio.sleep(SOON_S)
        may_go.set()
        await anyio.sleep(SOON_S)
        assert world.slice("a").signals == [signal.SIGTERM]
        await anyio.sleep(2 * GRACE_S)
        assert (await world.seen("a")).state is SliceState.CANCELLED
        assert world.is_idle()


async def test_a_new_attempt_waits_until_the_one_before_has_ended(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Its placement may go and come again between two looks: the Barn tells only what stands."""
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.place_gang(attempt=2)
        await anyio.sleep(SOON_S)
        old = world.slice("a"), world.slice("a-1")
        assert all(one.signals == [signal.SIGTERM] for one in old)
        assert len(world.spawner.slices) == 2, "the new ones have not begun"
        for one in old:
            one.succeed()
        await anyio.sleep(SOON_S)
        assert {one.attempt for one in world.spawner.living} == {2}
        for one in world.spawner.living:
            one.succeed()
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert (record.state, record.attempt) == (SliceState.SUCCEEDED, 2)
        assert world.is_idle()


async def test_a_record_that_somebody_else_changed_is_not_ours_any_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        taken = world.record("a", state=SliceState.LOST)
        await world.put(taken)
        world.slice("a").succeed()
        world.slice("a-1").succeed()
        await anyio.sleep(SOON_S)
        assert await world.seen("a") == taken
        assert (await world.seen("a-1")).state is SliceState.SUCCEEDED
        assert world.is_idle()


# Slices that cannot be launched.


async def test_what_the_spawner_refuses_is_unborn_and_the_rest_of_the_gang_begins(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with agent_world(tmp_path) as world:
        world.spawner.failures = [Refused("no such entry", code="no_entry"), None]
        await world.place_gang()
        await anyio.sleep(SOON_S)
        (living,) = world.spawner.living
        states = {name: await world.seen(name) for name in ("a", "a-1")}
        (unborn,) = (one for one in states.values() if one.state is SliceState.FAILED)
        assert isinstance(unborn.report, Failed)
        assert unborn.report.error.code == "no_entry"
        assert unborn.exit is not None
        assert unborn.exit.cause == "unborn"
        living.succeed()
        await anyio.sleep(SOON_S)
        assert world.is_idle()


@pytest.mark.parametrize("broken", ["open_slots", "make_scratch"])
async def test_a_node_without_room_or_descriptors_fails_the_gang_and_lives_on(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    async with agent_world(tmp_path) as world:

        def fail() -> None:
            raise OSError(errno.EMFILE, "too many open files")

        monkeypatch.setattr(launching, "open_slots", fail)
        if broken == "make_scratch":
            (tmp_path / "runs").write_text("no folder")
        await world.place_gang()
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert isinstance(record.report, Failed)
        assert record.report.error.kind in ("Overloaded", "Unavailable")
        assert len(world.agents) == 1, "the agent has not crashed"
        assert world.is_idle()


async def test_a_pipeline_that_is_not_there_fails_the_gang_and_not_the_node(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.barn.delete_prefix("/pipelines/")
        await world.place_gang()
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert isinstance(record.report, Failed)
        assert record.report.error.code == "pipeline_missing"
        assert len(world.agents) == 1


async def test_a_lost_spawner_loses_the_slices_and_the_next_start_says_so(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.stop()
        world.spawner.die()
        with pytest.raises(LinkLost):
            await world.spawner.list()
        world.new_spawner()
        await world.start()
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            assert (await world.seen(name)).state is SliceState.LOST
            assert not await world.is_placed(name)
