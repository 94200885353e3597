"""The core's log against a plain list, and its storage in memory likewise: every order of appending, writing, applying, compacting and restoring."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from runink.raft.log import RaftLog, bytes_of
from runink.raft.messages import ConfState, Entry, Snapshot, SnapshotMetadata
from runink.raft.storage import (
    Compacted,
    MemoryStorage,
    SnapshotOutOfDate,
    Unavailable,
)

ALL = 2**60  # bytes: no limit
fractions = st.floats(0, 1)
counts = st.integers(1, 4)
sizes = st.integers(0, 40)


def up_to(fraction: float, low: int, high: int) -> int:
    """Return a place between two, both included."""
    return low + round(fraction * (high - low))


class LogMachine(RuleBasedStateMachine):
    """`entries` are those behind `before`, whatever is on disk; `writes` are under way, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = MemoryStorage()
        self.log = RaftLog(self.storage, applying_bytes_max=100)
        self.before = Entry()
        self.entries: list[Entry] = []
        self.term = 1
        self.committed = 0
        self.handed_out: list[Entry] = []  # for applying, of what is not compacted by a snapshot
        self.applying: list[tuple[int, int]] = []
        self.writes: list[tuple[int, list[Entry], Snapshot | None, tuple[int, int]]] = []

    @property
    def last(self) -> int:
        return self.before.index + len(self.entries)

    def fresh(self, first: int, count: int, size: int) -> list[Entry]:
        return [Entry(self.term, first + place, data=bytes(size)) for place in range(count)]

    # How it grows.

    @rule(count=counts, size=sizes)
    def append(self, count: int, size: int) -> None:
        new = self.fresh(self.last + 1, count, size)
        self.log.append(new)
        self.entries += new

    @rule(fraction=fractions, count=counts, size=sizes)
    def a_new_leader_replaces_what_is_not_committed(
        self, fraction: float, count: int, size: int
    ) -> None:
        self.term += 1
        first = up_to(fraction, self.committed + 1, self.last + 1)
        new = self.fresh(first, count, size)
        before = self.term_at(first - 1)
        assert before is not None
        assert self.log.maybe_append(before, first - 1, new, commit=0) == first + count - 1
        self.entries[first - 1 - self.before.index :] = new

    @rule(fraction=fractions, part=fractions)
    def an_old_message_changes_nothing(self, fraction: float, part: float) -> None:
        first = up_to(fraction, self.committed + 1, self.last + 1)
        high = up_to(part, first, self.last + 1)
        low, last = first - 1 - self.before.index, high - 1 - self.before.index
        before = self.term_at(first - 1)
        assert before is not None
        self.log.maybe_append(before, first - 1, self.entries[low:last], commit=0)

    @rule(fraction=fractions)
    def entries_that_do_not_fit_are_refused(self, fraction: float) -> None:
        index = up_to(fraction, self.committed + 1, self.last + 2)
        wrong = (self.term_at(index) or 0) + 1
        assert self.log.maybe_append(wrong, index, self.fresh(index + 1, 1, 0), commit=ALL) is None

    @rule(fraction=fractions)
    def commit(self, fraction: float) -> None:
        index = up_to(fraction, self.committed, self.last)
        self.log.commit_to(index)
        self.committed = max(self.committed, index)

    @rule(ahead=counts)
    def restore(self, ahead: int) -> None:
        """A leader sends a snapshot of more than is committed."""
        if self.log.has_next_or_in_progress_snapshot():
            return
        self.term += 1
        metadata = SnapshotMetadata(ConfState((1,)), self.committed + ahead, self.term)
        self.log.restore(Snapshot(metadata))
        self.before = Entry(metadata.term, metadata.index)
        self.entries, self.committed = [], metadata.index
        self.handed_out, self.applying = [], []

    # What is written.

    @rule()
    def a_term_begins_without_entries(self) -> None:
        self.term += 1

    @precondition(lambda self: self.log.has_unstable_entries() or self.log.unstable.next_snapshot())
    @rule()
    def hand_out_for_writing(self) -> None:
        entries = list(self.log.unstable.next_entries())
        snapshot = self.log.unstable.next_snapshot()
        self.writes.append(
            (self.term, entries, snapshot, (self.log.last_term(), self.log.last_index()))
        )
        self.log.accept_unstable()

    @precondition(lambda self: self.writes)
    @rule()
    def write(self) -> None:
        """The oldest write ends; as in the core, one of an earlier term is not counted, but for its snapshot."""
        term, entries, snapshot, (last_term, last_index) = self.writes.pop(0)
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
        self.storage.append(entries)
        if snapshot is not None:
            self.log.unstable.snapshot_stable_to(snapshot.metadata.index)
            index = snapshot.metadata.index
            self.log.applied_to(max(index, self.log.applied), 0)
        if term == self.term:
            self.log.unstable.stable_to(last_term, last_index)

    # What is applied.

    @rule()
    def hand_out_for_applying(self) -> None:
        entries = self.log.next_committed(allow_unstable=False)
        if entries:
            self.handed_out += entries
            self.log.accept_applying(entries[-1].index, bytes_of(entries), allow_unstable=False)
            self.applying.append((entries[-1].index, bytes_of(entries)))

    @precondition(lambda self: self.applying)
    @rule()
    def apply(self) -> None:
        self.log.applied_to(*self.applying.pop(0))

    @rule(fraction=fractions)
    def compact(self, fraction: float) -> None:
        """Whoever drives the core keeps what is not applied, and what is not on disk is no part of it."""
        high = min(self.log.applied, self.log.unstable.offset - 1, self.storage.last_index())
        low = self.storage.first_index()
        if self.log.has_next_or_in_progress_snapshot() or high < low:
            return
        index = up_to(fraction, low, high)
        self.storage.compact(index)
        self.before = self.entries[index - 1 - self.before.index]
        self.entries = self.entries[index + 1 - self.entries[0].index :]

    # What must hold.

    def term_at(self, index: int) -> int | None:
        if index == self.before.index:
            return self.before.term
        place = index - self.before.index - 1
        return self.entries[place].term if 0 <= place < len(self.entries) else None

    @invariant()
    def it_reads_like_the_list(self) -> None:
        log = self.log
        assert (log.first_index(), log.last_index()) == (self.before.index + 1, self.last)
        assert [log.term(index) for index in range(self.before.index, self.last + 1)] == [
            self.before.term,
            *(entry.term for entry in self.entries),
        ]
        assert list(log.slice(self.before.index + 1, self.last + 1, ALL)) == self.entries
        with pytest.raises(Unavailable):
            log.term(self.last + 1)
        if self.before.index:
            with pytest.raises(Compacted):
                log.term(self.before.index - 1)

    @invariant()
    def a_limit_takes_entries_from_the_front_and_one_at_least(self) -> None:
        for low in range(self.before.index + 1, self.last + 1):
            some = list(self.log.slice(low, self.last + 1, 60))
            whole = self.entries[low - self.before.index - 1 :]
            assert some == whole[: len(some)]
            assert some
            assert len(some) == 1 or bytes_of(some) <= 60
            assert len(some) == len(whole) or bytes_of(whole[: len(some) + 1]) > 60

    @invariant()
    def indexes_stand_in_their_order(self) -> None:
        log = self.log
        assert log.applied <= log.applying <= log.committed == self.committed <= self.last

    @invariant()
    def what_was_handed_out_for_applying_has_no_hole_and_no_double(self) -> None:
        indexes = [entry.index for entry in self.handed_out]
        assert indexes == list(range(indexes[0], indexes[-1] + 1)) if indexes else True
        known = {entry.index: entry for entry in self.entries}
        assert all(known.get(entry.index, entry) == entry for entry in self.handed_out)

    @invariant()
    def what_left_the_memory_is_on_disk(self) -> None:
        """The race of old writes with new entries would break this."""
        if self.log.has_next_or_in_progress_snapshot():
            return
        stable = [entry for entry in self.entries if entry.index < self.log.unstable.offset]
        assert (
            list(self.storage.entries(self.before.index + 1, self.log.unstable.offset, ALL))
            == stable
        )


class StorageMachine(RuleBasedStateMachine):
    """A storage in memory is a list of entries behind a snapshot."""

    @initialize()
    def begin(self) -> None:
        self.storage = MemoryStorage()
        self.before = Entry()
        self.entries: list[Entry] = []
        self.snapshot = 0
        self.term = 1

    @property
    def last(self) -> int:
        return self.before.index + len(self.entries)

    @rule(fraction=fractions, count=counts)
    def append(self, fraction: float, count: int) -> None:
        """Entries from anywhere in the log on take the place of all behind; those before its beginning are gone already."""
        self.term += 1
        first = up_to(fraction, max(1, self.before.index - 2), self.last + 1)
        new = [Entry(self.term, first + place) for place in range(count)]
        self.storage.append(new)
        kept = [entry for entry in new if entry.index > self.before.index]
        if kept:
            self.entries[kept[0].index - self.before.index - 1 :] = kept

    @rule(fraction=fractions)
    def make_a_snapshot(self, fraction: float) -> None:
        index = up_to(fraction, 0, self.last + 1)
        conf = ConfState((1, 2))
        if index <= self.snapshot:
            with pytest.raises(SnapshotOutOfDate):
                self.storage.create_snapshot(index, conf, b"")
        elif index > self.last:
            with pytest.raises(Unavailable):
                self.storage.create_snapshot(index, conf, b"")
        elif index >= self.before.index:
            assert self.storage.create_snapshot(index, conf, b"s").metadata.index == index
            self.snapshot = index

    @rule(ahead=st.integers(-2, 4))
    def take_a_snapshot(self, ahead: int) -> None:
        metadata = SnapshotMetadata(ConfState((1,)), max(0, self.snapshot + ahead), self.term)
        if ahead <= 0:
            with pytest.raises(SnapshotOutOfDate):
                self.storage.apply_snapshot(Snapshot(metadata))
            return
        self.storage.apply_snapshot(Snapshot(metadata))
        self.snapshot, self.before, self.entries = (
            metadata.index,
            Entry(metadata.term, metadata.index),
            [],
        )

    @rule(fraction=fractions)
    def compact(self, fraction: float) -> None:
        index = up_to(fraction, self.before.index, self.last + 1)
        if index == self.before.index:
            with pytest.raises(Compacted):
                self.storage.compact(index)
        elif index > self.last:
            with pytest.raises(Unavailable):
                self.storage.compact(index)
        else:
            self.storage.compact(index)
            place = index - self.before.index
            self.before, self.entries = (
                Entry(self.entries[place - 1].term, index),
                self.entries[place:],
            )

    @invariant()
    def it_reads_like_the_list(self) -> None:
        storage = self.storage
        assert (storage.first_index(), storage.last_index()) == (self.before.index + 1, self.last)
        assert list(storage.entries(storage.first_index(), self.last + 1, ALL)) == self.entries
        assert storage.term(self.before.index) == self.before.term
        assert storage.snapshot().metadata.index == self.snapshot
        with pytest.raises(Unavailable):
            storage.entries(storage.first_index(), self.last + 2, ALL)
        with pytest.raises(Compacted):
            storage.entries(self.before.index, self.last + 1, ALL)


TestRaftLog = LogMachine.TestCase
TestRaftLog.settings = settings(max_examples=60, stateful_step_count=40)
TestMemoryStorage = StorageMachine.TestCase
TestMemoryStorage.settings = settings(max_examples=60, stateful_step_count=30)
