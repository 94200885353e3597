"""Refs: where an actor is reached, in this process or on another node. Callers cannot tell which.

    tell          waits for room in the mailbox                    Unavailable (stopping)
    tell_nowait   does not wait                                    Overloaded, Unavailable (stopping)
    ask           waits for the answer, `within` seconds at most   TimedOut, OutcomeUnknown, and whatever the actor answers with

After TimedOut the request may still take place, unless the actor had not begun it: then it is dropped unread.  An actor that tells
itself and waits for room waits for ever; it uses `tell_nowait`, or a child task.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import anyio

from runink.errors import Overloaded, TimedOut
from runink.runtime.envelope import TRACEPARENT, Envelope, Pending, Request
from runink.runtime.mailbox import Mailbox

R = TypeVar("R")
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


class Ref(Protocol[M_contra]):
    """Where an actor is reached."""

    @property
    def address(self) -> str: ...

    async def tell(self, message: M_contra) -> None:
        """Put a message into the mailbox, when there is room."""

    def tell_nowait(self, message: M_contra) -> None:
        """Put a message into the mailbox, or raise Overloaded."""

    def flush(self) -> None:
        """Send what was told at once, and not together with what others send in this turn of the loop."""

    async def ask(self, request: Request[R], *, within: float) -> R:
        """Return the answer, or raise TimedOut when `within` seconds are over."""


class LocalRef(Generic[M]):
    """An actor of this process."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox[M]) -> None:
        self._mailbox = mailbox

    def __repr__(self) -> str:
        return f"LocalRef({self.address!r})"

    @property
    def address(self) -> str:
        return self._mailbox.address

    async def tell(self, message: M) -> None:
        await self._mailbox.put(Envelope(message, traceparent=TRACEPARENT.get()))

    def tell_nowait(self, message: M) -> None:
        self._mailbox.put_nowait(Envelope(message, traceparent=TRACEPARENT.get()))

    def flush(self) -> None:
        """Do nothing: it is there."""

    async def ask(self, request: Request[R], *, within: float) -> R:
        pending = Pending()
        envelope: Envelope[Any] = Envelope(request, pending.settle, traceparent=TRACEPARENT.get())
        try:
            await self._ask(envelope, pending, within)
        finally:
            envelope.abandon()
        if not pending.is_settled:
            raise timed_out(self.address, request, within)
        return pending.result()  # type: ignore[no-any-return] # what the actor returned is not checked

    async def _ask(self, envelope: Envelope[M], pending: Pending, within: float) -> None:
        """Wait for the answer, so long at most. Where there is room, which is nearly always, no cancel scope is made: that costs more than all else here."""
        try:
            self.put_nowait(envelope)
        except Overloaded:
            with anyio.move_on_after(within):
                await self.put(envelope)
                await pending.wait()
        else:
            await pending.wait_within(within)

    async def put(self, envelope: Envelope[M]) -> None:
        """Put an envelope into the mailbox, when there is room: for whoever carries messages from elsewhere."""
        await self._mailbox.put(envelope)

    def put_nowait(self, envelope: Envelope[M]) -> None:
        """Put an envelope into the mailbox, or raise Overloaded."""
        self._mailbox.put_nowait(envelope)


def timed_out(address: str, request: Request[R], within: float) -> TimedOut:
    """Return the error of an asker whose time is over."""
    return TimedOut(
        f"{address} did not answer {type(request).__name__} within {within:g} s",
        hint="it may be busy; what was asked may still take place",
    )
