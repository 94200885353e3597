"""The log as the core sees it: what is in storage, then what is not yet on disk.

      storage                              unstable
    [ first ......... offset - 1 ]  [ offset ...... in progress ...... last ]
        applied <= applying <= committed <= last
                                           handed out ^ for writing

Unstable entries are handed out once (`accept_unstable`) and dropped from memory when they are said to be on disk (`stable_to`), by term and
index: a new leader may have replaced them meanwhile, and then the old write says nothing about the new entry.  A snapshot from a leader stands in
front of the unstable entries until it is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from runink.raft.messages import Entry, Snapshot
from runink.raft.storage import ENTRY_BYTES, Compacted, Storage, Unavailable, limited


def bytes_of(entries: Sequence[Entry]) -> int:
    """Return about how many bytes the entries take in a message."""
    return payload_bytes(entries) + ENTRY_BYTES * len(entries)


def payload_bytes(entries: Sequence[Entry]) -> int:
    return sum(len(entry.data) for entry in entries)


class Unstable:
    """What is not known to be on disk: perhaps a snapshot, and the entries from `offset` on."""

    __slots__ = ("entries", "is_snapshot_in_progress", "offset", "offset_in_progress", "snapshot")

    def __init__(self, offset: int) -> None:
        self.snapshot: Snapshot | None = None
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_in_progress = offset  # those before it were handed out for writing
        self.is_snapshot_in_progress = False

    def first_index(self) -> int | None:
        return self.snapshot.metadata.index + 1 if self.snapshot else None

    def last_index(self) -> int | None:
        if self.entries:
            return self.offset + len(self.entries) - 1
        return self.snapshot.metadata.index if self.snapshot else None

    def term(self, index: int) -> int | None:
        place = index - self.offset
        if place >= 0:
            return self.entries[place].term if place < len(self.entries) else None
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            return self.snapshot.metadata.term
        return None

    def next_entries(self) -> list[Entry]:
        """Return the entries that were not handed out yet."""
        return self.entries[self.offset_in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        return None if self.is_snapshot_in_progress else self.snapshot

    def accept(self) -> None:
        """Take note that all of it was handed out."""
        if self.entries:
            self.offset_in_progress = self.offset + len(self.entries)
        if self.snapshot is not None:
            self.is_snapshot_in_progress = True

    def stable_to(self, term: int, index: int) -> None:
        """Drop the entries up to the index, if it is still of this term."""
        if index < self.offset or self.term(index) != term:
            return  # it was replaced, or a snapshot stands for it: the write was of something else
        del self.entries[: index + 1 - self.offset]
        self.offset = index + 1
        self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def snapshot_stable_to(self, index: int) -> None:
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None
            self.is_snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        self.offset = self.offset_in_progress = snapshot.metadata.index + 1
        self.entries = []
        self.snapshot = snapshot
        self.is_snapshot_in_progress = False

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries in their place; those of the same or a later index go."""
        first = entries[0].index
        if first <= self.offset:
            self.entries = list(entries)
            self.offset = self.offset_in_progress = first
            return
        del self.entries[first - self.offset :]
        self.entries.extend(entries)
        self.offset_in_progress = min(self.offset_in_progress, first)

    def slice(self, low: int, high: int) -> list[Entry]:
        return self.entries[low - self.offset : high - self.offset]


class RaftLog:
    """The whole log, and how far it is committed, handed out for applying, and applied."""

    __slots__ = (
        "applied",
        "applying",
        "applying_bytes",
        "applying_bytes_max",
        "committed",
        "is_applying_paused",
        "storage",
        "unstable",
    )

    def __init__(self, storage: Storage, *, applying_bytes_max: int) -> None:
        self.storage = storage
        self.unstable = Unstable(storage.last_index() + 1)
        self.committed = self.applying = self.applied = storage.first_index() - 1
        self.applying_bytes = 0
        self.applying_bytes_max = applying_bytes_max
        self.is_applying_paused = False

    # What is there.

    def first_index(self) -> int:
        first = self.unstable.first_index()
        return self.storage.first_index() if first is None else first

    def last_index(self) -> int:
        last = self.unstable.last_index()
        return self.storage.last_index() if last is None else last

    def last_term(self) -> int:
        return self.term(self.last_index())

    def term(self, index: int) -> int:
        """Return the term of an entry, also of the one before the first. Raises Compacted, Unavailable."""
        term = self.unstable.term(index)
        if term is not None:
            return term
        if index + 1 < self.first_index():
            raise Compacted
        if index > self.last_index():
            raise Unavailable
        return self.storage.term(index)

    def matches(self, term: int, index: int) -> bool:
        """Say whether the entry at the index is of the term: then all before it are the same, too (Raft, section 5.3)."""
        try:
            return self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def is_up_to_date(self, term: int, index: int) -> bool:
        """Say whether a log that ends so holds at least what ours does (Raft, section 5.4.1)."""
        last_term = self.last_term()
        return term > last_term or (term == last_term and index >= self.last_index())

    def entries_from(self, low: int, bytes_max: int) -> Sequence[Entry]:
        """Return the entries from an index on, at least one if there is one. Raises Compacted."""
        last = self.last_index()
        return self.slice(low, last + 1, bytes_max) if low <= last else ()

    def slice(self, low: int, high: int, bytes_max: int) -> Sequence[Entry]:
        """Return the entries from `low` up to, not including, `high`, as many as `bytes_max` holds, one at least. Raises Compacted."""
        if low < self.first_index():
            raise Compacted
        assert high <= self.last_index() + 1
        if low >= high:
            return ()
        offset = self.unstable.offset
        if low >= offset:
            return limited(self.unstable.slice(low, high), bytes_max)
        cut = min(high, offset)
        stored = self.storage.entries(low, cut, bytes_max)
        size = bytes_of(stored)
        if high <= offset or len(stored) < cut - low or size >= bytes_max:
            return stored
        rest = limited(self.unstable.slice(offset, high), bytes_max - size)
        if len(rest) == 1 and size + bytes_of(rest) > bytes_max:
            return stored
        return [*stored, *rest]

    # How it grows.

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries behind the log, or in place of its uncommitted end."""
        if entries:
            assert entries[0].index > self.committed, "what is committed is never replaced"
            self.unstable.append(entries)

    def maybe_append(
        self, term: int, index: int, entries: Sequence[Entry], *, commit: int
    ) -> int | None:
        """Take what a leader sent behind (term, index), if that entry is here; return the last index that is the leader's, else nothing."""
        if not self.matches(term, index):
            return None
        last = index + len(entries)
        for place, entry in enumerate(entries):
            if not self.matches(entry.term, entry.index):
                self.append(entries[place:])
                break
        self.commit_to(min(commit, last))
        return last

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """Return the last place up to `index` where our term is not above `term`, and our term there (0: not known any more).

        A log that ends so cannot match ours behind it, so a leader need not ask entry by entry (Raft, section 5.3).
        """
        while index > 0:  # ends: it counts down, to where the log begins at the latest
            try:
                ours = self.term(index)
            except (Compacted, Unavailable):
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def commit_to(self, index: int) -> None:
        if index > self.committed:
            assert index <= self.last_index(), "a committed entry is missing: was the log lost?"
            self.committed = index

    def maybe_commit(self, term: int, index: int) -> bool:
        """Commit up to an index that a majority has, if its entry is of the leader's own term (Raft, section 5.4.2)."""
        if index > self.committed and term and self.matches(term, index):
            self.commit_to(index)
            return True
        return False

    def restore(self, snapshot: Snapshot) -> None:
        """Put a leader's snapshot in place of everything."""
        self.committed = snapshot.metadata.index
        self.unstable.restore(snapshot)

    # What is handed out for writing and applying.

    def has_next_or_in_progress_snapshot(self) -> bool:
        return self.unstable.snapshot is not None

    def has_unstable_entries(self) -> bool:
        return bool(self.unstable.entries)

    def has_next_entries(self) -> bool:
        unstable = self.unstable
        return len(unstable.entries) > unstable.offset_in_progress - unstable.offset

    def accept_unstable(self) -> None:
        self.unstable.accept()

    def _appliable(self, *, allow_unstable: bool) -> int:
        if allow_unstable:
            return self.committed
        return min(self.committed, self.unstable.offset - 1)

    def has_next_committed(self, *, allow_unstable: bool) -> bool:
        if self.is_applying_paused or self.has_next_or_in_progress_snapshot():
            return False  # a snapshot comes first
        return self._appliable(allow_unstable=allow_unstable) > self.applying

    def next_committed(self, *, allow_unstable: bool) -> Sequence[Entry]:
        """Return committed entries that were not handed out yet, as many as may be under way."""
        if not self.has_next_committed(allow_unstable=allow_unstable):
            return ()
        room = self.applying_bytes_max - self.applying_bytes
        assert room > 0, "applying is paused where there is no room"
        high = self._appliable(allow_unstable=allow_unstable) + 1
        return self.slice(self.applying + 1, high, room)

    def accept_applying(self, index: int, size: int, *, allow_unstable: bool) -> None:
        """Take note that entries up to the index were handed out; wait with more if they are many, or if these were cut for want of room."""
        assert self.applying <= index <= self.committed
        self.applying = index
        self.applying_bytes += size
        is_full = self.applying_bytes >= self.applying_bytes_max
        self.is_applying_paused = is_full or index < self._appliable(allow_unstable=allow_unstable)

    def applied_to(self, index: int, size: int) -> None:
        assert self.applied <= index <= self.committed
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_bytes = max(0, self.applying_bytes - size)
        self.is_applying_paused = self.applying_bytes >= self.applying_bytes_max

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot. Raises SnapshotTemporarilyUnavailable."""
        return self.unstable.snapshot or self.storage.snapshot()
