"""When the majority of a group is lost for good: one of its members, stopped, is made the founder of a new group of one.

What it has becomes the state of the new group: its snapshot, and all entries of its log.  Those that it does not know to be committed are taken in: a commit index comes late
to a follower and later to its disk, so they may well have been acknowledged (etcd's `--force-new-cluster` drops them, Consul's `peers.json` does as we do).  What none but the
lost members had is lost.  It is put on disk as a leader's snapshot is, one entry behind the log's end in a new term, with
this member as the only one of the membership: so it takes effect in one synced write, and whoever joins gets it whole.

The new group has a new id, and goes by it (`kin.py`): a member of the old group that comes back is a stranger to it, and it to that one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from runink.barn import image
from runink.barn.refounding import for_group_of_one, replay
from runink.barn.store import Store
from runink.errors import Refused
from runink.raft.config import Config
from runink.raft.membership import ConfChangeError
from runink.raft.messages import (
    ConfState,
    Entry,
    EntryType,
    HardState,
    SnapshotMetadata,
    decode_conf_change,
)
from runink.raft.rawnode import RawNode
from runink.storage.checking import check_directory
from runink.storage.disk import Disk
from runink.storage.log_storage import LogStorage, open_log_storage
from runink.storage.reading import raise_faults
from runink.storage.records import Position
from runink.storage.replacing import replace_state

ALL_BYTES: Final = 1 << 62  # of entries that are in memory anyway


@dataclass(frozen=True, slots=True)
class Survivor:
    """What a member has: its group as of the last entry that is known to be committed, the end of its log, its promise, and the state behind all entries."""

    member: int
    group: ConfState
    last: Position
    promise: HardState
    store: Store

    @property
    def is_alone(self) -> bool:
        """Say whether it needs nobody else: there is nothing to recover."""
        return self.group.voters == (self.member,) and not self.group.voters_outgoing

    @property
    def uncertain(self) -> int:
        """How many entries at the log's end are not known to be committed."""
        return self.last.index - self.promise.commit


def look(disk: Disk, member: int) -> Survivor:
    """Return what the directory of a stopped member holds; what a crash left behind is mended as at a start.

    Raises WalCorrupt and Broken for damage, and then changes nothing; Refused (`no_state`) for a member that never had anything, Unavailable (`disk_full`).
    """
    storage, store = _opened(disk)
    try:
        return _survivor(storage, store, member)
    finally:
        storage.close()


def _opened(disk: Disk) -> tuple[LogStorage, Store]:
    raise_faults(disk.where, check_directory(disk).faults)
    storage, body = open_log_storage(disk)
    return storage, Store.restore(image.decode(body)) if body else Store()


def _survivor(storage: LogStorage, store: Store, member: int) -> Survivor:
    last = storage.last_index()
    if not last:
        raise Refused(
            "this member has got nothing from its group yet",
            code="no_state",
            hint="recover another member, or restore a backup",
        )
    begin = storage.snapshot().metadata.index + 1
    entries = storage.entries(begin, last + 1, ALL_BYTES) if begin <= last else ()
    promise = storage.hard_state
    group = _group(storage, [one for one in entries if one.index <= promise.commit], member)
    replay(store, entries)
    return Survivor(member, group, Position(last, storage.term(last)), promise, store)


def _group(storage: LogStorage, committed: list[Entry], member: int) -> ConfState:
    """Return the membership behind the entries that are known to be committed."""
    begin = storage.snapshot().metadata.index
    node = RawNode(Config(id=member, storage=storage, random=lambda _: 0, applied=begin))
    for entry in committed:
        if entry.type is not EntryType.EntryNormal:
            with suppress(ConfChangeError):  # it was one everywhere, and changed nothing
                node.apply_conf_change(decode_conf_change(entry))
    return node.raft.tracker.membership.conf_state()


def recover(disk: Disk, survivor: Survivor, *, cluster: str, bump: int = 0) -> Store:
    """Make it the only member of a new group with this id; return the state that this begins with. Raises Unavailable (`disk_full`), Broken, OSError; the same may be done again then."""
    last = survivor.last
    term = max(survivor.promise.term, last.term) + 1
    state = for_group_of_one(
        survivor.store.image(), cluster=cluster, member=survivor.member, term=term, bump=bump
    )
    metadata = SnapshotMetadata(ConfState(voters=(survivor.member,)), last.index + 1, term)
    storage, _ = open_log_storage(disk)
    try:
        replace_state(
            disk,
            storage,
            metadata,
            HardState(term=term, commit=last.index + 1),
            partial(image.encode, state),
        )
    finally:
        storage.close()
    return Store.restore(state)
