"""Commands: the only way in which the Barn's state changes, and what they answer.

An entry of the log is (term, index, client, sequence, command).  Term and index are consensus' and stand in the record's header
(`storage/records.py`); the record's payload is a `Proposal`: MessagePack, every struct an array, a command's first element its name.

    command        answers `Applied` with                      or `Declined` with
    Put            revision                                    lease_not_found
    Delete         revision, deleted
    DeleteRange    revision, deleted
    Txn            revision, succeeded, failed, deleted        lease_not_found
    GrantLease     lease: its id, the entry's index
    KeepAlive      -                                           lease_not_found
    RevokeLease    revision, deleted                           lease_not_found
    ExpireLease    revision, deleted; nothing if it was renewed or is gone
    Compact        revision                                    future_revision

Rules.  A command holds all that its outcome depends on: applying reads no clock and no chance, so every member comes to the same bytes.  A
lease has a duration, not a date: who owns the leases (the actor) watches the time and proposes `ExpireLease` with the number of renewals that it had seen, so that
a renewal that came first in the log wins.  A proposal of a client is applied once however often it is in the log (`sessions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

import msgspec

from runink.errors import Finding, Invalid

KEY_BYTES_MAX: Final = (
    512  # a path of names of at most 63 characters; every key is in memory on every member
)
VALUE_BYTES_MAX: Final = (
    1 << 20
)  # records of the control plane; data belongs into files, a bundle travels in parts
TXN_OPERATIONS_MAX: Final = (
    1024  # of each list, some 5 ms: a gang of 500 slices is placed whole, two keys for each
)
COMMAND_BYTES_MAX: Final = 2 << 20  # half a segment of the log, which must hold an entry whole
CLIENT_BYTES_MAX: Final = 64  # a run's id with room for a prefix; kept per client in every snapshot
LEASE_TTL_MS_MIN: Final = (
    1_000  # shorter, and a pause of the owner would end leases that are renewed in time
)
LEASE_TTL_MS_MAX: Final = 86_400_000  # a lease that lives longer than a day guards nothing


class Put(msgspec.Struct, frozen=True, array_like=True, tag="put"):
    """Set a key. With a lease it is deleted when that ends."""

    key: str
    value: bytes
    lease: int = 0


class Delete(msgspec.Struct, frozen=True, array_like=True, tag="delete"):
    key: str


class DeleteRange(msgspec.Struct, frozen=True, array_like=True, tag="delete_range"):
    """Delete the keys from `start` up to, not including, `end`; `key_prefix` makes both from a prefix."""

    start: str
    end: str


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
    """A condition on one key: `of` it `is_` to `operand` (bytes for a value, a number otherwise)."""

    key: str
    of: Of
    is_: Is
    operand: int | bytes


Operation = Put | Delete | DeleteRange


class Txn(msgspec.Struct, frozen=True, array_like=True, tag="txn"):
    """If all comparisons hold, do `then`, else `otherwise`; all of it in one revision, or nothing."""

    compares: tuple[Compare, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()


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


Command = (
    Put | Delete | DeleteRange | Txn | GrantLease | KeepAlive | RevokeLease | ExpireLease | Compact
)


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """A command and who asks for it. An empty client asks without the promise of once-only."""

    client: str
    sequence: int
    command: Command


class Applied(msgspec.Struct, frozen=True, array_like=True, tag="applied"):
    """The command took effect. `revision` is the store's behind it; `failed` are the places of the comparisons that did not hold."""

    revision: int
    succeeded: bool = True
    failed: tuple[int, ...] = ()
    deleted: int = 0
    lease: int = 0


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


def check_proposal(proposal: Proposal) -> None:
    """Refuse a proposal that breaks a limit, before it is in the log. Raises Invalid with all findings."""
    findings = tuple(_findings(proposal))
    if findings:
        raise Invalid(findings[0].text, findings=findings, code=findings[0].code)


def _findings(proposal: Proposal) -> Iterable[Finding]:
    if len(proposal.client.encode()) > CLIENT_BYTES_MAX:
        yield Finding("invalid_client", f"a client's id has at most {CLIENT_BYTES_MAX} bytes")
    if proposal.client and proposal.sequence < 1:
        yield Finding("invalid_sequence", "a client's sequence begins with 1")
    match proposal.command:
        case Txn(compares, then, otherwise):
            for name, parts in (
                ("comparisons", compares),
                ("operations", then),
                ("other operations", otherwise),
            ):
                if len(parts) > TXN_OPERATIONS_MAX:
                    text = f"{len(parts)} {name}: a transaction has at most {TXN_OPERATIONS_MAX}"
                    yield Finding("txn_too_large", text)
            yield from (finding for compare in compares for finding in _of_compare(compare))
            yield from _of_operations(then)
            yield from _of_operations(otherwise)
        case Put() | Delete() | DeleteRange() as operation:
            yield from _of_operations((operation,))
        case GrantLease(ttl_ms):
            if not LEASE_TTL_MS_MIN <= ttl_ms <= LEASE_TTL_MS_MAX:
                text = (
                    f"a lease of {ttl_ms} ms: it lasts {LEASE_TTL_MS_MIN} to {LEASE_TTL_MS_MAX} ms"
                )
                yield Finding("invalid_ttl", text)
        case _:
            pass


def _of_compare(compare: Compare) -> Iterable[Finding]:
    yield from _of_key(compare.key)
    if (compare.of is Of.VALUE) != isinstance(compare.operand, bytes):
        text = f"the {compare.of.value} of {compare.key} is compared with {type(compare.operand).__name__}"
        yield Finding("invalid_compare", text)


def _of_operations(operations: tuple[Operation, ...]) -> Iterable[Finding]:
    written: set[str] = set()
    for operation in operations:
        if isinstance(operation, DeleteRange):
            continue
        yield from _of_key(operation.key)
        if operation.key in written:
            # One revision holds one change of a key, or a watch could not tell which came last.
            yield Finding("duplicate_key", f"{operation.key} stands twice in a transaction")
        written.add(operation.key)
        if isinstance(operation, Put) and len(operation.value) > VALUE_BYTES_MAX:
            text = f"the value of {operation.key} has {len(operation.value)} bytes, the most is {VALUE_BYTES_MAX}"
            yield Finding("value_too_large", text)
    yield from _of_overlaps(operations, written)


def _of_overlaps(operations: tuple[Operation, ...], written: set[str]) -> Iterable[Finding]:
    for operation in operations:
        if isinstance(operation, DeleteRange):
            inside = [
                key
                for key in sorted(written)
                if operation.start <= key and (not operation.end or key < operation.end)
            ]
            if inside:
                text = f"{inside[0]} stands in a transaction that deletes a range around it"
                yield Finding("duplicate_key", text)


def _of_key(key: str) -> Iterable[Finding]:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        yield Finding("invalid_key", f"the key {key!r} is not text that UTF-8 can hold")
        return
    if not 1 <= size <= KEY_BYTES_MAX:
        yield Finding("invalid_key", f"a key has 1 to {KEY_BYTES_MAX} bytes, this one {size}")
