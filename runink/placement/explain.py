"""Explanations: why a unit is where it is, or nowhere, on the cluster as it stands.

For a unit that waits they are about the room before anything new is placed; what is placed before it, and who that is, its plan says.  A unit that runs is looked
at as if it did not, so that its own node is among the candidates.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from runink.names import NodeId
from runink.placement.cluster import Amount, HerdView
from runink.placement.demands import Part, Unit
from runink.placement.feasible import Reason, Rule
from runink.placement.ledger import Ledger
from runink.placement.plans import Plan, Preempted, Reservation, Unplaced
from runink.placement.rank import Score, cost
from runink.placement.reasons import refusal
from runink.placement.room import Room
from runink.placement.shapes import Shape

CANDIDATES_MAX: Final = 5  # nodes that are named; all are counted
REMEDIES_MAX: Final = 3


class Candidate(Struct, frozen=True):
    """A node that fits, and what it costs; the cheapest is taken."""

    node: NodeId
    score: Score


class Remedy(Struct, frozen=True):
    """What would make the part fit: so much more, free on that node. Without a node it is the herd's quota that is to be larger."""

    node: NodeId | None
    lacks: Amount


class PartExplanation(Struct, frozen=True):
    """`counts`: by which rule nodes refuse the part; `fitting`: how many do not. Together they are all nodes."""

    counts: tuple[tuple[Rule, int], ...]
    fitting: int
    candidates: tuple[Candidate, ...]
    remedies: tuple[Remedy, ...]


class Explanation(Struct, frozen=True):
    """One part after the other, each by itself. The rest is what the plan says of the unit, if it is given: its place in the queue, what is kept and stopped for it."""

    quota: Reason | None
    parts: tuple[PartExplanation, ...]
    waits: Unplaced | None = None
    kept: Reservation | None = None
    stops: tuple[Preempted, ...] = ()


class Verdict(Struct, frozen=True):
    """Why one node does not take a part, or what it costs if it does."""

    node: NodeId
    reason: Reason | None
    score: Score | None


def explained(room: Room, ledger: Ledger, unit: Unit, plan: Plan | None) -> Explanation:
    """Explain the unit on the room as it stands."""
    quota = ledger.refusal(unit, unit.needs)
    parts = tuple(_of_part(room, ledger.herd(unit.herd), unit, part, quota) for part in unit.parts)
    if plan is None:
        return Explanation(quota, parts)
    waits = next((one for one in plan.unplaced if one.unit.key == unit.key), None)
    kept = next((one for one in plan.reservations if one.unit == unit.key), None)
    return Explanation(
        quota, parts, waits, kept, tuple(one for one in plan.preempted if one.by == unit.key)
    )


def _of_part(
    room: Room, herd: HerdView, unit: Unit, part: Part, quota: Reason | None
) -> PartExplanation:
    shape = room.shape(part, herd)
    tally = room.tally(part, shape)
    fitting = tally.counts.get(Rule.RESERVED, 0)
    counts = tuple(
        (rule, tally.counts[rule])
        for rule in Rule
        if rule in tally.counts and rule is not Rule.RESERVED
    )
    candidates = tuple(
        Candidate(room.views[at].node, _score(room, at, unit, part, shape))
        for _, at in room.fitting(unit, part, shape, CANDIDATES_MAX)
    )
    remedies = () if fitting else _remedies(room, part, shape)
    if quota is not None and not quota.is_final:
        remedies = (Remedy(None, part.needs), *remedies)
    return PartExplanation(counts, fitting, candidates, remedies)


def _remedies(room: Room, part: Part, shape: Shape) -> tuple[Remedy, ...]:
    return tuple(
        Remedy(
            room.views[at].node,
            Amount(
                *(
                    max(number - max(left, 0), 0)
                    for number, left in zip(shape.needs, room.free[at], strict=True)
                )
            ),
        )
        for at in room.nearest(part, shape, REMEDIES_MAX)
    )


def _score(room: Room, at: int, unit: Unit, part: Part, shape: Shape) -> Score:
    crowds = room.crowds(part, shape)
    count = crowds.found(at) if crowds is not None else 0
    return cost(room.view(at, part), unit, part, room.weights, count=count)


def verdicts(room: Room, ledger: Ledger, unit: Unit, node: NodeId) -> tuple[Verdict, ...]:
    """Say of each part of the unit why that node does not take it, or what it costs. Nothing if there is no such node."""
    at = room.index.get(node)
    if at is None:
        return ()
    found = []
    for part in unit.parts:
        herd = ledger.herd_now(unit.herd)
        shape = room.shape(part, herd)
        reason = refusal(room, at, part, herd, shape)
        score = _score(room, at, unit, part, shape) if reason is None else None
        found.append(Verdict(node, reason, score))
    return tuple(found)
