"""An order in which each stands behind what it needs, and what is one because pairs join it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

NameT = TypeVar("NameT", bound=Hashable)


def topological(
    names: tuple[str, ...], needs: Mapping[str, frozenset[str]]
) -> tuple[str, ...] | None:
    """Order `names` so that each stands behind what it needs, otherwise as given; nothing if they go round in a circle (Kahn 1962)."""
    placed: list[str] = []
    done: set[str] = set()
    waiting = list(names)
    while waiting:
        ready = next((name for name in waiting if needs.get(name, frozenset()) <= done), None)
        if ready is None:
            return None
        placed.append(ready)
        done.add(ready)
        waiting.remove(ready)
    return tuple(placed)


def joined(names: Iterable[NameT], pairs: Iterable[tuple[NameT, NameT]]) -> dict[NameT, NameT]:
    """Return for each name the first of those that pairs join it with, through any number of others. Both of each pair are among the names."""
    first = {name: name for name in names}
    place = {name: number for number, name in enumerate(first)}

    def found(name: NameT) -> NameT:
        while first[name] != name:  # ends: each is in front of the one that leads to it
            first[name] = first[first[name]]
            name = first[name]
        return name

    for one, other in pairs:
        keep, lose = sorted((found(one), found(other)), key=place.__getitem__)
        first[lose] = keep
    return {name: found(name) for name in first}
