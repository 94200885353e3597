"""Why a unit is not placed, as the plan leaves the cluster: counts by rule for machines, some nodes in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from runink.names import HerdName, NodeId
from runink.placement.cluster import HerdView, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.draft import Draft
from runink.placement.feasible import Reason, Rule, feasible
from runink.placement.ledger import Ledger
from runink.placement.plans import Unplaced
from runink.placement.room import Room
from runink.placement.seating import seats
from runink.placement.shapes import Shape, Tally

REASONS_SHOWN_MAX: Final = 3  # of nodes; the rest is counted
NODES_READ_MAX: Final = 16  # for these: a reason that most nodes share is found among so many
AHEAD_SHOWN_MAX: Final = 3


class Told(NamedTuple):
    """What `Unplaced` says, but for the queue."""

    counts: tuple[tuple[Rule, int], ...]
    text: str
    is_final: bool
    lacks: str = ""


class Reasons:
    """Tells reasons; those of alike units are worked out once."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._known: dict[object, Told] = {}
        self._of_alike: dict[tuple[HerdName, tuple[Part, ...]], Told] = {}
        self._hopeless: dict[tuple[HerdName, tuple[Part, ...]], bool] = {}

    def of_all(self, waits: Sequence[Unit]) -> tuple[Unplaced, ...]:
        """Return why each of them waits, in their order."""
        first = tuple([unit.key for unit in waits[:AHEAD_SHOWN_MAX]])
        known = self._of_alike
        found = []
        for position, unit in enumerate(waits, 1):
            alike = (unit.herd, unit.parts)
            told = known.get(alike)
            if told is None:
                told = self._told(unit)
                if len(unit.parts) == 1:  # how a gang is taken apart depends on where it failed
                    known[alike] = told
            ahead = first if position > AHEAD_SHOWN_MAX else first[: position - 1]
            counts, text, is_final, lacks = told
            found.append(Unplaced(unit, counts, text, is_final, lacks, position, ahead))
        return tuple(found)

    def _told(self, unit: Unit) -> Told:
        draft = self._draft
        quota = draft.ledger.refusal(unit, unit.needs)
        if quota is not None:
            return _by_quota(quota, len(draft.room.views))
        if len(unit.parts) == 1:
            return self._of_part(unit, 0)
        return self._of_gang(unit)

    def _of_gang(self, unit: Unit) -> Told:
        """Tell of the first part that finds no node, beside those of its gang that do. That there will never be one holds for all of them or for none."""
        draft = self._draft
        number, taken = draft.fit_in_part(unit)
        told = self._of_part(unit, max(number, 0))
        for other, at in taken.items():
            draft.give(unit, at, unit.parts[other])
        if number < 0:
            return _kept(told, len(draft.room.views))
        return told._replace(is_final=self._is_hopeless(unit))

    def _is_hopeless(self, unit: Unit) -> bool:
        """Say whether there are no nodes on which all parts of a gang could ever stand; one that is away may come back as another."""
        room = self._draft.room
        is_away = any(part.pin is not None and part.pin not in room.index for part in unit.parts)
        if is_away or not room.views:
            return False
        alike = (unit.herd, unit.parts)
        if alike not in self._hopeless:
            herd = self._draft.ledger.herd(unit.herd)
            self._hopeless[alike] = seats(unit.parts, room.views, herd) is None
        return self._hopeless[alike]

    def _of_part(self, unit: Unit, number: int) -> Told:
        draft = self._draft
        part = unit.parts[number]
        shape = draft.room.shape(part, draft.ledger.herd(unit.herd))
        # A gang's other parts stand in the room, so what is said of one holds for no other.
        is_alone = len(unit.parts) == 1
        key = (shape, part.pin, part.avoids, *_company(draft.room, part))
        if is_alone and key in self._known:
            return self._known[key]
        told = self._worked_out(unit, part, shape)
        if is_alone:
            self._known[key] = told
        return told

    def _worked_out(self, unit: Unit, part: Part, shape: Shape) -> Told:
        room = self._draft.room
        tally = room.tally(part, shape)
        count = len(room.views)
        is_final = count > 0 and tally.finals == count
        if part.pin is not None:
            is_final = self._is_final_there(part, part.pin, unit, shape)
        lacks = _capability(shape, tally, count) if is_final else ""
        counts = tuple((rule, tally.counts[rule]) for rule in Rule if rule in tally.counts)
        return Told(counts, self._text(unit, part, shape), is_final, lacks)

    def _is_final_there(self, part: Part, node: NodeId, unit: Unit, shape: Shape) -> bool:
        """Say whether the one node that a part may have refuses it for ever; one that is away may come back as another."""
        at = self._draft.room.index.get(node)
        if at is None:
            return False
        reason = refusal(self._draft.room, at, part, self._draft.ledger.herd(unit.herd), shape)
        return reason is not None and reason.is_final

    def _text(self, unit: Unit, part: Part, shape: Shape) -> str:
        room = self._draft.room
        herd = self._draft.ledger.herd(unit.herd)
        texts: dict[str, None] = {}
        read = 0
        for at in range(min(len(room.views), NODES_READ_MAX)):
            reason = refusal(room, at, part, herd, shape)
            text = reason.text if reason else _for_whom(self._draft, at, room.views[at])
            if text not in texts and len(texts) == REASONS_SHOWN_MAX:
                break
            texts[text] = None
            read += 1
        # A cluster without nodes is starting, or cut off: that passes.
        shown = "; ".join(texts) or "no node is ready"
        more = len(room.views) - read
        return f"{shown}; and {more} more nodes" if more else shown


def _company(room: Room, part: Part) -> tuple[object, ...]:
    """Return what of the part's company may keep it away: nothing, where nobody is that it does not stand beside."""
    apart = next(room.companies.around(part), None) is not None
    spread = part.spread if part.spread is not None and part.spread.is_hard else None
    return (part.anti, part.groups, spread) if apart else (spread,)


def _for_whom(draft: Draft, at: int, view: NodeView) -> str:
    owners = sorted({f"{hold.owner[1]} of {hold.owner[0]}" for hold in draft.holds.get(at, ())})
    if owners:
        return f"{view.node} is kept for {', '.join(owners)}"
    return f"{view.node} has room that is kept for others of its herd"


def over_quota(ledger: Ledger, unit: Unit, nodes: int) -> Unplaced:
    """Say of a unit that waits alone that its herd may not have it now."""
    quota = ledger.refusal(unit, unit.needs)
    assert quota is not None
    told = _by_quota(quota, nodes)
    return Unplaced(unit, told.counts, told.text, told.is_final, told.lacks, 1)


def _by_quota(reason: Reason, nodes: int) -> Told:
    counts = ((Rule.QUOTA, nodes),) if nodes else ()
    return Told(counts, reason.text, reason.is_final)


def _kept(told: Told, nodes: int) -> Told:
    return Told(((Rule.RESERVED, nodes),), told.text, is_final=False)


def _capability(shape: Shape, tally: Tally, count: int) -> str:
    """Return the one capability that every node lacks, empty if there is none."""
    if tally.counts.get(Rule.CAPABILITY) != count:
        return ""
    names = {nature.what for nature in shape.nature.reasons if nature is not None}
    return names.pop() if len(names) == 1 else ""


def refusal(room: Room, at: int, part: Part, herd: HerdView, shape: Shape) -> Reason | None:
    """Say why the node does not fit, by `feasible`, the one function that knows."""
    crowds = room.crowds(part, shape)
    crowding = crowds.crowding(at) if crowds is not None else 0
    return feasible(room.view(at, part), part, herd, crowding=crowding)
