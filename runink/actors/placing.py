"""What a plan means in the Barn: transactions that compare all that they were decided on, so that a plan that is stale changes nothing.  Units that are placed share them, and so do those that are told why they wait.

    a unit is placed        its slices become `placed`, each with a placement for its node; what was kept for it is kept no longer
    others are stopped      its reservation names them; their run controller stops them (`runs/yielding.py`)
    nodes are kept for it   its reservation
    it waits                why, in its slices, with what is said of others in one transaction; it fails if it will never fit

Compared are the revisions of the unit's slices, of its reservation, and for what is placed or stopped those of the nodes, of what people say of them and what was seen of them, of the herd with its
quota, and of the slices that are stopped.  Sums need no comparing beside these: only who holds the office adds to what is on a node, and he sees his own
transactions before he decides again (`scheduler.py`).  One that he does not know the end of must not come in late: before he decides again he puts TURN_KEY anew, which each
transaction compares.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace as changed

from runink import capabilities
from runink.actors.placement_sight import Members, PlacementSight
from runink.barn.commands import Put
from runink.barn.keys import (
    TURNS,
    health_key,
    herd_key,
    node_key,
    placement_key,
    reservation_key,
    standing_key,
)
from runink.clients.barn import Transaction
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import HerdName, NodeId
from runink.placement.demands import UnitKey
from runink.placement.feasible import Rule
from runink.placement.plans import Placed, Plan, Unplaced
from runink.relay.protocol import KEY_BYTES
from runink.runs.records import Placement, SliceRecord, SliceState
from runink.runs.reservations import ReservationRecord
from runink.scheduling.cutting import seats_of

TURN_KEY: Final = TURNS.key("scheduler")


TOGETHER_MAX: Final = 200  # operations of units that share a transaction
TOGETHER_BYTES_MAX: Final = 1 << 20  # of their records: with the keys below COMMAND_BYTES_MAX


def together(transactions: Iterable[Transaction]) -> Iterator[Transaction]:
    """Join what is said of units, of all that they are placed or of all why they wait, in few transactions.

    One that is stale by one of its units does nothing for the others: the next plan does, which comes when that is seen, and places each by itself.
    """
    portion: list[Transaction] = []
    count = size = 0
    for one in transactions:
        its_size = sum(len(part.value) for part in one.operations if isinstance(part, Put))
        is_full = count + len(one.operations) > TOGETHER_MAX or size + its_size > TOGETHER_BYTES_MAX
        if portion and is_full:
            yield _joined(portion)
            portion, count, size = [], 0, 0
        portion.append(one)
        count += len(one.operations)
        size += its_size
    if portion:
        yield _joined(portion)


def _joined(transactions: list[Transaction]) -> Transaction:
    compares = dict.fromkeys(one for each in transactions for one in each.compares)
    operations = tuple(one for each in transactions for one in each.operations)
    return Transaction(tuple(compares), operations)


class Placing:
    """Makes the transactions of one plan. `kept` are the reservations that hold behind it, `turn` is the revision of TURN_KEY that it is made under."""

    def __init__(
        self,
        sight: PlacementSight,
        kept: dict[UnitKey, ReservationRecord],
        *,
        now_ms: int,
        turn: int,
    ) -> None:
        self._turn = Transaction().if_revision(TURN_KEY, turn)
        self._sight = sight
        self._kept = kept
        self._now_ms = now_ms

    def placed(self, placed: Placed, *, decision: int) -> Transaction:
        """Return what places a unit."""
        key = placed.unit.key
        members = self._sight.members(key)
        transaction = self._unchanged(members)
        transaction = self._as_seen(transaction, placed.unit.herd, sorted(set(placed.nodes)))
        seats = seats_of(placed, self._sight.view.groups(key))
        # Another one for each attempt: who knew the one before opens no stream of this one.
        streams = secrets.token_hex(KEY_BYTES) if len(set(placed.nodes)) > 1 else ""
        for found in members:
            node = seats[found.value.slice]
            one = self._on_node(found.value, node, decision)
            placement = Placement(one.run, one.slice, one.herd, one.gang, one.attempt, streams)
            at = placement_key(node, one.run, one.slice)
            transaction = transaction.put(found.key, one).put(at, placement)
        return self._unkept(transaction, placed.unit.key)

    def waits(self, unplaced: Unplaced, *, is_told: bool) -> Transaction | None:
        """Return what keeps nodes for a unit that waits, or says why it waits if that `is_told` now; nothing if there is no news of it."""
        members = self._sight.members(unplaced.unit.key)
        transaction = self._keeping(self._unchanged(members), unplaced)
        if is_told:
            transaction = _told(transaction, unplaced, members, self._now_ms)
        return transaction if transaction.operations else None

    def forgotten(self, plan: Plan) -> list[Transaction]:
        """Return what takes reservations back of units that neither wait nor are placed by this plan."""
        kept = self._sight.view.reservations
        if not kept:
            return []
        placed = {one.unit.key for one in plan.placed}
        left = kept.keys() - placed - {one.unit.key for one in plan.unplaced}
        return [self._unkept(self._turn, unit) for unit in sorted(left)]

    def _on_node(self, one: SliceRecord, node: NodeId, decision: int) -> SliceRecord:
        return changed(
            one,
            state=SliceState.PLACED,
            node=node,
            waits_for="",
            not_before_ms=0,
            turn=changed(one.turn, placed_ms=self._now_ms),
            decision=decision,
        )

    def _keeping(self, transaction: Transaction, unplaced: Unplaced) -> Transaction:
        key = unplaced.unit.key
        record = self._kept.get(key)
        if record is None:
            return self._unkept(transaction, key)
        if record == self._sight.view.reservations.get(key):
            return transaction
        transaction = self._as_seen(transaction, unplaced.unit.herd, record.nodes)
        for victim in record.victims:
            for found in self._sight.members(victim.key):
                transaction = transaction.if_revision(found.key, found.revision)
        at = reservation_key(*key)
        return self._compared(transaction, at).put(at, record)

    def _unkept(self, transaction: Transaction, unit: UnitKey) -> Transaction:
        if unit not in self._sight.view.reservations:
            return transaction
        at = reservation_key(*unit)
        return self._compared(transaction, at).delete(at)

    def _as_seen(
        self, transaction: Transaction, herd: HerdName, nodes: Iterable[NodeId]
    ) -> Transaction:
        """Compare nodes and what is said of them, for who drains one may rely on that and a suspect one gets nothing, and the herd with its quota."""
        transaction = self._compared(transaction, herd_key(herd))
        for node in nodes:
            transaction = self._compared(transaction, node_key(node))
            transaction = self._compared(transaction, standing_key(node))
            transaction = self._compared(transaction, health_key(node))
        return transaction

    def _unchanged(self, members: Members) -> Transaction:
        transaction = self._turn
        for found in members:
            transaction = transaction.if_revision(found.key, found.revision)
        return transaction

    def _compared(self, transaction: Transaction, key: str) -> Transaction:
        revision = self._sight.revision_of(key)
        if revision is None:
            return transaction.if_absent(key)
        return transaction.if_revision(key, revision)


def _told(
    transaction: Transaction, unplaced: Unplaced, members: Members, now_ms: int
) -> Transaction:
    """Say in the slices why they wait; a unit that never fits fails."""
    for found in members:
        one = changed(found.value, waits_for=unplaced.text)
        if unplaced.is_final:
            report = Failed(_never_fits(unplaced))
            one = changed(one, state=SliceState.FAILED, report=report, ended_ms=now_ms)
        transaction = transaction.put(found.key, one)
    return transaction


def _never_fits(unplaced: Unplaced) -> WireError:
    text = f"{unplaced.unit.gang} can never be placed: {unplaced.text}"
    rules = {rule for rule, _ in unplaced.counts}
    if Rule.OWN in rules and rules <= {Rule.OWN, Rule.HERD}:
        hint = f'start a node with --herd {unplaced.unit.herd}, or take nodes = "own" out of the herd\'s file'
        return WireError("Refused", "never_fits", text, hint)
    match unplaced.lacks:
        case "" if len(unplaced.unit.parts) > 1:
            hint = capabilities.hint(capabilities.STREAMS, str(unplaced.unit.herd))
            return WireError("Refused", "never_fits", text, hint)
        case "":
            hint = "ask for less with @requires, raise the herd's quota, or add a larger node"
            return WireError("QuotaExceeded", "never_fits", text, hint)
        case capabilities.NAMESPACES:
            hint = "runi run, up and test take --no-isolation: slices are then plain processes, with all rights of who starts them"
            return WireError("Refused", "isolation_unavailable", text, hint)
        case name:
            hint = capabilities.hint(name, str(unplaced.unit.herd))
            return WireError("Refused", "capability_missing", text, hint)
