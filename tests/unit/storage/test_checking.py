"""A directory is looked at: every kind of damage is told with its place, and nothing is changed."""

from __future__ import annotations

from random import Random

import pytest
from runink.errors import Broken, WalCorrupt
from runink.raft.messages import ConfState, Entry, EntryType, HardState, SnapshotMetadata
from runink.storage import records
from runink.storage.checking import check_directory
from runink.storage.log_storage import begin_directory, open_log_storage
from runink.storage.opening import open_state
from runink.storage.receiving import open_receiver
from runink.storage.records import Position
from runink.storage.segments import SegmentFile
from runink.storage.snapshot import SnapshotFacts, facts_of, snapshot_names
from runink.storage.wal import SEGMENT_BYTES_MIN, open_log
from runink.testing.disk import FaultyDisk

GROUP = ConfState(voters=(1, 2, 3))
FIRST, SECOND, THIRD = (f"wal-{number:016x}" for number in (1, 2, 3))
SNAPSHOT = "snapshot-000000000000001e"


def directory() -> FaultyDisk:
    """Entries 1 to 200 in some segments, and a snapshot up to 30."""
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP))
    storage, _ = open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)
    for index in range(1, 201):
        entry = Entry(1, index, EntryType.EntryNormal, bytes([index]) * 20)
        storage.save([entry], HardState(1, 2, index))
    metadata = SnapshotMetadata(GROUP, 30, 1)
    storage.snapshot_written(storage.write_snapshot(metadata, [b"the state"]))
    storage.close()
    return disk


def add(disk: FaultyDisk, name: str, data: bytes = b"") -> None:
    handle = disk.open(name, create=True)
    disk.pwrite(handle, data, 0)
    disk.fdatasync(handle)
    disk.close(handle)
    disk.fsync_directory()


def cut_short(disk: FaultyDisk, name: str, size: int) -> None:
    data = disk.read(name)
    disk.remove(name)
    add(disk, name, data[:size])


def faults(disk: FaultyDisk) -> list[tuple[str, int]]:
    """Return the places of the faults; what is told must also be refused, and change nothing."""
    before = {name: disk.read(name) for name in disk.names()}
    found = check_directory(disk)
    assert {name: disk.read(name) for name in disk.names()} == before
    if found.faults:
        with pytest.raises((Broken, WalCorrupt)):
            open_state(disk.killed(), segment_bytes=SEGMENT_BYTES_MIN)
    else:
        open_state(disk.killed(), segment_bytes=SEGMENT_BYTES_MIN).log.close()
    return [(fault.file, fault.offset) for fault in found.faults]


def test_a_whole_directory_is_told_segment_by_segment():
    found = check_directory(directory())
    assert (found.faults, found.notes) == ([], [])
    assert [one.name for one in found.segments][:3] == [FIRST, SECOND, THIRD]
    assert {one.version for one in found.segments} == {records.VERSION}
    assert {one.verdict for one in found.segments} == {"whole"}
    assert found.segments[0].first_index == 1
    assert sum(one.entries for one in found.segments) == 200
    assert found.segments[1].first_index == found.segments[0].last_index + 1
    assert (found.first_index, found.last) == (1, Position(200, 1))
    assert found.hard_state == HardState(1, 2, 200)
    assert [(one.name, one.verdict) for one in found.snapshots] == [(SNAPSHOT, "whole")]


def test_an_empty_directory_is_whole():
    assert check_directory(FaultyDisk()).faults == []


def test_a_bit_flipped_in_any_field_of_a_header_is_told():
    disk = directory()
    for byte in (*range(0, records.SEGMENT_HEADER_BYTES, 4), records.SEGMENT_HEADER_BYTES - 1):
        disk.flip(SECOND, bit=8 * byte + 1)
        assert faults(disk)[0] == (SECOND, 0)
        disk.flip(SECOND, bit=8 * byte + 1)
    assert faults(disk) == []


def test_a_bit_flipped_in_any_byte_of_a_batch_is_told_with_its_offset():
    disk = directory()
    begin = records.SEGMENT_HEADER_BYTES
    end = disk.read(SECOND).find(records.BATCH_MAGIC, begin + 1)
    for byte in range(begin, end):
        disk.flip(SECOND, bit=8 * byte + byte % 8)
        assert faults(disk)[0] == (SECOND, begin)
        disk.flip(SECOND, bit=8 * byte + byte % 8)


def test_a_bit_flipped_anywhere_in_a_snapshot_is_told():
    disk = directory()
    for byte in range(disk.size(SNAPSHOT)):
        disk.flip(SNAPSHOT, bit=8 * byte + byte % 8)
        assert faults(disk) == [(SNAPSHOT, 0)]
        disk.flip(SNAPSHOT, bit=8 * byte + byte % 8)


def test_a_segment_that_was_cut_short_is_told_unless_it_is_the_tail_of_the_log():
    disk = directory()
    cut_short(disk, SECOND, 1000)
    assert faults(disk)[0][0] == SECOND
    for size in (0, 10, records.SEGMENT_HEADER_BYTES - 1):
        cut = directory()
        cut_short(cut, SECOND, size)
        assert faults(cut)[0] == (SECOND, 0)


def test_a_snapshot_that_was_cut_short_is_told():
    for size in (0, 8, 39, 80, -1):
        disk = directory()
        cut_short(disk, SNAPSHOT, size % disk.size(SNAPSHOT))
        assert faults(disk) == [(SNAPSHOT, 0)]


def test_a_missing_segment_is_told_wherever_it_was():
    disk = directory()
    segments = [one.name for one in check_directory(disk).segments]
    for place, name in enumerate(segments[:-1]):
        cut = directory()
        cut.remove(name)
        expected = ("", 0) if place == 0 else (segments[place + 1], 0)
        assert faults(cut)[0] == expected


def test_swapped_segments_and_those_of_another_log_are_told():
    disk = directory()
    for source, target in ((SECOND, "aside"), (THIRD, SECOND), ("aside", THIRD)):
        disk.rename(source, target)
    assert faults(disk)[:2] == [(SECOND, 0), (THIRD, 0)]
    disk, other = directory(), FaultyDisk()
    log = open_log(other, segment_bytes=SEGMENT_BYTES_MIN).log
    for index in range(1, 200):
        log.append([Entry(2, index, EntryType.EntryNormal, b"another's")])
    log.close()
    disk.remove(SECOND)
    add(disk, SECOND, other.read(SECOND))
    assert faults(disk)[0] == (SECOND, 0)


def test_a_missing_snapshot_is_told_where_the_log_needs_it():
    disk = directory()
    disk.remove(SNAPSHOT)
    assert faults(disk) == []  # the log has everything from its first entry on
    storage, _ = open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)
    storage.snapshot_written(
        storage.write_snapshot(SnapshotMetadata(GROUP, 150, 1), [b"the state"])
    )
    storage.truncate()
    storage.close()
    disk.remove(snapshot_names(disk)[0])
    assert faults(disk) == [("", 0)]


def test_a_snapshot_of_another_history_is_told():
    disk = directory()
    other = FaultyDisk()
    begin_directory(other, SnapshotMetadata(GROUP, 40, 7), [b"another's"])
    name = snapshot_names(other)[0]
    add(disk, name, other.read(name))
    found = check_directory(disk)
    assert [fault.text for fault in found.faults] == [
        "entry 40 is of term 1, in the snapshot of term 7"
    ]


def test_a_torn_tail_is_a_note_and_no_fault():
    disk = directory()
    name = check_directory(disk).segments[-1].name
    end = len(disk.read(name).rstrip(b"\0"))
    disk.flip(name, bit=8 * (end - 4))
    assert faults(disk) == []
    assert "unfinished write" in check_directory(disk).notes[0]


def test_what_a_crash_leaves_and_what_is_not_ours_is_noted():
    disk = directory()
    add(disk, "segment.new", b"half")
    add(disk, "snapshot.new", b"half")
    add(disk, "notes.txt", b"mine")
    open_receiver(disk, _facts(90)).close()
    assert faults(disk) == []
    assert [note.partition(" ")[0] for note in check_directory(disk).notes] == [
        "notes.txt",
        "segment.new",
        "snapshot-000000000000005a-0000000000000002.part",
        "snapshot.new",
    ]


def test_a_leaders_snapshot_that_the_log_begins_behind_is_noted_until_it_has_its_name():
    disk = directory()
    receiver = open_receiver(disk, _facts(300))
    receiver.write(b"body", 0)
    receiver.close()
    log = open_log(disk, segment_bytes=SEGMENT_BYTES_MIN).log
    log.append([], hard_state=HardState(2, 0, 300), snapshot=Position(300, 2))
    log.close()
    assert faults(disk) == []
    assert "the log begins behind" in check_directory(disk).notes[0]
    disk.remove("snapshot-000000000000012c-0000000000000002.part")
    assert faults(disk) == [("", 0)]


def _facts(index: int) -> SnapshotFacts:
    return facts_of(SnapshotMetadata(GROUP, index, 2), b"body")


def written(*bodies: bytes) -> FaultyDisk:
    """Write batches with these bodies, right or wrong, of a record each."""
    disk = FaultyDisk()
    file = SegmentFile(disk, segment_bytes=SEGMENT_BYTES_MIN)
    file.fill_next(1000)
    segment = file.begin(1, before=Position(), hard_state=HardState())
    for body in bodies:
        frame = records.frame_batch(body, 1, seed=segment.seed, offset=segment.end)
        file.write(frame, segment.end)
        segment.end += len(frame)
    file.close()
    return disk


def body_of(entry: Entry) -> bytes:
    return records.encode_records([entry], None)[0]


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (Entry(2, 3), "entry 3 of term 2 follows entry 1 of term 2"),
        (Entry(1, 2), "entry 2 of term 1 follows entry 1 of term 2"),
    ],
    ids=["a gap", "a term that goes back"],
)
def test_entries_that_cannot_follow_each_other_are_told(second: Entry, text: str):
    disk = written(body_of(Entry(2, 1)), body_of(second))
    assert faults(disk) == [(FIRST, records.SEGMENT_HEADER_BYTES + 40)]
    assert [fault.text for fault in check_directory(disk).faults] == [text]


def test_a_record_of_a_newer_version_is_told_with_its_place():
    body = body_of(Entry(1, 1))
    disk = written(body[:20] + b"\x09" + body[21:])
    found = check_directory(disk)
    assert (found.faults[0].code, found.faults[0].offset) == ("wal_version", 72)
    with pytest.raises(Broken, match="cannot be read from offset 72") as caught:
        open_log(disk)
    assert caught.value.code == "wal_version"


def test_rubbish_in_any_file_is_told_and_never_crashes_the_check():
    random = Random(7)
    for _ in range(60):
        disk = directory()
        name = random.choice(disk.names())
        data = bytearray(disk.read(name))
        at = random.randrange(len(data))
        data[at : at + 40] = random.randbytes(min(40, len(data) - at))
        disk.remove(name)
        add(disk, name, bytes(data))
        found = check_directory(disk)
        assert found.faults or found.notes
