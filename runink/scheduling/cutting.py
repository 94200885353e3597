"""Whether a gang goes to one node or to several, and which of its slices stay together then.

The fewest pieces that the cluster could ever hold are taken, of these ways to cut it:

    whole            all slices on one node: what nearly every gang is
    by its parts     slices that ask for different labels or capabilities apart (`gang_parts.py`)
    by slices        each slice by itself, but those that belong where the run's files are, and those that are to stand together: where no node is large enough for the sum

A gang that is pinned only to be beside another one, on a node that could never hold it, is cut as if it were not pinned.

What a node could ever hold is asked of an empty one: a gang is not parted because a node is full or being drained.  Where no way helps, the gang is left whole, and told why
it never fits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from msgspec.structs import replace as changed

from runink.names import NodeId, SliceId
from runink.placement.cluster import HerdView, NodeView
from runink.placement.plans import Placed
from runink.placement.seating import seats
from runink.runs.records import SliceRecord
from runink.scheduling.units import Members, parts_for
from runink.topology import joined


def cut(
    members: Members, nodes: Collection[NodeView], herd: HerdView | None
) -> tuple[Members, ...]:
    """Return the slices of a gang that waits, by the nodes that they need."""
    members = sorted(members, key=lambda one: one.slice)
    if not may_be_cut(members):
        return (tuple(members),)
    quota = herd or HerdView(members[0].herd)
    found = _cut(members, nodes, quota)
    if found is None and members[0].is_beside:
        members = unpinned(members)
        found = _cut(members, nodes, quota)
    return found or (tuple(members),)


def may_be_cut(members: Collection[SliceRecord]) -> bool:
    """Say whether it depends on the nodes how a gang goes to them."""
    return len(members) > 1 or any(one.is_beside for one in members)


def unpinned(members: Members) -> Members:
    """Return the slices of a gang without the node that they are pinned to only to be beside another gang."""
    return [changed(one, pin=None) if one.is_beside else one for one in members]


def _cut(
    members: Members, nodes: Collection[NodeView], quota: HerdView
) -> tuple[Members, ...] | None:
    ways = ((tuple(members),), *_ways(members))
    views = tuple(nodes)
    for by_streams in (True, False):  # where only streams are missing, that is what is told
        for groups in ways:
            if seats(parts_for(groups, by_streams=by_streams), views, quota) is not None:
                return groups
    return None


def held_with(
    members: Members, nodes: Sequence[NodeView], more: Sequence[NodeView], herd: HerdView
) -> frozenset[NodeId]:
    """Return with which of `more` nodes a gang could be held that `nodes` alone never could; none if it could not be even so. The first of `more` that could is taken."""
    members = unpinned(sorted(members, key=lambda one: one.slice))
    ways = ((tuple(members),), *(_ways(members) if len(members) > 1 else ()))
    for groups in ways:
        found = seats(parts_for(groups), (*nodes, *more), herd)
        if found is not None:
            return frozenset(found).difference(one.node for one in nodes)
    return frozenset()


def seats_of(placed: Placed, groups: Sequence[Members]) -> dict[SliceId, NodeId]:
    """Return the node of each slice of a gang that was placed as it was cut into these groups."""
    return {
        one.slice: node for group, node in zip(groups, placed.nodes, strict=True) for one in group
    }


def _ways(members: Members) -> Iterable[tuple[Members, ...]]:
    """Yield the ways to cut a gang into several pieces."""
    yield _grouped((one.part, one) for one in members)
    yield _grouped(_bound(members))


def _bound(members: Members) -> Iterable[tuple[str, SliceRecord]]:
    """Yield each slice with the first one that it is never parted from: by files, and because somebody says so."""
    rooted = [one.slice for one in members if one.is_rooted]
    names = {one.slice: SliceId(one.wants.together) for one in members}
    mates = ((mate, name) for name, mate in names.items() if mate in names)
    first = joined(names, (*pairwise(rooted), *mates))
    return ((first[one.slice], one) for one in members)


def _grouped(named: Iterable[tuple[str, SliceRecord]]) -> tuple[Members, ...]:
    groups: dict[str, list[SliceRecord]] = {}
    for name, one in named:
        groups.setdefault(name, []).append(one)
    return tuple(tuple(group) for group in groups.values())
