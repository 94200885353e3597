"""When a gang gets its place: what is written into its slices when they begin to wait, so that who places them need know nothing else of their run."""

from __future__ import annotations

from runink.runs.records import Turn
from runink.runs.views import RunView, World


def turn_of(view: RunView, world: World) -> Turn:
    """Return the turn of slices of the run that begin to wait now."""
    return Turn(view.record.priority, view.record.submitted_ms, world.now_ms)
