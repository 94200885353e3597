"""Packing: fewer and smaller nodes for a batch that nobody waits in line for, or to leave machines that can be switched off.

    orders      the fair order, smallest first and largest first are all tried, and the plan that is worth most is kept.  No single one is best
    evacuate    the least loaded of the nodes that the plan takes into use are emptied, where others in use have room for all that is on them
    shrink      what is alone on a large node goes to a smaller one that is free

Only what the plan itself has placed is moved: what runs stays.  A slice of priority p is worth four of priority p - 1; between equals the cheaper nodes
win, by their processors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from runink.names import NodeId
from runink.placement.cluster import dominant
from runink.placement.demands import Unit
from runink.placement.draft import Draft
from runink.placement.plans import Plan

PRIORITY_MAX: Final = 9  # higher ones are worth the same, so that sums stay small numbers
ROUNDS_MAX: Final = 8  # each makes something better, and the first make nearly all of it


def value(plan: Plan) -> int:
    """Return what is placed, in slices of priority 0."""
    return sum(worth(one.unit) for one in plan.placed)


def worth(unit: Unit) -> int:
    """Return what a unit is worth, in slices of priority 0."""
    of_one: int = 4 ** min(max(unit.priority, 0), PRIORITY_MAX)
    return of_one * unit.needs.slices


def used_cpu_m(plan: Plan, whole_cpu_m: Mapping[NodeId, int]) -> int:
    """Return the processors of all nodes that the plan uses."""
    used = {node for one in plan.placed for node in one.nodes}
    return sum(whole_cpu_m[node] for node in used)


def pack(draft: Draft, waits: list[Unit]) -> list[Unit]:
    """Move what the draft has placed so that fewer and smaller nodes are in use. What waits is the same then."""
    for _ in range(ROUNDS_MAX):
        moved = [_evacuate(draft, at) for at in _opened(draft)]
        moved += [_shrink(draft, at) for at in _opened(draft)]
        if not any(moved):
            break
    return waits


def _on(draft: Draft, at: int) -> list[int]:
    return [number for number, (_, places) in enumerate(draft.placed) if at in places]


def _opened(draft: Draft) -> list[int]:
    """Return the nodes on which nothing is but single parts of this plan, least loaded first."""
    room = draft.room
    new: dict[int, list[int]] = {}
    for unit, places in draft.placed:
        for at, part in zip(places, unit.parts, strict=True):
            left = new.setdefault(at, list(room.free[at]))
            for place, amount in enumerate(part.needs.numbers):
                left[place] += amount
            if len(unit.parts) > 1:
                left[0] = -1  # a gang is not torn apart to be moved
    opened = [
        at for at, left in new.items() if tuple(left) == room.whole[at] and at not in draft.holds
    ]
    loads = {
        at: dominant(
            [most - left for most, left in zip(room.whole[at], room.free[at], strict=True)],
            room.whole[at],
        )
        for at in opened
    }
    return sorted(opened, key=lambda at: (loads[at], at))


def _empty(draft: Draft) -> set[int]:
    room = draft.room
    return {at for at, free in enumerate(room.free) if tuple(free) == room.whole[at]}


def _evacuate(draft: Draft, at: int) -> bool:
    """Move everything on the node to others in use. Returns False, and changes nothing, if not all of it fits."""
    return _move_all(draft, at, _empty(draft) | {at})


def _shrink(draft: Draft, at: int) -> bool:
    """Move everything on the node to one smaller node that is free, if one holds it all."""
    room = draft.room
    smaller = sorted(
        (room.whole[other][0], other)
        for other in _empty(draft)
        if room.whole[other][0] < room.whole[at][0]
    )
    everywhere = set(range(len(room.views)))
    return any(_move_all(draft, at, everywhere - {other}) for _, other in smaller)


def _move_all(draft: Draft, at: int, barred: Collection[int]) -> bool:
    room = draft.room
    moved: list[tuple[int, int]] = []
    largest = sorted(
        _on(draft, at),
        key=lambda number: (-draft.ledger.size(draft.placed[number][0].needs), number),
    )
    for number in largest:
        unit, _ = draft.placed[number]
        part = unit.parts[0]
        draft.give(unit, at, part)
        kept = set(draft.barred(unit, part)) if draft.holds else set()
        place = room.best(unit, part, draft.shape(unit), kept.union(barred))
        if place < 0:
            draft.take(unit, at, part)
            for other, where in reversed(moved):
                moving, _ = draft.placed[other]
                draft.give(moving, where, moving.parts[0])
                draft.take(moving, at, moving.parts[0])
                draft.placed[other] = (moving, (at,))
            return False
        draft.take(unit, place, part)
        draft.placed[number] = (unit, (place,))
        moved.append((number, place))
    return bool(moved)
