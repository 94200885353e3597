"""A log of version 1, byte for byte as it was written then: it is read, and goes on in version 2."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from runink.errors import Broken, WalCorrupt
from runink.raft.messages import ConfState, Entry, EntryType, HardState, SnapshotMetadata
from runink.storage import records
from runink.storage.opening import open_state
from runink.storage.records import Position
from runink.storage.snapshot import load_snapshot, write_snapshot
from runink.storage.wal import Recovered, open_log
from runink.testing.disk import FaultyDisk

GOLDEN = Path(__file__).parents[2] / "golden" / "wal-v1"
SEGMENT_BYTES = 4096
SNAPSHOT = Position(61, 1)


def old_disk() -> FaultyDisk:
    disk = FaultyDisk()
    for path in sorted(GOLDEN.iterdir()):
        handle = disk.open(path.name, create=True)
        disk.pwrite(handle, path.read_bytes(), 0)
        disk.fdatasync(handle)
        disk.close(handle)
    disk.fsync_directory()
    return disk


def opened(disk: FaultyDisk) -> Recovered:
    return open_log(disk, segment_bytes=SEGMENT_BYTES, snapshot_for=lambda _: SNAPSHOT)


def change(index: int) -> Entry:
    return Entry(4, index, EntryType.EntryConfChangeV2, b"a change")


def segments(disk: FaultyDisk) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.names() if name.startswith("wal-")}


def test_a_log_of_version_1_is_read_whole():
    old = opened(old_disk())
    assert [entry.index for entry in old.entries] == list(range(44, 183))
    assert {entry.type for entry in old.entries} == {EntryType.EntryNormal}
    assert [entry.term for entry in old.entries].count(2) == 41
    assert b"/golden/0180" in old.entries[-1].data
    assert not any(b"overruled" in entry.data for entry in old.entries)
    assert (old.hard_state, old.torn) == (HardState(3, 1, 182), None)


def test_a_log_of_version_1_goes_on_in_a_segment_of_version_2_and_its_own_bytes_stay():
    disk = old_disk()
    before = segments(disk)
    old = opened(disk)
    old.log.append([change(183)], hard_state=HardState(4, 2, 182))
    after = segments(disk)
    assert {name: after[name] for name in before} == before
    assert [after[name][:8] for name in after] == [b"RNKWAL01"] * 4 + [b"RNKWAL02"]
    again = opened(disk.crash())
    assert again.entries == [*old.entries, change(183)]
    assert again.hard_state == HardState(4, 2, 182)


def test_a_version_1_tail_that_was_torn_is_cut_before_the_log_goes_on():
    disk = old_disk()
    name = max(segments(disk))
    end = len(disk.read(name).rstrip(b"\0"))
    disk.flip(name, bit=8 * (end - 1))
    old = opened(disk)
    assert old.torn is not None
    assert old.hard_state == HardState(2, 1, 142 - 1)  # the last hard state stood in the torn write
    old.log.append([change(183)])
    assert opened(disk.crash()).entries == [*old.entries, change(183)]


def test_segments_of_version_1_go_when_a_snapshot_stands_for_them():
    disk = old_disk()
    log = opened(disk).log
    log.append([change(183)])
    assert log.truncate_behind(182) == 4
    again = open_log(
        disk.crash(), segment_bytes=SEGMENT_BYTES, snapshot_for=lambda _: Position(182, 2)
    )
    assert again.entries == [change(183)]
    assert again.hard_state == HardState(3, 1, 182)


def test_damage_in_a_log_of_version_1_is_told_like_any_other():
    disk = old_disk()
    disk.flip("wal-0000000000000003", bit=8 * 100)
    with pytest.raises(WalCorrupt, match="wal-0000000000000003 is damaged at offset 32"):
        opened(disk)


def test_a_directory_of_version_1_without_a_snapshot_is_that_of_its_only_member():
    disk = old_disk()
    disk.remove("snapshot-000000000000003d")
    with pytest.raises(WalCorrupt, match="begins with entry 44, the snapshot ends with 0"):
        open_state(disk, segment_bytes=SEGMENT_BYTES)
    for name in list(segments(disk)):
        disk.remove(name)
    handle = disk.open("wal-0000000000000001", create=True)
    head = records.SEGMENT_MAGIC_1 + (1).to_bytes(8, "big") + bytes(12)
    disk.pwrite(handle, head + zlib.crc32(head).to_bytes(4, "big"), 0)
    disk.close(handle)
    found = open_state(disk, segment_bytes=SEGMENT_BYTES)
    assert found.snapshot.metadata == SnapshotMetadata(ConfState(voters=(1,)))
    found.log.append([change(1)])
    assert open_state(disk.crash(), segment_bytes=SEGMENT_BYTES).entries == [change(1)]


def test_a_snapshot_of_version_1_has_the_only_member_for_its_membership():
    found = open_state(old_disk(), segment_bytes=SEGMENT_BYTES).snapshot
    assert found.metadata == SnapshotMetadata(ConfState(voters=(1,)), 61, 1)
    assert found.facts.body_bytes == len(found.body) == 6861


def test_a_bit_flipped_anywhere_in_a_snapshot_of_version_1_is_damage():
    disk = old_disk()
    name = "snapshot-000000000000003d"
    for byte in (*range(40), 41, 3000, disk.size(name) - 1):
        disk.flip(name, bit=8 * byte + byte % 8)
        with pytest.raises(Broken, match=f"{name} is damaged") as caught:
            load_snapshot(disk)
        assert caught.value.code == "snapshot_corrupt"
        disk.flip(name, bit=8 * byte + byte % 8)


def test_the_next_snapshot_leaves_nothing_of_version_1():
    disk = old_disk()
    found = open_state(disk, segment_bytes=SEGMENT_BYTES)
    found.log.append([change(183)])
    write_snapshot(disk, SnapshotMetadata(ConfState(voters=(1,)), 183, 4), [b"the state"])
    found.log.truncate_behind(183)
    assert disk.names() == ["snapshot-00000000000000b7", "wal-0000000000000006"]
    again = open_state(disk.crash(), segment_bytes=SEGMENT_BYTES)
    assert again.hard_state == HardState(3, 1, 183)
