"""A state put in place of a member's whole log, by the member itself, as if a leader had sent it.

It is written aside and takes effect with the log's snapshot record, one synced write (see `receiving.py`).  So after a crash at any moment the directory holds what it held,
or the new state and a log that begins behind it, and the same may be done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from runink.raft.messages import HardState, Snapshot, SnapshotMetadata
from runink.storage.disk import Disk
from runink.storage.log_storage import LogStorage
from runink.storage.receiving import open_receiver, part_names
from runink.storage.snapshot import SnapshotFacts, encode_facts


def replace_state(
    disk: Disk,
    storage: LogStorage,
    metadata: SnapshotMetadata,
    hard_state: HardState,
    chunks: Callable[[], Iterable[bytes]],
) -> None:
    """Let the log begin anew behind this state, with this promise. `chunks` yields the state's bytes, the same at each of two calls.

    Raises Unavailable (`disk_full`), Broken, OSError.
    """
    assert metadata.index > storage.last_index()
    assert hard_state.commit == metadata.index
    for name in part_names(disk):
        disk.remove(name)  # of others' snapshots, which nobody will send on
    facts = _facts_of(metadata, chunks())
    receiver = open_receiver(disk, facts)
    try:
        offset = 0
        for chunk in chunks():
            offset = receiver.write(chunk, offset)
        assert receiver.is_whole
    finally:
        receiver.close()
    snapshot = Snapshot(metadata, encode_facts(facts))
    storage.save((), hard_state, snapshot)
    storage.truncate()


def _facts_of(metadata: SnapshotMetadata, chunks: Iterable[bytes]) -> SnapshotFacts:
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return SnapshotFacts(metadata, size, digest.digest())
