"""The queue: in which order waiting units are served.

    1. the unit's priority, one more for each `ageing_ms` that it has waited
    2. a unit for which nodes were kept, in the order in which they were: the head stays the head, and what was stopped leaves its room to whom it was stopped for
    3. the herd with the smallest weighted share of the cluster, counted anew after each placement
    4. of its runs those that have no more than RUN_SHARES equal shares, then the one that has least
    5. the longest way to the end of a run, then the run that was submitted first
    6. in a run the longest way, then the smaller unit, then the name

A batch that one person waits for needs no fairness: by `SMALL_FIRST` and `LARGE_FIRST` units of one priority stand by their size.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from runink.names import HerdName, RunId
from runink.placement.cluster import MILLION
from runink.placement.demands import Unit, UnitKey
from runink.placement.ledger import Ledger
from runink.placement.plans import Order, Policy

# Equal shares that a run may have before it stands behind those that have less. With one, the longest run ends 5 % later than it could, with four 1 %.
RUN_SHARES: Final = 4
_BY_NAME: Final = attrgetter("gang")
_Runs = dict[RunId, list[Unit]]
_Turn = tuple[int, int, int, RunId, list[Unit]]


def level(unit: Unit, policy: Policy, now_ms: int) -> int:
    """Return the priority by which it is served now."""
    if not policy.ageing_ms or not unit.waiting_since_ms:
        return unit.priority
    return unit.priority + max(now_ms - unit.waiting_since_ms, 0) // policy.ageing_ms


def in_order(
    units: list[Unit],
    ledger: Ledger,
    *,
    first: Mapping[UnitKey, int],
    order: Order = Order.FAIR,
) -> Iterator[Unit]:
    """Yield every unit of a level once. What is charged to the ledger between two of them counts for the order of the rest.

    `first` says who has had nodes kept, and in which order these come.
    """
    if first:
        chosen = [unit for unit in units if unit.key in first]
        if chosen:
            yield from sorted(chosen, key=lambda unit: first[unit.key])
            units = [unit for unit in units if unit.key not in first]
    if order is Order.FAIR:
        yield from _fairly(units, ledger)
    else:
        sign = 1 if order is Order.SMALL_FIRST else -1
        yield from sorted(
            units, key=lambda unit: (sign * ledger.size(unit.needs), unit.run_order, unit.key)
        )


def by_level(units: Iterable[Unit], policy: Policy, now_ms: int) -> list[list[Unit]]:
    """Return the units of each level, the highest first."""
    levels: dict[int, list[Unit]] = {}
    ageing_ms = policy.ageing_ms
    for unit in units:
        # As `level` has it: a call for each of many that wait costs as much as all else that is done for most of them.
        own, since_ms = unit.priority, unit.waiting_since_ms
        if ageing_ms and 0 < since_ms < now_ms:
            own += (now_ms - since_ms) // ageing_ms
        found = levels.get(own)
        if found is None:
            found = levels[own] = []
        found.append(unit)
    return [levels[one] for one in sorted(levels, reverse=True)]


def _fairly(units: list[Unit], ledger: Ledger) -> Iterator[Unit]:
    if len(units) == 1:
        yield units[0]
        return
    of_herds: dict[HerdName, _Runs] = {}
    for unit in units:
        of_herds.setdefault(unit.herd, {}).setdefault(unit.run, []).append(unit)
    if len(of_herds) == 1:
        (runs,) = of_herds.values()
        if len(runs) == 1:  # nobody to share with
            _sort(units, ledger)
            yield from reversed(units)
            return
    herds: list[tuple[int, HerdName, int, list[_Turn]]] = []
    for name, runs in of_herds.items():
        share = RUN_SHARES * MILLION // (len(of_herds) * len(runs))
        herds.append((ledger.share(name), name, share, _heap(runs, ledger, share)))
    heapq.heapify(herds)
    while herds:
        _, name, share, turns = herds[0]
        _, _, _, run, left = turns[0]
        yield left.pop()
        if left:
            heapq.heapreplace(turns, _turn(run, left, ledger, share))
        else:
            heapq.heappop(turns)
        if turns:
            heapq.heapreplace(herds, (ledger.share(name), name, share, turns))
        else:
            heapq.heappop(herds)


def _heap(runs: _Runs, ledger: Ledger, share: int) -> list[_Turn]:
    """Put the runs of a herd in order, and the units of each so that the last is the first to go."""
    heap = []
    for run, units in runs.items():
        if len(units) > 1:
            _sort(units, ledger)
        heap.append(_turn(run, units, ledger, share))
    heapq.heapify(heap)
    return heap


def _sort(units: list[Unit], ledger: Ledger) -> None:
    """Put the units of a run in order, the last one first."""
    if len({(unit.rank, unit.parts) for unit in units}) == 1:  # as those of a step that is many
        units.sort(key=_BY_NAME, reverse=True)
        return
    units.sort(key=lambda unit: (-unit.rank, ledger.size(unit.needs), unit.gang))
    units.reverse()


def _turn(run: RunId, units: list[Unit], ledger: Ledger, share: int) -> _Turn:
    """Return where a run stands among those of its herd: up to `share` by its longest way, above by what it has."""
    over = max(ledger.served(run) - share, 0)
    return (over, -units[-1].rank, units[-1].run_order, run, units)
