"""A run put together again of what a follower was told, which after the first time are only the slices that have changed."""

from __future__ import annotations

from msgspec.structs import replace

from runink.clients.run_requests import Follow, RunView
from runink.names import RunId, SliceId
from runink.runs.records import SliceRecord


class RunParts:
    """What one follower has of a run."""

    def __init__(self, run: RunId) -> None:
        self._run = run
        self._slices: dict[SliceId, SliceRecord] = {}
        self._seen = 0
        self._told_by = 0

    def next(self, *, wait_s: float) -> Follow:
        """Return the request for what is newer."""
        return Follow(self._run, self._seen, wait_s, self._told_by)

    def whole(self, told: RunView) -> RunView | None:
        """Take an answer to `next`, and return the whole run, or nothing if it is as it was."""
        if not told.since:
            self._slices.clear()
        self._slices |= {one.slice: one for one in told.slices}
        is_new = (told.number, told.told_by) != (self._seen, self._told_by)
        if not is_new and not told.record.state.is_over:
            return None
        self._seen, self._told_by = told.number, told.told_by
        slices = tuple(self._slices[name] for name in sorted(self._slices))
        return replace(told, slices=slices, since=0)
