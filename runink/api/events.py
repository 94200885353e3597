"""Server-sent events: a stream of changes, each with its revision as its id, so that who loses the connection goes on where it was.

    sent                                     when
    retry: 2000                              at the beginning: a browser comes back after two seconds
    id: REV, event: KIND, data: JSON         something has happened
    id: REV, event: bookmark, data: {...}    nothing has happened up to there that this stream tells
    : still here                             nothing was sent for `heartbeat_s`
    event: problem, data: PROBLEM            the stream cannot go on; then it ends
    event: end, data: {}                     there is no more to tell, and nothing to come back for; then it ends

A stream pulls: the next event is asked for when the last one is with the kernel, so a slow reader holds one event of ours, and behind it the buffer of
whoever makes them.  It waits where the caller was sent more than its purse has room for.  A reader that takes nothing for `write_s` is cut by the guard.  The rights of the caller are looked at before each event and each
`rights_s`; a stream ends with them, with the caller's token and with the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from runink.api.guard import lost_of
from runink.api.limits import Limits
from runink.api.openapi import EVENT_STREAM
from runink.api.problems import HttpRefused, tell
from runink.errors import Broken, RuninkError
from runink.operations.answers import Bookmark, Event
from runink.operations.purses import Purse

CLOSE_S: Final = 2.0  # what a source may take to end; it does nothing but let go of a watch
_BEGINNING: Final = b"retry: 2000\n\n"
_STILL_HERE: Final = b": still here\n\n"
_END: Final = b"event: end\ndata: {}\n\n"
_KIND_ILLEGAL: Final = frozenset("\r\n\0")

_log = logging.getLogger(__name__)

Source = AsyncIterator[Event | Bookmark]


def encoded(event: Event | Bookmark) -> bytes:
    """Return an event as it is sent. JSON has no line ends, so its data is one line."""
    if isinstance(event, Bookmark):
        kind, data = "bookmark", msgspec.json.encode(event)
    else:
        kind, data = event.kind, msgspec.json.encode(event.data)
    assert not _KIND_ILLEGAL & set(kind)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.revision, kind.encode(), data)


class Streams:
    """The streams that are open, and how many each principal has."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._stopping = asyncio.Event()

    def statistics(self) -> dict[str, int]:
        """Return how many streams there are, and of how many principals."""
        return {"streams": self._open.total(), "principals": len(self._open)}

    def stop(self) -> None:
        """End all streams: their readers come back elsewhere, or here when the server is back."""
        self._stopping.set()

    @contextmanager
    def place(self, subject: str) -> Iterator[None]:
        """Have a place for a stream as long as it lasts. Raises HttpRefused (`too_many_streams`)."""
        if self._open[subject] >= self._limits.streams_per_principal_max:
            raise HttpRefused(
                f"you have {self._open[subject]} streams open",
                code="too_many_streams",
                headers={},
                hint="close one, or ask for more in one stream",
            )
        self._open[subject] += 1
        try:
            yield
        finally:
            self._open[subject] -= 1
            self._open += Counter()  # without those at zero

    async def send(
        self,
        request: web.Request,
        source: Source,
        *,
        purse: Purse,
        may_go_on: Callable[[], Awaitable[bool]],
        request_id: str,
    ) -> web.StreamResponse:
        """Send events until the source, the caller's rights, the connection or the server ends."""
        headers = {"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        sending = _Sending(response, source, self._limits, purse, may_go_on)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await response.write(_BEGINNING)
                await sending.run({stopping, lost_of(request)})
            await response.write_eof()
        except RuninkError as error:
            await _tell(response, request, request_id, error)
        except ConnectionError:
            pass  # the client has left, or was cut
        except Exception as error:  # noqa: BLE001 - the middleware cannot tell any more: a part of the answer is sent
            _log.exception("stream failed", extra={"request_id": request_id})
            await _tell(response, request, request_id, Broken(repr(error)))
        finally:
            stopping.cancel()
            await sending.close()
        return response


class _Sending:
    """One stream that is being sent."""

    def __init__(
        self,
        response: web.StreamResponse,
        source: Source,
        limits: Limits,
        purse: Purse,
        may_go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._response = response
        self._source = source
        self._limits = limits
        self._purse = purse
        self._may_go_on = may_go_on
        self._next: asyncio.Future[Event | Bookmark | None] | None = None

    async def run(self, endings: set[asyncio.Future[Any]]) -> None:
        clock = asyncio.get_running_loop().time
        silent_since_s = clock()
        look_s = min(self._limits.rights_s, self._limits.heartbeat_s)
        while True:
            pause_s = self._purse.pause_s() if self._next is None else 0.0
            if self._next is None and not pause_s:
                self._next = asyncio.ensure_future(anext(self._source, None))
            done, _ = await asyncio.wait(
                {self._next, *endings} if self._next is not None else endings,
                timeout=min(look_s, pause_s) if pause_s else look_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if endings & done or not await self._may_go_on():
                return
            if self._next in done:
                event, self._next = self._next.result(), None
                if event is None:
                    await self._response.write(_END)
                    return
                data = encoded(event)
                self._purse.has_sent(len(data))
                await self._response.write(data)
                silent_since_s = clock()
            elif clock() - silent_since_s >= self._limits.heartbeat_s:
                await self._response.write(_STILL_HERE)
                silent_since_s = clock()

    async def close(self) -> None:
        """Let go of the source, whatever has happened to it."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next}, timeout=CLOSE_S)
        close = getattr(self._source, "aclose", None)
        if close is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await close()


async def _tell(
    response: web.StreamResponse, request: web.Request, request_id: str, error: RuninkError
) -> None:
    told = tell(error, instance=request.path, request_id=request_id)
    with suppress(ConnectionError):
        await response.write(b"event: problem\ndata: %s\n\n" % told.body)
        await response.write_eof()
