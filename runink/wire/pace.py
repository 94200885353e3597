"""Pace: how long a frame may take from its first byte to its last, so that nobody holds a connection, and memory, by sending it byte by byte.

    a frame whose length has not come    FRAME_S
    one of n bytes                       FRAME_S, and a second for each PACE_BYTES

It is cut when it is overdue at two ticks in a row: after a pause of this process the first one comes before what has been waiting was read.
While we read nothing ourselves, because the other side takes no answers, no time counts: such a peer is given up for that.
"""

from __future__ import annotations

from typing import Final

from runink.errors import ProtocolViolation

FRAME_S: Final = 10.0
PACE_BYTES: Final = 64 << 10  # a second: half a megabit, so a frame of 16 MiB has four minutes


class Pace:
    """Of one direction of a connection."""

    def __init__(self) -> None:
        self.since: float | None = (
            None  # when the first byte came of the frame on its way, if one is
        )
        self._is_overdue = False

    def goes_on(self, *, is_new: bool, now: float) -> None:
        """Take note that a part of a frame has come; `is_new`: behind the end of another."""
        if is_new or self.since is None:
            self.since = now
            self._is_overdue = False

    def check(self, length: int, *, is_reading: bool, now: float) -> None:
        """Look at the frame on its way; `length` is what it has said, or 0. Raises ProtocolViolation (`frame_timed_out`)."""
        if self.since is None:
            return
        if not is_reading:
            self.since = now
        may_take_s = FRAME_S + length / PACE_BYTES
        if now - self.since < may_take_s:
            self._is_overdue = False
            return
        if self._is_overdue:
            raise ProtocolViolation(
                f"a frame was not whole after {now - self.since:.0f} s",
                code="frame_timed_out",
                hint=f"a frame has {FRAME_S:g} s, and a second for each {PACE_BYTES >> 10} KiB",
            )
        self._is_overdue = True
