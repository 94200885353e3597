"""The planner: knows one cluster, hears what changes in it, and decides.

    event                        what it says
    NodeChanged, NodeGone        a node's record is so now; the node is away, and what ran on it no longer counts there
    HerdChanged, HerdGone        a herd's record is so now; it has no quota any more
    UnitWaits, UnitDropped       a unit waits; it does no longer
    UnitPlaced, UnitEnded        a unit has its nodes, and waits no longer; it has left them
    PolicyChanged                how is decided from now on
    Reserved                     what is kept for whom, as the plan before has it
    Advanced                     the revision and the time of what is decided next

`plan` changes nothing: what it decides is heard again as events, when it has been committed.  A planner that has heard any sequence of events plans as a
new one does that is made of the same cluster, byte by byte: what it keeps between plans are columns and rows that depend on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from runink.names import HerdName, NodeId
from runink.placement.cluster import Amount, HerdView, NodeView, Numbers
from runink.placement.demands import Unit, UnitKey
from runink.placement.draft import Draft
from runink.placement.explain import Explanation, Verdict, explained, verdicts
from runink.placement.ledger import Ledger
from runink.placement.plans import (
    Order,
    Placed,
    Plan,
    Policy,
    Reservation,
    Running,
    Snapshot,
    Unplaced,
    Weights,
)
from runink.placement.reasons import over_quota
from runink.placement.room import Room
from runink.placement.serving import Serving
from runink.placement.standing import Standing

# From so many nodes on columns are quicker than the plain loop, and worth loading numpy (`bench/placement.py --sizes`).
COLUMNS_FROM_NODES: Final = 64


class NodeChanged(Struct, frozen=True):
    view: NodeView


class NodeGone(Struct, frozen=True):
    node: NodeId


class HerdChanged(Struct, frozen=True):
    view: HerdView


class HerdGone(Struct, frozen=True):
    herd: HerdName


class UnitWaits(Struct, frozen=True):
    unit: Unit


class UnitDropped(Struct, frozen=True):
    unit: UnitKey


class UnitPlaced(Struct, frozen=True):
    running: Running


class UnitEnded(Struct, frozen=True):
    unit: UnitKey


class PolicyChanged(Struct, frozen=True):
    policy: Policy


class Reserved(Struct, frozen=True):
    reservations: tuple[Reservation, ...]


class Advanced(Struct, frozen=True):
    revision: int
    now_ms: int


Event = (
    NodeChanged
    | NodeGone
    | HerdChanged
    | HerdGone
    | UnitWaits
    | UnitDropped
    | UnitPlaced
    | UnitEnded
    | PolicyChanged
    | Reserved
    | Advanced
)
Rooms = Callable[[list[NodeView], Weights], Room]


def room_for(nodes: list[NodeView], weights: Weights) -> Room:
    """Return the room that is quicker for so many nodes. Both answer alike, so that a machine without numpy decides as one with it."""
    if len(nodes) < COLUMNS_FROM_NODES or find_spec("numpy") is None:
        return Room(nodes, weights)
    from runink.placement.columns import Columns  # noqa: PLC0415 - numpy is 45 MB that a laptop's few nodes do not need

    return Columns(nodes, weights)


class Planner:
    """Knows a snapshot, and is moved on by events. `rooms` makes its room, for tests and benches that want a certain one."""

    def __init__(self, snapshot: Snapshot, *, rooms: Rooms = room_for) -> None:
        self._rooms = rooms
        self._nodes = {view.node: view for view in snapshot.nodes}
        self._herds = dict(snapshot.herds)
        self._waiting = {unit.key: unit for unit in snapshot.waiting}
        self._standing = Standing(snapshot.placed)
        self._reservations = snapshot.reservations
        self._revision = snapshot.revision
        self._now_ms = snapshot.now_ms
        self._policy = snapshot.policy
        self._room: Room
        self._ledger: Ledger
        self._is_stale = True  # the room and the ledger are made when somebody asks for a plan

    def step(self, event: Event) -> None:
        """Hear what has changed."""
        # The most frequent first, and their fields by name: what is asked before costs as much as what is done.
        match event:
            case UnitEnded():
                self._leave(event.unit)
            case UnitPlaced():
                self._on_placed(event.running)
            case UnitWaits():
                self._waiting[event.unit.key] = event.unit
            case UnitDropped(key):
                self._waiting.pop(key, None)
            case NodeChanged(view):
                self._on_node(view)
            case NodeGone(node):
                self._is_stale |= self._nodes.pop(node, None) is not None
            case HerdChanged(view):
                self._herds[view.herd] = view
                if not self._is_stale:
                    self._ledger.describe(view)
            case HerdGone(herd):
                self._is_stale |= self._herds.pop(herd, None) is not None
            case PolicyChanged(policy):
                self._is_stale |= policy.weights != self._policy.weights
                self._policy = policy
            case Reserved(reservations):
                self._reservations = reservations
            case Advanced(revision, now_ms):
                self._revision, self._now_ms = revision, now_ms
            case _ as never:
                assert_never(never)

    def plan(self, seed: int = 0, order: Order = Order.FAIR) -> Plan:
        """Decide. Nothing of what it decides is taken for done. Raises Refused (`solver_missing`) if the policy wants a solver that is not here."""
        if self._is_stale:
            self._refresh()
        self._room.turn = seed % len(self._room.views) if self._room.views else 0
        if order is Order.FAIR and len(self._waiting) == 1:
            plan = self._decided_alone(seed)
            if plan is not None:
                return plan
        draft = Draft(self._room, self._ledger, self._policy, self._now_ms)
        serving = Serving(draft, self._standing, self._reservations)
        plan = serving.plan(list(self._waiting.values()), order, seed=seed)
        draft.undo()
        return replace(plan, base_revision=self._revision, seed=seed)

    def _decided_alone(self, seed: int) -> Plan | None:
        """Return the plan for a unit of one part that waits alone: its best node, or that its quota is used up. There is nothing to serve, to keep or to take back. Nothing if there is more to decide."""
        (unit,) = self._waiting.values()
        if len(unit.parts) > 1:
            return None
        (part,) = unit.parts
        room, ledger = self._room, self._ledger
        placed: tuple[Placed, ...] = ()
        unplaced: tuple[Unplaced, ...] = ()
        if ledger.has_quota(unit.herd) and not ledger.allows(unit, part.needs.numbers):
            if self._reservations:
                return None
            unplaced = (over_quota(ledger, unit, len(room.views)),)
        else:
            at = room.best(unit, part, room.shape(part, ledger.herd(unit.herd)))
            if at < 0:
                return None
            placed = (Placed(unit, (room.views[at].node,)),)
        return Plan(
            placed,
            unplaced,
            base_revision=self._revision,
            seed=seed,
            policy_version=self._policy.version,
        )

    def explain(self, unit: Unit, plan: Plan | None = None) -> Explanation:
        """Say how the unit stands to all nodes. With a plan that this planner has made, what that says of it, too."""
        with self._without(unit) as room:
            return explained(room, self._ledger, unit, plan)

    def verdicts(self, unit: Unit, node: NodeId) -> tuple[Verdict, ...]:
        """Say of each part of the unit why that node does not take it, by `feasible`, or what it costs."""
        with self._without(unit) as room:
            return verdicts(room, self._ledger, unit, node)

    @contextmanager
    def _without(self, unit: Unit) -> Iterator[Room]:
        """Let a unit that runs be looked at as if it did not."""
        self._refresh()
        running = self._standing.get(unit.key)
        if running is not None:
            self._count(running, -1)
        yield self._room
        if running is not None:
            self._count(running, 1)

    def free(self, node: NodeId) -> Amount:
        """Return what is free on a node that is there: less than nothing where more runs than it has now."""
        self._refresh()
        return Amount(*self._room.free[self._room.index[node]])

    def snapshot(self) -> Snapshot:
        """Return what it knows, in an order that does not tell how it learned it."""
        return Snapshot(
            nodes=tuple(self._nodes[node] for node in sorted(self._nodes)),
            herds={name: self._herds[name] for name in sorted(self._herds)},
            waiting=tuple(self._waiting[key] for key in sorted(self._waiting)),
            placed=tuple(sorted(self._standing, key=lambda one: one.unit.key)),
            reservations=self._reservations,
            revision=self._revision,
            now_ms=self._now_ms,
            policy=self._policy,
        )

    def _on_placed(self, running: Running) -> None:
        key = running.unit.key
        self._waiting.pop(key, None)
        if key in self._standing:
            self._leave(key)
        self._standing.add(running)
        self._count(running, 1)

    def _leave(self, key: UnitKey) -> None:
        running = self._standing.remove(key)
        if running is not None:
            self._count(running, -1)

    def _count(self, running: Running, sign: int) -> None:
        if self._is_stale:
            return
        unit, room = running.unit, self._room
        parts = unit.parts
        if len(parts) == 1:  # nearly all have one
            (part,) = parts
            at = room.index.get(running.nodes[0])
            if at is not None:
                room.take(at, part, sign)
            self._ledger.charge(unit, part.needs.numbers, sign)
            return
        for node, part in zip(running.nodes, parts, strict=True):
            at = room.index.get(node)
            if at is not None:
                room.take(at, part, sign)
        self._ledger.charge(unit, unit.needs.numbers, sign)

    def _on_node(self, view: NodeView) -> None:
        self._nodes[view.node] = view
        if not self._is_stale:
            self._is_stale = not self._room.restate(view)

    def _refresh(self) -> None:
        """Make the room and the ledger anew, if something has changed that they cannot follow."""
        if not self._is_stale:
            return
        nodes = list(self._nodes.values())
        self._room = self._rooms(nodes, self._policy.weights)
        self._ledger = Ledger(self._herds.values())
        self._ledger.measure(_whole(nodes))
        self._is_stale = False
        for running in self._standing:
            self._count(running, 1)


def _whole(nodes: list[NodeView]) -> Numbers:
    """Return what all nodes have together."""
    sums = [0] * 5
    for view in nodes:
        for place, number in enumerate(view.capacity.numbers):
            sums[place] += number
    return (sums[0], sums[1], sums[2], sums[3], sums[4])
