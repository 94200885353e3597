"""What a proposal must keep to, looked at before it is in the log: limits, and that no key is changed twice in one transaction.

The log is applied without a look at any of it: what stands there was checked by the version that proposed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from runink.barn.commands import (
    VALUE_BYTES_MAX,
    Compare,
    Delete,
    DeleteRange,
    GrantLease,
    NameCluster,
    Of,
    Operation,
    Proposal,
    Put,
    Range,
    SetLimits,
    Txn,
)
from runink.barn.watching import Interest
from runink.errors import Finding, Invalid

KEY_BYTES_MAX: Final = (
    512  # a path of names of at most 63 characters; every key is in memory on every member
)
TXN_OPERATIONS_MAX: Final = (
    1024  # of each list, some 5 ms: a gang of 500 slices is placed whole, two keys for each
)
TXN_DEPTH_MAX: Final = 4  # what people write by hand; each level is decided before all is done
CLIENT_BYTES_MAX: Final = 64  # a run's id with room for a prefix; kept per client in every snapshot
LEASE_TTL_MS_MIN: Final = (
    1_000  # shorter, and a pause of the owner would end leases that are renewed in time
)
LEASE_TTL_MS_MAX: Final = 86_400_000  # a lease that lives longer than a day guards nothing
QUOTA_BYTES_MIN: Final = 1 << 20  # what the control plane takes to say that the quota is reached


def check_proposal(proposal: Proposal) -> None:
    """Refuse a proposal that breaks a limit, before it is in the log. Raises Invalid with all findings."""
    client = proposal.client
    if proposal.sequence < 1 or not client.isascii() or len(client) > CLIENT_BYTES_MAX:
        check_client(client, proposal.sequence)
    match proposal.command:
        case Put(key, value):
            if len(value) <= VALUE_BYTES_MAX and _is_plain_key(key):
                return  # nearly all that is ever proposed
            found = tuple(_of_put(key, value))
        case Delete() | DeleteRange() as operation:
            found = tuple(_of_operations((operation,), depth=1))
        case Txn() as txn:
            if _is_plain(txn):
                return  # nearly all that the control plane proposes
            found = (*_of_size(txn), *_of_txn(txn, depth=1))
        case GrantLease(ttl_ms):
            found = tuple(_of_lease(ttl_ms))
        case SetLimits() as limits:
            found = tuple(_of_limits(limits))
        case NameCluster(cluster):
            found = () if 0 < len(cluster) <= CLIENT_BYTES_MAX else (_NO_CLUSTER,)
        case _:
            return
    _refuse(found)


_NO_CLUSTER: Final = Finding(
    "invalid_cluster", f"a cluster's id has 1 to {CLIENT_BYTES_MAX} characters"
)


def check_client(client: str, sequence: int) -> None:
    """Refuse a client's id or number that breaks a limit. Raises Invalid."""
    found: list[Finding] = []
    if len(client.encode()) > CLIENT_BYTES_MAX:
        text = f"a client's id has at most {CLIENT_BYTES_MAX} bytes"
        found.append(Finding("invalid_client", text))
    if client and sequence < 1:
        found.append(Finding("invalid_sequence", "a client's sequence begins with 1"))
    _refuse(tuple(found))


def check_range(query: Range) -> None:
    """Refuse a read that means nothing. Raises Invalid with all findings."""
    _refuse(tuple(_of_range(query)))


def check_interest(interest: Interest, changes_max: int) -> None:
    """Refuse a watch that waits for nothing, or in vain. Raises Invalid (`invalid_watch`)."""
    if not (interest.prefixes or interest.spans) or changes_max < 1:
        raise Invalid("a watch names prefixes or spans, and a limit above 0", code="invalid_watch")


def _refuse(findings: tuple[Finding, ...]) -> None:
    if findings:
        raise Invalid(findings[0].text, findings=findings, code=findings[0].code)


def _of_lease(ttl_ms: int) -> Iterable[Finding]:
    if not LEASE_TTL_MS_MIN <= ttl_ms <= LEASE_TTL_MS_MAX:
        text = f"a lease of {ttl_ms} ms: it lasts {LEASE_TTL_MS_MIN} to {LEASE_TTL_MS_MAX} ms"
        yield Finding("invalid_ttl", text)


def _of_limits(limits: SetLimits) -> Iterable[Finding]:
    if min(limits.quota_bytes, limits.history_changes, limits.history_bytes) < 0:
        yield Finding("invalid_limit", "a limit is above 0; 0 leaves it as it is")
    if 0 < limits.quota_bytes < QUOTA_BYTES_MIN:
        yield Finding("invalid_limit", f"a quota is {QUOTA_BYTES_MIN} bytes at least")


def _of_size(txn: Txn) -> Iterable[Finding]:
    count = _operations_in(txn) - 1
    if count > 2 * TXN_OPERATIONS_MAX:
        text = f"{count} operations in all branches: a transaction has at most {2 * TXN_OPERATIONS_MAX}"
        yield Finding("txn_too_large", text)


def _operations_in(operation: Operation) -> int:
    inner = (*operation.then, *operation.otherwise) if isinstance(operation, Txn) else ()
    return 1 + sum(map(_operations_in, inner))


def _is_plain(txn: Txn) -> bool:
    """Say whether a transaction surely keeps to all limits: it compares single keys, and puts and deletes different ones."""
    if txn.otherwise or max(len(txn.compares), len(txn.then)) > TXN_OPERATIONS_MAX:
        return False
    for compare in txn.compares:
        is_number = compare.of is not Of.VALUE and not isinstance(compare.operand, bytes)
        if compare.end is not None or not is_number or not _is_plain_key(compare.key):
            return False
    keys = set()
    for operation in txn.then:
        if not isinstance(operation, Put | Delete) or not _is_plain_key(operation.key):
            return False
        if isinstance(operation, Put) and len(operation.value) > VALUE_BYTES_MAX:
            return False
        keys.add(operation.key)
    return len(keys) == len(txn.then)


def _is_plain_key(key: str) -> bool:
    return key.isascii() and 0 < len(key) <= KEY_BYTES_MAX


def _of_txn(txn: Txn, *, depth: int) -> Iterable[Finding]:
    for name, parts in (
        ("comparisons", txn.compares),
        ("operations", txn.then),
        ("other operations", txn.otherwise),
    ):
        if len(parts) > TXN_OPERATIONS_MAX:
            text = f"{len(parts)} {name}: a transaction has at most {TXN_OPERATIONS_MAX}"
            yield Finding("txn_too_large", text)
    yield from (finding for compare in txn.compares for finding in _of_compare(compare))
    yield from _of_operations(txn.then, depth=depth)
    yield from _of_operations(txn.otherwise, depth=depth)


def _of_compare(compare: Compare) -> Iterable[Finding]:
    if compare.end is None:
        yield from _of_key(compare.key)
    else:
        yield from _of_bounds(compare.key, compare.end)
    if (compare.of is Of.VALUE) != isinstance(compare.operand, bytes):
        text = f"the {compare.of.value} of {compare.key} is compared with {type(compare.operand).__name__}"
        yield Finding("invalid_compare", text)


def _of_operations(operations: tuple[Operation, ...], *, depth: int) -> Iterator[Finding]:
    for operation in operations:
        match operation:
            case Txn() if depth >= TXN_DEPTH_MAX:
                text = f"transactions stand in each other {TXN_DEPTH_MAX} deep at most"
                yield Finding("txn_too_deep", text)
                return
            case Txn():
                yield from _of_txn(operation, depth=depth + 1)
            case Range():
                yield from _of_range(operation)
            case Put(key, value):
                yield from _of_put(key, value)
            case Delete(key):
                yield from _of_key(key)
            case DeleteRange(start, end):
                yield from _of_bounds(start, end)
            case _:
                assert_never(operation)
    yield from _of_written(operations)


def _of_put(key: str, value: bytes) -> Iterable[Finding]:
    yield from _of_key(key)
    if len(value) > VALUE_BYTES_MAX:
        text = f"the value of {key} has {len(value)} bytes, the most is {VALUE_BYTES_MAX}"
        yield Finding("value_too_large", text)


def _of_range(query: Range) -> Iterable[Finding]:
    yield from _of_bounds(query.start, query.end)
    numbers = (
        query.revision,
        query.limit,
        query.mod_revision_min,
        query.mod_revision_max,
        query.create_revision_min,
        query.create_revision_max,
    )
    if min(numbers) < 0:
        yield Finding("invalid_range", "revisions and the limit of a read are 0 or above")


@dataclass(slots=True)
class _Written:
    """What some operations may change: keys, and spans that are deleted."""

    keys: set[str] = field(default_factory=set)
    spans: list[DeleteRange] = field(default_factory=list)

    def clash(self, other: _Written) -> list[str]:
        """Return what both may change, in words."""
        twice = [f"{key} stands twice in a transaction" for key in sorted(self.keys & other.keys)]
        for mine, theirs in ((self, other), (other, self)):
            for span in mine.spans:
                inside = min((key for key in theirs.keys if _holds(span, key)), default=None)
                if inside is not None:
                    text = f"{inside} stands in a transaction that deletes a range around it"
                    twice.append(text)
        return twice

    def add(self, other: _Written) -> None:
        self.keys |= other.keys
        self.spans += other.spans


def _of_written(operations: tuple[Operation, ...]) -> Iterable[Finding]:
    """Find keys that are changed twice. One revision holds one change of a key, or a watch could not tell which came last."""
    written = _Written()
    for operation in operations:
        its = _written_by(operation)
        yield from (Finding("duplicate_key", text) for text in written.clash(its))
        written.add(its)


def _written_by(operation: Operation) -> _Written:
    match operation:
        case Put(key) | Delete(key):
            return _Written({key})
        case DeleteRange():
            return _Written(spans=[operation])
        case Txn(_, then, otherwise):
            within = _Written()  # of both branches: only one is taken, so they may clash
            for inner in (*then, *otherwise):
                within.add(_written_by(inner))
            return within
        case _:
            return _Written()


def _holds(span: DeleteRange, key: str) -> bool:
    return span.start <= key and (not span.end or key < span.end)


def _of_bounds(start: str, end: str) -> Iterable[Finding]:
    for bound in (start, end):
        if not is_encodable(bound) or len(bound) > 2 * KEY_BYTES_MAX:
            text = f"{bound[:KEY_BYTES_MAX]!r} is no bound of keys: too long, or no text that UTF-8 can hold"
            yield Finding("invalid_key", text)


def is_encodable(text: str) -> bool:
    """Say whether UTF-8 can hold a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_key(key: str) -> Iterable[Finding]:
    if not is_encodable(key):
        yield Finding("invalid_key", f"the key {key!r} is not text that UTF-8 can hold")
        return
    size = len(key.encode())
    if not 1 <= size <= KEY_BYTES_MAX:
        yield Finding("invalid_key", f"a key has 1 to {KEY_BYTES_MAX} bytes, this one {size}")
