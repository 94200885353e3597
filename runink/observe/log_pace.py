"""How fast what slices print is taken in: pure, the caller passes its clock in.

A line costs the agent time, and its disk room, whether anybody reads it or not.  So a slice that prints without end is not read any faster than this: its
pipe fills, and its next write waits.  Who prints less never notices.

    slice    SLICE_BYTES or SLICE_LINES in a second, whichever it comes to first, after a first BURST_S of them at once
    node     the same for all of its slices together; who floods waits for whoever else floods, in turn
"""

from __future__ import annotations

from typing import Final

SLICE_BYTES: Final = 4 << 20  # a second: the whole log of an attempt in a quarter of a minute
SLICE_LINES: Final = 100_000  # a second: at half a microsecond each, a twentieth of a core
NODE_BYTES: Final = 16 << 20
NODE_LINES: Final = 400_000
BURST_S: Final = 1.0  # a traceback, a table, a loop that ends: not worth a wait


class Pace:
    """So many bytes and lines in a second. Behind each read it says how long to wait for the next."""

    def __init__(self, bytes_per_s: int, lines_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._lines_per_s = lines_per_s
        self._paid_until_s = float("-inf")  # what was read is worth the time up to here

    def wait_s(self, size: int, lines: int, *, now_s: float) -> float:
        """Take note of what was read, and return after how long the next may be."""
        worth_s = max(size / self._bytes_per_s, lines / self._lines_per_s)
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + worth_s
        return max(self._paid_until_s - now_s, 0.0)


def slice_pace() -> Pace:
    return Pace(SLICE_BYTES, SLICE_LINES)


def node_pace() -> Pace:
    return Pace(NODE_BYTES, NODE_LINES)
