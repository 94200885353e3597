"""What a simulated member keeps: the real log and the real snapshots, on a disk in memory whose power can go before any operation, and the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from runink.barn import image
from runink.barn.store import Store
from runink.raft.messages import ConfState, Entry, HardState, Snapshot, SnapshotMetadata
from runink.raft.storage import MemoryStorage, SnapshotTemporarilyUnavailable
from runink.storage.opening import open_state
from runink.storage.reading import Torn
from runink.storage.receiving import finish_install, open_receiver
from runink.storage.records import Position
from runink.storage.snapshot import SnapshotFacts, write_snapshot
from runink.storage.wal import open_log
from runink.testing.disk import FaultyDisk
from runink.testing.histories import Saw

SEGMENT_BYTES: Final = 8192  # small, so that segments are begun and dropped all the time
CHUNK_BYTES: Final = 2048  # of a snapshot that arrives: a crash comes between two


class PowerCut(Exception):
    """The member's machine has lost its power, before this operation of the disk."""


class Fuse:
    """Put in as a disk's `before`: after as many operations as were set, the power goes."""

    def __init__(self, crashes: Counter[str]) -> None:
        self.left: int | None = None
        self._crashes = crashes

    def __call__(self, operation: str) -> None:
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            self._crashes[operation] += 1
            raise PowerCut(operation)
        self.left -= 1


def store_bytes(store: Store) -> bytes:
    """Return the bytes of a state; equal states have equal ones."""
    return b"".join(image.encode(store.image()))


def found(disk: FaultyDisk, conf_state: ConfState) -> None:
    """Prepare the disk of a founding member: an empty state and the membership, behind entry 1.

    Not behind entry 0: who joins later must be sent the founders, by a snapshot, because they stand in no entry.
    """
    store = Store()
    store.skip(term=1, index=1)
    metadata = SnapshotMetadata(conf_state, index=1, term=1)
    write_snapshot(disk, metadata, (store_bytes(store),))
    log = open_log(disk, segment_bytes=SEGMENT_BYTES).log
    log.append((), hard_state=HardState(1, 0, 1), snapshot=Position(1, 1))
    log.close()


class MemberLog(MemoryStorage):
    """The log of one life of a member, on disk, and the same in memory for the core to read; the store that it leads to, and the membership. Made by reading the disk."""

    def __init__(self, disk: FaultyDisk, *, is_snapshot_busy: Callable[[], bool]) -> None:
        """Read the disk. `is_snapshot_busy` says now and then that the snapshot is being made, so that it cannot be had."""
        super().__init__()
        self.is_snapshot_wanted = False  # a newer one than there is
        self.snapshot_index_min = 0  # nobody is sent an older one
        self.conf_state = ConfState()  # as it is applied
        self.store = Store()
        self._is_snapshot_busy = is_snapshot_busy
        self._disk = disk
        opened = open_state(disk, segment_bytes=SEGMENT_BYTES)
        self._wal = opened.log
        self.torn: Torn | None = opened.torn
        snapshot = Snapshot(opened.snapshot.metadata, opened.snapshot.body)
        if snapshot.metadata.index:
            self.apply_snapshot(snapshot)
        self.append(opened.entries)
        self.hard_state = opened.hard_state
        self.restore_store()

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot; one that does not know a new member would be refused by it, so then a newer one is wanted."""
        metadata = self._snapshot.metadata
        if metadata.conf_state != self.conf_state or metadata.index < self.snapshot_index_min:
            self.is_snapshot_wanted = True
            raise SnapshotTemporarilyUnavailable
        if self._is_snapshot_busy():
            raise SnapshotTemporarilyUnavailable
        return self._snapshot

    @property
    def snapshot_index(self) -> int:
        return self._snapshot.metadata.index

    def restore_store(self) -> None:
        """Put the store into the state of the newest snapshot."""
        self.store = self.store_of(self._snapshot)

    def store_of(self, snapshot: Snapshot) -> Store:
        return Store.restore(image.decode(snapshot.data)) if snapshot.data else Store()

    def saw(self, key: str) -> Saw:
        """Read a key of the store."""
        item = self.store.get(key)
        value, mod_revision = (item.value, item.mod_revision) if item else (None, 0)
        return Saw(value, mod_revision, self.store.revision)

    def write(
        self, entries: Sequence[Entry], hard_state: HardState | None, snapshot: Snapshot | None
    ) -> None:
        """Put on disk what the core wants there, and into memory; when it returns, it is there. Raises like `put`."""
        self.put(entries, hard_state, snapshot)
        if snapshot is not None:
            self.apply_snapshot(snapshot)
        self.append(entries)

    def put(
        self, entries: Sequence[Entry], hard_state: HardState | None, snapshot: Snapshot | None
    ) -> None:
        """Put something on disk only. Doing it again for want of room does no harm. Raises PowerCut, and what the log and the snapshots raise."""
        position = self._receive(snapshot) if snapshot is not None else None
        if entries or hard_state is not None or position is not None:
            self._wal.append(entries, hard_state=hard_state, snapshot=position)
        if position is not None:
            finish_install(self._disk, position)

    def make_room(self, size: int) -> int:
        """Make room for so many bytes of entries; return how many fit for certain. Raises like `put`."""
        self._wal.make_room(size)
        return self._wal.room_bytes

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        super().apply_snapshot(snapshot)
        self.conf_state = snapshot.metadata.conf_state

    def _receive(self, snapshot: Snapshot) -> Position:
        """Put a leader's snapshot aside, whole, as if its chunks arrived now."""
        data = snapshot.data
        facts = SnapshotFacts(snapshot.metadata, len(data), sha256(data).digest())
        receiver = open_receiver(self._disk, facts)
        try:
            for offset in range(receiver.have_bytes, len(data), CHUNK_BYTES):
                receiver.write(data[offset : offset + CHUNK_BYTES], offset)
        finally:
            receiver.close()
        return facts.position

    def write_snapshot(self, *, kept_entries: int) -> None:
        """Put the state on disk and drop the log behind it, but for a few entries that slow members may need. Raises like `write`."""
        index = self.store.applied_index
        state = store_bytes(self.store)
        metadata = SnapshotMetadata(self.conf_state, index, self.store.applied_term)
        write_snapshot(self._disk, metadata, (state,))
        self.create_snapshot(index, self.conf_state, state)
        self.is_snapshot_wanted = False
        if index - kept_entries >= self.first_index():
            self.compact(index - kept_entries)
        self._wal.truncate_behind(index)
