"""The Barn's state machine: an ordered map with revisions, leases, client sessions and the last changes.

`apply` is the only thing that changes it, one entry of the log at a time, in order.  Same entries, same state, same snapshot
bytes, on every member and in every process: nothing here reads a clock, draws a number or walks a set.

Invariants
- `revision` grows by one with every entry that changes a key, and with no other; it begins at 0.
- `_keys` holds exactly the keys of `_items`, sorted.
- A key with a lease stands in that lease's keys, and in no other's.
- The history holds every change behind `history.compacted`, revisions whole and in order.
- An entry is applied once: `applied_index` grows by one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Any, assert_never

from runink.barn.commands import (
    Answer,
    Applied,
    Command,
    Compact,
    Compare,
    Declined,
    Delete,
    DeleteRange,
    ExpireLease,
    GrantLease,
    Is,
    KeepAlive,
    Of,
    Operation,
    Proposal,
    Put,
    RevokeLease,
    Txn,
)
from runink.barn.history import History, Watched
from runink.barn.image import FORMAT_VERSION, Header, Image, Lease
from runink.barn.keyvalue import Change, KeyValue, Page, Span
from runink.barn.sessions import Sessions


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease, for who watches the time: `renewals` tells two renewals apart."""

    lease: int
    ttl_ms: int
    renewals: int


@dataclass(slots=True)
class _Lease:
    ttl_ms: int
    renewals: int = 0
    keys: set[str] = field(default_factory=set)


class Store:
    """The state behind `applied_index` entries of the log."""

    def __init__(self) -> None:
        self.revision = 0
        self.applied_index = 0
        self.applied_term = 0
        self._items: dict[str, KeyValue] = {}
        self._keys: list[str] = []
        self._leases: dict[int, _Lease] = {}
        self._sessions = Sessions()
        self._history = History()
        self._fresh: list[Change] = []

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def compacted(self) -> int:
        """The newest revision whose changes are not kept any more."""
        return self._history.compacted

    @property
    def clients(self) -> int:
        return len(self._sessions)

    def get(self, key: str) -> KeyValue | None:
        return self._items.get(key)

    def range(self, span: Span, *, limit: int = 0) -> Page:
        """Return the keys of the span in order, the first `limit` of them (0: all)."""
        begin, end = self._places(span)
        last = min(end, begin + limit) if limit else end
        items = tuple(self._items[key] for key in self._keys[begin:last])
        return Page(items, self.revision, end - begin)

    def changes_after(
        self, revision: int, prefixes: tuple[str, ...], *, changes_max: int
    ) -> Watched:
        """Return the kept changes behind `revision`; see `History.after`. Raises Refused (`compacted`, `future_revision`)."""
        return self._history.after(
            revision, now=self.revision, prefixes=prefixes, changes_max=changes_max
        )

    def drain_changes(self) -> list[Change]:
        """Return the changes since the last call, for whoever waits for some."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def leases(self) -> list[LeaseView]:
        return [
            LeaseView(lease, facts.ttl_ms, facts.renewals) for lease, facts in self._leases.items()
        ]

    def lease(self, lease: int) -> LeaseView | None:
        facts = self._leases.get(lease)
        return LeaseView(lease, facts.ttl_ms, facts.renewals) if facts else None

    def apply(self, proposal: Proposal, *, term: int, index: int) -> Answer:
        """Apply the next entry of the log, or answer again what its first copy was answered."""
        assert index == self.applied_index + 1
        assert term >= self.applied_term
        self.applied_index = index
        self.applied_term = term
        if not proposal.client:
            return self._execute(proposal.command)
        known = self._sessions.answer(proposal.client, proposal.sequence)
        if known is not None:
            return known
        answer = self._execute(proposal.command)
        self._sessions.record(proposal.client, proposal.sequence, answer)
        return answer

    def skip(self, *, term: int, index: int) -> None:
        """Take note of an entry without a command (the one that begins a term)."""
        assert index == self.applied_index + 1
        self.applied_index = index
        self.applied_term = term

    def image(self) -> Image:
        """Return the whole state as values. Quick: it copies references, `image.encode` does the work, in any thread."""
        items = self._items
        return Image(
            Header(
                FORMAT_VERSION,
                self.applied_term,
                self.applied_index,
                self.revision,
                self._history.compacted,
                self._sessions.dropped_client,
            ),
            items=tuple(items[key] for key in self._keys),
            leases=tuple(
                Lease(lease, facts.ttl_ms, facts.renewals) for lease, facts in self._leases.items()
            ),
            sessions=self._sessions.kept(),
            changes=self._history.kept(),
        )

    @classmethod
    def restore(cls, state: Image) -> Store:
        """Return a store in the state that `image` told; from here on both give the same bytes."""
        store = cls()
        header = state.header
        store.applied_term, store.applied_index = header.term, header.index
        store.revision = header.revision
        store._items = {item.key: item for item in state.items}
        store._keys = [item.key for item in state.items]
        store._leases = {kept.lease: _Lease(kept.ttl_ms, kept.renewals) for kept in state.leases}
        for item in state.items:
            if item.lease:
                store._leases[item.lease].keys.add(item.key)
        store._sessions = Sessions(state.sessions, dropped_client=header.dropped_client)
        store._history = History(state.changes, compacted=header.compacted)
        return store

    def _execute(self, command: Command) -> Answer:
        match command:
            case Put() | Delete() | DeleteRange():
                return self._change((command,))
            case Txn():
                return self._transact(command)
            case GrantLease(ttl_ms):
                self._leases[self.applied_index] = _Lease(ttl_ms)
                return Applied(self.revision, lease=self.applied_index)
            case KeepAlive(lease):
                if lease not in self._leases:
                    return _no_lease(lease)
                self._leases[lease].renewals += 1
                return Applied(self.revision, lease=lease)
            case RevokeLease(lease):
                return self._end_lease(lease) if lease in self._leases else _no_lease(lease)
            case ExpireLease(lease, renewals):
                facts = self._leases.get(lease)
                if facts is None or facts.renewals > renewals:
                    return Applied(self.revision)
                return self._end_lease(lease)
            case Compact(revision):
                if revision > self.revision:
                    return Declined("future_revision", f"revision {revision} is yet to come")
                self._history.compact(revision)
                return Applied(self.revision)
            case _:
                assert_never(command)

    def _transact(self, txn: Txn) -> Answer:
        failed = tuple(
            place for place, compare in enumerate(txn.compares) if not self._holds(compare)
        )
        answer = self._change(txn.otherwise if failed else txn.then)
        if isinstance(answer, Declined) or not failed:
            return answer
        return Applied(answer.revision, succeeded=False, failed=failed, deleted=answer.deleted)

    def _holds(self, compare: Compare) -> bool:
        item = self._items.get(compare.key)
        if compare.of is Of.VALUE:
            if item is None:
                return compare.is_ is Is.UNEQUAL
            return _compared(item.value, compare.is_, compare.operand)
        if item is None:
            return _compared(0, compare.is_, compare.operand)
        match compare.of:
            case Of.VERSION:
                found = item.version
            case Of.CREATE_REVISION:
                found = item.create_revision
            case Of.MOD_REVISION:
                found = item.mod_revision
            case Of.LEASE:
                found = item.lease
            case _:
                assert_never(compare.of)
        return _compared(found, compare.is_, compare.operand)

    def _change(self, operations: tuple[Operation, ...]) -> Answer:
        """Do all of it in one revision, or none."""
        for operation in operations:
            lease = operation.lease if isinstance(operation, Put) else 0
            if lease and lease not in self._leases:
                return _no_lease(lease)
        revision = self.revision + 1
        changes: list[Change] = []
        deleted = 0
        for operation in operations:
            if isinstance(operation, Put):
                changes.append(self._put(operation, revision))
                continue
            span = operation if isinstance(operation, DeleteRange) else Delete(operation.key)
            gone = self._delete(span, revision)
            deleted += len(gone)
            changes += gone
        self._commit(changes, revision)
        return Applied(self.revision, deleted=deleted)

    def _commit(self, changes: list[Change], revision: int) -> None:
        if not changes:
            return
        self.revision = revision
        self._history.add(changes)
        self._fresh += changes

    def _put(self, put: Put, revision: int) -> Change:
        before = self._items.get(put.key)
        if before is None:
            item = KeyValue(put.key, put.value, revision, revision, 1, put.lease)
            insort(self._keys, put.key)
        else:
            version = before.version + 1
            item = KeyValue(
                put.key, put.value, before.create_revision, revision, version, put.lease
            )
            self._detach(before)
        self._items[put.key] = item
        if put.lease:
            self._leases[put.lease].keys.add(put.key)
        return Change(revision, put.key, item)

    def _delete(self, operation: Delete | DeleteRange, revision: int) -> list[Change]:
        if isinstance(operation, Delete):
            if operation.key not in self._items:
                return []
            begin = bisect_left(self._keys, operation.key)
            end = begin + 1
        else:
            begin, end = self._places(Span(operation.start, operation.end))
        gone = self._keys[begin:end]
        del self._keys[begin:end]
        for key in gone:
            self._detach(self._items.pop(key))
        return [Change(revision, key, None) for key in gone]

    def _end_lease(self, lease: int) -> Applied:
        revision = self.revision + 1
        changes: list[Change] = []
        for key in sorted(self._leases[lease].keys):
            changes += self._delete(Delete(key), revision)
        del self._leases[lease]
        self._commit(changes, revision)
        return Applied(self.revision, deleted=len(changes))

    def _detach(self, item: KeyValue) -> None:
        if item.lease:
            self._leases[item.lease].keys.discard(item.key)

    def _places(self, span: Span) -> tuple[int, int]:
        begin = bisect_left(self._keys, span.start)
        end = bisect_left(self._keys, span.end) if span.end else len(self._keys)
        return begin, max(begin, end)


def _no_lease(lease: int) -> Declined:
    return Declined("lease_not_found", f"lease {lease} has ended or never was")


def _compared(found: Any, relation: Is, operand: Any) -> bool:
    """Compare two of a kind; `check_proposal` refuses others, and here they are unequal."""
    if type(found) is not type(operand):
        return relation is Is.UNEQUAL
    match relation:
        case Is.EQUAL:
            return bool(found == operand)
        case Is.UNEQUAL:
            return bool(found != operand)
        case Is.LESS:
            return bool(found < operand)
        case Is.GREATER:
            return bool(found > operand)
        case _:
            assert_never(relation)
