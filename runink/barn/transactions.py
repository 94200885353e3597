"""Transactions: decided as a whole, checked as a whole, done as a whole.

    decide      every comparison, also of the transactions within, on the state as it is: it says which operations there are
    look        at all of them for a reason to decline: a lease that has ended, a quota that is reached, a revision that cannot be read
    do          in their order; from here on nothing can go wrong

A read of the past is answered while looking, because the past is whole only as long as nothing is done; any other when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, assert_never

from runink.barn.commands import (
    Compare,
    Declined,
    Delete,
    DeleteDone,
    DeleteRange,
    Is,
    Of,
    Operation,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Txn,
    TxnDone,
)
from runink.barn.history import CHANGE_BYTES
from runink.barn.keyspace import Keyspace, Room
from runink.barn.keyvalue import ITEM_BYTES, Change, KeyValue, Page, Span
from runink.barn.lease_table import LeaseTable, no_lease
from runink.errors import Refused


@dataclass(slots=True)
class Decision:
    """The branch that a transaction takes: its operations, and by their place the decisions of those that are transactions, and pages of the past."""

    operations: tuple[Operation, ...]
    failed: tuple[int, ...] = ()
    within: dict[int, Decision] = field(default_factory=dict)
    past: dict[int, Page] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Say whether anything in it has something to tell."""
        return any(
            isinstance(operation, Range | Txn) or operation.want_before
            for operation in self.operations
        )


def decide(keys: Keyspace, txn: Txn) -> Decision:
    """Choose the branch, of the transactions within too."""
    failed = tuple(place for place, compare in enumerate(txn.compares) if not _holds(keys, compare))
    decision = Decision(txn.otherwise if failed else txn.then, failed)
    for place, operation in enumerate(decision.operations):
        if isinstance(operation, Txn):
            decision.within[place] = decide(keys, operation)
    return decision


def growth_of(decision: Decision) -> int:
    """Return how many bytes the puts may add at most; 0 if there are none."""
    return sum(
        growth_of_put(operation) for operation in _all_of(decision) if isinstance(operation, Put)
    )


def growth_of_put(put: Put) -> int:
    """Return what a put may add: a key, and a change in the history."""
    return ITEM_BYTES + CHANGE_BYTES + 2 * len(put.key) + len(put.value)


def _all_of(decision: Decision) -> Iterator[Operation]:
    for place, operation in enumerate(decision.operations):
        if isinstance(operation, Txn):
            yield from _all_of(decision.within[place])
        else:
            yield operation


def look(keys: Keyspace, leases: LeaseTable, decision: Decision, room: Room) -> Declined | None:
    """Return why none of it can be done, or nothing; read what is to be read of the past."""
    for place, operation in enumerate(decision.operations):
        declined: Declined | None = None
        match operation:
            case Put(lease=lease) if lease and lease not in leases:
                declined = no_lease(lease)
            case Txn():
                declined = look(keys, leases, decision.within[place], room)
            case Range(revision=revision) if revision:
                try:
                    decision.past[place] = keys.select(operation, room)
                except Refused as error:
                    declined = Declined(error.code, error.text)
            case _:
                continue
        if declined is not None:
            return declined
    return None


@dataclass(slots=True)
class Doing:
    """One command at work on the keys: the revision that it makes, its changes so far, and the room for what it tells."""

    keys: Keyspace
    leases: LeaseTable
    revision: int
    room: Room = field(default_factory=Room)
    changes: list[Change] = field(default_factory=list)
    deleted: int = 0

    def do(self, decision: Decision) -> tuple[Result, ...]:
        """Do all operations of a decision; return a result for each if any of them tells something."""
        if not decision.tells:
            for operation in decision.operations:
                self._write(operation)
            return ()
        return tuple(
            self._told(decision, place, operation)
            for place, operation in enumerate(decision.operations)
        )

    def _told(self, decision: Decision, place: int, operation: Operation) -> Result:
        match operation:
            case Range():
                page = decision.past.get(place)
                if page is None:
                    page = self.keys.select(operation, self.room, now=self.revision)
                return RangeDone(page)
            case Txn():
                inner = decision.within[place]
                results = self.do(inner)
                return TxnDone(not inner.failed, inner.failed, results)
            case Put() | Delete() | DeleteRange():
                return result_of(operation, self._write(operation), self.room)
            case _:
                assert_never(operation)

    def _write(self, operation: Operation) -> list[Change]:
        match operation:
            case Put():
                changes = [self.put(operation)]
            case Delete(key):
                gone = self.keys.delete(key, self.revision)
                changes = [gone] if gone is not None else []
                self._detach(changes)
            case DeleteRange(start, end):
                changes = self.keys.delete_span(Span(start, end), self.revision)
                self._detach(changes)
            case _:
                raise AssertionError("reads and transactions have something to tell")
        self.changes += changes
        return changes

    def put(self, put: Put) -> Change:
        """Set a key and tell the change; it is not among `changes` yet."""
        change = self.keys.put(put.key, put.value, self.revision, put.lease)
        before = change.before
        if before is not None and before.lease:
            self.leases.detach(before.lease, change.key)
        if put.lease:
            self.leases.attach(put.lease, change.key)
        return change

    def _detach(self, changes: list[Change]) -> None:
        self.deleted += len(changes)
        for change in changes:
            if change.before is not None and change.before.lease:
                self.leases.detach(change.before.lease, change.key)

    def delete_keys(self, keys: list[str]) -> None:
        """Delete these keys, which are there."""
        for key in keys:
            self._write(Delete(key))


def result_of(operation: Put | Delete | DeleteRange, changes: list[Change], room: Room) -> Result:
    """Return what a write has to tell: what was there before, if that was asked for and finds room."""
    before = [
        change.before
        for change in changes
        if operation.want_before and change.before is not None and room.take(change.before)
    ]
    if isinstance(operation, Put):
        return PutDone(before[0] if before else None)
    return DeleteDone(len(changes), tuple(before))


def _holds(keys: Keyspace, compare: Compare) -> bool:
    if compare.end is None:
        return _item_holds(keys.items.get(compare.key), compare)
    found = False
    for item in keys.items.walk(Span(compare.key, compare.end)):
        found = True
        if not _item_holds(item, compare):
            return False
    return found or _item_holds(None, compare)


def _item_holds(item: KeyValue | None, compare: Compare) -> bool:
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
