"""What may be asked of the Barn, and what it answers.

    request      answer                                              raises, beside the deadline
    Read         Pages, all of one revision                          compacted, future_revision
    Select       Pages, one for each query                           compacted, future_revision, Invalid
    Propose      Applied | Declined, when it is durable and applied  Invalid, Overloaded, disk_full, stopping, OutcomeUnknown
    WatchFrom    Watched: as soon as there is something, or empty    compacted, future_revision, too_many_watches, no_leader, disk_full
                 when `wait_s` is over: a mark of progress
    Status       BarnStatus                                          -
    LeaseStatus  LeaseFacts, with its keys                           NotFound
    Leases       LeaseList, without keys                             -
    HashAt       Hash                                                compacted, future_revision
    Backup       BackupPart: the state in parts, each asked for      backup_gone, Overloaded (`too_many_backups`)
    Defrag       Defragged, when a snapshot is on disk and the log   disk_full, stopping
                 before it is gone

A page holds what finds room in an answer, and says if there is more; a client reads on behind its last key, at the revision of the first page.
They stand here and not beside the actor because both the actor and the client speak them, and neither may import the other.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from runink.barn.commands import Answer, Command, Range
from runink.barn.history import Watched
from runink.barn.keyvalue import Page, Span
from runink.barn.watching import Skip
from runink.observe.metrics import Reading
from runink.quantities import Finite
from runink.raft.messages import ConfChangeV2
from runink.runtime.actor import Request
from runink.wire.frames import FRAME_BYTES_MAX


class Pages(msgspec.Struct, frozen=True):
    """What the spans held, in the order in which they were asked for, all read at `revision`."""

    pages: tuple[Page, ...]
    revision: int


class BarnStatus(msgspec.Struct, frozen=True):
    """The Barn in numbers.

    `torn` tells what was cut off the log when it was opened, `trouble` why it takes no writes at the moment, if so; `is_alarmed` that it takes no puts because
    `size_bytes` came to `quota_bytes`. `digest` is the running hash at `revision`, in hexadecimal digits, `now_ms` the wall clock of the member that answers.
    """

    term: int
    applied_index: int
    snapshot_index: int
    revision: int
    compacted: int
    keys: int
    leases: int
    clients: int
    watches: int
    waiting: int
    batches: int
    log_segments: int
    free_bytes: int
    torn: str = ""
    trouble: str = ""
    cluster: str = ""
    digest: str = ""
    size_bytes: int = 0
    quota_bytes: int = 0
    history_changes: int = 0
    history_changes_max: int = 0
    history_bytes: int = 0
    history_bytes_max: int = 0
    is_alarmed: bool = False
    member: int = 1
    lead: int = 0
    committed_index: int = 0
    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    now_ms: int = 0


class LeaseFacts(msgspec.Struct, frozen=True):
    """A lease, how long it lasts without a renewal, and how long it lasts still. `keys` are the keys that end with it, where they were asked for."""

    lease: int
    ttl_ms: int
    left_ms: int
    renewals: int
    keys: tuple[str, ...] = ()


class LeaseList(msgspec.Struct, frozen=True):
    leases: tuple[LeaseFacts, ...]


class Hash(msgspec.Struct, frozen=True):
    """The running hash behind a revision, in hexadecimal digits: equal on all members whose states came about in the same way."""

    revision: int
    digest: str


class BackupPart(msgspec.Struct, frozen=True):
    """A part of a backup: its number counts from 0, and the last one says so."""

    backup: int
    part: int
    data: bytes
    is_last: bool


class Defragged(msgspec.Struct, frozen=True):
    """What is on disk now: a snapshot up to an entry, and a log of so many segments."""

    snapshot_index: int
    log_segments: int


class Read(Request[Pages], frozen=True):
    """Read some spans at one revision (0: the newest); of each the first `limit` keys (0: all).

    It shows everything that was acknowledged before it was asked; if it is `serializable`, what the member that is asked has applied, which may be older.
    """

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    spans: tuple[Span, ...]
    limit: int = 0
    revision: int = 0
    serializable: bool = False


class Select(Request[Pages], frozen=True):
    """Answer some queries, all at one moment; `serializable` as for Read."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    queries: tuple[Range, ...]
    serializable: bool = False


class Propose(Request[Answer], frozen=True):
    """Apply a command, once for each client and sequence; answered when it is on disk and applied."""

    bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    client: str
    sequence: int
    command: Command


class WatchFrom(Request[Watched], frozen=True):
    """Wait for changes of keys with one of the prefixes, or in one of the spans, behind a revision (and behind `part` changes of the next), for `wait_s` at most."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    prefixes: tuple[str, ...]
    after_revision: int
    limit: int = 1000
    wait_s: Finite = 30.0
    spans: tuple[Span, ...] = ()
    skip: Skip = Skip.NOTHING
    want_before: bool = False
    part: int = 0


class Status(Request[BarnStatus], frozen=True):
    """Ask for the Barn in numbers."""


class Measures(msgspec.Struct, frozen=True):
    """The metrics of the member that was asked."""

    readings: tuple[Reading, ...]


class Measure(Request[Measures], frozen=True):
    """Ask a member for its metrics."""


class LeaseStatus(Request[LeaseFacts], frozen=True):
    """Ask for a lease, with its keys."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    lease: int


class Leases(Request[LeaseList], frozen=True):
    """Ask for all leases."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX


class HashAt(Request[Hash], frozen=True):
    """Ask for the running hash behind a revision (0: the newest)."""

    revision: int = 0


class Backup(Request[BackupPart], frozen=True):
    """Ask for a part of a backup; number 0 begins one, of the state as it is then."""

    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    backup: int = 0
    part: int = 0


class Defrag(Request[Defragged], frozen=True):
    """Write a snapshot, and drop the log before it."""


class ChangeMembers(Request[Answer], frozen=True):
    """Change who belongs to the group; answered when the change took effect on the member that was asked."""

    change: ConfChangeV2


class MoveLeader(Request[None], frozen=True):
    """Have the leader hand over to a member; answered at once."""

    successor: int


BarnRequest = (
    Read
    | Select
    | Propose
    | WatchFrom
    | Status
    | Measure
    | LeaseStatus
    | Leases
    | HashAt
    | Backup
    | Defrag
    | ChangeMembers
    | MoveLeader
)
