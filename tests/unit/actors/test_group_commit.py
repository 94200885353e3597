"""The journal and its one writer: batches, full and failing disks, snapshots, restarts."""

from __future__ import annotations

import errno

import anyio
import pytest
from runink.actors import group_commit, journal
from runink.actors.group_commit import GroupCommit, Waiting
from runink.actors.journal import Journal, open_journal
from runink.barn.commands import Answer, Applied, Proposal, Put, encode_proposal
from runink.errors import Broken, OutcomeUnknown, Overloaded, RuninkError, Unavailable, WalCorrupt
from runink.storage.disk import Disk
from runink.storage.segments import FILL_BYTES
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.anyio


class Committed:
    """A group commit over a journal, and what was told to whom."""

    def __init__(self, disk: Disk) -> None:
        self.journal: Journal = open_journal(disk, segment_bytes=8192)
        self.told: dict[int, Answer | RuninkError] = {}
        self.batch = anyio.Event()
        self.commit = GroupCommit(
            self.journal, offload=in_loop, applied=lambda *_: None, batch_done=self._batch_done
        )

    def _batch_done(self) -> None:
        self.batch.set()

    def put(self, number: int, value: bytes = b"value") -> None:
        proposal = Proposal("c", number, Put(f"/{number:06}", value))
        self.commit.propose(
            Waiting(
                proposal,
                encode_proposal(proposal),
                lambda outcome: self.told.__setitem__(number, outcome),
            )
        )

    async def run(self, *numbers: int) -> None:
        """Put these, and run until all of it is settled."""
        for number in numbers:
            self.put(number)
        self.commit.close()
        await self.commit.run()


def open_anew(disk: FaultyDisk) -> Journal:
    return open_journal(disk, segment_bytes=8192)


async def test_what_waits_goes_into_one_sync_and_is_answered_in_order():
    disk = FaultyDisk()
    committed = Committed(disk)
    syncs: list[str] = []
    disk.before = syncs.append
    await committed.run(*range(1, 41))
    assert syncs.count("fdatasync") == 1
    assert list(committed.told.items()) == [(n, Applied(n)) for n in range(1, 41)]
    assert committed.commit.statistics().batches == 1


async def test_what_was_answered_survives_a_power_cut():
    disk = FaultyDisk()
    committed = Committed(disk)
    await committed.run(1, 2, 3)
    again = open_anew(disk.crash())
    assert [item.key for item in again.store.image().items] == ["/000001", "/000002", "/000003"]
    assert again.term == 2
    assert again.store.revision == 3


async def test_a_batch_is_bounded_by_bytes_but_takes_one_entry_at_least(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(group_commit, "BATCH_BYTES_MAX", 120)
    committed = Committed(FaultyDisk())
    committed.put(1, bytes(500))
    await committed.run(2, 3, 4, 5)
    assert committed.commit.statistics().batches == 2
    assert len(committed.told) == 5


async def test_a_full_disk_refuses_writes_and_takes_them_when_there_is_room():
    disk = FaultyDisk()
    committed = Committed(disk)
    async with anyio.create_task_group() as group:
        group.start_soon(committed.commit.run)
        disk.space_bytes = 8192
        number = 0
        while not any(isinstance(told, RuninkError) for told in committed.told.values()):
            number += 1
            committed.put(number, bytes(1000))
            await anyio.lowlevel.checkpoint()
        refusals = [told for told in committed.told.values() if isinstance(told, RuninkError)]
        assert refusals[0].code == "disk_full"
        assert committed.journal.store.get("/000001") is not None
        disk.space_bytes = 1 << 20
        committed.put(900)
        committed.commit.close()
    assert isinstance(committed.told[900], Applied)
    applied = {n for n, told in committed.told.items() if isinstance(told, Applied)}
    kept = {int(item.key[1:]) for item in open_anew(disk.crash()).store.image().items}
    assert kept == applied


async def test_what_is_small_may_still_find_room_and_the_disk_is_full_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(group_commit, "BATCH_ENTRIES_MAX", 1)
    disk = FaultyDisk()
    committed = Committed(disk)
    async with anyio.create_task_group() as group:
        group.start_soon(committed.commit.run)
        disk.space_bytes = 8192
        number = 0
        while not committed.commit.statistics().trouble:
            number += 1
            committed.put(number, bytes(1000))
            await anyio.lowlevel.checkpoint()
        committed.put(900, b"")
        while 900 not in committed.told:
            await anyio.lowlevel.checkpoint()
        assert isinstance(committed.told[900], Applied)
        assert "no space left" in committed.commit.statistics().trouble
        disk.space_bytes = 1 << 20
        committed.put(901, bytes(1000))
        committed.commit.close()
    assert committed.commit.statistics().trouble == ""


async def test_a_failing_disk_ends_it_and_says_that_the_outcome_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(group_commit, "BATCH_ENTRIES_MAX", 1)
    disk = FaultyDisk()
    committed = Committed(disk)
    disk.sync_error = errno.EIO
    with pytest.raises(Broken) as caught:
        await committed.run(1, 2)
    assert caught.value.code == "wal_failed"
    assert isinstance(committed.told[1], OutcomeUnknown)
    assert isinstance(committed.told[2], Unavailable)
    assert not isinstance(committed.told[2], OutcomeUnknown)


async def test_a_cancelled_commit_tells_everyone_something():
    committed = Committed(FaultyDisk())
    for number in (1, 2):
        committed.put(number)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await committed.commit.run()
    assert {type(told) for told in committed.told.values()} <= {Unavailable, OutcomeUnknown}
    assert len(committed.told) == 2


async def test_too_many_waiting_proposals_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(group_commit, "WAITING_MAX", 2)
    committed = Committed(FaultyDisk())
    committed.put(1)
    committed.put(2)
    with pytest.raises(Overloaded):
        committed.put(3)
    await committed.run()
    assert len(committed.told) == 2


async def test_nothing_is_taken_after_the_close():
    committed = Committed(FaultyDisk())
    committed.commit.close()
    with pytest.raises(Unavailable) as caught:
        committed.put(1)
    assert caught.value.code == "stopping"
    await committed.run()


async def test_a_snapshot_shortens_the_log_and_a_restart_reads_both(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(journal, "SNAPSHOT_ENTRIES", 50)
    monkeypatch.setattr(group_commit, "BATCH_ENTRIES_MAX", 5)
    disk = FaultyDisk()
    committed = Committed(disk)
    await committed.run(*range(1, 401))
    assert committed.commit.statistics().snapshots >= 2
    assert committed.journal.log.statistics().segments < 4
    again = open_anew(disk.crash())
    assert len(again.store) == 400
    assert again.store.revision == 400
    assert again.snapshot_index > 50


async def test_a_snapshot_without_room_is_tried_again_later(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "SNAPSHOT_ENTRIES", 10)
    monkeypatch.setattr(group_commit, "SNAPSHOT_RETRY_ENTRIES", 10)
    monkeypatch.setattr(group_commit, "BATCH_ENTRIES_MAX", 1)
    disk = FaultyDisk(space_bytes=8192 + 300)
    committed = Committed(disk)
    async with anyio.create_task_group() as group:
        group.start_soon(committed.commit.run)
        for number in range(1, 31):
            committed.put(number)
        while len(committed.told) < 30:
            await anyio.lowlevel.checkpoint()
        assert committed.commit.statistics().snapshots == 0
        disk.space_bytes = 1 << 20
        for number in range(31, 61):
            committed.put(number)
        committed.commit.close()
    assert committed.commit.statistics().snapshots > 0
    assert all(isinstance(told, Applied) for told in committed.told.values())


async def test_a_snapshot_without_its_log_is_damage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "SNAPSHOT_ENTRIES", 10)
    disk = FaultyDisk()
    await Committed(disk).run(*range(1, 21))
    assert any(name.startswith("snapshot-") for name in disk.names())
    for name in disk.names():
        if name.startswith("wal-"):
            disk.remove(name)
    with pytest.raises(WalCorrupt, match="no log"):
        open_anew(disk)


async def test_a_log_without_its_snapshot_is_damage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "SNAPSHOT_ENTRIES", 50)
    monkeypatch.setattr(group_commit, "BATCH_ENTRIES_MAX", 5)
    disk = FaultyDisk()
    await Committed(disk).run(*range(1, 401))
    for name in disk.names():
        if name.startswith("snapshot-"):
            disk.remove(name)
    with pytest.raises(WalCorrupt, match="the log begins with entry"):
        open_anew(disk)


async def test_a_restart_counts_what_the_log_holds_behind_the_snapshot():
    disk = FaultyDisk()
    committed = Committed(disk)
    committed.put(1, b"x" * 4000)
    await committed.run(2)
    before = committed.journal.lag()
    committed.journal.close()
    after = open_anew(disk).lag()
    assert after.bytes == before.bytes > 4000
    assert after.entries == before.entries + 1  # the new term's own


async def test_a_command_of_a_newer_version_stops_the_start_and_says_so():
    disk = FaultyDisk()
    opened = open_anew(disk)
    opened.append(opened.entries_for([b"\x93\xa1c\x01\x91\xa8teleport"]))
    opened.close()
    with pytest.raises(Broken) as caught:
        open_anew(disk)
    assert caught.value.code == "wal_version"


async def test_a_start_without_room_for_its_term_leaves_no_file_open():
    disk = FaultyDisk()
    opened = open_journal(disk)
    payload = encode_proposal(Proposal("", 0, Put("/k", bytes(FILL_BYTES - 250))))
    opened.append(opened.entries_for([payload]))  # the segment's zeroed room is used up
    opened.close()
    found = disk.crash()
    found.space_bytes -= found.free_bytes()
    with pytest.raises(Unavailable) as caught:
        open_journal(found)
    assert caught.value.code == "disk_full"
    found.shut()
