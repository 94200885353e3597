"""A member's directory as a whole: the newest snapshot, and the log that goes on behind it.

    snapshot-INDEX              the state up to an entry                        `snapshot.py`
    wal-N                       the log                                         `wal.py`
    snapshot-INDEX-TERM.part    a snapshot that another member sends            `receiving.py`
    segment.new, snapshot.new   being made: of no use after a crash

Opening reads both, mends what a crash may leave behind, and refuses everything else.  A leader's snapshot that the log begins behind, and that has
not got its name yet, gets it here.  Version 1 kept no membership: its only member is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from runink.errors import Broken
from runink.raft.messages import Entry, HardState, SnapshotMetadata
from runink.storage import records
from runink.storage.disk import Disk
from runink.storage.reading import Torn
from runink.storage.receiving import finish_install, remove_old_parts, whole_part
from runink.storage.records import Position
from runink.storage.snapshot import (
    NEW,
    ONLY_MEMBER,
    Snapshot,
    facts_of,
    load_snapshot,
    newest_snapshot,
)
from runink.storage.wal import SEGMENT_BYTES, Wal, open_log


@dataclass(frozen=True, slots=True)
class Opened:
    """What a directory holds. `entries` are all that are there, some of them before the end of the snapshot; `hard_state` knows of the snapshot."""

    log: Wal
    entries: list[Entry]
    hard_state: HardState
    snapshot: Snapshot
    torn: Torn | None


def open_state(disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> Opened:
    """Read what the directory holds; an empty one holds nothing.

    Raises WalCorrupt and Broken (`snapshot_corrupt`, `snapshot_version`, `wal_version`, `wal_failed`) for what only a person can mend,
    Unavailable (`disk_full`).
    """
    if NEW in disk.names():
        disk.remove(NEW)
    recovered = open_log(
        disk,
        segment_bytes=segment_bytes,
        snapshot_for=lambda awaited: snapshot_end(disk, awaited),
    )
    snapshot = load_snapshot(disk)
    remove_old_parts(disk, snapshot.metadata.index)
    state = recovered.hard_state
    index = snapshot.metadata.index
    if index == 0 and recovered.version < records.VERSION:
        snapshot = Snapshot(facts_of(SnapshotMetadata(ONLY_MEMBER), b""), b"")
    if state.commit < index:
        state = msgspec.structs.replace(state, commit=index)
    return Opened(recovered.log, recovered.entries, state, snapshot, recovered.torn)


def snapshot_end(disk: Disk, awaited: Position | None) -> Position:
    """Return where the newest snapshot ends; if the log awaits one that is whole and has no name yet, name it first."""
    end = _newest_end(disk)
    if awaited is None or awaited.index <= end.index or whole_part(disk, awaited) is None:
        return end
    try:
        finish_install(disk, awaited)
    except OSError as error:
        text = f"a snapshot in {disk.where} cannot be given its name: {error}"
        raise Broken(text, code="wal_failed") from error
    return awaited


def _newest_end(disk: Disk) -> Position:
    reader = newest_snapshot(disk)
    if reader is None:
        return Position()
    reader.close()
    return reader.facts.position
