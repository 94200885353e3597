"""A run that is paused: what runs of it goes on, and nothing new begins, at the borders of its gangs.

A gang that waits for a place already is held back by its own time (`not_before_ms`), which scheduler and placement know; let go, it may begin at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace as changed

from runink.runs.records import SliceRecord, SliceState, Task
from runink.runs.views import RunView

PAUSED: Final = "it is paused"
FOREVER_MS: Final = 1 << 53  # later than any clock; every language reads it as a whole number


def held(view: RunView) -> Iterator[SliceRecord]:
    """Yield the slices that wait for a place, held back where the run is paused and let go where it is not any more."""
    for one in view.slices.values():
        if one.task is not Task.CHAIN or one.state is not SliceState.PENDING:
            continue
        is_held = one.not_before_ms == FOREVER_MS
        if view.record.paused and not is_held:
            yield changed(one, not_before_ms=FOREVER_MS, waits_for=PAUSED)
        elif is_held and not view.record.paused:
            yield changed(one, not_before_ms=0, waits_for="")
