"""Where the boxes of a directed graph without circles stand, in columns from left to right.

    column    the longest way to a box from where nothing comes in (after Sugiyama, Tagawa and Toda 1981)
    bend      a way that leaves columns out passes through them at places of its own, so that it runs under no box
    row       in each column, boxes and bends stand by the mean place of their neighbours, first seen from the left and then from the right

A picture is small and read by people, so a few sweeps do; equal graphs give equal pictures.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SWEEPS: Final = 6  # there and back; more move next to nothing


@dataclass(frozen=True, slots=True)
class Layout:
    """`columns` hold names of boxes and of bends, top to bottom; `ways` say for each link through which bends it goes."""

    columns: tuple[tuple[str, ...], ...]
    ways: dict[tuple[str, str], tuple[str, ...]]


def layered(names: Sequence[str], links: Sequence[tuple[str, str]]) -> Layout:
    """Lay out boxes; the links go round in no circle."""
    column = _columns(names, links)
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in names:
        columns[column[name]].append(name)
    ways: dict[tuple[str, str], tuple[str, ...]] = {}
    for number, (source, target) in enumerate(dict.fromkeys(links)):
        bends = tuple(f"\0{number}.{at}" for at in range(column[source] + 1, column[target]))
        for bend, at in zip(bends, range(column[source] + 1, column[target]), strict=True):
            columns[at].append(bend)
        ways[source, target] = bends
    return Layout(tuple(map(tuple, _sorted(columns, ways))), ways)


def _columns(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    before: dict[str, list[str]] = {name: [] for name in names}
    for source, target in links:
        before[target].append(source)
    found: dict[str, int] = {}
    waiting = list(names)
    while waiting:  # Each round places at least one box, because there is no circle.
        left = []
        for name in waiting:
            if all(one in found for one in before[name]):
                found[name] = max((found[one] + 1 for one in before[name]), default=0)
            else:
                left.append(name)
        assert len(left) < len(waiting), "the links go round in a circle"
        waiting = left
    return found


def _sorted(
    columns: list[list[str]], ways: Mapping[tuple[str, str], tuple[str, ...]]
) -> list[list[str]]:
    before: dict[str, list[str]] = {}
    behind: dict[str, list[str]] = {}
    for (source, target), bends in ways.items():
        stops = (source, *bends, target)
        for one, other in itertools.pairwise(stops):
            before.setdefault(other, []).append(one)
            behind.setdefault(one, []).append(other)
    best, fewest = columns, _crossings(columns, behind)
    for sweep in range(SWEEPS):
        is_forward = sweep % 2 == 0
        columns = [list(column) for column in columns]
        order = range(1, len(columns)) if is_forward else range(len(columns) - 2, -1, -1)
        for at in order:
            beside = columns[at - 1] if is_forward else columns[at + 1]
            columns[at] = _by_mean(columns[at], beside, before if is_forward else behind)
        crossings = _crossings(columns, behind)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _by_mean(
    column: Sequence[str], beside: Sequence[str], neighbours: Mapping[str, Sequence[str]]
) -> list[str]:
    place = {name: at for at, name in enumerate(beside)}
    own = {name: at for at, name in enumerate(column)}

    def mean(name: str) -> float:
        found = [place[one] for one in neighbours.get(name, ()) if one in place]
        return sum(found) / len(found) if found else own[name]

    return sorted(column, key=lambda name: (mean(name), own[name]))


def _crossings(columns: Sequence[Sequence[str]], behind: Mapping[str, Sequence[str]]) -> int:
    """Count the pairs of lines that cross between neighbouring columns."""
    count = 0
    for left, right in itertools.pairwise(columns):
        place = {name: at for at, name in enumerate(right)}
        seen: list[int] = []  # ends of the lines above, in order
        for name in left:
            ends = sorted(place[one] for one in behind.get(name, ()))
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count
