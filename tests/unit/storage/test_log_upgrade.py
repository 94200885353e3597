"""A log of version 1, byte for byte as it was written then: it is read, and goes on in version 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.errors import WalCorrupt
from runink.raft.messages import Entry, EntryType, HardState
from runink.storage.records import Position
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
