"""An agent that starts anew, whose lease ends, or whose Barn takes nothing: what it finds again, and what is lost."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from agent_world import NODE, SOON_S, agent_world, launched, write_for_ever
from msgspec.structs import replace as changed
from runink.actors.launching import Workplace
from runink.actors.registration import HEARTBEAT_S, LEASE_S
from runink.errors import LinkLost, Unavailable, WireError
from runink.jobs import Done, Failed
from runink.runs.failures import failure_of, may_pass
from runink.runs.records import Exit, SliceState
from runink.testing.disk import FaultyDisk

pytestmark = pytest.mark.trio


async def test_a_restart_finds_its_slices_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.crash()
        assert len(world.spawner.living) == 2
        world.slice("a").print(b"still here\n")
        world.slice("a").succeed()
        world.slice("a-1").succeed()
        await anyio.sleep(SOON_S)
        for name in ("a", "a-1"):
            assert (await world.seen(name)).state is SliceState.SUCCEEDED
        assert world.is_idle()


async def test_a_slice_that_ended_while_the_agent_was_away_has_ended_so(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.stop()
        world.slice("a").succeed(Done())
        world.slice("a-1").exit(7)
        await world.start()
        await anyio.sleep(2.0)
        assert (await world.seen("a")).state is SliceState.SUCCEEDED
        other = await world.seen("a-1")
        assert other.exit is not None
        assert (other.state, other.exit.code) == (SliceState.FAILED, 7)
        assert world.is_idle()


@pytest.mark.parametrize("code", [0, 1])
async def test_a_report_that_an_earlier_life_took_with_it_is_lost_and_no_failure(
    tmp_path: Path, code: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        report = Failed(WireError("Refused", "step_failed", "x")) if code else Done()
        world.slice("a").report(report)
        await anyio.sleep(SOON_S)
        await world.crash()
        world.slice("a").exit(code)
        world.slice("a-1").exit(7)
        await anyio.sleep(SOON_S)
        lost = await world.seen("a")
        assert (lost.state, lost.exit) == (SliceState.LOST, Exit("exited", code=code))
        assert may_pass(lost)
        failure = failure_of([lost])
        assert failure is not None
        assert "what it reported was lost" in failure.error.text
        assert (await world.seen("a-1")).state is SliceState.FAILED, "no slice that reports ends so"


async def test_the_last_lines_stand_in_a_failure_though_an_earlier_life_read_them(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        world.slice("a").print(b"before\n")
        world.slice("a-1").print(b"and gone\n")
        await anyio.sleep(SOON_S)
        await world.crash()
        world.slice("a").print(b"after\n")
        world.slice("a").exit(1)
        await anyio.sleep(SOON_S)
        assert (await world.seen("a")).log_tail == ("before", "after")
        await world.stop()
        world.spawner.die()
        world.new_spawner()
        await world.start()
        await anyio.sleep(SOON_S)
        lost = await world.seen("a-1")
        assert (lost.state, lost.log_tail) == (SliceState.LOST, ("and gone",))


async def test_a_restart_ends_what_is_not_wanted_any_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.stop()
        for name in ("a", "a-1"):
            await world.put(world.record(name, state=SliceState.LOST))
        await world.take_back("a", "a-1")
        await world.start()
        assert not world.spawner.slices, "they have ended before others may begin"
        assert (await world.seen("a")).state is SliceState.LOST


async def test_a_restart_never_launches_the_rest_of_a_gang(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Its pipes are gone with the agent that made them."""
    async with agent_world(tmp_path) as world:
        await world.stop()
        await world.place_gang()
        await world.put(world.record("a", state=SliceState.LAUNCHING))
        await world.start()
        await anyio.sleep(SOON_S)
        assert not world.spawner.slices
        for name in ("a", "a-1"):
            assert (await world.seen(name)).state is SliceState.LOST
            assert not await world.is_placed(name)


async def test_a_restart_takes_away_what_lost_slices_had_spooled(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The machine went down, or the spawner was killed: nobody else knows of these folders."""
    async with agent_world(tmp_path) as world:
        await launched(world)
        await world.stop()
        workplace = Workplace(world.folder)
        lost = [Path(workplace.scratch(world.record(name))) for name in ("a", "a-1")]
        other = Path(workplace.scratch(world.record("of another node")))
        for folder in (*lost, other):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "spooled").write_text("rows")
        world.spawner.die()
        with pytest.raises(LinkLost):
            await world.spawner.list()
        world.new_spawner()
        await world.start()
        await anyio.sleep(SOON_S)
        assert (await world.seen("a-1")).state is SliceState.LOST
        assert not any(folder.exists() for folder in lost)
        assert (other / "spooled").exists()


async def test_a_gang_announced_by_a_former_life_behind_our_look_is_launched(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The former life was ended while its transaction was under way, so it came no further."""
    async with agent_world(tmp_path) as world:
        await world.place(
            *(world.record(name, state=SliceState.LAUNCHING) for name in ("a", "a-1"))
        )
        await anyio.sleep(SOON_S)
        assert len(world.spawner.living) == 2
        assert (await world.seen("a")).state is SliceState.RUNNING


async def test_a_restart_launches_a_gang_that_had_not_begun(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.stop()
        await world.place_gang()
        await world.start()
        await anyio.sleep(SOON_S)
        assert len(world.spawner.living) == 2


# The lease.


async def test_the_lease_is_renewed_for_as_long_as_the_agent_lives(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await anyio.sleep(5 * LEASE_S)
        assert await world.has_node()
        await world.stop()
        await anyio.sleep(LEASE_S + 1.0)
        assert not await world.has_node()


async def test_a_node_whose_lease_has_ended_registers_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await world.barn.revoke_lease(world.agents[0]._registration._lease)
        assert not await world.has_node()
        await anyio.sleep(HEARTBEAT_S + 1.0)
        assert await world.has_node()
        assert len(world.agents) == 1


async def test_a_full_disk_holds_records_back_and_loses_none(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    disk = FaultyDisk()
    async with agent_world(tmp_path, disk) as world:
        await launched(world)
        whole = disk.space_bytes
        disk.space_bytes -= disk.free_bytes()
        for size in (30_000, 1_000, 200):
            with pytest.raises(Unavailable, match="no space"):
                await write_for_ever(world, b"x" * size)
        for one in world.spawner.living:
            one.succeed()
        await anyio.sleep(20.0)
        assert (await world.seen("a")).state is SliceState.RUNNING
        disk.space_bytes = whole
        await anyio.sleep(3.0)
        assert (await world.seen("a")).state is SliceState.SUCCEEDED
        assert len(world.agents) == 1
        assert await world.has_node()


async def test_a_report_too_large_for_the_barn_fails_the_slice_and_not_the_node(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        huge = Failed(WireError("Refused", "step_failed", "x" * (2 << 20)))
        world.slice("a").print(b"y" * 15_000 + b"\n")
        await anyio.sleep(SOON_S)
        taken = changed(huge, error=changed(huge.error, text="x" * 100))
        control = world.slice("a")
        for part in _parts(huge):
            control.write_control(part)
            await anyio.lowlevel.checkpoint()
        control.exit(1)
        world.slice("a-1").report(taken)
        world.slice("a-1").exit(1)
        await anyio.sleep(SOON_S)
        record = await world.seen("a")
        assert record.state is SliceState.FAILED
        assert isinstance(record.report, Failed)
        assert record.report.error.code == "report_too_large"
        assert (await world.seen("a-1")).report == taken
        assert len(world.agents) == 1
        assert record.node == NODE


def _parts(report: Failed) -> list[bytes]:
    from runink.wire.codec import encode
    from runink.wire.frames import frame

    data = frame(encode(report))
    return [data[place : place + 50_000] for place in range(0, len(data), 50_000)]
