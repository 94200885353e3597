"""What is mended is mended without a lie: a cut says beforehand exactly what it loses, and promises are kept where they can be read."""

from __future__ import annotations

import contextlib

import pytest
from runink.errors import NotFound, Refused, WalCorrupt
from runink.raft.messages import ConfState, Entry, EntryType, HardState, SnapshotMetadata
from runink.storage.checking import check_directory
from runink.storage.log_storage import LogStorage, begin_directory, open_log_storage
from runink.storage.repairing import Cut, cut_log, loss_of, mend
from runink.storage.wal import SEGMENT_BYTES_MIN
from runink.testing.disk import FaultyDisk

GROUP = ConfState(voters=(1, 2, 3))
FIRST, SECOND, THIRD, FOURTH = (f"wal-{number:016x}" for number in (1, 2, 3, 4))


def opened(disk: FaultyDisk) -> LogStorage:
    return open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)[0]


def directory(*, snapshot: int = 0) -> FaultyDisk:
    """Entries 1 to 150, each committed with the next; the vote changes at 120."""
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP))
    storage = opened(disk)
    for index in range(1, 151):
        entry = Entry(1, index, EntryType.EntryNormal, bytes([index]) * 20)
        state = HardState(2, 3, index - 1) if index >= 120 else HardState(1, 2, index - 1)
        storage.save([entry], state)
    if snapshot:
        metadata = SnapshotMetadata(GROUP, snapshot, 1)
        storage.snapshot_written(storage.write_snapshot(metadata, [b"the state"]))
    storage.close()
    return disk


def damaged(disk: FaultyDisk, name: str) -> Cut:
    """Damage the third batch of a segment, and return where it begins."""
    data = disk.read(name)
    place = -1
    for _ in range(3):
        place = data.find(b"RBAT", place + 1)
    disk.flip(name, bit=8 * (place + 30))
    return Cut(name, place)


def files(disk: FaultyDisk) -> dict[str, bytes]:
    return {name: disk.read(name) for name in disk.names()}


def test_a_torn_tail_and_files_that_were_being_made_are_mended():
    disk = directory()
    name = check_directory(disk).segments[-1].name
    disk.flip(name, bit=8 * (len(disk.read(name).rstrip(b"\0")) - 4))
    for leftover in ("segment.new", "snapshot.new"):
        disk.close(disk.open(leftover, create=True))
    done = mend(disk)
    assert len(done) == 3
    found = check_directory(disk.crash())
    assert (found.faults, found.notes) == ([], [])
    assert found.last is not None
    assert found.last.index == 149


def test_damage_is_never_mended_by_itself():
    disk = directory()
    damaged(disk, SECOND)
    before = files(disk)
    with pytest.raises(WalCorrupt, match=SECOND):
        mend(disk)
    assert files(disk) == before


def test_a_cut_says_what_it_loses_and_does_just_that():
    disk = directory()
    whole = opened(disk)
    entries = list(whole.entries(1, 151, 1 << 30))
    whole.close()
    before = files(disk)
    loss = loss_of(disk, damaged(disk, SECOND))
    first = loss.last.index + 1
    assert (
        loss.segments
        == (THIRD, FOURTH)
        == tuple(sorted(set(before) - {FIRST, SECOND} - {"snapshot-0000000000000000"}))
    )
    assert (loss.first_index, loss.last_index) == (
        first + 1,
        150,
    )  # one stands in what cannot be read
    assert loss.entries == 150 - first
    assert loss.committed == 149 - loss.last.index
    assert loss.is_blind
    assert loss.hard_state == HardState(2, 3, loss.last.index)
    cut_log(disk, loss)
    found = check_directory(disk.crash())
    assert (found.faults, found.last) == ([], loss.last)
    again = opened(disk.crash())
    assert list(again.entries(1, first, 1 << 30)) == entries[: first - 1]
    assert again.hard_state == loss.hard_state
    again.save([Entry(3, first, EntryType.EntryNormal, b"goes on")])


def test_a_cut_at_a_whole_segment_keeps_what_is_before_it():
    disk = directory()
    last = check_directory(disk).segments[1].last_index
    disk.flip(THIRD, bit=9)
    loss = loss_of(disk, Cut(THIRD, 0))
    assert (loss.segments, loss.last.index) == ((THIRD, FOURTH), last)
    cut_log(disk, loss)
    assert check_directory(disk).faults == []
    assert opened(disk).last_index() == last


def test_a_cut_behind_a_missing_segment_drops_those_that_cannot_follow():
    disk = directory()
    disk.remove(SECOND)
    loss = loss_of(disk, Cut(THIRD, 0))
    assert loss.is_blind
    cut_log(disk, loss)
    assert opened(disk).last_index() == loss.last.index


def test_what_a_snapshot_stands_for_is_not_lost():
    disk = directory(snapshot=140)
    loss = loss_of(disk, damaged(disk, SECOND))
    assert (loss.last.index, loss.first_index, loss.entries) == (140, 141, 10)
    cut_log(disk, loss)
    assert check_directory(disk).faults == []
    again = opened(disk.crash())
    assert (again.first_index(), again.last_index()) == (141, 140)
    again.save([Entry(3, 141, EntryType.EntryNormal, b"goes on")])


def test_a_cut_of_a_whole_log_is_not_blind_and_loses_what_it_says():
    disk = directory()
    place = disk.read(FOURTH).find(b"RBAT")
    loss = loss_of(disk, Cut(FOURTH, place))
    assert not loss.is_blind
    assert loss.entries == 150 - loss.last.index
    cut_log(disk, loss)
    assert opened(disk).last_index() == loss.last.index


def test_a_crash_in_the_middle_of_a_cut_leaves_something_that_can_be_cut_again():
    class Stopped(Exception):
        pass

    for operations in range(20):
        disk = directory()
        loss = loss_of(disk, damaged(disk, SECOND))
        left = [operations]

        def stop(operation: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Stopped(operation)

        disk.before = stop
        with contextlib.suppress(Stopped):
            cut_log(disk, loss)
        for survivor in (disk.crash(), disk.killed()):
            if check_directory(survivor).faults:
                cut_log(survivor, loss_of(survivor, loss.cut))
            again = opened(survivor)
            assert again.last_index() == loss.last.index
            assert again.hard_state == loss.hard_state


def test_a_place_where_no_batch_begins_is_refused_with_one_that_does():
    disk = directory()
    cut = damaged(disk, SECOND)
    with pytest.raises(
        Refused, match=f"no batch of {SECOND} begins at offset {cut.offset + 8}"
    ) as caught:
        loss_of(disk, Cut(SECOND, cut.offset + 8))
    assert f"{SECOND}:{cut.offset}" in caught.value.hint
    with pytest.raises(NotFound, match="no segment wal-x"):
        loss_of(disk, Cut("wal-x", 0))


def test_a_cut_behind_the_damage_is_refused_with_its_place():
    disk = directory()
    cut = damaged(disk, SECOND)
    with pytest.raises(Refused, match="damaged") as caught:
        loss_of(disk, Cut(FOURTH, 0))
    assert f"--drop-from {SECOND}:{cut.offset}" in caught.value.hint


def test_a_cut_is_refused_where_the_beginning_of_the_log_is_missing():
    disk = directory()
    disk.remove(FIRST)
    disk.flip(THIRD, bit=9)
    with pytest.raises(Refused, match="a cut mends nothing"):
        loss_of(disk, Cut(THIRD, 0))
