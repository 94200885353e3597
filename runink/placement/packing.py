"""Packing: fewer nodes for what one plan places, before it is committed.

The least loaded of the nodes that the plan takes into use are looked at one after the other.  All that stands on one goes to the nodes that are then best for it, largest first; that is kept
if all of it finds a place and costs less there than it did, and taken back if not.  Of nodes that are alike, with alike units on them, one is tried until something moves.

What a plan costs is what its units cost as `rank.py` counts it, each beside those that stand before it in the plan: how full nodes are, which are opened, where inputs are, where
something failed lately.  What is moved stands last in the plan afterwards, and nothing before it costs more than it did.  So each move makes the whole plan cheaper, and packing ends.

What runs stays.  What has company to keep or to avoid, is spread, belongs on one node or has several parts stays, too: it costs what others cost it, and these what it costs them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from runink.names import NodeId
from runink.placement.cluster import dominant
from runink.placement.demands import Unit, UnitKey
from runink.placement.draft import Draft, Places
from runink.placement.plans import By, Moved, Plan
from runink.placement.rank import NEVER, POINT

PRIORITY_MAX: Final = 9  # higher ones are worth the same, so that sums stay small numbers
ROUNDS_MAX: Final = 8  # each makes something better, and the first make nearly all of it


def value(plan: Plan) -> int:
    """Return what is placed, in slices of priority 0."""
    return sum(worth(one.unit) for one in plan.placed)


def worth(unit: Unit) -> int:
    """Return what a unit is worth, in slices of priority 0: four of the priority below."""
    of_one: int = 4 ** min(max(unit.priority, 0), PRIORITY_MAX)
    return of_one * unit.needs.slices


def used_cpu_m(plan: Plan, whole_cpu_m: Mapping[NodeId, int]) -> int:
    """Return the processors of all nodes that the plan uses."""
    used = {node for one in plan.placed for node in one.nodes}
    return sum(whole_cpu_m[node] for node in used)


def can_move(unit: Unit) -> bool:
    """Say whether a unit may be moved: where it stands is nothing to others, but for the room that it takes."""
    part = unit.parts[0]
    return len(unit.parts) == 1 and not (part.groups or part.anti or part.spread or part.pin)


def pack(draft: Draft, tries: int) -> None:
    """Move what the draft has placed so that it costs less, with at most so many tries to find a unit another node."""
    if (
        tries
        and len(draft.placed) > 1
        and len({at for _, places in draft.placed for at in places}) > 1
    ):
        _Packing(draft, tries).pack()


def cost_on(draft: Draft, at: int, units: Sequence[tuple[Unit, int]]) -> int:
    """Return what parts of units, by their numbers, cost on the node, where none of them stands now, one after the other; without what crowds cost. It changes nothing."""
    room, cost = draft.room, 0
    for unit, number in units:
        own = room.own_cost(at, unit, unit.parts[number], draft.shape(unit, number))
        assert own < NEVER
        cost += own
        room.take(at, unit.parts[number])
    for unit, number in units:
        room.give(at, unit.parts[number])
    return cost


def tell_moved(
    draft: Draft,
    units: Iterable[tuple[UnitKey, int]],
    by: By,
    costs: tuple[int, int],
    more: int = 0,
) -> None:
    """Take note of units that were placed and stand elsewhere now, each with where it stood; `costs` are those of all of them before and after."""
    before, after = (cost >> POINT for cost in costs)
    for key, at in units:
        known = draft.moved.get(key)
        nodes = (*(known.nodes if known else ()), draft.room.views[at].node)
        draft.moved[key] = Moved(key, nodes, by, before, after, more)
    draft.full.clear()  # there may be room again


class _Packing:
    """Packs one draft. `opened` are the nodes on which nothing is but units of the plan that may be moved, with these in the order of the plan."""

    def __init__(self, draft: Draft, tries: int) -> None:
        self._draft = draft
        self._tries = tries
        self._placed: dict[UnitKey, tuple[Unit, Places]] = {
            unit.key: (unit, places) for unit, places in draft.placed
        }
        self._opened = self._found_opened()
        self._futile: set[object] = set()  # what was tried since something moved

    def pack(self) -> None:
        for _ in range(ROUNDS_MAX):
            moved = [self._evacuate(at) for at in self._least_loaded()]
            if not any(moved):
                break
        self._draft.placed = list(self._placed.values())

    def _found_opened(self) -> dict[int, list[UnitKey]]:
        room = self._draft.room
        opened: dict[int, list[UnitKey]] = {}
        stays: set[int] = set(self._draft.holds)
        for unit, places in self._placed.values():
            if can_move(unit):
                opened.setdefault(places[0], []).append(unit.key)
            else:
                stays.update(places)
        return {
            at: keys
            for at, keys in opened.items()
            if at not in stays and self._left_without(at, keys) == list(room.whole[at])
        }

    def _left_without(self, at: int, keys: Sequence[UnitKey]) -> list[int]:
        """Return what the node would have left without these units."""
        left = list(self._draft.room.free[at])
        for key in keys:
            for place, amount in enumerate(self._placed[key][0].needs.numbers):
                left[place] += amount
        return left

    def _least_loaded(self) -> list[int]:
        room = self._draft.room

        def load(at: int) -> int:
            used = [most - left for most, left in zip(room.whole[at], room.free[at], strict=True)]
            return dominant(used, room.whole[at])

        return sorted(self._opened, key=lambda at: (load(at), at))

    def _evacuate(self, at: int) -> bool:
        """Move everything off the node, if that costs less. Returns False, and changes nothing, if not."""
        keys = self._opened.get(at)
        if not keys or len(keys) > self._tries:
            return False
        draft = self._draft
        units = [self._placed[key][0] for key in keys]
        likeness = self._likeness(at, units)
        if likeness in self._futile:
            return False
        self._tries -= len(keys)
        for unit in units:
            draft.give(unit, at, unit.parts[0])
        before, after = cost_on(draft, at, [(unit, 0) for unit in units]), 0
        size = draft.ledger.size
        there: list[tuple[Unit, int]] = []
        for unit in sorted(units, key=lambda one: (-size(one.needs), one.key)):
            place = self._best_but(unit, at)
            if place < 0:
                break
            after += draft.room.own_cost(place, unit, unit.parts[0], draft.shape(unit))
            draft.take(unit, place, unit.parts[0])
            there.append((unit, place))
        if len(there) == len(units) and after < before:
            self._futile.clear()
            self._keep(at, there)
            tell_moved(draft, ((key, at) for key in keys), By.PACKING, (before, after))
            return True
        for unit, place in reversed(there):
            draft.give(unit, place, unit.parts[0])
        for unit in units:
            draft.take(unit, at, unit.parts[0])
        self._futile.add(likeness)
        return False

    def _likeness(self, at: int, units: Sequence[Unit]) -> object:
        """Return what is the same of nodes that are tried with the same outcome: the node, all that is on it, and what it is to these units."""
        if any(unit.failed_on or unit.parts[0].avoids for unit in units):
            return at
        room = self._draft.room
        asked = tuple([(unit.herd, unit.parts, unit.estimate_ms) for unit in units])
        return room.kinds[at], room.whole[at], room.views[at].failures, asked

    def _best_but(self, unit: Unit, at: int) -> int:
        draft, part = self._draft, unit.parts[0]
        barred: Collection[int] = draft.barred(unit, part) if draft.holds else ()
        return draft.room.best(unit, part, draft.shape(unit), {at, *barred})

    def _keep(self, at: int, there: Sequence[tuple[Unit, int]]) -> None:
        """Write down where units of the node are now: last in the plan."""
        del self._opened[at]
        for unit, place in there:
            del self._placed[unit.key]
            self._placed[unit.key] = (unit, (place,))
            on = self._opened.get(place)
            if on is not None:
                on.append(unit.key)
            elif self._is_alone(unit.key, place):
                self._opened[place] = [unit.key]

    def _is_alone(self, key: UnitKey, at: int) -> bool:
        draft = self._draft
        return at not in draft.holds and self._left_without(at, [key]) == list(draft.room.whole[at])
