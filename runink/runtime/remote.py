"""A Ref for an actor of another node: it sends over a link, and keeps the promises that a Ref of this process keeps.

    error            beside those of a LocalRef
    LinkLost         there is no connection, or it ended before this was sent
    OutcomeUnknown   the connection ended, and it may have arrived
    Invalid          it fits no frame, or holds what MessagePack cannot say

A Tell is not confirmed: what is under way when a connection ends may be lost.  What must not be lost is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio

from runink.errors import Overloaded, ProtocolViolation
from runink.loops import now_s
from runink.runtime.envelope import TRACEPARENT, Pending, Request, answer_type
from runink.runtime.ref import timed_out
from runink.wire.codec import take
from runink.wire.link import Link
from runink.wire.messages import WITHIN_MS_MAX

R = TypeVar("R")
M = TypeVar("M")


class RemoteRef(Generic[M]):
    """An actor of another node. `link` returns the connection that leads there now, or raises LinkLost."""

    __slots__ = ("_link", "_target", "address")

    def __init__(self, link: Callable[[], Link], target: str, *, address: str) -> None:
        self.address = address
        self._link = link
        self._target = target

    def __repr__(self) -> str:
        return f"RemoteRef({self.address!r})"

    def beside(self, name: str) -> RemoteRef[Any]:
        """Return what reaches another actor of the same node."""
        address = f"{self.address.rpartition('/')[0]}/{name}"
        return RemoteRef(self._link, name, address=address)

    async def tell(self, message: M) -> None:
        link = self._link()
        await link.room_for_tell()
        link.tell(self._target, message, traceparent=TRACEPARENT.get())

    def tell_nowait(self, message: M) -> None:
        link = self._link()
        if not link.take_tell_nowait():
            raise Overloaded(f"{self.address} takes no more messages now", hint="try again")
        link.tell(self._target, message, traceparent=TRACEPARENT.get())

    def flush(self) -> None:
        self._link().flush()

    async def ask(self, request: Request[R], *, within: float) -> R:
        link = self._link()
        pending = Pending()
        within_s = min(within, WITHIN_MS_MAX / 1000)
        if not link.take_ask_nowait():
            until_s = now_s() + within_s
            with anyio.move_on_after(within_s) as scope:
                await link.room_for_ask()
            if scope.cancelled_caught:
                raise timed_out(self.address, request, within)
            within_s = max(until_s - now_s(), 0.0)
        link.ask(
            self._target,
            request,
            pending.settle,
            within_s=within_s,
            traceparent=TRACEPARENT.get(),
        )
        await pending.wait_within(within_s)
        if not pending.is_settled:
            raise timed_out(self.address, request, within)
        return self._decoded(request, pending.result())

    def _decoded(self, request: Request[R], answer: Any) -> R:
        try:
            return take(answer, answer_type(type(request)))  # type: ignore[no-any-return] # it is an R now
        except ProtocolViolation as error:
            raise ProtocolViolation(
                f"the answer of {self.address} to {type(request).__name__}: {error.text}",
                code=error.code,
                hint=error.hint,
            ) from error
