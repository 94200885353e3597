"""The shell around a session: carries its bytes over a connection, and waits where it must.

    who            does
    carrier        bytes from the connection into the session, what comes of it to the handler; all output that has gathered, in one write (`carriers.py`)
    clock          a task that ticks the session, and closes a connection whose peer does not read for STALL_S

An asker waits for one of the peer's places, a teller for credit, both while more than OUTPUT_BYTES_MAX (`traffic.py`) wait to be written; then nothing is read either, so a peer that asks
and does not read its answers is not served any more.  One task group holds it all; `run` returns when the connection is over, however it ends, and never raises for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import anyio
import anyio.abc

from runink.errors import LinkLost, OutcomeUnknown, RuninkError, Unavailable, from_wire
from runink.wire.carriers import Carrier
from runink.wire.events import Closed, Event, Expired, Greeted, Opened
from runink.wire.frames import MESSAGE_BYTES_MAX
from runink.wire.messages import Answer, Ask, Credit, Failure, Tell
from runink.wire.session import Session
from runink.wire.traffic import Traffic

STALL_S: Final = 15.0
TICK_S: Final = 1.0

_STOPPING: Final = Unavailable("the other side is stopping", code="stopping", hint="try again")


class Settle(Protocol):
    """Is given the plain answer to an Ask, or the error that came instead."""

    def __call__(self, value: Any, error: RuninkError | None, /) -> object: ...


class Handler(Protocol):
    """Who serves what the peer sends. None of it waits."""

    def told(self, tell: Tell, link: Link) -> None: ...

    def asked(self, ask: Ask, link: Link) -> None: ...

    def expired(self, number: int) -> None: ...


class Link:
    """One connection. `handler` serves the peer; `run` must be running for anything to happen."""

    def __init__(self, carrier: Carrier, session: Session, handler: Handler) -> None:
        self.peer: Opened | None = None
        self.error: RuninkError | None = None  # why it is over
        self._carrier = carrier
        self._session = session
        self._handler = handler
        self._settled = anyio.Event()  # it is open, or over
        self._ended = anyio.Event()
        self._traffic = Traffic(session, self._on_event)
        self._asks = anyio.Semaphore(0, fast_acquire=True)
        self._tells = anyio.Semaphore(0, fast_acquire=True)
        self._pending: dict[int, Settle] = {}
        self._scope = anyio.CancelScope()
        self._group: anyio.abc.TaskGroup | None = None  # while it runs

    @property
    def is_over(self) -> bool:
        return self.error is not None

    async def run(self) -> None:
        """Serve the connection to its end, and close the stream."""
        self._wake_writer()  # a connecting session has its Hello ready
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    self._group = group
                    group.start_soon(self._keep_time)
                    await self._carrier.carry(self._traffic)
                    group.cancel_scope.cancel()
        finally:
            self._over(_STOPPING)
            self._session.close(_STOPPING)
            await self._carrier.close(self._session.take_output())

    async def wait_open(self) -> Opened:
        """Return when the handshake is done. Raises what ended the connection instead."""
        await self._settled.wait()
        if self.peer is None:
            assert self.error is not None
            raise self.error
        return self.peer

    async def wait_over(self) -> None:
        """Return when the connection is over, for whatever reason."""
        await self._ended.wait()

    def close(self, error: RuninkError) -> None:
        """End the connection and tell the peer why."""
        self._session.close(error)
        self._over(error)
        self._scope.cancel()

    # Sending.

    async def room_for_ask(self) -> None:
        """Wait for a place, and take it: `ask` must follow. Raises LinkLost."""
        await self._wait_sendable()
        await self._asks.acquire()
        self._check_open()

    async def room_for_tell(self) -> None:
        """Wait for credit, and take it: `tell` must follow. Raises LinkLost."""
        await self._wait_sendable()
        await self._tells.acquire()
        self._check_open()

    def take_ask_nowait(self) -> bool:
        """Take a place if one is free and little is unwritten, and say whether it was: then `ask` must follow. Raises LinkLost."""
        return self._take_nowait(self._asks)

    def take_tell_nowait(self) -> bool:
        """Take credit if there is some and little is unwritten, and say whether there was: then `tell` must follow. Raises LinkLost."""
        return self._take_nowait(self._tells)

    def _take_nowait(self, places: anyio.Semaphore) -> bool:
        self._check_open()
        if places.value == 0 or self._traffic.is_full:
            return False
        places.acquire_nowait()
        return True

    def ask(
        self,
        target: str,
        request: Any,
        settle: Settle,
        *,
        within_s: float,
        traceparent: str = "",
    ) -> None:
        """Send a request. `settle` is called once: with the answer, with an error of the peer's, with LinkLost or OutcomeUnknown."""
        kind = type(request).__name__
        try:
            number = self._session.ask(
                target, kind, request, within_s=within_s, traceparent=traceparent
            )
        except BaseException:
            self._asks.release()
            raise
        is_alone = not self._pending
        self._pending[number] = settle
        if is_alone:  # nobody else is likely to send something in this turn of the loop
            self._carrier.flush()
        else:
            self._carrier.wake()

    def tell(self, target: str, message: Any, *, traceparent: str = "") -> None:
        """Send a message."""
        try:
            self._session.tell(target, type(message).__name__, message, traceparent=traceparent)
        except BaseException:
            self._tells.release()
            raise
        self._wake_writer()

    def flush(self) -> None:
        """Write what is to be written now, if that is possible without waiting."""
        self._carrier.flush()

    # Serving.

    def answer(self, number: int, value: Any, *, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        """Answer an Ask of the peer's; dropped if it has expired or the connection is over."""
        try:
            self._session.answer(number, value, bytes_max=bytes_max)
        except RuninkError as error:  # a value that fits no frame is told as the error that it is
            self._session.fail(number, error)
        if self._session.is_serving:
            self._carrier.wake()
        else:
            self._carrier.flush()

    def fail(self, number: int, error: RuninkError) -> None:
        """Answer an Ask of the peer's with an error; dropped if it has expired or the connection is over."""
        self._session.fail(number, error)
        self._wake_writer()

    def settle_tell(self, number: int) -> None:
        """Take note that this Tell of the peer's has found its place."""
        self._session.settle_tell(number)
        self._wake_writer()

    # What happens.

    async def _keep_time(self) -> None:
        while True:  # ends with the task group
            await anyio.sleep(TICK_S)
            now = anyio.current_time()
            self._traffic.tick(now=now)
            self._wake_writer()
            since = self._carrier.writing_since
            if since is not None and now - since >= STALL_S:
                self._traffic.ended(f"the other side has read nothing for {STALL_S:g} s")

    def _on_event(self, event: Event) -> None:
        match event:
            case Tell():
                self._handler.told(event, self)
            case Ask():
                self._handler.asked(event, self)
            case Answer(number, body):
                self._asks.release()
                self._pending.pop(number)(body, None)
            case Failure(number):
                self._asks.release()
                self._pending.pop(number)(None, from_wire(event.error))
            case Credit(tells):
                for _ in range(tells):
                    self._tells.release()
            case Expired(number):
                self._handler.expired(number)
            case Greeted(check):
                assert self._group is not None, "nothing comes before it runs"
                self._group.start_soon(self._look_at, check)
            case Opened():
                self.peer = event
                for _ in range(self._session.asks_room):
                    self._asks.release()
                for _ in range(self._session.tells_room):
                    self._tells.release()
                self._settled.set()
            case Closed(error):
                self._over(error)
                self._scope.cancel()

    async def _look_at(self, check: Callable[[], Awaitable[object]]) -> None:
        """Let the peer in, or tell it why not. The time of the handshake runs meanwhile."""
        try:
            guest = await check()
        except RuninkError as error:
            self.close(error)
            return
        for event in self._session.let_in(guest):
            self._on_event(event)
        self._wake_writer()

    def _wake_writer(self) -> None:
        if self._traffic.has_output:
            self._carrier.wake()

    async def _wait_sendable(self) -> None:
        if self.peer is None:
            await self._settled.wait()
        self._check_open()
        await self._traffic.until_writable()

    def _check_open(self) -> None:
        if self.error is not None:
            raise LinkLost(f"the connection is over: {self.error.text}", hint="try again")

    def _over(self, error: RuninkError) -> None:
        """Tell everybody who waits that nothing comes any more. The first reason counts."""
        if self.error is not None:
            return
        self.error = error
        pending, self._pending = self._pending, {}
        for number, settle in pending.items():
            settle(None, self._lost(number, error))
        for places in (self._asks, self._tells):
            for _ in range(places.statistics().tasks_waiting):
                places.release()
        self._settled.set()
        self._ended.set()
        self._traffic.written()

    def _lost(self, number: int, error: RuninkError) -> RuninkError:
        if not self._session.may_have_arrived(number):
            return LinkLost(f"the connection ended before it was sent: {error.text}")
        return OutcomeUnknown(
            f"the connection ended before the answer came: {error.text}",
            hint="whether it took effect is not known; look before you repeat it",
        )
