"""A run put together again of what a follower was told: after the first time only the slices that have changed, and of many a part at a time."""

from __future__ import annotations

from msgspec.structs import replace

from runink.clients.run_requests import Follow, RunView
from runink.names import RunId, SliceId
from runink.runs.records import SliceRecord


class RunParts:
    """What one follower has of a run. `is_over`: it has the run as it ended."""

    def __init__(self, run: RunId) -> None:
        self.is_over = False
        self._run = run
        self._slices: dict[SliceId, SliceRecord] = {}
        self._seen = 0
        self._told_by = 0
        self._first: RunView | None = None  # of the parts of an answer that is not whole yet
        self._after = ""

    def next(self, *, wait_s: float) -> Follow:
        """Return the request for what is newer, or for the next part."""
        return Follow(self._run, self._seen, wait_s, self._told_by, self._after)

    def whole(self, told: RunView) -> RunView | None:
        """Take an answer to `next`, and return the whole run; nothing if it is as it was, or there is more to ask for."""
        first = self._first
        if first is None or (told.told_by, told.since) != (first.told_by, first.since):
            first = told
            if not told.since:
                self._slices.clear()
        self._slices |= {one.slice: one for one in told.slices}
        is_new = first is not told or (told.number, told.told_by) != (self._seen, self._told_by)
        if told.more:
            self._first, self._after = first, told.slices[-1].slice
            self._seen, self._told_by = told.since, told.told_by
            return None
        # What has changed while the parts were told is newer than the first of them, and is told next.
        self._first, self._after = None, ""
        self._seen, self._told_by = first.number, told.told_by
        is_over = told.record.state.is_over
        self.is_over = is_over and first.record.state.is_over
        if is_over != self.is_over or not (is_new or is_over):
            return None
        slices = tuple(self._slices[name] for name in sorted(self._slices))
        return replace(told, slices=slices, since=0)
