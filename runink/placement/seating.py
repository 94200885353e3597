"""Seating: whether the parts of a gang could ever stand together, on nodes on which nothing else is.

A part that some node could hold may still never be placed: where two parts have one node only, and that cannot hold both.  So whether a gang is hopeless is asked for all of its parts at
once, and here alone: by how gangs are cut, by which lost nodes are waited for, and by who says of a gang that it never fits.

    first     each part goes to the first node that takes it beside the others, the largest first: nearly always that is the answer
    then      the nodes of each part are looked up; where these are too few or too small there is no way
    at last   all ways are tried, parts with few nodes first; those that are alike stand in the order of their nodes: which of them is where makes no difference

To pack bins can keep anybody busy: behind ASKED_MAX questions a gang is taken for one that may fit, and waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from runink.names import NodeId
from runink.placement.cluster import NOTHING, Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part
from runink.placement.feasible import UNLIMITED, feasible, refused_by_quota

ASKED_MAX: Final = 4096  # of nodes, while all ways are tried: some 20 ms
_Nodes = Sequence[int]  # by their places among all of them


def seats(
    parts: Sequence[Part], nodes: Sequence[NodeView], herd: HerdView
) -> tuple[NodeId, ...] | None:
    """Return a node for each part that would take it beside the others if nothing else were there, in whatever state it is; nothing if there is no such way.

    Nodes that come first are taken first.  For a gang of which it is not found out these are the first that each part could have by itself.
    """
    # Where a part failed it is not to go for now, as long as others could hold it.
    parts = [replace(part, avoids=()) if part.avoids else part for part in parts]
    asking = replace(herd, used=NOTHING)
    if refused_by_quota(asking, _sum(parts)) is not None:
        return None
    numbers = _largest_first(parts)
    found = _first_way([parts[one] for one in numbers], _Table(nodes, asking))
    if found is None and len(parts) > 1:
        table = _Table(nodes, asking)
        own = {part: table.fitting(part) for part in set(parts)}
        if _are_too_few(parts, own, nodes):
            return None
        numbers.sort(key=lambda one: len(own[parts[one]]))
        found = _any_way([parts[one] for one in numbers], own, table)
    if found is None:
        return None
    by_number = dict(zip(numbers, found, strict=True))
    return tuple(nodes[by_number[one]].node for one in range(len(parts)))


def _sum(parts: Iterable[Part]) -> Amount:
    return sum((part.needs for part in parts), NOTHING)


def _largest_first(parts: Sequence[Part]) -> list[int]:
    """Return the parts by number: those that belong on a node, then the others, the largest first, alike ones beside each other."""
    first: dict[Part, int] = {}
    for number, part in enumerate(parts):
        first.setdefault(part, number)
    sizes = {part: tuple(-number for number in part.needs.numbers) for part in first}
    return sorted(
        range(len(parts)),
        key=lambda one: (parts[one].pin is None, sizes[parts[one]], first[parts[one]]),
    )


class _Table:
    """The nodes with nothing on them but who is seated."""

    def __init__(self, nodes: Sequence[NodeView], herd: HerdView) -> None:
        self._nodes = nodes
        self._herd = herd
        self.places = range(len(nodes))
        self._seen: dict[int, list[NodeView]] = {}  # a node as it is with one, two, three on it
        self.asked = 0

    def takes(self, at: int, part: Part) -> bool:
        self.asked += 1
        seen = self._seen.get(at)
        view = seen[-1] if seen else _emptied(self._nodes[at])
        return feasible(view, part, self._herd) is None

    def first(self, part: Part, among: _Nodes, start: int) -> int:
        """Return the place of the first node among these that takes the part, from `start` on; -1 if none does."""
        return next((one for one in range(start, len(among)) if self.takes(among[one], part)), -1)

    def fitting(self, part: Part) -> _Nodes:
        """Return the nodes that take the part, by their names: whether all ways can be tried must not depend on the order in which nodes are told."""
        fitting = (at for at in self.places if self.takes(at, part))
        return sorted(fitting, key=lambda at: self._nodes[at].node)

    def seat(self, at: int, part: Part) -> None:
        seen = self._seen.setdefault(at, [])
        view = seen[-1] if seen else _emptied(self._nodes[at])
        groups, shunned = view.groups.union(part.groups), view.shunned.union(part.anti)
        seen.append(replace(view, used=view.used + part.needs, groups=groups, shunned=shunned))

    def rise(self, at: int) -> None:
        """Take the last one that was seated there away."""
        self._seen[at].pop()


def _first_way(turn: Sequence[Part], table: _Table) -> list[int] | None:
    """Seat each part on the first node that takes it."""
    found: list[int] = []
    for number, part in enumerate(turn):
        start = found[-1] if number and turn[number - 1] == part else 0
        at = table.first(part, table.places, start)
        if at < 0:
            return None
        table.seat(at, part)
        found.append(at)
    return found


def _any_way(turn: Sequence[Part], own: Mapping[Part, _Nodes], table: _Table) -> list[int] | None:
    """Seat the parts in whatever way there is; where that takes too long to find out, return the first node of each."""
    asked_max = table.asked + ASKED_MAX
    taken: list[int] = []  # for each part its place among its own nodes
    start = 0
    while len(taken) < len(turn):  # ends: no way is tried twice
        if table.asked > asked_max:
            return [own[part][0] for part in turn]
        number = len(taken)
        part = turn[number]
        place = table.first(part, own[part], start)
        if place >= 0:
            table.seat(own[part][place], part)
            taken.append(place)
            start = place if turn[number + 1 : number + 2] == [part] else 0
        elif taken:
            start = taken.pop()
            table.rise(own[turn[number - 1]][start])
            start += 1
        else:
            return None
    return [own[part][place] for part, place in zip(turn, taken, strict=True)]


def _are_too_few(
    parts: Sequence[Part], own: Mapping[Part, _Nodes], nodes: Sequence[NodeView]
) -> bool:
    """Say whether the nodes of the parts hold fewer of one than there are, less than all of them need, or fewer than there are that take more than half of a node."""
    for part, count in Counter(parts).items():
        if sum(_copies(part, nodes[at]) for at in own[part]) < count:
            return True
    wholes = [nodes[at].capacity.numbers for at in set().union(*own.values())]
    for place, most in enumerate(zip(*wholes, strict=True)):
        needs = [part.needs.numbers[place] for part in parts]
        large = sum(2 * number > max(most) for number in needs)
        if sum(needs) > sum(most) or large > len(most):
            return True
    return False


def _copies(part: Part, node: NodeView) -> int:
    """Return how many parts like this one the node holds, at most."""
    if set(part.anti).intersection(part.groups):
        return 1
    pairs = zip(part.needs.numbers, node.capacity.numbers, strict=True)
    return min((most // number for number, most in pairs if number), default=UNLIMITED)


def _emptied(node: NodeView) -> NodeView:
    """Return the node with nothing on it, taking something new; itself if it is so, as most are."""
    is_empty = node.used == NOTHING and not (node.groups or node.shunned)
    if is_empty and node.state is NodeState.READY:
        return node
    nobody: frozenset[str] = frozenset()
    return replace(node, used=NOTHING, state=NodeState.READY, groups=nobody, shunned=nobody)
