"""What consensus reads of a directory: the same in memory as on disk, before and after a restart."""

from __future__ import annotations

import errno

import pytest
from runink.barn.pending import ENTRY_DISK_BYTES
from runink.errors import Broken, Unavailable, WalCorrupt
from runink.raft.messages import ConfState, Entry, EntryType, HardState, Snapshot, SnapshotMetadata
from runink.raft.storage import Compacted
from runink.storage import log_storage
from runink.storage.log_storage import LogStorage, begin_directory, open_log_storage
from runink.storage.receiving import open_receiver, part_names
from runink.storage.snapshot import decode_facts, encode_facts, facts_of, snapshot_names
from runink.storage.wal import ENTRY_ROOM_BYTES, SEGMENT_BYTES_MIN
from runink.testing.disk import FaultyDisk

GROUP = ConfState(voters=(1, 2, 3))
GROWN = ConfState(voters=(1, 2, 3), learners=(4,))


def entries(first: int, last: int, *, term: int = 1) -> list[Entry]:
    return [
        Entry(term, index, EntryType.EntryNormal, b"%d of %d " % (index, term) * 4)
        for index in range(first, last + 1)
    ]


def opened(disk: FaultyDisk) -> LogStorage:
    return open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)[0]


def founded() -> FaultyDisk:
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP))
    return disk


def all_of(storage: LogStorage) -> list[Entry]:
    return list(storage.entries(storage.first_index(), storage.last_index() + 1, 1 << 30))


def with_snapshot(storage: LogStorage, index: int, body: bytes = b"the state") -> None:
    """Write a snapshot of our own."""
    metadata = SnapshotMetadata(GROWN, index, storage.term(index))
    storage.snapshot_written(storage.write_snapshot(metadata, [body]))


def received(disk: FaultyDisk, index: int, term: int, body: bytes = b"a leader's") -> Snapshot:
    """Have a leader's snapshot arrive as a whole."""
    facts = facts_of(SnapshotMetadata(GROWN, index, term), body)
    receiver = open_receiver(disk, facts)
    receiver.write(body, 0)
    assert receiver.is_whole
    receiver.close()
    return Snapshot(facts.metadata, encode_facts(facts))


def test_a_new_group_begins_with_its_membership_and_no_entries():
    storage = opened(founded().crash())
    assert storage.initial_state() == (HardState(), GROUP)
    assert (storage.first_index(), storage.last_index(), storage.term(0)) == (1, 0, 0)


def test_a_backup_is_a_directory_that_begins_behind_it():
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP, 500, 7), [b"the ", b"backup"])
    storage, body = open_log_storage(disk.crash())
    assert body == b"the backup"
    assert storage.initial_state() == (HardState(7, 0, 500), GROUP)
    assert (storage.first_index(), storage.last_index(), storage.term(500)) == (501, 500, 7)
    storage.save(entries(501, 502, term=8), HardState(8, 1, 500))
    assert storage.last_index() == 502


def test_a_backup_whose_making_was_cut_short_is_refused():
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP, 500, 7), [b"the backup"])
    disk.remove(snapshot_names(disk)[0])
    with pytest.raises(WalCorrupt, match="begins behind a snapshot up to entry 500"):
        opened(disk)


def test_what_was_saved_is_read_again():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 4), HardState(1, 2, 0))
    storage.save(entries(3, 6, term=2), HardState(2, 3, 4))
    kept = entries(1, 2) + entries(3, 6, term=2)
    for one in (storage, opened(disk.crash())):
        assert all_of(one) == kept
        assert one.hard_state == HardState(2, 3, 4)
        assert [one.term(index) for index in range(7)] == [0, 1, 1, 2, 2, 2, 2]


def test_a_commit_index_alone_is_not_worth_a_sync_and_a_vote_is():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 3), HardState(1, 1, 0))
    seen: list[str] = []
    disk.before = seen.append
    storage.save([], HardState(1, 1, 3))
    assert seen == []
    assert storage.hard_state == HardState(1, 1, 3)
    storage.save([], HardState(2, 0, 3))
    assert seen == ["pwrite", "fdatasync"]
    storage.save([], HardState(2, 3, 3))
    assert len(seen) == 4
    assert opened(disk.crash()).hard_state == HardState(2, 3, 3)


def test_a_commit_index_that_was_not_written_goes_with_the_next_entries():
    """Or a member that acknowledges them forgets a change of the membership that was committed before."""
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 3), HardState(1, 1, 0))
    storage.save([], HardState(1, 1, 3))
    storage.save(entries(4, 4))
    assert opened(disk.crash()).hard_state == HardState(1, 1, 3)


def test_a_snapshot_of_our_own_lets_the_log_before_it_go():
    disk = founded()
    storage = opened(disk)
    for entry in entries(1, 200):
        storage.save([entry])
    with_snapshot(storage, 150)
    assert storage.truncate() > 0
    again, body = open_log_storage(disk.crash(), segment_bytes=SEGMENT_BYTES_MIN)
    assert body == b"the state" == again.read_state()
    assert again.initial_state() == (HardState(0, 0, 150), GROWN)
    assert again.last_index() == 200
    assert again.term(150) == 1
    facts = decode_facts(again.snapshot().data)
    assert (facts.body_bytes, facts.metadata.index) == (9, 150)


def test_memory_keeps_a_bounded_number_of_entries_before_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(log_storage, "KEPT_ENTRIES", 20)
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 300))
    with_snapshot(storage, 250)
    assert storage.first_index() == 231
    assert all_of(storage) == entries(231, 300)
    with pytest.raises(Compacted):
        storage.entries(230, 240, 1 << 20)
    assert opened(disk).first_index() == 231


def test_memory_keeps_a_bounded_number_of_bytes_before_a_snapshot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_storage, "KEPT_BYTES", 1000)
    storage = opened(founded())
    storage.save([Entry(1, index, EntryType.EntryNormal, bytes(300)) for index in range(1, 11)])
    with_snapshot(storage, 8)
    assert storage.first_index() == 6


def test_a_snapshot_is_due_after_so_many_entries_or_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_storage, "SNAPSHOT_ENTRIES", 10)
    monkeypatch.setattr(log_storage, "SNAPSHOT_BYTES", 5000)
    storage = opened(founded())
    storage.save([Entry(1, index, EntryType.EntryNormal, bytes(300)) for index in range(1, 13)])
    assert not storage.is_snapshot_due(9)
    assert storage.is_snapshot_due(10)
    with_snapshot(storage, 10)
    assert not storage.is_snapshot_due(12)
    storage.save([Entry(1, 13, EntryType.EntryNormal, bytes(5000))])
    assert not storage.is_snapshot_due(10)
    assert storage.is_snapshot_due(13)
    assert storage.statistics().lag_entries == 3


@pytest.mark.parametrize("last", [0, 5, 40], ids=["no log", "a log behind it", "a log beyond it"])
def test_a_leaders_snapshot_takes_the_place_of_the_whole_log(last: int):
    disk = founded()
    storage = opened(disk)
    if last:
        storage.save(entries(1, last), HardState(1, 1, 2))
    snapshot = received(disk, 30, 3)
    storage.save(entries(31, 33, term=3), HardState(3, 0, 30), snapshot)
    again, body = open_log_storage(disk.crash(), segment_bytes=SEGMENT_BYTES_MIN)
    assert body == b"a leader's"
    for one in (storage, again):
        assert all_of(one) == entries(31, 33, term=3)
        assert (one.first_index(), one.term(30)) == (31, 3)
        assert one.initial_state() == (HardState(3, 0, 30), GROWN)
        assert one.snapshot() == snapshot
    assert part_names(disk) == []
    assert snapshot_names(disk) == ["snapshot-000000000000001e"]


def test_a_snapshot_of_our_own_that_a_leaders_has_overtaken_changes_nothing():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 20), HardState(1, 1, 20))
    late = storage.write_snapshot(SnapshotMetadata(GROUP, 10, 1), [b"late"])
    leaders = received(disk, 30, 3)
    storage.save([], HardState(3, 0, 30), leaders)
    storage.snapshot_written(late)
    assert storage.snapshot() == leaders
    assert opened(disk).snapshot() == leaders


def test_a_snapshot_is_sent_from_what_is_on_disk():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 20))
    with_snapshot(storage, 15, b"state of fifteen")
    reader = storage.read_snapshot()
    assert reader is not None
    assert encode_facts(reader.facts) == storage.snapshot().data
    assert reader.read(9, 100) == b"fifteen"
    assert reader.damage() == ""
    reader.close()


def test_a_log_that_does_not_join_its_snapshot_is_refused():
    disk = founded()
    storage = opened(disk)
    for entry in entries(1, 200):
        storage.save([entry])
    with_snapshot(storage, 150)
    storage.truncate()
    disk.remove(snapshot_names(disk)[0])
    with pytest.raises(WalCorrupt, match="the snapshot ends with 0"):
        opened(disk)


def test_a_snapshot_ahead_of_its_log_is_refused():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 20))
    with_snapshot(storage, 20)
    other = founded()
    opened(other).save(entries(1, 9))
    handle = other.open(snapshot_names(disk)[0], create=True)
    other.pwrite(handle, disk.read(snapshot_names(disk)[0]), 0)
    other.close(handle)
    with pytest.raises(WalCorrupt, match="log ends with entry 9, the snapshot with 20"):
        opened(other)


def test_what_a_replica_counts_for_an_entry_is_what_the_log_promises_room_for():
    assert ENTRY_DISK_BYTES >= ENTRY_ROOM_BYTES


def test_room_that_was_made_is_there_when_the_disk_is_full():
    disk = founded()
    storage = opened(disk)
    for index in range(1, 40):
        room = storage.make_room(1000)
        assert room >= 1000
        disk.space_bytes -= disk.free_bytes()
        storage.save([Entry(1, index, EntryType.EntryNormal, bytes(1000 - 96))], HardState(index))
        disk.space_bytes += 1 << 20
    assert opened(disk.crash()).last_index() == 39


def test_room_that_was_made_for_larger_segments_is_there_too():
    disk = founded()
    before, _ = open_log_storage(disk)
    assert before.make_room(20_000) >= 20_000
    before.save(entries(1, 1))
    before.close()
    storage = opened(disk)
    room = storage.make_room(1000)
    disk.space_bytes -= disk.free_bytes()
    for index in range(2, 2 + room // 1000):
        storage.save([Entry(1, index, EntryType.EntryNormal, bytes(1000 - 96))])
    assert opened(disk.crash()).last_index() == 1 + room // 1000


def test_no_room_is_told_before_anything_is_written():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 1))
    disk.space_bytes -= disk.free_bytes()
    with pytest.raises(Unavailable) as caught:
        storage.make_room(1 << 20)
    assert caught.value.code == "disk_full"
    disk.space_bytes += 1 << 20
    assert storage.make_room(2000) >= 2000


def test_a_snapshot_that_cannot_be_named_ends_the_member_and_is_named_by_its_next_life():
    disk = founded()
    storage = opened(disk)
    snapshot = received(disk, 30, 3)
    storage.save(entries(1, 2))
    disk.before = _failing_to_rename
    with pytest.raises(Broken) as caught:
        storage.write(entries(31, 31, term=3), HardState(3, 0, 30), snapshot)
    assert caught.value.code == "wal_failed"
    again = opened(disk.killed())
    assert again.snapshot() == snapshot


def test_a_directory_that_cannot_be_synced_is_not_opened():
    for sync_error, error in ((errno.EIO, Broken), (errno.ENOSPC, Broken)):
        disk = founded()
        opened(disk).save(entries(1, 3))
        disk.sync_error = sync_error
        with pytest.raises(error) as caught:
            opened(disk)
        assert caught.value.code == "wal_failed"
        disk.sync_error = None
        assert opened(disk).last_index() == 3


def test_a_snapshot_that_cannot_be_named_when_the_directory_is_opened_is_told():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 2))
    snapshot = received(disk, 30, 3)
    disk.before = _failing_to_rename
    with pytest.raises(Broken):
        storage.write([], HardState(3, 0, 30), snapshot)
    again = disk.killed()
    again.before = _failing_to_rename
    with pytest.raises(Broken, match="cannot be given its name") as caught:
        opened(again)
    assert caught.value.code == "wal_failed"
    again.before = str
    assert opened(again).snapshot() == snapshot


def _failing_to_rename(operation: str) -> None:
    if operation == "rename":
        raise OSError(errno.EIO, "the disk failed")


def test_what_arrived_of_snapshots_that_are_old_now_goes_when_the_directory_is_opened():
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 40))
    received(disk, 30, 1)
    received(disk, 50, 1)
    with_snapshot(storage, 35)
    storage.close()
    opened(disk)
    assert part_names(disk) == ["snapshot-0000000000000032-0000000000000001.part"]


def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SNAPSHOT_ENTRIES": 10,
        "SNAPSHOT_ENTRIES_MAX": 1000,
        "SNAPSHOT_BYTES": 5000,
        "SNAPSHOT_BYTES_MAX": 20_000,
    }.items():
        monkeypatch.setattr(log_storage, name, value)


@pytest.mark.parametrize(
    ("state_bytes", "first", "beyond"),
    [
        (0, 10, "so few entries are replayed in no time"),
        (3000, 30, "the log is as large as the state"),
        (1 << 20, 200, "it is held in memory"),
    ],
)
def test_a_snapshot_is_due_when_the_log_has_grown_as_large_as_the_last_one(
    monkeypatch: pytest.MonkeyPatch, state_bytes: int, first: int, beyond: str
):
    small_limits(monkeypatch)
    storage = opened(founded())
    storage.save(entries(1, 5), HardState(1, 1, 5))
    with_snapshot(storage, 5, bytes(state_bytes))
    due = []
    for index in range(6, 6 + first):
        due.append(storage.is_snapshot_due(index - 1))
        storage.save([Entry(1, index, EntryType.EntryNormal, bytes(100))], HardState(1, 1, index))
    assert not any(due), beyond
    assert storage.is_snapshot_due(5 + first), beyond


def test_large_values_are_worth_a_snapshot_before_there_are_many(monkeypatch: pytest.MonkeyPatch):
    small_limits(monkeypatch)
    storage = opened(founded())
    storage.save([Entry(1, 1, EntryType.EntryNormal, bytes(4999))], HardState(1, 1, 1))
    assert not storage.is_snapshot_due(1)
    storage.save([Entry(1, 2, EntryType.EntryNormal, b"x")], HardState(1, 1, 2))
    assert storage.is_snapshot_due(2)


def test_a_restart_knows_how_large_the_last_snapshot_was(monkeypatch: pytest.MonkeyPatch):
    small_limits(monkeypatch)
    disk = founded()
    storage = opened(disk)
    storage.save(entries(1, 30), HardState(1, 1, 30))
    with_snapshot(storage, 5, bytes(1 << 20))
    assert not storage.is_snapshot_due(30)
    storage.close()
    assert not opened(disk).is_snapshot_due(30)
