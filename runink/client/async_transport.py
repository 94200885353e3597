"""Effects carried out with anyio, under asyncio and trio alike."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from runink.client.blocking_transport import NOTHING_MORE, is_readable
from runink.client.effects import (
    Close,
    Connect,
    Effect,
    Give,
    Keep,
    Link,
    Pause,
    Receive,
    Send,
    Steps,
    Token,
)
from runink.client.endpoints import Endpoint
from runink.client.transports import (
    RECEIVE_BYTES,
    Kept,
    cut,
    not_connected,
    not_trusted,
    too_late,
    trust_of,
)
from runink.errors import RuninkError

Credential = Callable[[str], Awaitable[str]]


class AsyncTransport:
    """Connections to one endpoint."""

    def __init__(self, endpoint: Endpoint, credential: Credential) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._kept = Kept()
        self._context: ssl.SSLContext | None = None

    clock = staticmethod(anyio.current_time)

    async def aclose(self) -> None:
        for link in self._kept.clear():
            await anyio.aclose_forcefully(link.carrier)

    async def run(self, steps: Steps[Any]) -> Any:
        """Return what a call returns. Raises what it raises."""
        running = AsyncRun(self, steps)
        value = await running.next()
        assert value is NOTHING_MORE
        return running.result

    async def do(self, effect: Effect, held: list[Link]) -> Any:
        match effect:
            case Connect(within_s=within_s, is_fresh=is_fresh):
                link = await self._connected(within_s, is_fresh=is_fresh)
                held.append(link)
                return link
            case Send(link=link, data=data, within_s=within_s):
                await self._in_time(within_s, partial(link.carrier.send, data))
            case Receive(link=link, within_s=within_s):
                return await self._in_time(within_s, partial(_received, link.carrier))
            case Keep(link=link):
                held.remove(link)
                surplus = self._kept.put(link, self.clock())
                if surplus is not None:
                    await anyio.aclose_forcefully(surplus.carrier)
            case Close(link=link):
                if link in held:
                    held.remove(link)
                await anyio.aclose_forcefully(link.carrier)
            case Pause(seconds=seconds):
                await anyio.sleep(seconds)
            case Token(refused=refused):
                return await self._credential(refused)
        return None

    async def _connected(self, within_s: float, *, is_fresh: bool) -> Link:
        kept, old = self._kept.take(self.clock()) if not is_fresh else (None, [])
        for link in old:
            await anyio.aclose_forcefully(link.carrier)
        if kept is not None:
            if not is_readable(_socket_of(kept)):
                return kept
            await anyio.aclose_forcefully(kept.carrier)
        return Link(await self._in_time(within_s, self._dialled))

    async def _dialled(self) -> ByteStream:
        endpoint = self._endpoint
        stream: ByteStream
        if endpoint.is_tls and self._context is None:
            self._context = await anyio.to_thread.run_sync(trust_of, endpoint)
        try:
            if endpoint.path is not None:
                stream = await anyio.connect_unix(str(endpoint.path))
            else:
                stream = await anyio.connect_tcp(endpoint.host, endpoint.port)
        except OSError as error:
            raise not_connected(endpoint, error) from error
        if self._context is None:
            return stream
        try:
            return await TLSStream.wrap(stream, hostname=endpoint.host, ssl_context=self._context)
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            await anyio.aclose_forcefully(stream)
            raise not_trusted(endpoint, error) from error
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise

    async def _in_time(self, within_s: float, act: Callable[[], Awaitable[Any]]) -> Any:
        try:
            with anyio.fail_after(within_s):
                return await act()
        except TimeoutError:
            raise too_late(self._endpoint, within_s) from None
        except (
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            ssl.SSLError,
            OSError,
        ) as error:
            raise cut(self._endpoint, error.__cause__ or error) from error


class AsyncRun:
    """A call under way: it goes on as far as the next value that it gives."""

    def __init__(self, transport: AsyncTransport, steps: Steps[Any]) -> None:
        self._transport = transport
        self._steps = steps
        self._held: list[Link] = []
        self.result: Any = None

    async def next(self) -> Any:
        """Return the next value that is given, NOTHING_MORE at the end. Raises what the call raises, and has then let go of everything."""
        answer: Any = None
        error: RuninkError | None = None
        try:
            while True:  # ends with a value, or with the call
                effect = self._steps.send(answer) if error is None else self._steps.throw(error)
                if isinstance(effect, Give):
                    return effect.value
                answer, error = None, None
                try:
                    answer = await self._transport.do(effect, self._held)
                except RuninkError as raised:
                    error = raised
        except StopIteration as ended:
            self.result = ended.value
            return NOTHING_MORE
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Leave the call where it is."""
        self._steps.close()
        while self._held:
            await anyio.aclose_forcefully(self._held.pop().carrier)


def _socket_of(link: Link) -> socket.socket:
    raw: socket.socket = link.carrier.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, and no database's
    return raw


async def _received(stream: ByteStream) -> bytes:
    try:
        return await stream.receive(RECEIVE_BYTES)
    except anyio.EndOfStream:
        return b""
