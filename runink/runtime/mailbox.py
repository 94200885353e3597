"""A mailbox: bounded, first in first out, many senders, one reader.

    state     put                     get
    open      takes, or waits/full    the next message, or waits
    closed    Unavailable (stopping)  what is left, then nothing

Senders that wait for room are served in their order, and their messages keep it: room that comes free is filled from their line at once, so nobody who comes
later overtakes them.  It belongs to the cell and not to the actor: unread messages outlive a crash.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.lowlevel

from runink.errors import Overloaded, Unavailable
from runink.loops import Bell
from runink.runtime.envelope import Envelope

M = TypeVar("M")

MESSAGES_MAX: Final = (
    64  # enough to ride out a pause of the reader; more only hides that it is slow
)
BUSY_MESSAGES_MAX: Final = 64  # taken in a row before other tasks get their turn
STOPPING: Final = "stopping"  # the code of what a mailbox says that takes no more


class _Waiting:
    """A sender in the line, with its message."""

    __slots__ = ("envelope", "is_taken", "served")

    def __init__(self, envelope: Envelope[Any]) -> None:
        self.envelope = envelope
        self.served = anyio.Event()
        self.is_taken = False


class Mailbox(Generic[M]):
    """The mailbox of the actor with this address."""

    def __init__(self, address: str, messages_max: int = MESSAGES_MAX) -> None:
        assert messages_max > 0
        self.address = address
        self._messages: deque[Envelope[M]] = deque()
        self._messages_max = messages_max
        self._line: deque[_Waiting] = deque()
        self._arrived = Bell()
        self._is_closed = False
        self._in_a_row = 0

    def __len__(self) -> int:
        return len(self._messages) + len(self._line)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def put_nowait(self, envelope: Envelope[M]) -> None:
        """Take a message. Raises Overloaded if there is no room, Unavailable (`stopping`) once closed."""
        if not self._has_room():
            raise Overloaded(
                f"the mailbox of {self.address} is full: {len(self._messages)} messages",
                hint="try again in a moment",
            )
        self._take(envelope)

    async def put(self, envelope: Envelope[M]) -> None:
        """Take a message, when there is room. Raises Unavailable (`stopping`) once closed."""
        if self._has_room():
            self._take(envelope)
            return
        waiting = _Waiting(envelope)
        self._line.append(waiting)
        try:
            await waiting.served.wait()
        except BaseException:
            if not waiting.is_taken and waiting in self._line:
                self._line.remove(waiting)
            raise
        if not waiting.is_taken:
            raise self._stopping()

    async def get(self) -> Envelope[M] | None:
        """Return the next message, or nothing once the mailbox is closed and empty."""
        while not self._messages:
            if self._is_closed:
                return None
            self._in_a_row = 0
            await self._arrived.wait()
        self._in_a_row += 1
        if self._in_a_row >= BUSY_MESSAGES_MAX:
            self._in_a_row = 0
            await anyio.lowlevel.checkpoint()
        return self._next()

    def close(self) -> None:
        """Take no more; those in the line are turned away."""
        self._is_closed = True
        self.interrupt()
        for waiting in self._line:
            waiting.served.set()
        self._line.clear()

    def interrupt(self) -> None:
        """Wake the reader, although nothing has come."""
        if self._arrived.is_awaited:
            self._arrived.ring()

    def leftovers(self) -> list[Envelope[M]]:
        """Close, and take out what nobody will read."""
        self.close()
        left = list(self._messages)
        self._messages.clear()
        return left

    def _has_room(self) -> bool:
        if self._is_closed:
            raise self._stopping()
        return len(self._messages) < self._messages_max and not self._line

    def _take(self, envelope: Envelope[M]) -> None:
        self._messages.append(envelope)
        if self._arrived.is_awaited:
            self._arrived.ring()

    def _next(self) -> Envelope[M]:
        envelope = self._messages.popleft()
        if self._line:
            waiting = self._line.popleft()
            waiting.is_taken = True
            self._messages.append(waiting.envelope)
            waiting.served.set()
        return envelope

    def _stopping(self) -> Unavailable:
        return Unavailable(
            f"{self.address} is stopping, or has stopped", code=STOPPING, hint="try again later"
        )
