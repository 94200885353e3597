"""The guard of connections: aiohttp's protocol, with deadlines that it does not have, and a limit for each address.

    a connection that                            is
    is one too many, of its address or of all    reset
    has no whole head `head_s` after its first   reset
      byte, or after it was made
    takes nothing of what is sent for `write_s`  reset: streams and answers alike, and what is sent still when it is closed
    waits for its next request for `idle_s`      closed, by aiohttp
    sends what is no HTTP                        answered with a problem (400), and closed

aiohttp has no deadline for heads, and one of an hour for idle connections; 300 of 300 connections that dribbled headers were open after 25 s.

Names of aiohttp's that are not public are used where nothing else says it: `_current_request` and `_messages` (whether a request is being
handled), `_make_server` of its runner.  `tests/unit/api/test_guard_names.py` fails when one goes away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from runink.api.addresses import LOCAL, counted_as
from runink.api.headers import standard_headers
from runink.api.limits import Limits
from runink.api.problems import tell
from runink.api.tracing import REQUEST_ID_BYTES, request_id_of
from runink.errors import Broken, Invalid, RuninkError

LINGER_S: Final = (
    2.0  # how long what is left of a refused body is read, so that the client sees the answer
)
TICK_S_MAX: Final = 1.0
PROGRESS_BYTES: Final = (
    4 << 10
)  # what counts as taking something: who takes a byte now and then does not

_log = logging.getLogger(__name__)


class Doorway:
    """Counts connections. An address is what `counted_as` says."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._by_address: Counter[str] = Counter()
        self._refused = 0
        self._cut: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection, and say whether it may stay; `leave` follows either way."""
        count = self._by_address[address] = self._by_address[address] + 1
        may_stay = self._by_address.total() <= self.limits.connections_max and (
            address == LOCAL or count <= self.limits.connections_per_address_max
        )
        self._refused += not may_stay
        return may_stay

    def leave(self, address: str) -> None:
        """Count a connection that is over."""
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def cut(self, reason: str) -> None:
        """Count a connection that was reset."""
        self._cut[reason] += 1

    def statistics(self) -> dict[str, int]:
        """Return how many connections there are, and how many were turned away or reset so far."""
        return {
            "connections": self._by_address.total(),
            "addresses": len(self._by_address),
            "refused": self._refused,
            **{f"cut_{reason}": count for reason, count in self._cut.items()},
        }


class GuardedHandler(RequestHandler):
    """One connection. `lost` is done when it is over."""

    __slots__ = (
        "_address",
        "_doorway",
        "_head_since_s",
        "_left_bytes",
        "_stuck_since_s",
        "_timer",
        "_wire",
        "lost",
    )

    def __init__(self, doorway: Doorway, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._doorway = doorway
        self._address = LOCAL
        self._head_since_s: float | None = None
        self._stuck_since_s: float | None = None
        self._left_bytes = 0
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its own when it closes
        self._timer: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def _is_busy(self) -> bool:
        return self._current_request is not None or bool(self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        peer = transport.get_extra_info("peername")
        self._address = counted_as(peer[0]) if isinstance(peer, tuple) else LOCAL
        if not self._doorway.enter(self._address):
            self.force_close()
            transport.abort()
            return
        super().connection_made(transport)
        self._wire = transport
        self._head_since_s = self._loop.time()
        self._check()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._wire = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
            self._doorway.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if data and self._head_since_s is None and not self._is_busy:
            self._head_since_s = self._loop.time()
        super().data_received(data)
        if self._is_busy:
            self._head_since_s = None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since_s = None

    def _check(self) -> None:
        """Reset the connection if it is due, and look again a little later if not."""
        if self._wire is None:
            return
        limits = self._doorway.limits
        now_s = self._loop.time()
        self._look(self._wire, now_s)
        for reason, since_s, within_s in (
            ("slow_head", self._head_since_s, limits.head_s),
            ("slow_reader", self._stuck_since_s, limits.write_s),
        ):
            if since_s is not None and now_s - since_s >= within_s:
                self._doorway.cut(reason)
                _log.info("connection cut", extra={"address": self._address, "reason": reason})
                self._wire.abort()
                return
        tick_s = min(TICK_S_MAX, limits.head_s / 4, limits.write_s / 4)
        self._timer = self._loop.call_later(tick_s, self._check)

    def _look(self, wire: asyncio.Transport, now_s: float) -> None:
        """Take note of how much the client has taken since the last look, where something waits for it."""
        if wire.is_closing():
            self._head_since_s = None
        elif not self.writing_paused:
            return
        left_bytes = wire.get_write_buffer_size()
        if self._stuck_since_s is None or left_bytes <= self._left_bytes - PROGRESS_BYTES:
            self._stuck_since_s, self._left_bytes = now_s, left_bytes

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - of the interface; it repeats bytes of the request
    ) -> web.StreamResponse:
        """Return what is answered to what is no HTTP, and to what the middleware has let through. Never with words of the request's or of the error's."""
        request_id = request_id_of("", entropy=secrets.token_bytes(REQUEST_ID_BYTES))
        is_ours = status >= 500
        log = _log.error if is_ours else _log.info
        log(
            "request failed" if is_ours else "no request that can be read",
            extra={"request_id": request_id, "address": self._address, "error": type(exc).__name__},
            exc_info=exc if is_ours else None,
        )
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        error: RuninkError = Broken("") if is_ours else Invalid(_NO_HTTP, code="bad_request")
        told = tell(error, instance="", request_id=request_id)
        response = web.Response(status=told.status, headers=told.headers, body=told.body)
        response.headers.update(standard_headers(told.headers["Content-Type"], is_tls=False))
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response


_CONTINUE: Final = "100-continue"
_NO_HTTP: Final = "that is no HTTP request, or one that is too long"


class GuardedServer(web.Server):
    """Makes a guarded protocol for each connection."""

    def __init__(self, inner: web.Server, doorway: Doorway, **options: Any) -> None:
        super().__init__(_expecting(inner.request_handler), request_factory=inner.request_factory)
        self._doorway = doorway
        self._options = options

    def __call__(self) -> RequestHandler:
        loop = asyncio.get_running_loop()
        return GuardedHandler(self._doorway, self, loop=loop, **self._options)


Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _expecting(inner: Answer) -> Answer:
    """Return what refuses an `Expect` that nobody knows before aiohttp does: it repeats the header, and fails where that is no text."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
            return request.protocol.handle_error(request, 400)
        return await inner(request)

    return answer


class GuardedRunner(web.AppRunner):
    """Runs an application behind the guard."""

    __slots__ = ("_doorway",)

    def __init__(self, app: web.Application, doorway: Doorway) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=doorway.limits.drain_s)
        self._doorway = doorway

    async def _make_server(self) -> web.Server:
        limits = self._doorway.limits
        return GuardedServer(
            await super()._make_server(),
            self._doorway,
            access_log=None,
            auto_decompress=False,  # a compressed body is refused
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            max_line_size=limits.line_bytes_max,
            max_field_size=limits.field_bytes_max,
            max_headers=limits.fields_max,
        )


def lost_of(request: web.BaseRequest) -> asyncio.Future[None]:
    """Return what is done when a request's connection is over."""
    assert isinstance(request.protocol, GuardedHandler), "an application runs behind the guard"
    return request.protocol.lost
