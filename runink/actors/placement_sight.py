"""What the scheduler sees of the Barn: the tables that placement is told of, and at which revisions their keys stood, to be compared when something is changed."""

from __future__ import annotations

from typing import Any, Final

from runink.actors.tables import Loaded, Table
from runink.barn.history import Watched
from runink.barn.keys import (
    DECISIONS,
    HEALTH,
    HERDS,
    NODES,
    RESERVATIONS,
    SLICES,
    STANDINGS,
    TURNS,
    slice_key,
)
from runink.barn.keyvalue import Change
from runink.clients.barn import Found
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.placement.demands import UnitKey
from runink.placement.plans import Policy
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, NodeStanding, SliceRecord
from runink.runs.reservations import ReservationRecord
from runink.scheduling.snapshots import POLICY, Tables
from runink.scheduling.view import ClusterView

PREFIXES: Final = tuple(
    keys.prefix()
    for keys in (NODES, STANDINGS, HEALTH, HERDS, SLICES, RESERVATIONS, DECISIONS, TURNS)
)
_OF_DECISIONS: Final = DECISIONS.prefix()
_OF_SLICES: Final = SLICES.prefix()
Members = tuple[Found[SliceRecord], ...]


class PlacementSight:
    """All of it, at one revision (`seen`). `decisions` are the keys of those that are kept, oldest first, as the watch shows them: what was sent and not taken is none."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.seen = 0
        self._policy = policy
        self.view = ClusterView(Tables(), policy)
        self.decisions: list[str] = []
        self._nodes = Table(NODES.prefix(), NodeRecord)
        self._standings = Table(STANDINGS.prefix(), NodeStanding)
        self._health = Table(HEALTH.prefix(), NodeHealth)
        self._herds = Table(HERDS.prefix(), HerdRecord)
        self._slices = Table(SLICES.prefix(), SliceRecord, keep=lambda one: not one.state.is_over)
        self._reservations = Table(RESERVATIONS.prefix(), ReservationRecord)

    def load(self, loaded: Loaded) -> None:
        """Forget everything and take what there is."""
        for table in self._tables():
            table.load(loaded.items)
        keys = (one.key for one in loaded.items)
        self.decisions = sorted(key for key in keys if key.startswith(_OF_DECISIONS))
        self.view = ClusterView(
            Tables(
                self._nodes.values(),
                self._standings.values(),
                self._herds.values(),
                self._slices.values(),
                self._reservations.values(),
                loaded.revision,
                self._health.values(),
            ),
            self._policy,
        )
        self.seen = loaded.revision

    def apply(self, watched: Watched) -> None:
        """Take changes. What is seen already is passed over: an earlier life may have left it unread in the mailbox."""
        for change in watched.changes:
            if change.revision <= self.seen:
                continue
            if change.key.startswith(_OF_SLICES):  # nearly all
                self._slices.apply(change)
                self._tell(change.key)
            elif any(one.apply(change) for one in self._tables()):
                self._tell(change.key)
            elif change.key.startswith(_OF_DECISIONS):
                self._take_decision(change)
        self.seen = max(self.seen, watched.revision)

    def revision_of(self, key: str) -> int | None:
        """Return at which revision a key was seen, nothing if it was not there."""
        for table in self._tables():
            found = table.get(key)
            if found is not None:
                return found.revision
        return None

    def members(self, unit: UnitKey) -> Members:
        """Return the slices of a gang that are not over."""
        found = (
            self._slices.get(slice_key(one.herd, one.run, one.slice))
            for one in self.view.members(unit)
        )
        return tuple(one for one in found if one is not None)

    def _tables(self) -> tuple[Table[Any], ...]:
        of_nodes = (self._nodes, self._standings, self._health)
        return self._slices, *of_nodes, self._herds, self._reservations

    def _take_decision(self, change: Change) -> None:
        if change.now is None:
            self.decisions = [key for key in self.decisions if key != change.key]
        elif change.key not in self.decisions[-1:]:
            self.decisions.append(change.key)

    def _tell(self, key: str) -> None:
        """Have the view hear what a key holds by now."""
        if parts := SLICES.parse(key):
            run, name = RunId(parts[1]), SliceId(parts[2])
            self.view.put_slice(run, name, _value(self._slices, key))
        elif parts := RESERVATIONS.parse(key):
            self.view.reserve((RunId(parts[0]), parts[1]), _value(self._reservations, key))
        elif parts := NODES.parse(key):
            self.view.put_node(NodeId(parts[0]), _value(self._nodes, key))
        elif parts := STANDINGS.parse(key):
            self.view.put_standing(NodeId(parts[0]), _value(self._standings, key))
        elif parts := HEALTH.parse(key):
            self.view.put_health(NodeId(parts[0]), _value(self._health, key))
        elif parts := HERDS.parse(key):
            self.view.put_herd(HerdName(parts[0]), _value(self._herds, key))


def _value(table: Table[Any], key: str) -> Any:
    found = table.get(key)
    return None if found is None else found.value
