"""Where a browser comes back to after a login: a port of this machine that is open for that one request.

Whatever else is asked there, by a page that guesses ports or another user's program, is answered with 404 and changes nothing: what counts bears the state of the
login that was begun.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import h11
from anyio.abc import Listener, SocketAttribute, SocketStream

from runink.errors import RuninkError, TimedOut
from runink.identity.flows import CodeFlow, read_redirect

PATH: Final = "/back"
HEAD_BYTES_MAX: Final = 16 << 10
HEAD_S: Final = 5.0
LOGIN_S: Final = 300.0  # for somebody who looks for a second factor
_FOREIGN: Final = "login_foreign"
_DONE: Final = "You may close this page, and go back to the terminal."
_NOTHING: Final = "There is nothing here."


class Redirects:
    """An open port. `uri` is what a provider sends the browser to."""

    def __init__(self, listener: Listener[SocketStream]) -> None:
        self._listener = listener
        self.uri = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}{PATH}"  # noqa: S610 - anyio's, and no database's

    async def code(self, flow: CodeFlow, *, within_s: float = LOGIN_S) -> str:
        """Return the code that the browser brings back. Raises TimedOut, and what the provider's refusal is."""
        try:
            with anyio.fail_after(within_s):
                return await self._brought(flow)
        except TimeoutError:
            raise TimedOut(
                f"nobody has come back from {flow.issuer} within {within_s:g} s",
                code="login_timed_out",
                hint="log in again; without a browser on this machine leave out --browser",
            ) from None

    async def _brought(self, flow: CodeFlow) -> str:
        found, refused = "", None

        async def serve(stream: SocketStream) -> None:
            nonlocal found, refused
            async with stream:
                try:
                    found = found or await _asked(stream, flow)
                except RuninkError as error:
                    refused = error
            if found or refused:
                served.cancel()

        with anyio.CancelScope() as served:
            await self._listener.serve(serve)
        if refused:
            raise refused
        return found


@asynccontextmanager
async def redirects() -> AsyncIterator[Redirects]:
    """Have a port open for the block."""
    listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listeners:
        yield Redirects(listeners.listeners[0])


async def _asked(stream: SocketStream, flow: CodeFlow) -> str:
    """Answer one request; return the code that it brings, nothing if it is another one."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
    try:
        with anyio.fail_after(HEAD_S):
            request = await _head(stream, http)
    except (TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError, h11.RemoteProtocolError):
        return ""
    path, _, query = request.target.decode("ascii", "replace").partition("?")
    try:
        is_ours = path == PATH and request.method == b"GET"
        code = read_redirect(flow, query) if is_ours else ""
    except RuninkError as error:
        if error.code != _FOREIGN:
            await _say(stream, http, 200, _DONE)
            raise
        code = ""
    await _say(stream, http, 200 if code else 404, _DONE if code else _NOTHING)
    return code


async def _head(stream: SocketStream, http: h11.Connection) -> h11.Request:
    while True:  # ends with the head, the connection or the time
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            raise anyio.EndOfStream
        http.receive_data(await stream.receive())


async def _say(stream: SocketStream, http: h11.Connection, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Referrer-Policy", "no-referrer"),  # the code stands in the address
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    head = http.send(h11.Response(status_code=status, headers=headers)) or b""
    data = http.send(h11.Data(data=body)) or b""
    try:
        with anyio.fail_after(HEAD_S):
            await stream.send(head + data + (http.send(h11.EndOfMessage()) or b""))
    except (TimeoutError, anyio.BrokenResourceError):
        return  # a browser that has left does not read it
