"""A snapshot that arrives in chunks: it goes on where it was, and counts only when it is whole and the log begins behind it."""

from __future__ import annotations

import contextlib
import errno
from hashlib import sha256

import msgspec
import pytest
from runink.errors import Unavailable
from runink.raft.messages import ConfState, SnapshotMetadata
from runink.storage import receiving
from runink.storage.receiving import (
    SnapshotReceiver,
    finish_install,
    open_receiver,
    part_names,
    whole_part,
)
from runink.storage.snapshot import (
    SnapshotFacts,
    SnapshotReader,
    decode_facts,
    encode_facts,
    newest_snapshot,
    snapshot_names,
    write_snapshot,
)
from runink.testing.disk import FaultyDisk

CHUNK = 1000
BODY = bytes(range(256)) * 40
METADATA = SnapshotMetadata(ConfState(voters=(1, 2, 3)), 70, 4)
FACTS = SnapshotFacts(METADATA, len(BODY), sha256(BODY).digest())


def feed(receiver: SnapshotReceiver, *, chunks: int = 1000) -> None:
    """Send from where the receiver is, so many chunks at most."""
    for _ in range(chunks):
        if receiver.is_whole:
            return
        at = receiver.have_bytes
        receiver.write(BODY[at : at + CHUNK], at)


def sent(disk: FaultyDisk) -> SnapshotReader:
    write_snapshot(disk, METADATA, [BODY[:300], BODY[300:]])
    reader = newest_snapshot(disk)
    assert reader is not None
    return reader


def test_chunks_of_a_snapshot_make_the_same_snapshot_elsewhere():
    reader = sent(FaultyDisk())
    target = FaultyDisk()
    receiver = open_receiver(target, decode_facts(encode_facts(reader.facts)))
    while not receiver.is_whole:  # ends: each chunk brings it on
        receiver.write(reader.read(receiver.have_bytes, CHUNK), receiver.have_bytes)
    reader.close()
    receiver.close()
    assert whole_part(target.crash(), FACTS.position) == FACTS
    assert snapshot_names(target) == []


def test_a_reader_goes_on_with_its_snapshot_when_a_newer_one_takes_its_place():
    disk = FaultyDisk()
    reader = sent(disk)
    newer = SnapshotMetadata(METADATA.conf_state, 80, 4)
    write_snapshot(disk, newer, [b"newer"])
    assert len(snapshot_names(disk)) == 1
    assert reader.read(5000, 10) == BODY[5000:5010]
    assert reader.read(len(BODY) - 3, 10) == BODY[-3:]
    assert reader.read(len(BODY), 10) == b""
    reader.close()


def test_a_receiver_goes_on_after_a_restart_where_it_was():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver, chunks=4)
    receiver.close()
    again = open_receiver(disk.killed(), FACTS)
    assert (again.have_bytes, again.is_whole) == (4 * CHUNK, False)
    feed(again)
    assert again.is_whole


def test_a_receiver_that_was_whole_is_whole_again():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver)
    receiver.close()
    again = open_receiver(disk.crash(), FACTS)
    assert again.is_whole
    assert again.have_bytes == len(BODY)


def test_a_power_cut_at_any_byte_loses_time_and_nothing_else():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver, chunks=3)
    for kept in range(0, disk.pending_bytes() + 1, 97):
        again = open_receiver(disk.crash(kept_bytes=kept), FACTS)
        assert again.have_bytes <= 3 * CHUNK
        with contextlib.suppress(Unavailable):  # the size was kept and not the bytes
            feed(again)
        feed(again)
        assert again.is_whole


def test_bytes_that_went_missing_in_a_power_cut_are_noticed_and_sent_again():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver, chunks=3)
    receiver.close()
    name = part_names(disk)[0]
    disk.flip(name, bit=8 * (disk.size(name) - 100))
    again = open_receiver(disk, FACTS)
    with pytest.raises(Unavailable, match="other bytes") as caught:
        feed(again)
    assert caught.value.code == "snapshot_damaged"
    assert (again.have_bytes, again.is_whole) == (0, False)
    feed(again)
    assert again.is_whole
    again.close()
    assert open_receiver(disk.crash(), FACTS).is_whole


def test_a_whole_part_that_rotted_begins_anew():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver)
    receiver.close()
    name = part_names(disk)[0]
    disk.flip(name, bit=8 * (disk.size(name) - 100))
    again = open_receiver(disk, FACTS)
    assert (again.have_bytes, again.is_whole) == (0, False)
    assert whole_part(disk.crash(), FACTS.position) is None


def test_a_chunk_that_comes_twice_or_too_early_changes_nothing():
    receiver = open_receiver(FaultyDisk(), FACTS)
    feed(receiver, chunks=2)
    assert receiver.write(BODY[:CHUNK], 0) == 2 * CHUNK
    assert receiver.write(BODY[5 * CHUNK : 6 * CHUNK], 5 * CHUNK) == 2 * CHUNK
    assert receiver.write(b"", 2 * CHUNK) == 2 * CHUNK
    assert receiver.write(BODY[CHUNK : 3 * CHUNK], CHUNK) == 3 * CHUNK
    feed(receiver)
    assert receiver.is_whole


def test_more_than_was_promised_is_refused():
    receiver = open_receiver(FaultyDisk(), FACTS)
    with pytest.raises(Unavailable, match="more bytes than were promised"):
        receiver.write(BODY + b"!", 0)
    feed(receiver)
    assert receiver.is_whole


@pytest.mark.parametrize(
    "other",
    [
        SnapshotFacts(SnapshotMetadata(METADATA.conf_state, 90, 5), 3, sha256(b"new").digest()),
        SnapshotFacts(METADATA, 3, sha256(b"new").digest()),
    ],
    ids=["newer", "same place, other bytes"],
)
def test_another_snapshot_takes_the_place_of_a_part(other: SnapshotFacts):
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver, chunks=4)
    receiver.close()
    instead = open_receiver(disk, other)
    assert instead.have_bytes == 0
    assert len(part_names(disk)) == 1
    instead.write(b"new", 0)
    assert instead.is_whole


def test_a_whole_part_stays_when_another_snapshot_is_offered():
    """Its message may be on its way through consensus already, which then lets it take effect."""
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver)
    receiver.close()
    newer = SnapshotFacts(SnapshotMetadata(METADATA.conf_state, 90, 5), 3, sha256(b"new").digest())
    receiver = open_receiver(disk, newer)
    assert whole_part(disk, FACTS.position) == FACTS
    finish_install(disk, FACTS.position)
    receiver.write(b"new", 0)
    receiver.close()
    assert whole_part(disk, newer.position) == newer
    finish_install(disk, newer.position)
    assert disk.names() == ["snapshot-000000000000005a"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda facts: (facts.metadata, -1, facts.sha256),
        lambda facts: (facts.metadata, 1 << 63, facts.sha256),
        lambda facts: (facts.metadata, 5, b"short"),
        lambda facts: (((), -1, 1), 5, facts.sha256),
        lambda facts: (((tuple(range(5000)),), 1, 1), 5, facts.sha256),
    ],
)
def test_facts_of_no_snapshot_are_refused_when_they_are_read(wrong):
    assert decode_facts(msgspec.msgpack.encode(FACTS)) == FACTS
    with pytest.raises(msgspec.MsgspecError):
        decode_facts(msgspec.msgpack.encode(wrong(FACTS)))


def test_a_snapshot_without_a_state_is_whole_at_once():
    facts = SnapshotFacts(METADATA, 0, sha256(b"").digest())
    assert open_receiver(FaultyDisk(), facts).is_whole


def test_a_snapshot_that_does_not_fit_is_refused_before_anything_is_written():
    disk = FaultyDisk(space_bytes=len(BODY) // 2)
    with pytest.raises(Unavailable) as caught:
        open_receiver(disk, FACTS)
    assert caught.value.code == "disk_full"
    assert disk.names() == []


def test_a_disk_that_fills_up_refuses_a_chunk_and_takes_it_later():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    feed(receiver, chunks=4)
    disk.space_bytes = disk.space_bytes - disk.free_bytes() + CHUNK // 2
    with pytest.raises(Unavailable) as caught:
        feed(receiver)
    assert caught.value.code == "disk_full"
    assert receiver.have_bytes == 4 * CHUNK
    disk.space_bytes += 1 << 20
    feed(receiver)
    assert receiver.is_whole


def test_a_large_snapshot_is_synced_as_it_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(receiving, "SYNC_BYTES", 2000)
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    for chunks in range(1, 6):
        feed(receiver, chunks=1)
        assert disk.pending_bytes() == (chunks % 2) * CHUNK
    assert open_receiver(disk.crash(), FACTS).have_bytes == 4 * CHUNK


def test_a_failed_sync_is_never_taken_for_a_whole_snapshot():
    disk = FaultyDisk()
    receiver = open_receiver(disk, FACTS)
    disk.sync_error = errno.EIO
    with pytest.raises(OSError, match="failed"):
        feed(receiver)
    assert not receiver.is_whole
    assert whole_part(disk.killed(), FACTS.position) is None
