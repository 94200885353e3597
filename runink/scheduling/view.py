"""The cluster as placement knows it, kept up change by change: a planner that hears what becomes of nodes, herds, gangs and reservations.

At any moment it plans as one does that is made anew of the same tables (`snapshots.py`), byte by byte.  What costs time is done when somebody asks for a plan, once
for a gang however often its slices have changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace as changed

from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.placement.cluster import HerdView, NodeView
from runink.placement.demands import Unit, UnitKey
from runink.placement.planner import (
    Advanced,
    Event,
    HerdChanged,
    HerdGone,
    NodeChanged,
    NodeGone,
    Planner,
    Reserved,
    UnitDropped,
    UnitEnded,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Plan, Policy, Reservation, Running, Snapshot
from runink.runs.health import NodeHealth
from runink.runs.pausing import FOREVER_MS
from runink.runs.records import NodeRecord, NodeStanding, SliceRecord
from runink.runs.reservations import ReservationRecord
from runink.scheduling.absent import Absent, absent, awaited, waiting
from runink.scheduling.cutting import cut
from runink.scheduling.returning import depends_on_nodes, unit_for
from runink.scheduling.snapshots import (
    POLICY,
    Tables,
    herd_view,
    node_view,
    reservations_of,
    stopped_by,
)
from runink.scheduling.units import Members, due_ms, running_unit, waits

NO_MEMBERS: Final[Members] = ()


class ClusterView:
    """Each method takes what a key holds by now, or None if it is gone. `now_ms` is the time of the last plan, and never goes back."""

    def __init__(self, tables: Tables, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.now_ms = 0
        self._planner = Planner(Snapshot((), policy=policy))
        self._nodes: dict[NodeId, NodeRecord] = {}
        self._views: dict[NodeId, NodeView] = {}
        self._herds: dict[HerdName, HerdView] = {}
        self._standings: dict[NodeId, NodeStanding] = {}
        self._slices: dict[tuple[RunId, SliceId], SliceRecord] = {}
        self._gangs: dict[UnitKey, dict[SliceId, SliceRecord]] = {}
        self._health: dict[NodeId, NodeHealth] = {}
        self._failures: dict[NodeId, int] = {}  # as they were told last, where there are some
        self._absent: dict[NodeId, Absent] = {}
        self._reservations: dict[UnitKey, ReservationRecord] = {}
        self._held: dict[UnitKey, int] = {}  # gangs that wait, and when they are due
        self._waiting: dict[UnitKey, Unit] = {}
        self._running: dict[UnitKey, Running] = {}
        self._kept: tuple[Reservation, ...] = ()
        self._planned: dict[UnitKey, frozenset[NodeId]] = {}  # what the last plan placed
        self._has_news = True
        self._changed: set[UnitKey] = set()
        for standing in tables.standings:
            self._standings[standing.node] = standing
        for health in tables.health:
            self.put_health(health.node, health)
        for reservation in tables.reservations:
            self.reserve(reservation.key, reservation)
        for one in tables.slices:
            self.put_slice(one.run, one.slice, one)
        for node in tables.nodes:
            self.put_node(node.node, node)
        for herd in tables.herds:
            self.put_herd(herd.herd, herd)

    # What changes.

    def put_node(self, name: NodeId, record: NodeRecord | None) -> None:
        if record is None:
            self._nodes.pop(name, None)
            self._cut_anew()
            if self._views.pop(name, None) is not None:
                self._hear(NodeGone(name))
        else:
            self._nodes[name] = record
            self._tell_node(name)
        self._miss(name)

    def put_standing(self, name: NodeId, record: NodeStanding | None) -> None:
        if record is None:
            self._standings.pop(name, None)
        else:
            self._standings[name] = record
        self._tell_node(name)

    def put_health(self, name: NodeId, record: NodeHealth | None) -> None:
        if record is None:
            self._health.pop(name, None)
        else:
            self._health[name] = record
        self._tell_node(name)
        self._miss(name)

    def put_herd(self, name: HerdName, record: HerdRecord | None) -> None:
        self._cut_anew()
        before = self._herds.pop(name, None)
        if record is not None:
            view = self._herds[name] = herd_view(record)
            if view != before:
                self._hear(HerdChanged(view))
        elif before is not None:
            self._hear(HerdGone(name))

    def put_slice(self, run: RunId, name: SliceId, record: SliceRecord | None) -> None:
        before = self._slices.pop((run, name), None)
        if before is not None:
            gang = self._gangs[before.run, before.gang]
            del gang[name]
            if not gang:
                del self._gangs[before.run, before.gang]
            self._changed.add((before.run, before.gang))
        if record is not None and not record.state.is_over:
            self._slices[run, name] = record
            self._gangs.setdefault((run, record.gang), {})[name] = record
            self._changed.add((run, record.gang))

    def reserve(self, key: UnitKey, record: ReservationRecord | None) -> None:
        before = self._reservations.pop(key, None)
        if record is not None:
            self._reservations[key] = record
        # Whether what runs is leaving depends on it.
        for one in (before, record):
            self._changed.update(victim.key for victim in one.victims) if one else None

    # What is asked.

    @property
    def is_idle(self) -> bool:
        """Say whether a plan could not change anything: nothing is due and nothing is kept. True only behind a plan, or at its time."""
        return not (self._waiting or self._reservations)

    @property
    def has_news(self) -> bool:
        """Say whether anything but the time is not as the last plan left it: that what it has placed is placed, or runs, is none."""
        return self._has_news

    @property
    def next_due_ms(self) -> int:
        """Return when the next gang is due that is held back now, or a node is waited for no more by those that wait; 0 if there is neither."""
        due = min(self._held.values(), default=FOREVER_MS)
        if self._waiting:
            back = (one.back_ms for one in self._absent.values() if one.is_awaited(self.now_ms))
            due = min(filter(None, back), default=due)
        return due if due < FOREVER_MS else 0

    @property
    def reservations(self) -> Mapping[UnitKey, ReservationRecord]:
        """What is kept, as it stands in the Barn."""
        return self._reservations

    def members(self, key: UnitKey) -> Members:
        """Return the slices of a gang that are not over, by their names."""
        gang = self._gangs.get(key)
        return [gang[name] for name in sorted(gang)] if gang else NO_MEMBERS

    def groups(self, key: UnitKey) -> tuple[Members, ...]:
        """Return the slices of a gang that waits, by the nodes that they need (`cutting.py`), in the order of its unit's parts."""
        members = self.members(key)
        return cut(members, self._views.values(), self._herds.get(members[0].herd))

    def look(self, *, now_ms: int, revision: int) -> None:
        """Take what has changed to heart, as of that time and revision."""
        self.now_ms = max(self.now_ms, now_ms)
        self._let_fade()
        stopped = stopped_by(self._reservations.values())
        for key in self._changed:
            self._tell_gang(key, stopped.get(key, 0))
        self._changed.clear()
        for key in [one for one, due in self._held.items() if due <= self.now_ms]:
            del self._held[key]
            self._wait(key)
        kept = {
            victim.key: self.members(victim.key)
            for one in self._reservations.values()
            for victim in one.victims
        }
        reserved = reservations_of(self._reservations.values(), kept)
        if reserved != self._kept:
            self._kept = reserved
            self._hear(Reserved(reserved))
        self._planner.step(Advanced(revision, self.now_ms))

    def plan(self, seed: int = 0) -> Plan:
        """Decide, on what was looked at last."""
        plan = self._planner.plan(seed)
        self._has_news = False
        self._planned = {one.unit.key: frozenset(one.nodes) for one in plan.placed}
        if not self._absent:
            return plan
        found = awaited(
            plan,
            self._absent.values(),
            nodes=tuple(self._views.values()),
            herds=self._herds,
            members=self.members,
            now_ms=self.now_ms,
        )
        return waiting(plan, found)

    def snapshot(self) -> Snapshot:
        """Return what was looked at last."""
        return self._planner.snapshot()

    def _tell_node(self, name: NodeId) -> None:
        record = self._nodes.get(name)
        if record is not None:
            said, seen = self._standings.get(name), self._health.get(name)
            view = node_view(record, said, seen, now_ms=self.now_ms)
            self._failures.pop(name, None)
            if view.failures:
                self._failures[name] = view.failures
            before = self._views.get(name)
            self._views[name] = view
            if before is None or changed(before, failures=0) != changed(view, failures=0):
                self._cut_anew()
            if before != view:
                self._hear(NodeChanged(view))

    def _hear(self, event: Event) -> None:
        """Have the planner hear what plans depend on."""
        self._has_news = True
        self._planner.step(event)

    def _miss(self, name: NodeId) -> None:
        """Take note of a node that is away, or is there again."""
        before = self._absent.pop(name, None)
        health = self._health.get(name)
        found = None
        if name not in self._nodes and health is not None:
            found = absent(health, now_ms=self.now_ms)
            if found is not None:
                self._absent[name] = found
        self._has_news |= before != found

    def _let_fade(self) -> None:
        """Tell of nodes whose trouble has faded."""
        for name, failures in list(self._failures.items()):
            seen = self._health.get(name)
            if name not in self._nodes:
                del self._failures[name]
            elif seen is None or seen.failures(self.now_ms) != failures:
                self._tell_node(name)

    def _tell_gang(self, key: UnitKey, stopped: int) -> None:
        members = self.members(key)
        self._held.pop(key, None)
        running = running_unit(members, stopped)
        if running is not None:
            self._waiting.pop(key, None)
            if self._running.get(key) != running:
                self._running[key] = running
                is_planned = self._planned.get(key) == frozenset(running.nodes)
                self._has_news |= running.is_leaving or not is_planned
                self._planner.step(UnitPlaced(running))
            return
        if self._running.pop(key, None) is not None:
            self._hear(UnitEnded(key))
        if not waits(members):
            self._drop(key)
        elif due_ms(members) > self.now_ms:
            self._held[key] = due_ms(members)
            self._drop(key)
        else:
            self._wait(key)

    def _cut_anew(self) -> None:
        """Have gangs looked at again that may be cut, or failed somewhere: which nodes could hold them may have changed."""
        self._changed.update(
            key for key in self._waiting if depends_on_nodes(self._gangs.get(key, {}).values())
        )

    def _wait(self, key: UnitKey) -> None:
        members = self.members(key)
        unit = unit_for(members, self._views.values(), self._herds.get(members[0].herd))
        if self._waiting.get(key) != unit:
            self._waiting[key] = unit
            self._hear(UnitWaits(unit))

    def _drop(self, key: UnitKey) -> None:
        if self._waiting.pop(key, None) is not None:
            self._hear(UnitDropped(key))
