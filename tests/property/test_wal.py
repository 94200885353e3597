"""The log torn at every byte and flipped at every bit: it gives back what was acknowledged, or says that it cannot."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.errors import Broken, Unavailable, WalCorrupt
from runink.raft.messages import Entry, EntryType, HardState
from runink.storage.wal import ENTRY_ROOM_BYTES, SEGMENT_BYTES_MIN, Recovered, open_log
from runink.testing.disk import Cut, FaultyDisk

SEGMENT = "wal-0000000000000001"
batches = st.lists(st.lists(st.binary(max_size=400), min_size=1, max_size=6), max_size=30)


def opened(disk: FaultyDisk) -> Recovered:
    return open_log(disk, segment_bytes=SEGMENT_BYTES_MIN)


def small_log() -> tuple[FaultyDisk, list[Entry]]:
    """Three batches of five entries in all, and the entries."""
    disk = FaultyDisk()
    log = opened(disk).log
    entries = [
        Entry(1, index, EntryType.EntryNormal, b"payload %d" % index) for index in range(1, 6)
    ]
    log.append(entries[:2], hard_state=HardState(1, 1, 0))
    log.append(entries[2:3])
    log.append(entries[3:])
    return disk, entries


def test_a_last_write_torn_at_any_byte_is_cut_and_loses_nothing_before_it():
    disk, entries = small_log()

    def cut(operation: str) -> None:
        if operation == "fdatasync":
            raise Cut

    log = opened(disk).log
    disk.before = cut
    with pytest.raises(Cut):
        log.append(
            [
                Entry(1, 6, EntryType.EntryNormal, b"unacknowledged"),
                Entry(1, 7, EntryType.EntryNormal, b"too"),
            ]
        )
    total = disk.pending_bytes()
    for kept in range(total + 1):
        again = opened(disk.crash(kept_bytes=kept))
        whole = again.entries == [
            *entries,
            Entry(1, 6, EntryType.EntryNormal, b"unacknowledged"),
            Entry(1, 7, EntryType.EntryNormal, b"too"),
        ]
        assert whole or again.entries == entries
        assert (again.torn is None) == (whole or kept == 0)
        again.log.append([Entry(2, again.log.last_index + 1, EntryType.EntryNormal, b"goes on")])


def test_a_bit_flipped_anywhere_before_the_last_batch_is_damage():
    disk, _ = small_log()
    data = disk.read(SEGMENT)
    last = data.rfind(b"RBAT")
    for bit in range(last * 8):
        disk.flip(SEGMENT, bit=bit)
        with pytest.raises(WalCorrupt, match=SEGMENT):
            opened(disk)
        disk.flip(SEGMENT, bit=bit)
    assert disk.read(SEGMENT) == data


def test_a_bit_flipped_in_the_last_batch_is_never_read_as_something_else():
    disk, entries = small_log()
    data = disk.read(SEGMENT)
    begin = data.rfind(b"RBAT")
    end = len(data.rstrip(b"\0"))
    for bit in range(begin * 8, end * 8):
        disk.flip(SEGMENT, bit=bit)
        again = opened(disk.crash())
        assert again.entries == entries[:3]
        assert again.torn is not None
        disk.flip(SEGMENT, bit=bit)


@given(batches, st.integers(0, 2**32), st.integers(0, 400), st.sampled_from(["killed", "power"]))
@settings(max_examples=200)
def test_a_crash_at_any_operation_loses_nothing_that_was_acknowledged(
    payloads: list[list[bytes]], seed: int, operations: int, cause: str
):
    disk = FaultyDisk()
    disk.cut_after(operations)
    acknowledged: list[Entry] = []
    tried: list[Entry] = []
    snapshot_index = 0
    try:
        log = opened(disk).log
        for number, batch in enumerate(payloads):
            first = len(acknowledged) + 1
            entries = [
                Entry(1, first + place, EntryType.EntryNormal, payload)
                for place, payload in enumerate(batch)
            ]
            tried = acknowledged + entries
            log.append(entries, hard_state=HardState(number + 1, 0, first))
            acknowledged = tried
            if number % 8 == 7:
                snapshot_index = first
                log.truncate_behind(first)
    except Cut:
        pass
    again = opened(disk.killed() if cause == "killed" else disk.crash_at_random(Random(seed)))
    begin = again.entries[0].index if again.entries else 1
    assert begin <= snapshot_index + 1
    assert again.entries in (acknowledged[begin - 1 :], tried[begin - 1 :])
    again.log.append([Entry(9, again.log.last_index + 1, EntryType.EntryNormal, b"goes on")])


@given(batches, st.data())
@settings(max_examples=100)
def test_flipped_bits_give_an_error_or_a_cut_tail_and_never_other_entries(
    payloads: list[list[bytes]], data: st.DataObject
):
    disk = FaultyDisk()
    log = opened(disk).log
    entries: list[Entry] = []
    for batch in payloads:
        first = len(entries) + 1
        added = [
            Entry(1, first + place, EntryType.EntryNormal, payload)
            for place, payload in enumerate(batch)
        ]
        log.append(added)
        entries += added
    for name in disk.names():
        disk.flip(name, bit=data.draw(st.integers(0, disk.size(name) * 8 - 1)))
    try:
        again = opened(disk)
    except WalCorrupt:
        return
    kept = len(entries) - (len(payloads[-1]) if payloads and again.torn else 0)
    assert again.entries in (entries, entries[:kept])


@given(st.integers(SEGMENT_BYTES_MIN, 40_000), st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_disk_that_fills_up_refuses_and_forgets_nothing(space_bytes: int, seed: int):
    disk = FaultyDisk(space_bytes=space_bytes)
    random = Random(seed)
    entries: list[Entry] = []
    log = opened(disk).log
    for _ in range(120):
        entry = Entry(
            1, len(entries) + 1, EntryType.EntryNormal, random.randbytes(random.randrange(900))
        )
        try:
            log.append([entry])
        except Unavailable:
            disk.space_bytes += random.randrange(3000)
        except Broken:
            break
        else:
            entries.append(entry)
    again = opened(disk.crash())
    assert again.entries == entries
    assert again.torn is None


@given(st.integers(0, 2**32), st.sampled_from([SEGMENT_BYTES_MIN, 20_000, 300_000]))
@settings(max_examples=30)
def test_room_that_was_made_is_enough_however_it_is_used(seed: int, segment_bytes: int):
    random = Random(seed)
    disk = FaultyDisk()
    log = open_log(disk, segment_bytes=random.choice([segment_bytes, 1 << 20])).log
    for life in range(4):
        log.close()
        log = open_log(disk, segment_bytes=segment_bytes).log
        for _ in range(6):
            disk.space_bytes = 64 << 20
            log.make_room(random.randrange(12_000))
            left = log.room_bytes
            disk.space_bytes -= disk.free_bytes()
            while left >= ENTRY_ROOM_BYTES:  # ends: each append takes some of it
                batch = _batch_within(left, random, first=log.last_index + 1)
                log.append(batch, hard_state=HardState(life + 1, 1, log.last_index))
                left -= sum(len(entry.data) + ENTRY_ROOM_BYTES for entry in batch)
    assert opened(disk.crash()).torn is None


def _batch_within(room_bytes: int, random: Random, *, first: int) -> list[Entry]:
    """Return at least one entry that the room is enough for."""
    batch: list[Entry] = []
    while room_bytes >= ENTRY_ROOM_BYTES and len(batch) < 20:  # ends: it gets less
        size = random.choice([0, random.randrange(300), room_bytes]) % (
            room_bytes - ENTRY_ROOM_BYTES + 1
        )
        batch.append(Entry(1, first + len(batch), EntryType.EntryNormal, bytes(size)))
        room_bytes -= size + ENTRY_ROOM_BYTES
    return batch
