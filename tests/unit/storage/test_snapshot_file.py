"""Snapshots: whole or absent, and never quietly an older one."""

from __future__ import annotations

import contextlib
import errno

import pytest
from runink.errors import Broken, Unavailable
from runink.raft.messages import ConfState, SnapshotMetadata
from runink.storage import snapshot
from runink.storage.disk import FileHandle
from runink.storage.snapshot import HEADER_BYTES, Snapshot, facts_of, load_snapshot, write_snapshot
from runink.testing.disk import FaultyDisk

MEMBERSHIP = ConfState(voters=(1, 2, 3), learners=(4,))


def at(index: int, term: int) -> SnapshotMetadata:
    return SnapshotMetadata(MEMBERSHIP, index, term)


def holding(metadata: SnapshotMetadata, body: bytes) -> Snapshot:
    return Snapshot(facts_of(metadata, body), body)


def test_no_snapshot_is_that_of_nothing():
    assert load_snapshot(FaultyDisk()) == holding(SnapshotMetadata(), b"")


def test_a_snapshot_survives_a_crash_right_behind_it():
    disk = FaultyDisk()
    write_snapshot(disk, at(70, 2), [b"first", b"second"])
    assert load_snapshot(disk.crash()) == holding(at(70, 2), b"firstsecond")


def test_a_newer_snapshot_takes_the_place_of_the_older():
    disk = FaultyDisk()
    write_snapshot(disk, at(9, 1), [b"old"])
    write_snapshot(disk, at(300, 1), [b"new"])
    assert load_snapshot(disk) == holding(at(300, 1), b"new")
    assert disk.names() == ["snapshot-000000000000012c"]


def test_a_crash_at_any_operation_leaves_the_old_or_the_new_one():
    class Cut(Exception):
        pass

    found = set()
    for operations in range(8):
        disk = FaultyDisk()
        write_snapshot(disk, at(1, 1), [b"old"])
        left = [operations]

        def cut(operation: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut(operation)

        disk.before = cut
        with contextlib.suppress(Cut):
            write_snapshot(disk, at(2, 1), [b"new"])
        for survivor in (disk.crash(), disk.crash(kept_bytes=1 << 20), disk.killed()):
            snapshot = load_snapshot(survivor)
            found.add(snapshot.body)
    assert found == {b"old", b"new"}


@pytest.mark.parametrize("byte", [0, 8, 16, 24, 32, 64, 68, HEADER_BYTES, -1])
def test_a_damaged_snapshot_is_an_error_that_names_it(byte: int):
    disk = FaultyDisk()
    write_snapshot(disk, at(4, 1), [b"whole"])
    name = "snapshot-0000000000000004"
    disk.flip(name, bit=8 * (byte % disk.size(name)) + 3)
    with pytest.raises(Broken, match="snapshot-0000000000000004 is damaged") as caught:
        load_snapshot(disk)
    assert caught.value.code == "snapshot_corrupt"


def test_an_empty_file_in_the_place_of_a_snapshot_is_damage():
    disk = FaultyDisk()
    disk.close(disk.open("snapshot-0000000000000004", create=True))
    with pytest.raises(Broken, match="shorter than its header"):
        load_snapshot(disk)


def test_a_full_disk_keeps_the_older_snapshot_and_leaves_nothing_aside():
    disk = FaultyDisk()
    write_snapshot(disk, at(1, 1), [b"old"])
    disk.space_bytes = 100
    with pytest.raises(Unavailable) as caught:
        write_snapshot(disk, at(2, 1), [bytes(200)])
    assert caught.value.code == "disk_full"
    assert disk.names() == ["snapshot-0000000000000001"]


def test_a_failed_sync_keeps_the_older_snapshot():
    disk = FaultyDisk()
    write_snapshot(disk, at(1, 1), [b"old"])
    disk.sync_error = errno.EIO
    with pytest.raises(OSError, match="failed"):
        write_snapshot(disk, at(2, 1), [b"new"])
    assert load_snapshot(disk) == holding(at(1, 1), b"old")


def test_what_an_earlier_life_left_unfinished_is_not_written_over_but_anew():
    disk = FaultyDisk()
    handle = disk.open("snapshot.new", create=True)
    disk.pwrite(handle, bytes(5000), 0)
    disk.close(handle)
    write_snapshot(disk, at(4, 1), [b"whole"])
    assert load_snapshot(disk.crash()) == holding(at(4, 1), b"whole")


def test_bytes_behind_a_snapshot_are_damage():
    disk = FaultyDisk()
    write_snapshot(disk, at(4, 1), [b"whole"])
    handle = disk.open("snapshot-0000000000000004")
    disk.pwrite(handle, b"more", disk.size("snapshot-0000000000000004"))
    disk.close(handle)
    with pytest.raises(Broken, match="bytes in place of"):
        load_snapshot(disk)


def test_a_large_snapshot_is_synced_as_it_is_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snapshot, "SYNC_BYTES", 1000)
    disk = FaultyDisk()
    pending = []
    disk.before = lambda operation: pending.append(disk.pending_bytes())
    write_snapshot(disk, at(4, 1), [bytes(400)] * 20)
    assert max(pending) < 1500


class Overtaken(FaultyDisk):
    """A newer snapshot takes the place of an older one just when that one is to be opened."""

    overtaken = False

    def open(self, name: str, *, create: bool = False) -> FileHandle:
        if not create and not self.overtaken:
            self.overtaken = True
            write_snapshot(self, at(9, 1), [b"newer"])
        return super().open(name, create=create)


def test_who_looks_for_the_newest_snapshot_while_it_is_replaced_finds_the_newer_one():
    disk = Overtaken()
    write_snapshot(disk, at(4, 1), [b"older"])
    assert load_snapshot(disk) == holding(at(9, 1), b"newer")
