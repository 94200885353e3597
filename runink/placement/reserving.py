"""Reservations: where and when the head of the queue will fit, so that smaller units behind it may fill holes without delaying it (EASY backfill).

What runs is let end in thought, in the order in which it is expected to, until the head fits.  What has no estimate never ends here.  What should have
ended already is given as long again, and twice that, and so on.  If the head does not fit by what is known, and has waited long enough, the nodes that lack
least are kept for it: nothing new goes there that it needs, so that they empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from runink.placement.demands import Part, Unit, UnitKey
from runink.placement.draft import Draft, Places, places_of
from runink.placement.plans import Reservation, Running

NODES_SEEN_MAX: Final = 512  # among which nodes to be emptied are chosen
End = tuple[int, Unit, Sequence[tuple[int, Part]]]  # when, what, and where its parts stand


class _Coming:
    """What is expected to end, soonest first, worked out as far as somebody looks: most heads fit when little has ended."""

    def __init__(self, ends: Iterator[End]) -> None:
        self.known: list[End] = []
        self._ends = ends

    def reach(self, count: int) -> int:
        """Have so many known, or all if there are fewer, and return how many of those there are."""
        self.known += islice(self._ends, max(count - len(self.known), 0))
        return min(count, len(self.known))


def _coming(draft: Draft, running: Iterable[tuple[int, Running]]) -> _Coming:
    """Return what is expected to end, with what this plan has placed."""
    found = ((end_ms, one.unit, places_of(one, draft.room)) for end_ms, one in running)
    new: list[End] = [
        (draft.now_ms + unit.estimate_ms, unit, list(zip(places, unit.parts, strict=True)))
        for unit, places in draft.placed
        if unit.estimate_ms > 0
    ]
    new.sort(key=_when)
    return _Coming(merge(found, new, key=_when))


def _when(end: End) -> tuple[int, UnitKey]:
    return end[0], end[1].key


def reserve(draft: Draft, unit: Unit, running: Iterable[tuple[int, Running]]) -> bool:
    """Keep nodes for the unit, where and when it will fit. `running` is what is expected to end, soonest first, and when. Returns False if nothing can be said."""
    found = _earliest(draft, unit, _coming(draft, running))
    if found is not None:
        at_ms, places, left = found
        nodes = tuple(draft.room.views[at].node for at in places)
        draft.keep(unit, places, left, Reservation(unit.key, nodes, at_ms))
        return True
    waited_ms = draft.now_ms - (unit.waiting_since_ms or draft.now_ms)
    if waited_ms < draft.policy.reserve_after_ms:
        return False
    return _empty_for(draft, unit)


def _earliest(
    draft: Draft, unit: Unit, coming: _Coming
) -> tuple[int, Places, list[list[int]]] | None:
    """Return when the unit first fits, where, and what these nodes have left with it then. Ends are undone in steps that double, then by halves."""
    done = 0

    def move_to(count: int) -> Places | None:
        nonlocal done
        for _, _, parts in coming.known[done:count] if count > done else ():
            for at, part in parts:
                draft.room.give(at, part)
        for _, _, parts in reversed(coming.known[count:done]) if count < done else ():
            for at, part in parts:
                draft.room.take(at, part)
        done = count
        places = draft.fit(unit)
        if places is not None:
            draft.release(unit, places)
        return places

    fails, step = 0, 1
    fits = 0
    while not fits and (count := coming.reach(fails + step)) > fails:
        if move_to(count) is not None:
            fits = count
        else:
            fails, step = count, step * 2
    while fits - fails > 1:
        middle = (fits + fails) // 2
        if move_to(middle) is not None:
            fits = middle
        else:
            fails = middle
    found = None
    if fits:
        at_ms = coming.known[fits - 1][0]
        while coming.reach(fits + 1) > fits and coming.known[fits][0] == at_ms:
            fits += 1
        places = move_to(fits)
        # The nodes stay the same while they are as good: what goes on meanwhile goes beside them.
        places = draft.fits_on(unit, draft.kept_before.get(unit.key, ())) or places
        # More room is not always better for a gang that is fitted part by part.
        if places is not None:
            found = at_ms, places, left_beside(draft, unit, places)
    for _, _, parts in reversed(coming.known[:done]):
        for at, part in parts:
            draft.room.take(at, part)
    return found


def left_beside(draft: Draft, unit: Unit, places: Places) -> list[list[int]]:
    """Return what the nodes have left when the unit is on them."""
    left = {at: list(draft.room.free[at]) for at in places}
    for at, part in zip(places, unit.parts, strict=True):
        for place, number in enumerate(part.needs.numbers):
            left[at][place] -= number
    return [left[at] for at in places]


def _empty_for(draft: Draft, unit: Unit) -> bool:
    """Keep the nodes that lack least, without knowing until when; those that were kept for it before first."""
    room, herd = draft.room, draft.ledger.herd(unit.herd)
    before = draft.kept_before.get(unit.key, ())
    places: list[int] = []
    for number, part in enumerate(unit.parts):
        shape = room.shape(part, herd)
        fitting = [at for _, at in room.fitting(unit, part, shape, NODES_SEEN_MAX)]
        candidates = fitting + room.nearest(part, shape, NODES_SEEN_MAX)
        free = [at for at in candidates if at not in draft.holds and at not in places]
        if not free:
            return False
        was = before[number] if number < len(before) else None
        # They stand in order already: those that fit, then those that lack least.
        places.append(next((at for at in free if room.views[at].node == was), free[0]))
    nodes = tuple(room.views[at].node for at in places)
    draft.keep(
        unit, tuple(places), left_beside(draft, unit, tuple(places)), Reservation(unit.key, nodes)
    )
    return True
