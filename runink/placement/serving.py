"""Serving: the waiting units one after the other, each placed, or waited for in the way that is left to it.

what is wrong                        what is done
it fits                              placed
its quota is used up                 nothing: it waits for its own herd
others are being stopped for it      its nodes are kept until they have ended, from before anybody of its level is served
something of lower priority runs     the fewest of that are stopped, and the nodes kept (`preempting.py`)
it is the head of the queue          nodes are kept for when it will fit (`reserving.py`); smaller units go on
else                                 it waits

When all have been served the plan is finished as its policy says (`finishing.py`).  Where that has moved something those that wait are tried again, in their order: who fits now stops nobody
and has nothing kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runink.names import HerdName
from runink.placement import queue
from runink.placement.demands import Part, Unit
from runink.placement.draft import Draft, places_of
from runink.placement.finishing import finish
from runink.placement.plans import Order, Placed, Plan, Preempted, Reservation
from runink.placement.preempting import PREEMPTORS_MAX, preempt
from runink.placement.reasons import Reasons
from runink.placement.reserving import left_beside, reserve
from runink.placement.shapes import Shape
from runink.placement.standing import Standing

Alike = tuple[HerdName, tuple[Part, ...], int]  # a herd's, of what it asks for, its priority
HEADS_TRIED_MAX: Final = 8  # until one of them can be foreseen: the first may never fit


class Serving:
    """Makes one plan. `draft` is empty, and full when the plan is made."""

    def __init__(
        self, draft: Draft, standing: Standing, reservations: Sequence[Reservation] = ()
    ) -> None:
        self._draft = draft
        self._standing = standing
        draft.kept_before = {one.unit: one.nodes for one in reservations}
        # Who has had nodes kept comes first among its equals, until it is placed, in the same order as before: else one of them takes what is kept for another.
        self._first = {one.unit: number for number, one in enumerate(reservations)}
        self._nominated = {
            one.unit: one
            for one in reservations
            if any(victim in standing for victim in one.victims)
            and all(node in draft.room.index for node in one.nodes)
        }
        self._leaving = {key for one in self._nominated.values() for key in one.victims}
        self._preempted: list[Preempted] = []
        self._preemptors = 0
        self._pointless: set[tuple[Shape, int, int]] = set()
        self._has_head = False
        self._heads_tried = 0
        self._alike: set[Alike] = set()  # those that wait, and nothing can be done for their like
        self._has_crowded = False  # something waits that is to be spread over domains

    def plan(self, waiting: Sequence[Unit], order: Order = Order.FAIR, *, seed: int = 0) -> Plan:
        """Serve all units that wait, then finish. `seed` is for the finish alone."""
        draft = self._draft
        levels = queue.by_level(waiting, draft.policy, draft.now_ms)
        waits: list[Unit] = []
        alike = self._alike
        for units in levels:
            self._keep_on(units)
            alike.clear()  # what may be stopped for them depends on their level
            for unit in queue.in_order(units, draft.ledger, first=self._first, order=order):
                if (unit.herd, unit.parts, unit.priority) in alike:
                    waits.append(unit)
                elif not draft.place(unit):
                    waits.append(unit)
                    self._wait_for(unit)
                    self._compare(unit)
                elif unit.key in self._nominated:
                    draft.drop(unit)
        if len(draft.reservations) > 1:
            turns = {unit.key: number for number, unit in enumerate(waits)}
            draft.reservations.sort(key=lambda made: turns[made.unit])
        if self._has_crowded:
            waits = self._served_again(waits)
        waits = finish(draft, waits, seed)
        if draft.moved:
            waits = self._served_after_all(waits)
        unplaced = Reasons(draft).of_all(waits)
        views = draft.room.views
        return Plan(
            tuple(
                Placed(unit, tuple([views[at].node for at in places]))
                for unit, places in draft.placed
            ),
            unplaced,
            tuple(self._preempted),
            tuple(draft.reservations),
            policy_version=draft.policy.version,
            moved=tuple(draft.moved[key] for key in sorted(draft.moved)),
        )

    def _served_after_all(self, waits: list[Unit]) -> list[Unit]:
        """Place what fits since others were moved."""
        while True:  # ends when nothing more is placed
            before, kept = len(waits), len(self._draft.reservations)
            waits = [unit for unit in waits if not self._place_after_all(unit)]
            # Whoever is placed makes room for those before him only where nodes were kept for him, or by filling a domain.
            makes_room = self._has_crowded or len(self._draft.reservations) < kept
            if len(waits) == before or not makes_room:
                return waits

    def _place_after_all(self, unit: Unit) -> bool:
        draft = self._draft
        if not draft.place(unit):
            return False
        draft.drop(unit)
        self._preempted = [one for one in self._preempted if one.by != unit.key]
        return True

    def _compare(self, unit: Unit) -> None:
        """Take note of a unit that waits if whoever is like it waits, too, and nothing can be done for him: room only shrinks, and what herds use only grows, while a plan is made."""
        self._has_crowded = self._has_crowded or _is_spread_hard(unit)
        if self._nominated or not self._draft.is_pointless(unit):
            return
        is_over = not self._draft.ledger.allows(unit, unit.needs.numbers)
        if is_over or not (self._may_stop_others(unit) or self._may_be_head(unit)):
            self._alike.add((unit.herd, unit.parts, unit.priority))

    def _served_again(self, waits: list[Unit]) -> list[Unit]:
        """Try those again that a crowded domain kept away: what was placed since may have filled the emptier ones."""
        kept = {one.unit for one in self._draft.reservations}
        while True:
            before = len(waits)
            waits = [
                unit
                for unit in waits
                if unit.key in kept or not _is_spread_hard(unit) or not self._draft.place(unit)
            ]
            if len(waits) == before:
                return waits

    def _wait_for(self, unit: Unit) -> None:
        draft = self._draft
        if unit.key in self._nominated:
            return
        if not draft.ledger.allows(unit, unit.needs.numbers):
            return
        if self._stops_others(unit) or not self._may_be_head(unit):
            return
        self._heads_tried += 1
        self._has_head = reserve(draft, unit, self._standing.ends(draft.now_ms))

    def _may_be_head(self, unit: Unit) -> bool:
        is_found = self._has_head or self._heads_tried >= HEADS_TRIED_MAX
        return not is_found and self._draft.could_hold(unit)

    def _stops_others(self, unit: Unit) -> bool:
        draft = self._draft
        if not self._may_stop_others(unit):
            return False
        told = preempt(draft, unit, self._standing, self._leaving)
        if not told:
            # Of one that does not go everywhere that says nothing of its like.
            if len(unit.parts) == 1 and not unit.parts[0].avoids:
                self._pointless |= self._attempt(unit)
            return False
        self._preempted += told
        self._leaving.update(one.unit for one in told)
        self._preemptors += 1
        return True

    def _may_stop_others(self, unit: Unit) -> bool:
        """Say whether it is worth a look whether others could be stopped for it."""
        if not self._draft.policy.preemption or self._preemptors >= PREEMPTORS_MAX:
            return False
        if not self._standing.has_below(unit.priority):
            return False
        return not self._attempt(unit) & self._pointless

    def _attempt(self, unit: Unit) -> set[tuple[Shape, int, int]]:
        """Return what stopping others for the unit depends on, by its parts."""
        draft = self._draft
        level = queue.level(unit, draft.policy, draft.now_ms)
        numbers = range(len(unit.parts))
        return {(draft.shape(unit, number), unit.priority, level) for number in numbers}

    def _keep_on(self, units: Sequence[Unit]) -> None:
        """Keep the nodes on which others are being stopped for some of the units."""
        if self._nominated:
            for unit in units:
                made = self._nominated.get(unit.key)
                if made is not None:
                    self._keep(unit, made)

    def _keep(self, unit: Unit, made: Reservation) -> None:
        draft = self._draft
        victims = [one for key in made.victims if (one := self._standing.get(key))]
        places = tuple(draft.room.index[node] for node in made.nodes)
        for one in victims:
            for at, part in places_of(one, draft.room):
                draft.room.give(at, part)
        left = left_beside(draft, unit, places)
        for one in victims:
            for at, part in places_of(one, draft.room):
                draft.room.take(at, part)
        draft.keep(unit, places, left, made)


def _is_spread_hard(unit: Unit) -> bool:
    return any(part.spread is not None and part.spread.is_hard for part in unit.parts)
