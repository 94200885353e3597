"""Serving: the waiting units one after the other, each placed, or waited for in the way that is left to it.

what is wrong                        what is done
it fits                              placed
its quota is used up                 nothing: it waits for its own herd
others are being stopped for it      its nodes are kept until they have ended, from before anybody of its level is served
something of lower priority runs     the fewest of that are stopped, and the nodes kept (`preempting.py`)
it is the head of the queue          nodes are kept for when it will fit (`reserving.py`); smaller units go on
else                                 it waits
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runink.placement import queue
from runink.placement.demands import Unit
from runink.placement.draft import Draft, Finish, places_of
from runink.placement.plans import Order, Placed, Plan, Preempted, Reservation
from runink.placement.preempting import PREEMPTORS_MAX, preempt
from runink.placement.reasons import AHEAD_SHOWN_MAX, Reasons
from runink.placement.reserving import left_beside, reserve
from runink.placement.shapes import Shape
from runink.placement.standing import Standing

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

    def plan(
        self, waiting: Sequence[Unit], order: Order = Order.FAIR, finish: Finish | None = None
    ) -> Plan:
        """Serve all units that wait, then finish."""
        draft = self._draft
        levels = queue.by_level(waiting, draft.policy, draft.now_ms)
        waits: list[Unit] = []
        for units in levels:
            self._keep_on(units)
            for unit in queue.in_order(units, draft.ledger, first=self._first, order=order):
                if not draft.place(unit):
                    waits.append(unit)
                    self._wait_for(unit)
                elif unit.key in self._nominated:
                    draft.drop(unit)
        turns = {unit.key: number for number, unit in enumerate(waits)}
        draft.reservations.sort(key=lambda made: turns[made.unit])
        waits = self._served_again(waits)
        if finish is not None:
            waits = finish(draft, waits)
        reasons = Reasons(draft)
        ahead = tuple(unit.key for unit in waits[:AHEAD_SHOWN_MAX])
        unplaced = tuple(
            reasons.of(unit, number, ahead[: number - 1]) for number, unit in enumerate(waits, 1)
        )
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
        )

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
        if self._stops_others(unit) or self._has_head or self._heads_tried >= HEADS_TRIED_MAX:
            return
        if draft.could_hold(unit):
            self._heads_tried += 1
            self._has_head = reserve(draft, unit, self._standing.ends(draft.now_ms))

    def _stops_others(self, unit: Unit) -> bool:
        draft = self._draft
        if not draft.policy.preemption or self._preemptors >= PREEMPTORS_MAX:
            return False
        if not self._standing.has_below(unit.priority):
            return False
        level = queue.level(unit, draft.policy, draft.now_ms)
        keys = {
            (draft.shape(unit, number), unit.priority, level) for number in range(len(unit.parts))
        }
        if keys & self._pointless:
            return False
        told = preempt(draft, unit, self._standing, self._leaving)
        if not told:
            if len(unit.parts) == 1:
                self._pointless |= keys
            return False
        self._preempted += told
        self._leaving.update(one.unit for one in told)
        self._preemptors += 1
        return True

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
