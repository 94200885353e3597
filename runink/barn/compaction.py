"""Compaction by time: when to forget which revision. Pure; the owner passes its clock in, and proposes what comes out.

The state machine has no clock, so it can compact by number and by bytes only (`limits.py`).  The owner takes note of the newest revision every now and then; when
a note is as old as changes are to be kept, it proposes `Compact` up to it.  A new owner begins with no notes: it keeps changes longer, never shorter.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from runink.barn.commands import Compact

KEEP_S: Final = 3600.0  # an hour: what somebody who asks "what has changed" can still be told
_NOTES: Final = (
    60  # of that time; so what is forgotten is at most a sixtieth older than it should be
)


class CompactionClock:
    """The owner's notes: which revision was the newest, when."""

    def __init__(self, keep_s: float = KEEP_S) -> None:
        assert keep_s > 0
        self._keep_s = keep_s
        self._notes: deque[tuple[float, int]] = deque()

    def due(self, *, now_s: float, revision: int, compacted: int) -> Compact | None:
        """Take note, and return what to propose now, if anything."""
        if not self._notes or now_s - self._notes[-1][0] >= self._keep_s / _NOTES:
            self._notes.append((now_s, revision))
        old = 0
        while self._notes and now_s - self._notes[0][0] >= self._keep_s:
            old = self._notes.popleft()[1]
        return Compact(old) if old > compacted else None
