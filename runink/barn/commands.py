"""Commands: the only way in which the Barn's state changes, and what they answer.

An entry of the log is (term, index, client, sequence, command).  Term and index are consensus' and stand in the record's header
(`storage/records.py`); the record's payload is a `Proposal`: MessagePack, every struct an array, a command's first element its name.

    command        answers `Applied` with                      or `Declined` with
    Put            revision                                    lease_not_found, quota_exceeded
    Delete         revision, deleted
    DeleteRange    revision, deleted
    Txn            revision, succeeded, failed, deleted        lease_not_found, quota_exceeded, compacted, future_revision
    GrantLease     lease: its id                               quota_exceeded
    KeepAlive      lease                                       lease_not_found
    RevokeLease    revision, deleted                           lease_not_found
    ExpireLease    revision, deleted; nothing if it was renewed or is gone
    Compact        revision                                    future_revision
    SetLimits      revision
    ClearAlarm     revision
    NameCluster    revision; the first name stays

Put, Delete and DeleteRange answer with `results` if they want what was there before; a transaction does if anything in the branch that was taken has something to
tell (a read, a transaction in it, a wanted before): then with one for each operation, in their order.

Rules.  A command holds all that its outcome depends on: applying reads no clock and no chance, so every member comes to the same bytes.  A
lease has a duration, not a date: who owns the leases (the actor) watches the time and proposes `ExpireLease` with the number of renewals that it had seen, so that
a renewal that came first in the log wins.  A proposal of a client is applied once however often it is in the log (`sessions.py`).
A field that is added stands last and has a default, so that entries of older logs are read; `checks.py` holds the limits.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from runink.barn.keyvalue import KeyValue, Page
from runink.errors import Invalid

COMMAND_BYTES_MAX: Final = 2 << 20  # half a segment of the log, which must hold an entry whole
VALUE_BYTES_MAX: Final = (
    1 << 20
)  # records of the control plane; data belongs into files, a bundle travels in parts


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Set a key. With a lease it is deleted when that ends."""

    key: str
    value: bytes
    lease: int = 0
    want_before: bool = False


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    key: str
    want_before: bool = False


class DeleteRange(msgspec.Struct, frozen=True, array_like=True, tag="delete_range"):
    """Delete the keys from `start` up to, not including, `end`; `key_prefix` makes both from a prefix."""

    start: str
    end: str
    want_before: bool = False


class Want(Enum):
    """What is told of the keys that a read finds. Without their values, those are empty."""

    ALL = "all"
    KEYS = "keys"
    COUNT = "count"


class By(Enum):
    """What a read sorts by; equals stay in the order of their keys."""

    KEY = "key"
    VERSION = "version"
    CREATE_REVISION = "create_revision"
    MOD_REVISION = "mod_revision"
    VALUE = "value"


class Range(msgspec.Struct, frozen=True, array_like=True, tag="range"):
    """Read the keys from `start` up to, not including, `end` (empty: up to the last key), as they stood at a revision (0: the newest).

    Told are the first `limit` of them (0: all) in the order that is asked for, of those whose revisions lie within the bounds (0: no bound).
    What a page counts is the whole span, without the bounds and the limit.
    """

    start: str
    end: str
    revision: int = 0
    limit: int = 0
    want: Want = Want.ALL
    by: By = By.KEY
    descending: bool = False
    mod_revision_min: int = 0
    mod_revision_max: int = 0
    create_revision_min: int = 0
    create_revision_max: int = 0


class Of(Enum):
    """What a comparison looks at. An absent key has version and revisions 0, no lease, and no value that anything equals."""

    VALUE = "value"
    VERSION = "version"
    CREATE_REVISION = "create_revision"
    MOD_REVISION = "mod_revision"
    LEASE = "lease"


class Is(Enum):
    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    GREATER = ">"


class Compare(msgspec.Struct, frozen=True, array_like=True):
    """A condition on one key: `of` it `is_` to `operand` (bytes for a value, a number otherwise).

    With an `end` it is one on every key from `key` up to, not including, `end` (empty: up to the last key); if there is none, on an absent key.
    """

    key: str
    of: Of
    is_: Is
    operand: int | bytes
    end: str | None = None


class Txn(msgspec.Struct, frozen=True, array_like=True, tag="txn"):
    """If all comparisons hold, do `then`, else `otherwise`; all of it in one revision, or nothing.

    A transaction in it is decided with it, on the state before anything is done; a read in it sees what was done before it.
    """

    compares: tuple[Compare, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()


Operation = Put | Delete | DeleteRange | Range | Txn


class GrantLease(msgspec.Struct, frozen=True, array_like=True, tag="grant_lease"):
    ttl_ms: int


class KeepAlive(msgspec.Struct, frozen=True, array_like=True, tag="keep_alive"):
    lease: int


class RevokeLease(msgspec.Struct, frozen=True, array_like=True, tag="revoke_lease"):
    """End a lease, and every key with it."""

    lease: int


class ExpireLease(msgspec.Struct, frozen=True, array_like=True, tag="expire_lease"):
    """End a lease if it was renewed no more than `renewals` times."""

    lease: int
    renewals: int


class Compact(msgspec.Struct, frozen=True, array_like=True, tag="compact"):
    """Forget the changes up to and with `revision`; the keys stay as they are."""

    revision: int


class SetLimits(msgspec.Struct, frozen=True, array_like=True, tag="set_limits"):
    """Set how large the store may become, and how much of its past it keeps; 0 leaves a limit as it is.

    They are part of the state, not of a member's settings: members that compact at different places would have different bytes.
    """

    quota_bytes: int = 0
    history_changes: int = 0
    history_bytes: int = 0


class ClearAlarm(msgspec.Struct, frozen=True, array_like=True, tag="clear_alarm"):
    """Let puts in again, until the next one that is over the quota."""


class NameCluster(msgspec.Struct, frozen=True, array_like=True, tag="name_cluster"):
    """Give a new cluster the id that tells it from every other. One that has an id keeps it."""

    cluster: str


Command = (
    Put
    | Delete
    | DeleteRange
    | Txn
    | GrantLease
    | KeepAlive
    | RevokeLease
    | ExpireLease
    | Compact
    | SetLimits
    | ClearAlarm
    | NameCluster
)


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """A command and who asks for it. An empty client asks without the promise of once-only. By its `origin` a member knows what it has proposed itself."""

    client: str
    sequence: int
    command: Command
    origin: int = 0


class PutDone(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    before: KeyValue | None = None


class DeleteDone(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    deleted: int
    before: tuple[KeyValue, ...] = ()


class RangeDone(msgspec.Struct, frozen=True, array_like=True, tag="range"):
    page: Page


class TxnDone(msgspec.Struct, frozen=True, array_like=True, tag="txn"):
    succeeded: bool
    failed: tuple[int, ...]
    results: tuple[Result, ...]


Result = PutDone | DeleteDone | RangeDone | TxnDone


class Applied(msgspec.Struct, frozen=True, array_like=True, tag="applied"):
    """The command took effect. `revision` is the store's behind it; `failed` are the places of the comparisons that did not hold.

    `are_results_gone` says that this answers a retry, and that the results were too large to be kept for it: read them at `revision`.
    """

    revision: int
    succeeded: bool = True
    failed: tuple[int, ...] = ()
    deleted: int = 0
    lease: int = 0
    results: tuple[Result, ...] = ()
    are_results_gone: bool = False


class Declined(msgspec.Struct, frozen=True, array_like=True, tag="declined"):
    """The command changed nothing, on every member, for this reason."""

    code: str
    text: str


Answer = Applied | Declined

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Proposal).decode


def encode_proposal(proposal: Proposal) -> bytes:
    """Return the payload of an entry. Raises Invalid if it is longer than COMMAND_BYTES_MAX."""
    payload = _encode(proposal)
    if len(payload) > COMMAND_BYTES_MAX:
        raise Invalid(
            f"a command of {len(payload)} bytes is more than the {COMMAND_BYTES_MAX} that an entry may have",
            code="command_too_large",
            hint="split the transaction",
        )
    return payload


def decode_proposal(payload: bytes) -> Proposal:
    """Return the proposal of an entry; raises msgspec.ValidationError for bytes that `encode_proposal` did not make."""
    return _decode(payload)
