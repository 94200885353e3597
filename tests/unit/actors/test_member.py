"""A member that is the only one of its group: batches, full and failing disks, snapshots, restarts."""

from __future__ import annotations

import errno
from random import Random

import anyio
import pytest
import trio.testing
from member_world import SEGMENT_BYTES, Alone, alone, until
from runink.actors import member, snapshot_keeping
from runink.barn import pending
from runink.barn.commands import Applied
from runink.errors import Broken, OutcomeUnknown, Overloaded, RuninkError, Unavailable, WalCorrupt
from runink.raft.messages import Entry
from runink.storage import log_storage
from runink.storage.log_storage import open_log_storage
from runink.storage.segments import FILL_BYTES
from runink.testing.disk import FaultyDisk


@pytest.mark.anyio
async def test_what_waits_goes_into_one_sync_and_is_answered_in_order():
    disk = FaultyDisk()
    async with alone(disk) as found:
        found.put(0)  # makes room in the log
        await found.until_told(0)
        syncs: list[str] = []
        disk.before = syncs.append
        for number in range(1, 41):
            found.put(number)
        await found.until_told(*range(1, 41))
        assert syncs.count("fdatasync") == 1
    assert list(found.told.items()) == [(n, Applied(n + 1)) for n in range(41)]
    assert found.heard == list(found.told.values())


@pytest.mark.anyio
async def test_what_was_answered_survives_a_power_cut():
    disk = FaultyDisk()
    async with alone(disk) as found:
        for number in (1, 2, 3):
            found.put(number)
        await found.until_told(1, 2, 3)
        left = disk.crash()
        term = found.member.statistics().term
    async with alone(left) as again:
        assert again.kept() == ["/000001", "/000002", "/000003"]
        assert again.member.store.revision == 3
        assert again.member.statistics().term == term + 1


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(20))
async def test_what_was_answered_survives_a_power_cut_at_any_operation_on_the_disk(seed: int):
    random = Random(seed)
    disk = FaultyDisk()
    cuts: list[tuple[FaultyDisk, set[int]]] = []
    async with alone(disk) as found:

        def cut(_: str) -> None:
            if random.random() < 0.05:
                cuts.append((disk.crash_at_random(random), set(found.told)))

        disk.before = cut
        for number in range(1, 31):
            found.put(number, bytes(random.randrange(500)))
            if random.random() < 0.5:
                await found.until_told(number)
        await found.until_told(*range(1, 31))
    for left, told in cuts:
        async with alone(left) as again:
            assert set(again.kept()) >= {f"/{number:06}" for number in told}


@pytest.mark.anyio
async def test_a_read_waits_for_nothing_when_all_is_applied_and_is_answered_with_nothing():
    async with alone(FaultyDisk()) as found:
        assert found.member.may_read()
        found.member.read(lambda outcome: found.told.__setitem__(1, outcome))
        await found.until_told(1)
        assert found.told == {1: None}


@pytest.mark.anyio
async def test_a_batch_is_bounded_by_bytes_but_takes_one_entry_at_least(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(pending, "BATCH_BYTES_MAX", 120)
    async with alone(FaultyDisk()) as found:
        for number in range(5):
            found.put(number, bytes(500))
        await found.until_told(*range(5))
    assert all(isinstance(told, Applied) for told in found.told.values())


async def put_until_refused(found: Alone) -> int:
    number = 0
    while not any(isinstance(told, RuninkError) for told in found.told.values()):
        number += 1
        found.put(number, bytes(1000))
        await anyio.lowlevel.checkpoint()
    return number


@pytest.mark.anyio
async def test_a_full_disk_refuses_writes_and_takes_them_when_there_is_room():
    disk = FaultyDisk()
    async with alone(disk, segment_bytes=FILL_BYTES) as found:
        found.put(0)
        await found.until_told(0)
        disk.space_bytes -= disk.free_bytes()
        number = await put_until_refused(found)
        await found.until_told(*range(number + 1))
        refusals = [told for told in found.told.values() if isinstance(told, RuninkError)]
        assert refusals
        assert {refusal.code for refusal in refusals} == {"disk_full"}
        assert "no space left" in found.member.statistics().trouble
        assert "/000000" in found.kept()  # it goes on reading
        disk.space_bytes += 1 << 20
        found.put(900, bytes(1000))
        await found.until_told(900)
        assert found.member.statistics().trouble == ""
        left = disk.crash()
    applied = {n for n, told in found.told.items() if isinstance(told, Applied)}
    assert 900 in applied
    async with alone(left) as again:
        assert {int(key[1:]) for key in again.kept()} == applied


@pytest.mark.anyio
async def test_a_failing_disk_ends_it_and_says_that_the_outcome_is_unknown():
    disk = FaultyDisk()
    found = Alone(disk)
    await found.member.open()
    caught: list[RuninkError] = []

    async def run() -> None:
        try:
            await found.member.run()
        except RuninkError as error:
            caught.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await found.member.wait_ready()
        disk.sync_error = errno.EIO
        found.put(1)
        await until(lambda: bool(caught))
    assert isinstance(caught[0], Broken)
    assert caught[0].code == "wal_failed"
    assert isinstance(found.told[1], OutcomeUnknown)
    await found.member.shut()
    async with alone(disk.crash()):
        pass


@pytest.mark.anyio
async def test_a_cancelled_member_tells_everyone_that_the_outcome_is_unknown():
    found = Alone(FaultyDisk())
    await found.member.open()
    for number in (1, 2):
        found.put(number)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await found.member.run()
    assert {type(told) for told in found.told.values()} == {OutcomeUnknown}
    assert len(found.told) == 2
    await found.member.shut()


@pytest.mark.anyio
async def test_too_many_waiting_proposals_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pending, "WAITING_MAX", 2)
    async with alone(FaultyDisk()) as found:
        found.put(1)
        found.put(2)
        with pytest.raises(Overloaded):
            found.put(3)
        await found.until_told(1, 2)
        found.put(4)
        await found.until_told(4)
    assert 3 not in found.told


@pytest.mark.anyio
async def test_nothing_is_taken_after_the_close_and_what_was_taken_is_finished():
    async with alone(FaultyDisk()) as found:
        found.put(1)
        found.member.close()
        for ask in (lambda: found.put(2), lambda: found.member.read(lambda _: None)):
            with pytest.raises(Unavailable) as caught:
                ask()
            assert caught.value.code == "stopping"
    assert found.told == {1: Applied(1)}


@pytest.mark.trio
async def test_a_member_that_stops_waits_for_what_is_under_way_but_not_for_ever(
    autojump_clock: trio.testing.MockClock,
):
    disk = FaultyDisk()
    async with alone(disk, segment_bytes=FILL_BYTES) as found:
        found.put(0)
        await found.until_told(0)
        disk.space_bytes -= disk.free_bytes()
        # Beyond the room that is made: the append of a vote or an entry would wait, a proposal is refused.
        found.put(1, bytes(2 * FILL_BYTES))
        began_s = anyio.current_time()
    assert anyio.current_time() - began_s <= member.CLOSING_S + 0.1
    assert isinstance(found.told[1], RuninkError)


@pytest.mark.anyio
async def test_a_snapshot_shortens_the_log_and_a_restart_reads_both(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(log_storage, "SNAPSHOT_ENTRIES", 50)
    disk = FaultyDisk()
    async with alone(disk) as found:
        for number in range(1, 401):
            found.put(number, b"x" * 50)
            await found.until_told(number)
        await until(lambda: found.member.statistics().snapshot_index > 100)
        await until(lambda: found.member.statistics().segments < 6)
        left = disk.crash()
    async with alone(left) as again:
        assert len(again.kept()) == 400
        assert again.member.store.revision == 400
        assert again.member.statistics().snapshot_index > 50


@pytest.mark.trio
async def test_a_snapshot_without_room_is_tried_again_later(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_storage, "SNAPSHOT_ENTRIES", 10)
    disk = FaultyDisk()
    async with alone(disk) as found:
        found.put(0)
        await found.until_told(0)
        before = found.member.statistics().snapshot_index
        disk.space_bytes -= disk.free_bytes()
        for number in range(1, 31):
            found.put(number)
        await found.until_told(*range(31))
        assert found.member.statistics().snapshot_index == before
        disk.space_bytes += 1 << 20
        await anyio.sleep(snapshot_keeping.RETRY_TICKS * member.TICK_S + 1)
        found.put(31)
        await found.until_told(31)
        await until(lambda: found.member.statistics().snapshot_index > before)
    assert all(isinstance(told, Applied) for told in found.told.values())


@pytest.mark.anyio
async def test_a_snapshot_may_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    disk = FaultyDisk()
    async with alone(disk) as found:
        for number in range(10):
            found.put(number)
        await found.until_told(*range(10))
        await found.member.snapshot_now()
        assert found.member.statistics().snapshot_index == found.member.store.applied_index
        disk.space_bytes -= disk.free_bytes()
        found.put(10)
        await found.until_told(10)
        with pytest.raises(Unavailable) as caught:
            await found.member.snapshot_now()
        assert caught.value.code == "disk_full"
        left = disk.crash()
    async with alone(left) as again:
        assert len(again.kept()) == 11


async def written(count: int) -> FaultyDisk:
    """Return a disk with snapshots and a log of so many keys."""
    disk = FaultyDisk()
    async with alone(disk) as found:
        for number in range(count):
            found.put(number)
        await found.until_told(*range(count))
        await found.member.snapshot_now()
        found.put(count)
        await found.until_told(count)
    return disk.crash()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["wal-", "snapshot-"])
async def test_a_snapshot_without_its_log_and_a_log_without_its_snapshot_are_damage(kind: str):
    disk = await written(400)
    for name in disk.names():
        if name.startswith(kind):
            disk.remove(name)
    with pytest.raises(WalCorrupt):
        await Alone(disk).member.open()
    disk.shut()


@pytest.mark.anyio
async def test_a_command_of_a_newer_version_stops_the_start_and_says_so():
    disk = await written(3)
    storage, _ = open_log_storage(disk, segment_bytes=SEGMENT_BYTES)
    newer = Entry(
        term=storage.hard_state.term, index=storage.last_index() + 1, data=b"\x91\xa8teleport"
    )
    storage.save([newer])
    storage.close()
    with pytest.raises(Broken) as caught:
        async with alone(disk):
            pass
    assert caught.value.code == "wal_version"


async def start_often(disk: FaultyDisk) -> None:
    """Start again and again: each takes a little of what room the log has."""
    for _ in range(100):
        async with alone(disk, segment_bytes=FILL_BYTES):
            pass


@pytest.mark.anyio
async def test_a_start_on_a_full_disk_is_told_and_leaves_nothing_open():
    disk = FaultyDisk()
    async with alone(disk, segment_bytes=FILL_BYTES) as found:
        found.put(0)
        await found.until_told(0)
        disk.space_bytes -= disk.free_bytes()
        await put_until_refused(found)
    left = disk.crash()
    left.space_bytes -= left.free_bytes()
    with pytest.raises(Unavailable) as caught:
        await start_often(left)
    assert caught.value.code == "disk_full"
    left.space_bytes += 1 << 20
    async with alone(left, segment_bytes=FILL_BYTES) as again:
        assert "/000000" in again.kept()


@pytest.mark.anyio
async def test_a_first_start_on_a_full_disk_leaves_nothing_open_and_may_be_tried_again():
    disk = FaultyDisk(space_bytes=100)
    with pytest.raises(Unavailable) as caught:
        await Alone(disk).member.open()
    assert caught.value.code == "disk_full"
    disk.shut()
