"""The write-ahead log: what was appended is there again, and what must not pass does not pass."""

from __future__ import annotations

import contextlib
import errno

import pytest
from runink.errors import Broken, Unavailable, WalCorrupt
from runink.raft.messages import Entry, EntryType, HardState
from runink.storage import records
from runink.storage.records import Position
from runink.storage.segments import FILL_BYTES
from runink.storage.wal import SEGMENT_BYTES_MIN, Recovered, open_log
from runink.testing.disk import FaultyDisk


def entries(first: int, last: int, *, term: int = 1, size: int = 20) -> list[Entry]:
    return [
        Entry(term, index, EntryType.EntryNormal, bytes([index % 251]) * size)
        for index in range(first, last + 1)
    ]


def small(disk: FaultyDisk) -> Recovered:
    return open_log(disk, segment_bytes=SEGMENT_BYTES_MIN)


def filled_log(disk: FaultyDisk, *, last: int = 300) -> None:
    """Append entries one at a time, over several small segments."""
    opened = small(disk)
    for entry in entries(1, last):
        opened.log.append([entry])
    opened.log.close()


def test_an_empty_directory_holds_an_empty_log():
    opened = open_log(FaultyDisk())
    assert (opened.entries, opened.hard_state, opened.torn) == ([], HardState(), None)


def test_what_was_appended_is_read_again_in_order():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 5), hard_state=HardState(1, 7, 0))
    log.append(entries(6, 6))
    log.append([], hard_state=HardState(2, 0, 6))
    again = open_log(disk.crash())
    assert again.entries == entries(1, 6)
    assert again.hard_state == HardState(2, 0, 6)
    assert again.torn is None
    assert again.log.last_index == 6


def test_an_append_of_many_entries_is_one_write_and_one_sync():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    seen: list[str] = []
    disk.before = seen.append
    log.append(entries(2, 500))
    assert seen == ["pwrite", "fdatasync"]


def test_writes_between_two_fillings_go_into_zeroed_room():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    size = disk.size("wal-0000000000000001")
    log.append(entries(2, 500))
    assert size == disk.size("wal-0000000000000001") == FILL_BYTES


def test_an_entry_that_is_there_already_replaces_it_and_all_behind_it():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 10))
    log.append(entries(4, 5, term=2))
    again = open_log(disk)
    assert again.entries == entries(1, 3) + entries(4, 5, term=2)
    assert again.log.last_index == 5


def test_the_log_goes_on_over_many_segments():
    disk = FaultyDisk()
    filled_log(disk)
    again = small(disk.crash())
    assert again.entries == entries(1, 300)
    assert again.log.statistics().segments > 3


def test_truncating_drops_whole_segments_and_keeps_the_hard_state():
    disk = FaultyDisk()
    log = small(disk).log
    log.append(entries(1, 1), hard_state=HardState(3, 9, 0))
    for entry in entries(2, 300):
        log.append([entry])
    before = log.statistics().segments
    dropped = log.truncate_behind(250)
    assert 0 < dropped < before
    again = small(disk.crash())
    assert again.entries[0].index <= 251
    assert again.entries[-1].index == 300
    assert again.hard_state == HardState(3, 9, 0)


def test_what_a_snapshot_makes_superfluous_gives_its_space_back():
    disk = FaultyDisk()
    filled_log(disk)
    log = small(disk).log
    free = disk.free_bytes()
    dropped = log.truncate_behind(300)
    assert disk.free_bytes() == free + dropped * SEGMENT_BYTES_MIN
    for entry in entries(301, 600):
        log.append([entry])
    assert [entry.index for entry in small(disk.crash()).entries][-1] == 600


def test_a_log_that_was_killed_while_it_made_a_segment_opens():
    disk = FaultyDisk()
    filled_log(disk)
    disk.close(disk.open("segment.new", create=True))
    assert len(small(disk).entries) == 300
    assert "segment.new" not in disk.names()


def test_a_missing_segment_is_damage():
    disk = FaultyDisk()
    filled_log(disk)
    disk.remove("wal-0000000000000002")
    with pytest.raises(WalCorrupt, match=r"wal-0000000000000003 .* segment before it is missing"):
        small(disk)


def test_damage_before_the_tail_names_segment_and_offset():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    log.append(entries(2, 2))
    disk.flip("wal-0000000000000001", bit=8 * (records.SEGMENT_HEADER_BYTES + 50))
    with pytest.raises(
        WalCorrupt, match=r"wal-0000000000000001 is damaged at offset 72: .*follows"
    ):
        open_log(disk)


def test_damage_in_a_segment_that_is_not_the_last_is_never_cut():
    disk = FaultyDisk()
    filled_log(disk)
    before = {name: disk.read(name) for name in disk.names()}
    disk.flip("wal-0000000000000001", bit=8 * (SEGMENT_BYTES_MIN - 1))
    with pytest.raises(WalCorrupt):
        small(disk)
    assert {name for name in before if before[name] != disk.read(name)} == {"wal-0000000000000001"}


def test_a_value_that_looks_like_a_batch_does_not_turn_a_torn_tail_into_damage():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    forged = records.frame_batch(b"", 0, seed=1, offset=0)
    log.append([Entry(1, 2, EntryType.EntryNormal, forged * 8)])
    disk.flip("wal-0000000000000001", bit=8 * (disk.read("wal-0000000000000001").find(forged) - 30))
    again = open_log(disk)
    assert again.entries == entries(1, 1)
    assert again.torn is not None


def test_a_batch_that_is_larger_than_a_segment_gets_one_of_its_own():
    disk = FaultyDisk()
    log = small(disk).log
    log.append(entries(1, 3))
    log.append(entries(4, 6, size=2 * SEGMENT_BYTES_MIN))
    log.append(entries(7, 7))
    again = small(disk.crash())
    assert [len(entry.data) for entry in again.entries] == [20] * 3 + [
        2 * SEGMENT_BYTES_MIN
    ] * 3 + [20]
    assert again.log.statistics().segments == 3
    again.log.append(entries(8, 8))
    assert again.log.statistics().segments == 3


def test_the_type_of_an_entry_is_kept():
    disk = FaultyDisk()
    kinds = [Entry(1, index + 1, kind, b"") for index, kind in enumerate(EntryType)]
    open_log(disk).log.append(kinds)
    assert open_log(disk).entries == kinds


def test_a_log_begins_anew_behind_a_snapshot():
    disk = FaultyDisk()
    log = small(disk).log
    log.append(entries(1, 50), hard_state=HardState(1, 2, 10))
    log.append(entries(71, 72, term=3), hard_state=HardState(3, 0, 70), snapshot=Position(70, 3))
    again = small(disk.crash())
    assert again.entries == entries(71, 72, term=3)
    assert again.hard_state == HardState(3, 0, 70)
    assert again.log.last == Position(72, 3)


def test_entries_that_overrule_others_may_reach_back_behind_a_segment_that_has_gone():
    disk = FaultyDisk()
    log = small(disk).log
    for index in range(1, 101):
        log.append(entries(index, index))
    while log.statistics().segments == 2:  # ends: a segment takes some eighty of them
        log.append(entries(95, 100, term=2))
    log.append(entries(95, 100, term=3))
    log.truncate_behind(94)
    again = small(disk.crash())
    assert again.entries[-6:] == entries(95, 100, term=3)


def test_a_sync_that_finds_the_disk_full_is_as_fatal_as_any_other():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    disk.sync_error = errno.ENOSPC
    with pytest.raises(Broken) as caught:
        log.append(entries(2, 2))
    assert caught.value.code == "wal_failed"
    disk.sync_error = None
    with pytest.raises(Broken):
        log.append(entries(2, 2))
    fresh = FaultyDisk()
    log = open_log(fresh).log
    fresh.sync_error = errno.ENOSPC
    with pytest.raises(Broken):
        log.append(entries(1, 1))


def test_a_failed_sync_of_a_new_segment_ends_the_log_for_good():
    for operation in ("fdatasync", "fsync_directory"):
        disk = FaultyDisk()
        log = small(disk).log
        log.append(entries(1, 1))
        disk.before = _failing(operation)
        with pytest.raises(Broken):
            log.append(entries(2, 200))
        disk.before = str
        with pytest.raises(Broken):
            log.append(entries(2, 2))
        log.close()
        assert small(disk.killed()).entries in (entries(1, 1), entries(1, 200))


def _failing(failing: str):
    def before(operation: str) -> None:
        if operation == failing:
            raise OSError(errno.EIO, "the disk failed")

    return before


def test_a_hard_state_that_knows_more_committed_than_there_is_is_damage():
    disk = FaultyDisk()
    open_log(disk).log.append(entries(1, 5), hard_state=HardState(1, 1, 6))
    with pytest.raises(WalCorrupt, match="ends with entry 5, and 6 entries were committed"):
        open_log(disk)


def test_swapped_segments_are_damage():
    disk = FaultyDisk()
    filled_log(disk)
    names = [name for name in disk.names() if name.startswith("wal-")]
    for source, target in ((names[1], "aside"), (names[2], names[1]), ("aside", names[2])):
        disk.rename(source, target)
    with pytest.raises(WalCorrupt, match=f"{names[1]} is damaged at offset 0: its header"):
        small(disk)


def test_a_segment_of_another_log_is_damage():
    disk, other = FaultyDisk(), FaultyDisk()
    filled_log(disk)
    log = small(other).log
    for entry in entries(1, 300, term=2, size=30):
        log.append([entry])
    name = "wal-0000000000000003"
    handle = disk.open(name)
    disk.pwrite(handle, other.read(name), 0)
    disk.close(handle)
    with pytest.raises(
        WalCorrupt, match=f"{name} is damaged at offset 0: it was begun behind entry"
    ):
        small(disk)


def test_a_missing_last_segment_is_damage_if_it_held_what_was_committed():
    disk = FaultyDisk()
    log = small(disk).log
    for index in range(1, 301):
        log.append(entries(index, index), hard_state=HardState(1, 1, index))
    state = Position(300, 1)
    disk.remove(max(disk.names()))
    with pytest.raises(WalCorrupt, match=r"the log ends with entry \d+, the snapshot with 300"):
        open_log(disk, snapshot_for=lambda _: state)


def test_a_full_disk_refuses_the_write_and_takes_the_next_one_when_there_is_room():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    disk.space_bytes = FILL_BYTES + 100
    big = [Entry(1, 2, EntryType.EntryNormal, bytes(FILL_BYTES))]
    with pytest.raises(Unavailable) as caught:
        log.append(big)
    assert caught.value.code == "disk_full"
    log.append(entries(2, 2))
    disk.space_bytes = 8 * FILL_BYTES
    log.append([Entry(1, 3, EntryType.EntryNormal, bytes(FILL_BYTES))])
    again = open_log(disk.crash())
    assert [entry.index for entry in again.entries] == [1, 2, 3]
    assert again.torn is None


def test_a_full_disk_while_a_segment_is_made_is_survived():
    disk = FaultyDisk(space_bytes=SEGMENT_BYTES_MIN + 10)
    log = small(disk).log
    index = 0
    refused = False
    while not refused:  # ends: the disk fills up
        try:
            log.append(entries(index + 1, index + 1))
            index += 1
        except Unavailable:
            refused = True
    disk.space_bytes = 1 << 20
    log.append(entries(index + 1, index + 1))
    assert small(disk.crash()).entries == entries(1, index + 1)


def test_a_failed_sync_ends_the_log_for_good():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    disk.sync_error = errno.EIO
    with pytest.raises(Broken, match="failed") as caught:
        log.append(entries(2, 2))
    assert caught.value.code == "wal_failed"
    disk.sync_error = None
    with pytest.raises(Broken):
        log.append(entries(2, 2))
    with pytest.raises(Broken):
        log.truncate_behind(1)


def test_what_a_killed_process_left_unsynced_is_synced_before_it_is_believed():
    disk = FaultyDisk()
    log = open_log(disk).log
    log.append(entries(1, 1))
    disk.sync_error = errno.EIO
    with pytest.raises(Broken):
        log.append(entries(2, 2))
    found = disk.killed()
    assert open_log(found).entries == entries(1, 2)
    assert open_log(found.crash()).entries == entries(1, 2)


def test_an_unknown_record_type_says_that_the_log_is_newer():
    body = records.encode_records(entries(1, 1), None)[0]
    newer = body[:20] + b"\x09" + body[21:]
    data = bytes(32) + records.frame_batch(newer, 1, seed=5, offset=32)
    with pytest.raises(Broken, match="type 9"):
        records.decode_batch(data, 32, seed=5)


class Cut(Exception):
    """The power went."""


def test_truncating_keeps_the_hard_state_where_the_newest_segment_holds_nothing_yet():
    disk = FaultyDisk()
    log = small(disk).log
    log.append(entries(1, 1), hard_state=HardState(7, 3, 0))
    disk.before = _cut_behind_a_new_name
    index = 1
    with contextlib.suppress(Cut):
        while log.statistics().segments == 1:  # ends: a segment takes some eighty of them
            index += 1
            log.append(entries(index, index, term=7))
    again = small(disk.killed()).log
    assert again.statistics().segments == 2
    assert again.truncate_behind(index - 1) == 1
    assert again.hard_state == HardState(7, 3, 0)


def _cut_behind_a_new_name(operation: str) -> None:
    if operation == "fsync_directory":
        raise Cut
