"""Preemption: what is stopped so that a unit of higher priority fits.

Victims are whole units of strictly lower priority that may be stopped, never one that is being stopped already, never on a node that is kept for somebody.  What
ageing had put before the unit when it began is not stopped for it either: it would only be the next to be waited for.  A
node is made room on by the fewest victims: where few may be stopped all sets of them are tried, the smallest first; where there are too many, those are taken first that free most of what is lacking, and
then those spared that need not be among them.  Between nodes the fewest
victims decide, then their priority, then how many of them find no other node, then the work that is lost, then for how long they go on when they are told.  In the end every victim is tried whether it can be spared, dearest first, so that no victim
dies for nothing; and if the unit would not fit all the same, none does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from heapq import nlargest
from itertools import combinations
from math import comb
from typing import Final, NamedTuple

from runink.names import HerdName, NodeId
from runink.placement.cluster import MILLION, NOTHING, Numbers
from runink.placement.companies import collide
from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.draft import Draft, places_of
from runink.placement.plans import Preempted, Reservation, Running
from runink.placement.queue import level
from runink.placement.standing import Standing

NODES_SEEN_MAX: Final = 512  # for one part: those that lack least
NODES_TRIED_MAX: Final = 16  # of these, where victims would be enough
SETS_TRIED_MAX: Final = 128  # of victims on one node: all that there are of seven
PREEMPTORS_MAX: Final = (
    16  # in one plan; the rest are looked at in the next, when room has been made for these
)


class _Lower(NamedTuple):
    """What may be stopped, and what that leaves on one node. `is_homeless`: as things stand it finds no other."""

    running: Running
    freed: Numbers
    lost_ms: int
    is_homeless: bool = False


class Victims(NamedTuple):
    """What is to be stopped on a node, and what decides between nodes."""

    number: int
    priority: int
    homeless: int
    lost_ms: int
    grace_ms: int
    at: int
    units: tuple[_Lower, ...]


def preempt(
    draft: Draft, unit: Unit, standing: Standing, leaving: Collection[UnitKey]
) -> tuple[Preempted, ...]:
    """Decide what is stopped for the unit, and keep the nodes for it; nothing if it would not fit all the same. `leaving` is being stopped for others."""
    stopped: dict[UnitKey, _Lower] = {}
    places: dict[int, int] = {}
    room = draft.room
    for number in draft.largest_first(unit):
        part = unit.parts[number]
        at = _fitting(draft, unit, part)
        if at < 0:
            best = _cheapest(draft, unit, part, standing, {*leaving, *stopped})
            if best is None:
                break
            at = best.at
            for victim in best.units:
                stopped[victim.running.unit.key] = victim
                _move(draft, victim.running, -1)
        room.take(at, part)
        places[number] = at
    is_whole = len(places) == len(unit.parts)
    if is_whole:
        _spare(draft, [(at, unit.parts[number]) for number, at in places.items()], stopped)
    # A gang that fits without any victim has only been tried in the wrong order.
    is_enough = is_whole and bool(stopped)
    if is_enough:
        ordered = tuple(places[number] for number in range(len(unit.parts)))
        _keep(draft, unit, ordered, stopped)
    for number, at in places.items():
        room.give(at, unit.parts[number])
    for victim in stopped.values():
        _move(draft, victim.running, 1)
    if not is_enough:
        return ()
    return tuple(_told(draft, unit, stopped[key].running) for key in sorted(stopped))


def _fitting(draft: Draft, unit: Unit, part: Part) -> int:
    shape = draft.room.shape(part, draft.ledger.herd(unit.herd))
    return draft.room.best(unit, part, shape, set(draft.holds))


def _cheapest(
    draft: Draft,
    unit: Unit,
    part: Part,
    standing: Standing,
    stopped: Collection[UnitKey],
) -> Victims | None:
    """Return what is to be stopped on the node where that is the smallest harm."""
    room = draft.room
    shape = room.shape(part, draft.ledger.herd(unit.herd))
    found: list[Victims] = []
    own_level = level(unit, draft.policy, draft.now_ms)
    limit = draft.policy.victims_per_herd
    spent = Counter(one.unit.herd for key in stopped if (one := standing.get(key)))
    # That too little is left is what victims can mend, and nothing else.
    for at in room.nearest(part, shape, NODES_SEEN_MAX):
        if at in draft.holds:
            continue
        lower = [
            _Lower(one, _freed(one, room.views[at].node), _lost_ms(draft, one))
            for one in standing.on(room.views[at].node).values()
            if _may_stop(one, unit, stopped)
            and level(one.unit, draft.policy, one.started_ms) < own_level
        ]
        if limit:
            lower = _affordable(lower, spent, limit)
        if _is_enough(part, room.free[at], lower):
            known = [
                one._replace(is_homeless=_is_homeless(draft, at, one.running)) for one in lower
            ]
            found.append(_fewest(draft, at, part, known))
            if len(found) == NODES_TRIED_MAX:
                break
    return min(found, key=lambda one: one[:6], default=None)


def _affordable(lower: list[_Lower], spent: Counter[HerdName], limit: int) -> list[_Lower]:
    """Return of each herd no more than may be stopped beside what is being stopped of it already, those first whose end is the smallest harm."""
    counts = spent.copy()
    found = []
    for one in sorted(lower, key=_harm):
        herd = one.running.unit.herd
        if counts[herd] < limit:
            counts[herd] += 1
            found.append(one)
    return found


def _is_homeless(draft: Draft, at: int, one: Running) -> bool:
    """Say whether what runs on the node finds no other as things stand. A gang is taken for homeless: it would have to find several."""
    unit = one.unit
    if len(unit.parts) > 1:
        return True
    return draft.room.best(unit, unit.parts[0], draft.shape(unit), {at, *draft.holds}) < 0


def _may_stop(one: Running, unit: Unit, stopped: Collection[UnitKey]) -> bool:
    victim = one.unit
    return (
        victim.priority < unit.priority
        and victim.can_be_preempted
        and not one.is_leaving
        and victim.key not in stopped
    )


def _freed(one: Running, node: NodeId) -> Numbers:
    """Return what its end leaves on the node."""
    parts = [part for part, where in zip(one.unit.parts, one.nodes, strict=True) if where == node]
    return sum((part.needs for part in parts), NOTHING).numbers


def _is_enough(part: Part, free: list[int], victims: Sequence[_Lower]) -> bool:
    return all(
        number <= 0 or number <= free[place] + sum(one.freed[place] for one in victims)
        for place, number in enumerate(part.needs.numbers)
    )


def _may_be_enough(part: Part, free: list[int], victims: Sequence[_Lower], count: int) -> bool:
    """Say whether so many of them could free enough: each amount is freed by those that free most of it."""
    return all(
        number <= 0
        or number <= free[place] + sum(nlargest(count, [one.freed[place] for one in victims]))
        for place, number in enumerate(part.needs.numbers)
    )


def _fewest(draft: Draft, at: int, part: Part, lower: list[_Lower]) -> Victims:
    """Choose among the victims of a node, which are enough together."""
    free = draft.room.free[at]
    cheap = sorted(lower, key=_harm)
    tries = SETS_TRIED_MAX
    for count in range(1, len(cheap) + 1):
        if not _may_be_enough(part, free, cheap, count):
            continue
        tries -= comb(len(cheap), count)
        if count > 1 and tries < 0:
            break
        sets = [list(one) for one in combinations(cheap, count) if _is_enough(part, free, one)]
        if sets:
            return min((_weighed(at, one) for one in sets), key=lambda found: found[:5])
    return _weighed(at, _most_useful(draft, at, part, cheap))


def _most_useful(draft: Draft, at: int, part: Part, cheap: list[_Lower]) -> list[_Lower]:
    """Return those that free most of what lacks, less whom that spares."""
    free, whole = draft.room.free[at], draft.room.whole[at]
    short = [max(number - left, 0) for number, left in zip(part.needs.numbers, free, strict=True)]

    def useful(one: _Lower) -> int:
        shares = zip(one.freed, short, whole, strict=True)
        return sum(min(amount, lack) * MILLION // max(most, 1) for amount, lack, most in shares)

    chosen: list[_Lower] = []
    for one in sorted(cheap, key=lambda one: -useful(one)):
        chosen.append(one)
        if _is_enough(part, free, chosen):
            break
    for one in sorted(chosen, key=_harm, reverse=True):
        others = [other for other in chosen if other is not one]
        if _is_enough(part, free, others):
            chosen = others
    return chosen


def _harm(one: _Lower) -> tuple[int, bool, int, int, UnitKey]:
    unit = one.running.unit
    return (unit.priority, one.is_homeless, one.lost_ms, unit.grace_ms, unit.key)


def _lost_ms(draft: Draft, one: Running) -> int:
    """Return how much work is lost with it: all that it has run, because what a checkpoint keeps belongs to a gang before it."""
    ran_ms = draft.now_ms - one.started_ms if one.started_ms else 0
    return max(ran_ms, 0)


def _weighed(at: int, chosen: list[_Lower]) -> Victims:
    priority = max(one.running.unit.priority for one in chosen)
    homeless = sum(one.is_homeless for one in chosen)
    lost_ms = sum(one.lost_ms for one in chosen)
    grace_ms = max(one.running.unit.grace_ms for one in chosen)
    return Victims(len(chosen), priority, homeless, lost_ms, grace_ms, at, tuple(chosen))


def _spare(draft: Draft, new: list[tuple[int, Part]], stopped: dict[UnitKey, _Lower]) -> None:
    """Let those live that fit beside what is placed now, dearest first."""
    for victim in sorted(stopped.values(), key=_harm, reverse=True):
        one = victim.running
        parts = places_of(one, draft.room)
        if any(a == b and collide(part, other) for a, part in new for b, other in parts):
            continue
        if any(
            part.spread and part.spread.group in other.groups
            for _, part in new
            for _, other in parts
        ):
            continue
        _move(draft, one, 1)
        if any(min(draft.room.free[at]) < 0 for at, _ in parts):
            _move(draft, one, -1)
        else:
            # It stands where it stood, so there is nothing to put back in the end.
            del stopped[one.unit.key]


def _keep(
    draft: Draft, unit: Unit, places: tuple[int, ...], stopped: Mapping[UnitKey, _Lower]
) -> None:
    free_then = [list(draft.room.free[at]) for at in places]
    nodes = tuple(draft.room.views[at].node for at in places)
    at_ms = draft.now_ms + max(_grace_ms(draft, one.running.unit) for one in stopped.values())
    draft.keep(unit, places, free_then, Reservation(unit.key, nodes, at_ms, tuple(sorted(stopped))))


def _grace_ms(draft: Draft, victim: Unit) -> int:
    """Return by when it has ended at the latest that is told now."""
    return draft.policy.grace_ms + victim.grace_ms


def _move(draft: Draft, one: Running, sign: int) -> None:
    for at, part in places_of(one, draft.room):
        draft.room.take(at, part, sign)


def _told(draft: Draft, unit: Unit, one: Running) -> Preempted:
    victim = one.unit
    why = f"{unit.gang} of {unit.run} has priority {unit.priority}, it has {victim.priority}"
    return Preempted(victim.key, unit.key, _grace_ms(draft, victim), _lost_ms(draft, one), why)
