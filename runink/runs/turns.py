"""When a gang gets its place: what is written into its slices when they begin to wait, so that who places them need know nothing else of their run."""

from __future__ import annotations

from collections.abc import Callable

from runink.runs.durations import estimates, ranks
from runink.runs.records import Turn
from runink.runs.views import RunView, World


def turn_of(view: RunView, world: World) -> Turn:
    """Return the turn of slices that end the run, and begin to wait now."""
    return Turn(view.record.priority, view.record.submitted_ms, world.now_ms)


def turns_of(view: RunView, world: World) -> Callable[[str], Turn]:
    """Return what gives the turn of a gang that begins to wait now."""
    estimated_ms: dict[str, int] = {}
    ranked_ms: dict[str, int] = {}

    def turn(gang: str) -> Turn:
        if not ranked_ms:  # most decisions begin nothing
            estimated_ms.update(estimates(view.dag, world.durations))
            ranked_ms.update(ranks(view.dag, estimated_ms))
        known = ranked_ms[gang], estimated_ms[gang]
        return Turn(view.record.priority, view.record.submitted_ms, world.now_ms, 0, *known)

    return turn
