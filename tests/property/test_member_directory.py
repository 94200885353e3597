"""A member's directory under everything that consensus does to it, with a crash before any operation of the disk: what was promised is there again.

Each case is a life of random deeds: entries of the own term, entries that overrule others, votes, snapshots of our own with truncation, snapshots of a leader before and
beyond the log's end. Beside it runs a model: what a member must know after each deed. After a crash it knows the state before the deed or the one after
it, nothing else, and can go on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.errors import Unavailable
from runink.raft.messages import ConfState, Entry, EntryType, HardState, Snapshot, SnapshotMetadata
from runink.storage.checking import check_directory
from runink.storage.log_storage import LogStorage, begin_directory, open_log_storage
from runink.storage.receiving import open_receiver
from runink.storage.snapshot import SnapshotFacts, encode_facts, facts_of
from runink.storage.wal import SEGMENT_BYTES_MIN
from runink.testing.disk import Cut, FaultyDisk

GROUP = ConfState(voters=(1, 2, 3))


@dataclass(frozen=True, slots=True)
class Known:
    """What a member must know: its promise, its newest snapshot, and the entries behind that."""

    term: int = 0
    vote: int = 0
    commit: int = 0
    snapshot: tuple[int, int] = (0, 0)
    entries: dict[int, Entry] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.entries, default=self.snapshot[0])


class Life:
    """A member that does something at random, and what it must know before and after."""

    def __init__(self, disk: FaultyDisk, random: Random) -> None:
        self.disk = disk
        self.random = random
        self.storage = opened(disk)
        self.before = self.after = Known()

    def step(self) -> None:
        deeds: list[Callable[[], None]] = [
            self.append,
            self.append,
            self.append,
            self.overrule,
            self.vote,
            self.snapshot,
            self.receive,
        ]
        self.random.choice(deeds)()
        self.before = self.after

    def append(self) -> None:
        self._append(self.before.last + 1)

    def overrule(self) -> None:
        first = self.random.randint(self.before.commit + 1, self.before.last + 1)
        self.after = replace(self.before, term=self.before.term + 1, vote=0)
        self.storage.save([], HardState(self.after.term, 0, self.after.commit))
        self.before = self.after
        self._append(first)

    def _append(self, first: int) -> None:
        known = self.before
        term = max(1, known.term)
        last = first + self.random.randrange(12)
        fresh = {
            index: Entry(
                term,
                index,
                self.random.choice(list(EntryType)),
                self.random.randbytes(self.random.randrange(200)),
            )
            for index in range(first, last + 1)
        }
        kept = {index: entry for index, entry in known.entries.items() if index < first}
        commit = self.random.randint(known.commit, last)
        self.after = replace(known, term=term, commit=commit, entries=kept | fresh)
        self.storage.save(list(fresh.values()), HardState(term, known.vote, commit))

    def vote(self) -> None:
        known = self.before
        is_free = known.term > 0 and known.vote == 0
        term = known.term + (0 if is_free and self.random.random() < 0.5 else 1)
        self.after = replace(
            known, term=term, vote=self.random.randint(0 if term > known.term else 1, 3)
        )
        self.storage.save([], HardState(self.after.term, self.after.vote, known.commit))

    def snapshot(self) -> None:
        known = self.before
        index = known.commit
        if index <= known.snapshot[0]:
            return
        term = known.entries[index].term
        kept = {at: entry for at, entry in known.entries.items() if at > index}
        self.after = replace(known, snapshot=(index, term), entries=kept)
        metadata = SnapshotMetadata(GROUP, index, term)
        self.storage.snapshot_written(
            self.storage.write_snapshot(metadata, [state_at(index, term)])
        )
        self.storage.truncate()

    def receive(self) -> None:
        known = self.before
        index = known.commit + self.random.randint(1, 40)
        term = known.term + 1
        self.after = Known(term, 0, index, (index, term))
        facts = facts_of(SnapshotMetadata(GROUP, index, term), state_at(index, term))
        self._transfer(facts, state_at(index, term))
        snapshot = Snapshot(facts.metadata, encode_facts(facts))
        self.storage.save([], HardState(term, 0, index), snapshot)

    def _transfer(self, facts: SnapshotFacts, body: bytes) -> None:
        receiver = open_receiver(self.disk, facts)
        try:
            while (
                not receiver.is_whole
            ):  # ends: it begins anew once, where a crash lost what an earlier life had received
                at = receiver.have_bytes
                try:
                    receiver.write(body[at : at + 50], at)
                except Unavailable as error:
                    if error.code != "snapshot_damaged":
                        raise
        finally:
            receiver.close()


def state_at(index: int, term: int) -> bytes:
    return b"the state behind %d of %d. " % (index, term) * 5


def opened(disk: FaultyDisk) -> LogStorage:
    return open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)[0]


def founded() -> FaultyDisk:
    disk = FaultyDisk()
    begin_directory(disk, SnapshotMetadata(GROUP))
    return disk


def found_in(disk: FaultyDisk) -> Known:
    """Return what is known after a restart."""
    storage, body = open_log_storage(disk, segment_bytes=SEGMENT_BYTES_MIN)
    metadata = storage.snapshot().metadata
    if metadata.index:
        assert body == state_at(metadata.index, metadata.term)
    assert storage.term(metadata.index) == metadata.term
    first = metadata.index + 1
    entries = storage.entries(first, storage.last_index() + 1, 1 << 30)
    state = storage.hard_state
    storage.close()
    return Known(
        state.term,
        state.vote,
        state.commit,
        (metadata.index, metadata.term),
        {entry.index: entry for entry in entries},
    )


def same(found: Known, expected: Known) -> bool:
    """Say whether it is the same, but for the commit index, which may be behind."""
    return (
        replace(found, commit=0) == replace(expected, commit=0) and found.commit <= expected.commit
    )


@given(
    st.integers(0, 2**32), st.integers(0, 250), st.sampled_from(["killed", "power", "nothing kept"])
)
@settings(max_examples=400)
def test_a_crash_before_any_operation_leaves_the_state_before_a_deed_or_behind_it(
    seed: int, operations: int, cause: str
):
    random = Random(seed)
    disk = founded()
    life = Life(disk, random)
    disk.cut_after(operations)
    with suppress(Cut):
        while True:  # ends: each round but a few has an operation, and their number is set
            life.step()
    if cause == "killed":
        survivor = disk.killed()
    elif cause == "power":
        survivor = disk.crash_at_random(random)
    else:
        survivor = disk.crash()
    assert check_directory(survivor).faults == []
    found = found_in(survivor)
    assert same(found, life.before) or same(found, life.after)
    again = Life(survivor, random)
    again.before = again.after = found
    for _ in range(10):
        again.step()
        assert same(found_in(survivor.crash()), again.after)


@given(st.integers(0, 2**32), st.integers(20_000, 60_000))
@settings(max_examples=80)
def test_a_disk_that_is_full_at_any_moment_refuses_and_forgets_nothing(seed: int, space: int):
    random = Random(seed)
    disk = founded()
    disk.space_bytes = space
    life = Life(disk, random)
    for _ in range(80):
        try:
            life.step()
        except Unavailable:
            life.after = life.before
            disk.space_bytes += random.randrange(4000)
        found = found_in(disk.crash())
        assert same(found, life.before)
