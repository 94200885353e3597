"""A small HTTP/1.1 server for pages that programs fetch now and then: metrics, and whether all is well.

    the request                                        is answered
    GET or HEAD of a page                              200, or the status that the page has
    GET or HEAD of anything else                       404
    any other method                                   405
    with a Host that is a name, save for localhost     421: a browser was led here by somebody's DNS
    that is no HTTP, or longer than REQUEST_BYTES_MAX  400, 431
    that is not whole after REQUEST_S                  nothing: the connection is closed

A connection bears one request.  It is closed when the client has taken the answer and leaves, WRITE_S after the answer's beginning at the latest.  Where
CONNECTIONS_MAX are open, a new one takes the place of the one that has waited the longest for its client to ask, or to leave with the answer, so that
neither idle nor slow clients keep Prometheus out.

It has no TLS and knows nobody, so it listens on loopback or at a Unix socket of this user only.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import h11

from runink.config import Address
from runink.errors import Refused, RuninkError
from runink.observe.metrics import Reading
from runink.wire import sockets

CONNECTIONS_MAX: Final = 32  # Prometheus holds one, a second one another; the others are people
REQUEST_BYTES_MAX: Final = 8 << 10  # a scrape asks with 300
REQUEST_S: Final = 5.0  # from the connection to the end of the request's head
WRITE_S: Final = 10.0  # what Prometheus waits for by default
LEAVE_S: Final = 0.1  # before that: who has its answer and stays is not cut, but left
RECEIVE_BYTES: Final = 4096
_TEXT: Final = "text/plain; charset=utf-8"
_METHODS: Final = (b"GET", b"HEAD")

_log = logging.getLogger(__name__)


class Page(NamedTuple):
    """What is answered."""

    body: bytes
    status: int = 200
    content_type: str = _TEXT


MakePage = Callable[[], Awaitable[Page]]


class Responder:
    """Answers with pages, by their paths; a page is made anew for each request."""

    def __init__(self, pages: Mapping[str, MakePage]) -> None:
        self._pages = pages
        self._waiting: dict[anyio.CancelScope, None] = {}  # for their clients, the first first
        self._open = 0
        self._answered: Counter[int] = Counter()  # by status
        self._cut = 0

    def readings(self) -> Iterator[Reading]:
        for status, count in sorted(self._answered.items()):
            yield Reading("runink_http_requests_total", count, {"status": str(status)})
        yield Reading("runink_http_connections_cut_total", self._cut)

    async def serve(self, listener: socket.socket) -> None:
        """Take connections for ever, each into a task of its own."""
        async with anyio.create_task_group() as group:
            while True:  # ends by being cancelled
                connection = await sockets.accepted(listener)
                if self._open >= CONNECTIONS_MAX and not self._make_room():
                    connection.close()
                    self._cut += 1
                    continue
                self._open += 1
                group.start_soon(self._attend, connection)

    def _make_room(self) -> bool:
        """End the connection that has waited for its client the longest; say whether there was one."""
        scope = next(iter(self._waiting), None)
        if scope is None:
            return False
        del self._waiting[scope]
        scope.cancel()
        return True

    async def _attend(self, connection: socket.socket) -> None:
        """Serve one connection to its end. Whatever goes wrong with it ends nothing else."""
        scope = anyio.CancelScope(deadline=anyio.current_time() + REQUEST_S)
        self._waiting[scope] = None
        try:
            with scope:
                connection.setblocking(False)
                await self._serve_one(connection, scope)
        except OSError as error:
            _log.debug("client went away", extra={"error": repr(error)})
        except Exception:  # noqa: BLE001 - one connection must not end the others
            _log.warning("request failed", exc_info=True)
        finally:
            self._waiting.pop(scope, None)
            self._open -= 1
            self._cut += scope.cancelled_caught
            connection.close()

    async def _serve_one(self, connection: socket.socket, scope: anyio.CancelScope) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
        is_head = False
        try:
            request = await _request(http, connection)
            if request is None:
                return
            is_head = request.method == b"HEAD"
            page = await self._page(request)
        except h11.RemoteProtocolError as error:
            page = _said(error.error_status_hint, str(error))
        self._waiting.pop(scope, None)
        scope.deadline = anyio.current_time() + WRITE_S
        await _send(connection, _encoded(http, page, is_head=is_head))
        self._answered[page.status] += 1
        connection.shutdown(socket.SHUT_WR)
        await self._part(connection, until_s=scope.deadline - LEAVE_S)

    async def _part(self, connection: socket.socket, *, until_s: float) -> None:
        """Wait until the client has all and leaves. It is left, and not cut, where that takes too long or its place is needed."""
        scope = anyio.CancelScope(deadline=until_s)
        self._waiting[scope] = None
        try:
            with scope:
                while await _receive(connection):  # ends with the client, or with the scope
                    pass
        finally:
            self._waiting.pop(scope, None)

    async def _page(self, request: h11.Request) -> Page:
        headers = dict(request.headers)
        path = request.target.partition(b"?")[0].decode("latin-1")
        make = self._pages.get(path)
        if not _is_ours(headers.get(b"host", b"localhost").decode("latin-1")):
            return _said(421, "ask for this machine by its address, or as localhost")
        if request.method not in _METHODS:
            return _said(405, "only GET and HEAD are answered")
        if make is None:
            return _said(404, f"there are {' and '.join(self._pages)}")
        try:
            return await make()
        except RuninkError as error:
            return _said(503, error.text)


def _said(status: int, text: str) -> Page:
    return Page(text.encode() + b"\n", status)


async def _request(http: h11.Connection, connection: socket.socket) -> h11.Request | None:
    """Read the head of a request; nothing where the client leaves without one. Raises RemoteProtocolError."""
    while True:  # ends with a request, or with the connection, which has a deadline
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        http.receive_data(await _receive(connection))


async def _receive(connection: socket.socket) -> bytes:
    """Return some bytes, none at the end."""
    while True:  # ends with what has come; readiness may be a false alarm
        await anyio.wait_readable(connection)
        try:
            return connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            continue


async def _send(connection: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:  # ends when all is sent, or with the connection's deadline
        await anyio.wait_writable(connection)
        try:
            left = left[connection.send(left) :]
        except BlockingIOError:
            continue


def _encoded(http: h11.Connection, page: Page, *, is_head: bool) -> bytes:
    headers = [
        ("Content-Type", page.content_type),
        ("Content-Length", str(len(page.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ]
    if page.status == 405:
        headers.append(("Allow", ", ".join(method.decode() for method in _METHODS)))
    parts = [http.send(h11.Response(status_code=page.status, headers=headers))]
    if not is_head:
        parts.append(http.send(h11.Data(data=page.body)))
    parts.append(http.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part is not None)


def _is_ours(host: str) -> bool:
    """Say whether a Host is an address, or localhost: any other name is one that others say what it means."""
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@asynccontextmanager
async def serving_http(place: Address | Path, responder: Responder) -> AsyncIterator[int]:
    """Answer at an address of loopback, or at a Unix socket, for as long as the block; yields the port (0 for a socket).

    Raises Refused (`not_loopback`, `cannot_listen`) and Conflict.
    """
    if isinstance(place, Path):
        listener = sockets.listen_unix(place)
        made = place.lstat()  # noqa: ASYNC240 - one stat of a local file, once
        try:
            async with _tasks(listener, responder):
                yield 0
        finally:
            sockets.unlink_unix(listener, place, made=made)
        return
    check_loopback(place)
    with sockets.listen_tcp(place.host, place.port) as listener:
        async with _tasks(listener, responder):
            yield listener.getsockname()[1]


def check_loopback(place: Address) -> None:
    """Raise Refused for an address that other machines reach."""
    if not sockets.is_loopback(place.host):
        raise Refused(
            f"refused to serve metrics at {place}: there is no TLS and no login for them yet, and they tell what runs here",
            code="not_loopback",
            hint="listen on 127.0.0.1 or [::1], and let Prometheus or a proxy with TLS run on this machine",
        )


@asynccontextmanager
async def _tasks(listener: socket.socket, responder: Responder) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(responder.serve, listener)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
