"""What consensus asks of its stable storage, and a storage in memory.

The log in storage begins behind a snapshot, so `first_index() - 1` is the snapshot's index, and `term` knows the term there too.
The core reads it and never writes: what is to be written stands in a `Ready`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from runink.raft.messages import ConfState, Entry, HardState, Snapshot, SnapshotMetadata

ENTRY_BYTES: Final = 16  # what an entry takes in a message beside its data, about


class Compacted(Exception):
    """The index lies before the log: a snapshot stands for it."""


class Unavailable(Exception):
    """The index lies behind the log."""


class SnapshotOutOfDate(Exception):
    """There is a newer snapshot already."""


class SnapshotTemporarilyUnavailable(Exception):
    """The snapshot is being made; ask again at the next tick or so."""


class Storage(Protocol):
    """A log that begins behind a snapshot. The calls must be quick and must not wait."""

    def initial_state(self) -> tuple[HardState, ConfState]: ...

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        """Return the entries from `low` up to, not including, `high`; at least one, then as many as `bytes_max` holds. Raises Compacted, Unavailable."""
        ...

    def term(self, index: int) -> int:
        """Return the term of the entry, also of the one before the first. Raises Compacted, Unavailable."""
        ...

    def first_index(self) -> int: ...

    def last_index(self) -> int:
        """Return the index of the last entry; of the snapshot, if there is none behind it."""
        ...

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot. Raises SnapshotTemporarilyUnavailable."""
        ...


def limited(entries: Sequence[Entry], bytes_max: int) -> Sequence[Entry]:
    """Return the first entries that `bytes_max` holds, at least one."""
    size = 0
    for place, entry in enumerate(entries):
        size += len(entry.data) + ENTRY_BYTES
        if place and size > bytes_max:
            return entries[:place]
    return entries


class MemoryStorage:
    """The whole log in memory, in a list: what a member reads from while the same is on disk."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self._snapshot = Snapshot()
        self.snapshot_index_min = 0  # an older snapshot is not handed out
        self._before = Entry()  # the entry before the first: only its term and index matter
        self._entries: list[Entry] = []

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, self._snapshot.metadata.conf_state

    def entries(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        offset = self.first_index()
        if low < offset:
            raise Compacted
        if high > self.last_index() + 1:
            raise Unavailable
        return limited(self._entries[low - offset : high - offset], bytes_max)

    def term(self, index: int) -> int:
        place = index - self.first_index()
        if place < -1:
            raise Compacted
        if place == -1:
            return self._before.term
        if place >= len(self._entries):
            raise Unavailable
        return self._entries[place].term

    def first_index(self) -> int:
        return self._before.index + 1

    def last_index(self) -> int:
        return self._before.index + len(self._entries)

    @property
    def lacks_membership(self) -> bool:
        """Say whether the newest snapshot is one that may not be handed out."""
        return self._snapshot.metadata.index < self.snapshot_index_min

    def snapshot(self) -> Snapshot:
        if self.lacks_membership:
            raise SnapshotTemporarilyUnavailable
        return self._snapshot

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries behind the log, in place of those that have their indexes, and of all behind these."""
        fresh = [entry for entry in entries if entry.index >= self.first_index()]
        if not fresh:
            return
        place = fresh[0].index - self.first_index()
        assert place <= len(self._entries), "the log has no holes"
        self._entries[place:] = fresh

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Put a snapshot in place of the whole log. Raises SnapshotOutOfDate."""
        metadata = snapshot.metadata
        if metadata.index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._before = Entry(metadata.term, metadata.index)
        self._entries = []

    def create_snapshot(self, index: int, conf_state: ConfState, data: bytes) -> Snapshot:
        """Keep a snapshot of the state behind the entry; the log stays as it is. Raises SnapshotOutOfDate, Compacted, Unavailable."""
        if index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate
        self._snapshot = Snapshot(SnapshotMetadata(conf_state, index, self.term(index)), data)
        return self._snapshot

    def compact(self, index: int) -> None:
        """Drop the entries up to and with `index`. Raises Compacted, Unavailable."""
        if index < self.first_index():
            raise Compacted
        before = Entry(self.term(index), index)
        del self._entries[: index - self._before.index]
        self._before = before
