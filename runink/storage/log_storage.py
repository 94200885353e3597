"""What consensus reads of a member's directory: in memory, while the same is on disk.

    storage.write(...)                     on disk     } what a `Ready` wants kept; `save` does both
    storage.apply_snapshot, append         in memory   }
    storage.write_snapshot(...)            on disk     } a state of our own; then `truncate`
    storage.snapshot_written(...)          in memory   }

Who waits for the disk in threads calls `write`, `make_room` and `truncate` in one thread at a time, `write_snapshot` in another, and everything else
on the event loop: those touch the disk only, the others memory only.

What a Ready has is written in one batch with one sync.  A hard state that differs in the commit index alone is not written by itself: it is learnt again
from the leader, and goes to disk with the next entries.

The snapshot that consensus sees has no state as its data, but `SnapshotFacts`: its receiver fetches the chunks (`read_snapshot` here, `open_receiver`
there) and hands the message to its core once they are whole.  `write` then lets the log begin anew behind it, see `receiving.py`.

A snapshot is due when the log behind the last one has grown as large as that was, because writing one costs what the state is large, and a busy member
would do little else.  SNAPSHOT_ENTRIES and SNAPSHOT_BYTES say from where on, their counterparts with MAX where at the latest.  Memory holds the entries behind the
newest snapshot, and for members that lag a little the last KEPT_ENTRIES or KEPT_BYTES before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runink.errors import Broken
from runink.raft.messages import Entry, HardState, Snapshot, SnapshotMetadata
from runink.raft.storage import MemoryStorage, SnapshotOutOfDate
from runink.storage.disk import Disk
from runink.storage.opening import Opened, open_state
from runink.storage.receiving import finish_install, whole_part
from runink.storage.records import Position
from runink.storage.snapshot import (
    SnapshotFacts,
    SnapshotReader,
    decode_facts,
    encode_facts,
    load_snapshot,
    newest_snapshot,
    write_snapshot,
)
from runink.storage.wal import SEGMENT_BYTES, open_log

SNAPSHOT_ENTRIES: Final = (
    10_000  # never sooner, unless they are large: a replay of about a fifth of a second at start
)
SNAPSHOT_ENTRIES_MAX: Final = 200_000  # some seconds of it
SNAPSHOT_BYTES: Final = 32 << 20  # of large values: the log would grow far past the state
SNAPSHOT_BYTES_MAX: Final = 64 << 20  # they are held in memory
KEPT_ENTRIES: Final = 5_000  # a member that was away for a second needs no snapshot
KEPT_BYTES: Final = 16 << 20  # a snapshot of the state is hardly larger than this


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """Memory holds the entries from `first_index` to `last_index`; `lag_entries` of them, of `lag_bytes`, stand behind the newest snapshot."""

    first_index: int
    last_index: int
    snapshot_index: int
    lag_entries: int
    lag_bytes: int
    segments: int
    syncs: int


class LogStorage(MemoryStorage):
    """A log on disk that consensus reads from memory. Made by `open_log_storage`."""

    def __init__(self, disk: Disk, opened: Opened) -> None:
        super().__init__()
        self.torn = opened.torn
        self._disk = disk
        self._log = opened.log
        metadata = opened.snapshot.metadata
        self.hard_state = opened.hard_state
        self._snapshot = Snapshot(metadata, encode_facts(opened.snapshot.facts))
        self._state_bytes = opened.snapshot.facts.body_bytes
        self._before = Entry(metadata.term, metadata.index)
        self._entries = opened.entries
        if self._entries and self._entries[0].index <= metadata.index:
            self._before = self._entries.pop(0)  # the first whose term is known
        self._lag_bytes = sum(
            len(entry.data) for entry in self._entries if entry.index > metadata.index
        )
        self._forget(metadata.index)
        self._unwritten: HardState | None = None  # differs from the one on disk in the commit index

    def write(
        self,
        entries: Sequence[Entry],
        hard_state: HardState | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Put on disk what a Ready wants kept; when this returns, it is there, or nobody is harmed if it is not.

        A commit index that is not written by itself goes with whatever is written next: who acknowledges an entry must not forget what was committed
        before.  A snapshot must have been received whole.  Raises what `Wal.append` raises.
        """
        self._unwritten = hard_state = hard_state or self._unwritten
        if snapshot is not None:
            position = Position(snapshot.metadata.index, snapshot.metadata.term)
            assert whole_part(self._disk, position) is not None, "a snapshot that is not there"
            self._log.append(entries, hard_state=hard_state, snapshot=position)
            self._install(position)
        elif entries or self._must_keep(hard_state):
            self._log.append(entries, hard_state=hard_state)
        else:
            return
        self._unwritten = None

    def _must_keep(self, hard_state: HardState | None) -> bool:
        """Say whether a hard state holds a promise: a term or a vote that another member may count on."""
        known = self._log.hard_state
        return hard_state is not None and (hard_state.term, hard_state.vote) != (
            known.term,
            known.vote,
        )

    def _install(self, position: Position) -> None:
        try:
            finish_install(self._disk, position)
        except OSError as error:
            text = f"a snapshot in {self._disk.where} cannot be given its name: {error}"
            raise Broken(text, code="wal_failed") from error

    def append(self, entries: Sequence[Entry]) -> None:
        """Take into memory entries that are on disk."""
        super().append(entries)
        self._lag_bytes += sum(len(entry.data) for entry in entries)

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Put a snapshot that is on disk in place of the whole log. Raises SnapshotOutOfDate."""
        super().apply_snapshot(snapshot)
        self._lag_bytes = 0
        self._state_bytes = decode_facts(snapshot.data).body_bytes

    def save(
        self,
        entries: Sequence[Entry],
        hard_state: HardState | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Write, and take into memory: for who has no event loop to keep free."""
        self.write(entries, hard_state, snapshot)
        if snapshot is not None:
            self.apply_snapshot(snapshot)
        self.hard_state = hard_state or self.hard_state
        self.append(entries)

    @property
    def room_bytes(self) -> int:
        """How much fits for certain, counted as in `make_room`."""
        return self._log.room_bytes

    def make_room(self, size: int) -> int:
        """Make room for so much, each entry counted with its data and ENTRY_ROOM_BYTES of the log; return how much fits for certain.

        Raises what `Wal.append` raises.
        """
        self._log.make_room(size)
        return self._log.room_bytes

    def write_snapshot(self, metadata: SnapshotMetadata, chunks: Iterable[bytes]) -> SnapshotFacts:
        """Put a state of our own on disk. Raises as `write_snapshot` of the module `snapshot` does."""
        return write_snapshot(self._disk, metadata, chunks)

    def snapshot_written(self, facts: SnapshotFacts) -> None:
        """Take note that this state is on disk: it is what others are sent from now on, and the log before it may go."""
        metadata = facts.metadata
        self._state_bytes = facts.body_bytes
        try:
            self.create_snapshot(metadata.index, metadata.conf_state, encode_facts(facts))
        except SnapshotOutOfDate:
            return  # a leader has sent a newer one meanwhile
        behind = self._entries[metadata.index - self._before.index :]
        self._lag_bytes = sum(len(entry.data) for entry in behind)
        self._forget(metadata.index)

    def _forget(self, index: int) -> None:
        """Drop entries from memory up to `index`, but for the last ones."""
        place = index - self._before.index  # how many there are up to and with it
        size = 0
        kept = 0
        while kept < min(place, KEPT_ENTRIES):  # ends: it counts up
            size += len(self._entries[place - kept - 1].data)
            if size > KEPT_BYTES:
                break
            kept += 1
        if place > kept or (place and not self._before.index):
            # Never down to the first entry: who joins gets the founders by a snapshot, not only what changed since.
            self.compact(max(index - kept, 1))

    def truncate(self) -> int:
        """Drop the segments behind the newest snapshot; return how many. Raises Broken."""
        return self._log.truncate_behind(self._snapshot.metadata.index)

    def is_snapshot_due(self, applied_index: int) -> bool:
        """Say whether a snapshot of the state behind that entry should be written: when the log has grown as large as the last one was."""
        entries = applied_index - self._snapshot.metadata.index
        if entries <= 0:
            return False
        worth = min(self._state_bytes, SNAPSHOT_BYTES_MAX)
        enough = worth if entries >= SNAPSHOT_ENTRIES else max(worth, SNAPSHOT_BYTES)
        return self._lag_bytes >= enough or entries >= SNAPSHOT_ENTRIES_MAX

    def read_snapshot(self) -> SnapshotReader | None:
        """Open the newest snapshot on disk for its chunks; nothing if there is none. `close` it."""
        return newest_snapshot(self._disk)

    def read_state(self) -> bytes:
        """Return the body of the newest snapshot on disk. Raises Broken (`snapshot_corrupt`)."""
        return load_snapshot(self._disk).body

    def statistics(self) -> LogStatistics:
        log = self._log.statistics()
        index = self._snapshot.metadata.index
        return LogStatistics(
            first_index=self.first_index(),
            last_index=self.last_index(),
            snapshot_index=index,
            lag_entries=self.last_index() - index,
            lag_bytes=self._lag_bytes,
            segments=log.segments,
            syncs=log.syncs,
        )

    def close(self) -> None:
        """Close the log. The disk stays its owner's to shut."""
        self._log.close()


def open_log_storage(disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> tuple[LogStorage, bytes]:
    """Return what the directory holds, and the body of its snapshot, which the state begins with. Raises as `open_state` does."""
    opened = open_state(disk, segment_bytes=segment_bytes)
    return LogStorage(disk, opened), opened.snapshot.body


def begin_directory(disk: Disk, metadata: SnapshotMetadata, chunks: Iterable[bytes] = ()) -> None:
    """Make an empty directory begin with a state: the membership of a new group (index 0, no chunks), or a backup.

    Raises Unavailable (`disk_full`), Broken, OSError; the directory is refused then, and after a crash, unless it was done.
    """
    assert not disk.names(), "the directory is not empty"
    if metadata.index:
        log = open_log(disk).log
        try:
            log.append(
                [],
                hard_state=HardState(term=metadata.term, commit=metadata.index),
                snapshot=Position(metadata.index, metadata.term),
            )
        finally:
            log.close()
    write_snapshot(disk, metadata, chunks)
