"""That this process's slice is to give way, as its steps are told: `runink.context().stopping`.

    told       once, by a signal; who waits for it is let go on
    from then  the slice's grace runs: its steps may come to their end, and what has ended by then is done
    behind it  the slice is stopped, as one that is cancelled (`steps/chain.py`)

The state of a process: it runs one slice and ends.  It changes in a signal's handler, which comes between any two instructions of the main thread: so all there is is a lock of the lowest kind, which the handler lets go of,
and after it whoever was let in.  A threading.Event would take another lock there, which the main thread may hold itself.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]


class Notice:
    """Nothing at first. `come` is for a signal's handler: it waits for nothing."""

    def __init__(self) -> None:
        self._clock: Clock | None = None
        self._told_s = 0.0
        self._gate = _thread.allocate_lock()
        self._gate.acquire()

    @property
    def has_come(self) -> bool:
        return self._clock is not None

    def come(self, clock: Clock) -> None:
        """Take note that the slice is told, now by the clock, which goes on from there. Told again it does nothing more."""
        if self._clock is None:
            self._told_s, self._clock = clock(), clock
            self._gate.release()

    def left_s(self, grace_s: float) -> float | None:
        """Return how much of the grace is left, nothing before it has begun."""
        if self._clock is None:
            return None
        return max(self._told_s + grace_s - self._clock(), 0.0)

    def wait(self, within_s: float) -> bool:
        """Wait until the slice is told, and say whether it was."""
        if self._gate.acquire(timeout=min(max(within_s, 0.0), _thread.TIMEOUT_MAX)):
            self._gate.release()
        return self.has_come

    def forget(self) -> None:
        """Be as at first: a test of a step tells it more than once."""
        if self.has_come:
            self._gate.acquire()
            self._clock = None


NOTICE: Final = Notice()
