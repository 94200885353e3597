"""A plan in the making: what it has taken of the room so far, what is kept for whom, and how it is all taken back.

A draft works on the planner's own room and ledger, because a copy of thousands of nodes costs more than the plan.  `undo` leaves both as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, NamedTuple

from runink.names import NodeId
from runink.placement.cluster import Amount, Numbers
from runink.placement.companies import keeps_away
from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.ledger import Ledger
from runink.placement.plans import Moved, Policy, Reservation, Running
from runink.placement.room import Room, known
from runink.placement.shapes import Shape

NODES_TRIED_MAX: Final = (
    40  # for a gang, beside the best: all ways there are for three parts on three nodes
)
Places = tuple[int, ...]  # nodes by their place in the room, one for each part of a unit


class Hold(NamedTuple):
    """That a node is kept for a unit, `parts` of which will stand there. `extra` is what will be left beside them then; who ends by `at_ms` is not in their way."""

    owner: UnitKey
    at_ms: int
    extra: list[int]
    parts: tuple[Part, ...]


class Draft:
    """Places units and keeps nodes for others. `now_ms` is the snapshot's."""

    def __init__(self, room: Room, ledger: Ledger, policy: Policy, now_ms: int) -> None:
        self.room = room
        self.ledger = ledger
        ledger.begin()
        self.policy = policy
        self.now_ms = now_ms
        self.placed: list[tuple[Unit, Places]] = []
        self.moved: dict[UnitKey, Moved] = {}
        self.reservations: list[Reservation] = []
        self.holds: dict[int, list[Hold]] = {}
        self.kept_before: Mapping[UnitKey, tuple[NodeId, ...]] = {}
        self.full: set[Shape] = set()
        self.quotas: list[tuple[Unit, Numbers]] = []

    def place(self, unit: Unit) -> bool:
        """Place the unit if all of it fits."""
        needs = unit.needs.numbers
        if not self.ledger.allows(unit, needs):
            return False
        if self.quotas and not self._allowed_beside(unit, needs):
            return False
        places = self._fit_new(unit) if len(unit.parts) == 1 else self.fit(unit)
        if places is None:
            return False
        self.ledger.charge(unit, needs)
        self.placed.append((unit, places))
        return True

    def is_pointless(self, unit: Unit) -> bool:
        """Say whether no unit of this herd that asks for the same can be placed any more by this plan: it is over its quota, or no node has room for its one part."""
        if not self.ledger.allows(unit, unit.needs.numbers):
            return True
        return len(unit.parts) == 1 and self.shape(unit) in self.full

    def _fit_new(self, unit: Unit) -> Places | None:
        """Take the best node, and remember shapes that no node has room for: during a plan room only shrinks, so others of them need not look."""
        shape = self.shape(unit)
        # What is pinned to a node ends something there, also where nobody else may go any more.
        is_pinned = unit.parts[0].pin is not None
        if shape in self.full and not is_pinned:
            return None
        places = self._fit_one(unit, shape)
        if places is None and not is_pinned and self.room.cheapest(shape)[1] < 0:
            self.full.add(shape)
        return places

    def _fit_one(self, unit: Unit, shape: Shape) -> Places | None:
        part = unit.parts[0]
        at = self.room.best(unit, part, shape, self.barred(unit, part) if self.holds else ())
        if at < 0:
            return None
        self.take(unit, at, part)
        return (at,)

    def fit(self, unit: Unit) -> Places | None:
        """Take the best nodes for all parts of the unit, or nothing. Its quota is not asked for."""
        if len(unit.parts) == 1:
            return self._fit_one(unit, self.shape(unit))
        # Parts that belong on a node come first: others may go elsewhere. No order of those is the right one for all gangs: two are tried, each part on its best node.
        largest, scarcest = self.largest_first(unit), self._scarcest_first(unit)
        places = self._fit_in_turn(unit, largest)
        if places is None and scarcest != largest:
            places = self._fit_in_turn(unit, scarcest)
        # Where parts differ, the best node for one may be the only one for another. Parts that are alike have no better way.
        if places is None and len(set(unit.parts)) > 1:
            places = self._fit_by_trying(unit, scarcest)
        return places

    def fits_on(self, unit: Unit, nodes: tuple[NodeId, ...]) -> Places | None:
        """Return the places of these nodes, one for each part, if the unit fits exactly there. Nothing is taken."""
        taken: list[int] = []
        for number, (node, part) in enumerate(zip(nodes, unit.parts, strict=False)):
            at = self.room.index.get(node, -1)
            shape = self.shape(unit, number)
            if at < 0 or at in self.barred(unit, part):
                break
            if self.room.rule(at, part, shape, self.room.crowds(part, shape)) is not None:
                break
            self.take(unit, at, part)
            taken.append(at)
        for at, part in zip(taken, unit.parts, strict=False):
            self.give(unit, at, part)
        return tuple(taken) if len(taken) == len(unit.parts) else None

    def fit_in_part(self, unit: Unit) -> tuple[int, dict[int, int]]:
        """Take nodes for the parts of a gang until one finds none: return its number, -1 if all do, and what is taken. Who asks gives that back."""
        return self._take_in_turn(unit, self.largest_first(unit))

    def _fit_in_turn(self, unit: Unit, turn: Places) -> Places | None:
        number, taken = self._take_in_turn(unit, turn)
        if number < 0:
            return tuple(taken[one] for one in range(len(unit.parts)))
        for one, at in taken.items():
            self.give(unit, at, unit.parts[one])
        return None

    def _fit_by_trying(self, unit: Unit, turn: Places) -> Places | None:
        """Try other nodes than the best for the parts of a gang, NODES_TRIED_MAX in all: too few for a gang of more parts."""
        if len(turn) > NODES_TRIED_MAX or not all(
            self._candidates(unit, number) for number in turn
        ):
            return None
        taken: dict[int, int] = {}
        if not self._seat(unit, turn, taken, iter(range(NODES_TRIED_MAX))):
            return None
        return tuple(taken[one] for one in range(len(unit.parts)))

    def _seat(self, unit: Unit, turn: Places, taken: dict[int, int], tries: Iterator[int]) -> bool:
        """Take nodes for parts in turn, another one where a later part finds none then. What is taken stays so if all find one."""
        if not turn:
            return True
        number, part = turn[0], unit.parts[turn[0]]
        for at in self._candidates(unit, number):
            if next(tries, None) is None:
                return False
            self.take(unit, at, part)
            taken[number] = at
            if self._seat(unit, turn[1:], taken, tries):
                return True
            self.give(unit, at, part)
        return False

    def _candidates(self, unit: Unit, number: int) -> list[int]:
        """Return the nodes that fit a part, the cheapest first, as many as may be tried."""
        part = unit.parts[number]
        barred = self.barred(unit, part) if self.holds else ()
        most = NODES_TRIED_MAX + len(barred)
        found = self.room.fitting(unit, part, self.shape(unit, number), most)
        return [at for _, at in found if at not in barred]

    def _take_in_turn(self, unit: Unit, turn: Places) -> tuple[int, dict[int, int]]:
        taken: dict[int, int] = {}
        for number in turn:
            part = unit.parts[number]
            barred = self.barred(unit, part) if self.holds else ()
            at = self.room.best(unit, part, self.shape(unit, number), barred)
            if at < 0:
                return number, taken
            self.take(unit, at, part)
            taken[number] = at
        return -1, taken

    def shape(self, unit: Unit, number: int = 0) -> Shape:
        return self.room.shape(unit.parts[number], self.ledger.herd(unit.herd))

    def could_hold(self, unit: Unit) -> bool:
        """Say whether there are nodes that would hold its parts, one by one, if they were empty."""
        return all(
            self.room.could_hold(self.shape(unit, number)) for number in range(len(unit.parts))
        )

    def largest_first(self, unit: Unit) -> Places:
        size = self.ledger.size
        return _in_order(unit, lambda one: -size(unit.parts[one].needs))

    def _scarcest_first(self, unit: Unit) -> Places:
        def choices(number: int) -> int:
            nature = self.shape(unit, number).nature
            shunned = known(self.room, unit.parts[number].avoids)
            return len(nature.allowed) - sum(nature.allows[at] for at in shunned)

        return _in_order(unit, choices)

    def release(self, unit: Unit, places: Places) -> None:
        """Take back what `fit` has taken."""
        for at, part in zip(places, unit.parts, strict=True):
            self.give(unit, at, part)

    def take(self, unit: Unit, at: int, part: Part) -> None:
        """Put a part of the unit on the node, and count it among what stands beside those for whom that is kept."""
        self.room.take(at, part)
        if self.holds:
            self._use(unit, at, part, 1)

    def give(self, unit: Unit, at: int, part: Part) -> None:
        self.room.give(at, part)
        if self.holds:
            self._use(unit, at, part, -1)

    # What is kept.

    def barred(self, unit: Unit, part: Part) -> Collection[int]:
        """Return the nodes that are kept for others so that the part may not take them."""
        return [at for at, holds in self.holds.items() if not self._may_use(unit, part, holds)]

    def _may_use(self, unit: Unit, part: Part, holds: list[Hold]) -> bool:
        return all(
            hold.owner == unit.key
            or self._ends_by(unit, hold.at_ms)
            or (
                self.policy.backfill
                and all(
                    n <= 0 or n <= left
                    for n, left in zip(part.needs.numbers, hold.extra, strict=True)
                )
                and not any(keeps_away(part, other) for other in hold.parts)
            )
            for hold in holds
        )

    def _ends_by(self, unit: Unit, at_ms: int) -> bool:
        is_known = self.policy.backfill and unit.estimate_ms > 0
        return is_known and self.now_ms + unit.estimate_ms <= at_ms

    def _use(self, unit: Unit, at: int, part: Part, sign: int) -> None:
        for hold in self.holds.get(at, ()):
            if hold.owner != unit.key and not self._ends_by(unit, hold.at_ms):
                for place, number in enumerate(part.needs.numbers):
                    hold.extra[place] -= sign * number

    def _allowed_beside(self, unit: Unit, needs: Numbers) -> bool:
        """Say whether its herd's quota has room for it beside those of the herd for which nodes are kept."""
        for other, others in self.quotas:
            if other.herd == unit.herd and other.key != unit.key:
                both = Amount(*needs) + Amount(*others)
                if not self.ledger.allows(unit, both.numbers):
                    return False
        return True

    def keep(
        self, unit: Unit, places: Places, free_then: list[list[int]], made: Reservation
    ) -> None:
        """Keep nodes for the unit. `free_then` is what each will have left when the unit is on it."""
        for at, extra in dict(zip(places, free_then, strict=True)).items():
            parts = tuple([part for on, part in zip(places, unit.parts, strict=True) if on == at])
            self.holds.setdefault(at, []).append(Hold(unit.key, made.at_ms, list(extra), parts))
        self.reservations.append(made)
        self.quotas.append((unit, unit.needs.numbers))

    def drop(self, unit: Unit) -> None:
        """Keep nothing any more for a unit that has found a place elsewhere."""
        key = unit.key
        for at, holds in list(self.holds.items()):
            left = [hold for hold in holds if hold.owner != key]
            if left:
                self.holds[at] = left
            else:
                del self.holds[at]
        self.reservations = [made for made in self.reservations if made.unit != key]
        self.quotas = [(other, needs) for other, needs in self.quotas if other.key != key]

    def undo(self) -> None:
        """Take everything back."""
        self.ledger.undo()
        self.room.give_all(
            (at, part)
            for unit, places in self.placed
            for at, part in zip(places, unit.parts, strict=True)
        )


def _in_order(unit: Unit, key: Callable[[int], int]) -> Places:
    """Return the parts of a unit by number: those that belong on a node, then the others, each in the order of their keys."""
    parts = unit.parts
    return tuple(sorted(range(len(parts)), key=lambda one: (parts[one].pin is None, key(one), one)))


def places_of(running: Running, room: Room) -> list[tuple[int, Part]]:
    """Return where the parts of what runs stand, as far as their nodes are there."""
    pairs = zip(running.nodes, running.unit.parts, strict=True)
    return [(room.index[node], part) for node, part in pairs if node in room.index]
