"""How often somebody has tried a secret that was wrong: after so many, none is looked at for a while.

A try goes by who is meant and from where it comes, so that nobody shuts another out by trying in its name.  What is kept is bounded; the oldest goes first, and its tries
begin anew: a secret has 256 bits, and this only keeps who tries from costing others time.
"""

from __future__ import annotations

from typing import Final

TRIES_MAX: Final = 10  # somebody who pastes from the wrong place, a few times over
WINDOW_S: Final = 60.0
KEPT_MAX: Final = 10_000

Who = tuple[str, str]


class FailedTries:
    """Counts, by who is meant and from where. `now_s` is a clock that never goes back."""

    def __init__(self) -> None:
        self._counts: dict[Who, tuple[float, int]] = {}  # since when, and how many

    def is_shut(self, who: Who, now_s: float) -> bool:
        """Say whether there were too many within the window."""
        since_s, count = self._counts.get(who, (now_s, 0))
        return now_s - since_s < WINDOW_S and count >= TRIES_MAX

    def note(self, who: Who, now_s: float) -> None:
        """Count one that was wrong."""
        since_s, count = self._counts.pop(who, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        if len(self._counts) >= KEPT_MAX:
            del self._counts[next(iter(self._counts))]
        self._counts[who] = (since_s, count + 1)
