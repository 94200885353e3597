"""What runs: by unit, by node, by priority and by when it is expected to end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Final

from runink.names import NodeId
from runink.placement.demands import UnitKey
from runink.placement.plans import Running

ENDS_MAX: Final = 4096  # that are looked at to foresee when something fits
_NONE: Final[Mapping[UnitKey, Running]] = {}


def expected_end_ms(started_ms: int, estimate_ms: int, now_ms: int) -> int:
    """Return when something ends that was to take so long: after now, by doubling what it is given."""
    assert estimate_ms > 0
    ran_ms = max(now_ms - started_ms, 0)
    while estimate_ms <= ran_ms:
        estimate_ms *= 2
    return started_ms + estimate_ms


class Standing:
    """Holds what runs. Units are in it once."""

    def __init__(self, running: Iterable[Running]) -> None:
        self._units: dict[UnitKey, Running] = {}
        self._on_nodes: dict[NodeId, dict[UnitKey, Running]] | None = None  # once it is asked for
        self._priorities: dict[int, int] = {}
        self._ends: list[tuple[int, UnitKey]] = []  # as they were estimated, soonest first
        for one in running:
            self.add(one)

    def __contains__(self, key: UnitKey) -> bool:
        return key in self._units

    def __iter__(self) -> Iterator[Running]:
        return iter(self._units.values())

    def get(self, key: UnitKey) -> Running | None:
        return self._units.get(key)

    def add(self, one: Running) -> None:
        unit = one.unit
        key = unit.key
        assert key not in self._units
        self._units[key] = one
        if self._on_nodes is not None:
            for node in one.nodes:
                self._on_nodes.setdefault(node, {})[key] = one
        self._priorities[unit.priority] = self._priorities.get(unit.priority, 0) + 1
        if unit.estimate_ms:
            insort(self._ends, (one.started_ms + unit.estimate_ms, key))

    def remove(self, key: UnitKey) -> Running | None:
        """Take the unit out and return what it was, nothing if it was not there."""
        one = self._units.pop(key, None)
        if one is None:
            return None
        if self._on_nodes is not None:
            for node in one.nodes:
                self._on_nodes[node].pop(key, None)
        unit = one.unit
        left = self._priorities[unit.priority] - 1
        if left:
            self._priorities[unit.priority] = left
        else:
            del self._priorities[unit.priority]
        if unit.estimate_ms:
            end = (one.started_ms + unit.estimate_ms, key)
            at = bisect_left(self._ends, end)
            assert self._ends[at] == end
            del self._ends[at]
        return one

    def on(self, node: NodeId) -> Mapping[UnitKey, Running]:
        if self._on_nodes is None:
            self._on_nodes = {}
            for key, one in self._units.items():
                for there in one.nodes:
                    self._on_nodes.setdefault(there, {})[key] = one
        return self._on_nodes.get(node, _NONE)

    def has_below(self, priority: int) -> bool:
        """Say whether anything of a lower priority runs."""
        return any(one < priority for one in self._priorities)

    def ends(self, now_ms: int) -> Iterator[tuple[int, Running]]:
        """Yield what is expected to end, soonest first, when and what: the first ENDS_MAX. What should have ended already is given more time."""
        late = bisect_right(self._ends, now_ms, key=lambda end: end[0])
        overdue = sorted((self._later(key, now_ms), key) for _, key in self._ends[:late])
        coming = merge(overdue, islice(self._ends, late, None))
        return ((end_ms, self._units[key]) for end_ms, key in islice(coming, ENDS_MAX))

    def _later(self, key: UnitKey, now_ms: int) -> int:
        one = self._units[key]
        return expected_end_ms(one.started_ms, one.unit.estimate_ms, now_ms)
