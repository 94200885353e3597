"""The Barn's state on one disk: snapshot, log and store put together. Blocking; no tasks, no waiting.

A restart reads the newest snapshot, applies the log's entries behind it, and begins a new term with an entry of its own, as a leader of
Raft does (here the only member elects itself): what stands in the log of a one-node group is committed.  Every entry is then
written by `append` and, once that has returned, applied by `apply`; in this order, and nothing is answered before both.

    append            in the sync thread, one call at a time
    apply             on the event loop, also while an append runs: that one touches the log only
    write_snapshot    in another thread: it works on an image, the log and the store go on
    truncate          like `append`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from runink.barn import image
from runink.barn.commands import Answer, Proposal, decode_proposal
from runink.barn.store import Store
from runink.errors import Broken
from runink.raft.messages import Entry, EntryType, HardState, SnapshotMetadata
from runink.storage.disk import Disk
from runink.storage.opening import open_state
from runink.storage.reading import Torn
from runink.storage.snapshot import ONLY_MEMBER, write_snapshot
from runink.storage.wal import SEGMENT_BYTES, Wal

SNAPSHOT_ENTRIES: Final = 10_000  # a replay of about a fifth of a second at start
SNAPSHOT_BYTES: Final = (
    32 << 20
)  # with large values the log would grow far past the state otherwise
VOTE: Final = 1  # the number of the only member


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the log has grown behind the last snapshot."""

    entries: int
    bytes: int

    @property
    def is_due(self) -> bool:
        return self.entries >= SNAPSHOT_ENTRIES or self.bytes >= SNAPSHOT_BYTES


class Journal:
    """An open log and the store that it leads to. Made by `open_journal`."""

    def __init__(
        self,
        disk: Disk,
        store: Store,
        log: Wal,
        *,
        snapshot_index: int,
        bytes_behind: int,
        torn: Torn | None,
    ) -> None:
        self.disk = disk
        self.store = store
        self.log = log
        self.torn = torn
        self.term = log.hard_state.term
        self.snapshot_index = snapshot_index
        self._bytes = bytes_behind

    def entries_for(self, payloads: Sequence[bytes]) -> list[Entry]:
        """Return these payloads as the next entries of the log."""
        first = self.store.applied_index + 1
        return [
            Entry(self.term, first + place, EntryType.EntryNormal, payload)
            for place, payload in enumerate(payloads)
        ]

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries on disk; see `Wal.append` for what it raises."""
        self.log.append(entries)

    def apply(self, entry: Entry, proposal: Proposal) -> Answer:
        """Apply an entry that is on disk."""
        self._bytes += len(entry.data)
        return self.store.apply(proposal, term=entry.term, index=entry.index)

    def lag(self) -> Lag:
        return Lag(self.store.applied_index - self.snapshot_index, self._bytes)

    def write_snapshot(self, state: image.Image) -> int:
        """Put a state on disk, so that the log up to it can go; return its bytes. Raises as `write_snapshot` of storage does."""
        header = state.header
        metadata = SnapshotMetadata(ONLY_MEMBER, header.index, header.term)
        return write_snapshot(self.disk, metadata, image.encode(state)).body_bytes

    def snapshot_written(self, state: image.Image) -> None:
        """Take note, on the event loop, that this state is on disk."""
        self._bytes = 0
        self.snapshot_index = state.header.index

    def truncate(self) -> int:
        """Drop the segments behind the last snapshot; return how many."""
        return self.log.truncate_behind(self.snapshot_index)

    def close(self) -> None:
        """Close the log and give the directory free."""
        self.log.close()
        self.disk.shut()

    def begin_term(self) -> None:
        """Elect oneself: a higher term, and an entry in it, on disk before anything is proposed."""
        self.term = self.log.hard_state.term + 1
        entry = self.entries_for([b""])[0]
        self.log.append([entry], hard_state=HardState(self.term, VOTE, entry.index - 1))
        self.store.skip(term=entry.term, index=entry.index)


def open_journal(disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> Journal:
    """Read what the directory holds and begin a term.

    Raises WalCorrupt and Broken (`snapshot_corrupt`, `snapshot_version`, `wal_version`, `wal_failed`) for what only a person can
    mend, Unavailable (`disk_full`) if there is no room for the entry that begins the term.
    """
    opened = open_state(disk, segment_bytes=segment_bytes)
    index = opened.snapshot.metadata.index
    store = Store.restore(image.decode(opened.snapshot.body)) if index else Store()
    entries = [entry for entry in opened.entries if entry.index > index]
    for entry in entries:
        _replay(store, entry)
    store.drain_changes()
    journal = Journal(
        disk,
        store,
        opened.log,
        snapshot_index=index,
        bytes_behind=sum(len(entry.data) for entry in entries),
        torn=opened.torn,
    )
    try:
        journal.begin_term()
    except BaseException:
        opened.log.close()
        raise
    return journal


def _replay(store: Store, entry: Entry) -> None:
    if not entry.data or entry.type is not EntryType.EntryNormal:
        store.skip(term=entry.term, index=entry.index)
        return
    try:
        proposal = decode_proposal(entry.data)
    except msgspec.MsgspecError as error:
        raise Broken(
            f"entry {entry.index} of the log holds a command that this version does not know: {error}",
            code="wal_version",
            hint="it was written by a newer Runink: run that one",
        ) from error
    store.apply(proposal, term=entry.term, index=entry.index)
