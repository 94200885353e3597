"""An order in which each stands behind what it needs."""

from __future__ import annotations

from collections.abc import Mapping


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
