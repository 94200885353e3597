"""A server of notes on a loop and a thread of its own, a cable to it that can be cut, and both clients behind one face: so one suite is of both."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import anyio.to_thread
from anyio.lowlevel import checkpoint
from api_world import LOOPBACK
from notebook import OPERATIONS, Guests, Notebook, parts_of
from runink.api.app import make_app
from runink.api.limits import Limits
from runink.api.serving import Door, Serving, serving
from runink.client import AsyncClient, Client, Patience
from runink.client.credentials import Credentials

SOON_S = 20.0
PATIENCE = Patience(within_s=10.0, silent_s=10.0, away_s=10.0)


class Cable:
    """Carries connections to a server, until it is cut. It counts those that were made."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._carriers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.is_dead = False
        self.port = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Cable]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await checkpoint()  # asyncio loses a connection whose server is closed between its being taken and its becoming a transport
            server.close()
            for carrier in self._carriers:
                carrier.cancel()
            await asyncio.gather(*self._carriers, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        carrier = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._ending(writer):
            if self.is_dead:
                return
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
            except ConnectionRefusedError:
                return
            async with self._ending(back):
                await asyncio.gather(_pumped(reader, back), _pumped(there, writer))

    @asynccontextmanager
    async def _ending(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def run_on(loop: asyncio.AbstractEventLoop, steps: Coroutine[Any, Any, Any]) -> Any:
    """Return what comes of a coroutine on a loop of another thread. It does not know of the loop that a test runs on."""
    ours = contextvars.Context()
    return ours.run(asyncio.run_coroutine_threadsafe, steps, loop).result(SOON_S)


class Served:
    """What a test has of a server that runs in another thread."""

    def __init__(self, notebook: Notebook, guests: Guests, cable: Cable, server: Serving) -> None:
        self.notebook = notebook
        self.guests = guests
        self.cable = cable
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self.address = f"http://127.0.0.1:{cable.port}"

    def on_loop(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Do something where the server is, and return what comes of it."""

        async def acted() -> Any:
            return act(*arguments)

        return run_on(self.loop, acted())

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds where the server is."""

        async def held() -> None:
            while not condition():
                await checkpoint()

        run_on(self.loop, held())


async def _closed(loop: Any) -> None:
    """Cut what is left of connections: asyncio tells nobody of one whose handshake is under way or has failed, and a loop that ends first warns of it."""
    while True:
        await checkpoint()  # one that was taken becomes a transport, one that was aborted is closed
        left = [one for one in loop._transports.values() if one.get_extra_info("socket").fileno() >= 0]  # fmt: skip
        for transport in left:
            transport.abort()
        if not left and len(asyncio.all_tasks()) == 1:
            return


@contextmanager
def served(
    notebook: Notebook | None = None,
    limits: Limits | None = None,
    make_door: Callable[[], Door] = lambda: Door(LOOPBACK),
    **changes: Any,
) -> Iterator[Served]:
    ready = threading.Event()
    made: list[Served] = []

    async def serve() -> None:
        ours, guests = notebook or Notebook(), Guests()
        app = make_app(OPERATIONS, parts_of(ours, guests, limits=limits or Limits(), **changes))
        async with serving(app, [make_door()]) as server:
            where = server.addresses[0]
            async with Cable(where[1] if isinstance(where, tuple) else 0).laid() as cable:
                made.append(Served(ours, guests, cable, server))
                ready.set()
                await made[0].stop.wait()
        await _closed(asyncio.get_running_loop())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(SOON_S)
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(made[0].stop.set)
        thread.join(SOON_S)


@contextmanager
def scripted(*answers: bytes, is_kept: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Serve each connection with the next of the answers, whatever was asked; the last one is said again. Yield the address, and what was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def serve() -> None:
        left = list(answers)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(SOON_S)
                data = b""
                with suppress(OSError):
                    while b"\r\n\r\n" not in data:
                        more = connection.recv(65_536)
                        if not more:
                            break
                        data += more
                    asked.append(data)
                    connection.sendall(left[0])
                    if is_kept:
                        connection.recv(1)
                if len(left) > 1:
                    left.pop(0)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(SOON_S)


class Stream:
    """A list, a stream or a download of either client."""

    def __init__(self, values: Any, *, is_async: bool) -> None:
        self.values = values
        self._is_async = is_async

    async def next(self) -> Any:
        """Return the next value, nothing at the end."""
        with anyio.fail_after(SOON_S):
            if self._is_async:
                return await anext(self.values, None)
            return await anyio.to_thread.run_sync(next, self.values, None)

    async def all(self) -> list[Any]:
        found = []
        while (value := await self.next()) is not None:
            found.append(value)
        return found

    async def read(self, *arguments: int) -> bytes:
        if self._is_async:
            return await self.values.read(*arguments)
        return await anyio.to_thread.run_sync(self.values.read, *arguments)

    async def close(self) -> None:
        if self._is_async:
            await self.values.aclose()
        else:
            self.values.close()


class Face:
    """A client of either kind."""

    def __init__(self, client: AsyncClient | Client) -> None:
        self.client = client
        self.is_async = isinstance(client, AsyncClient)

    async def call(self, operation: Any, **fields: Any) -> Any:
        with anyio.fail_after(SOON_S):
            if self.is_async:
                return await self.client.call(operation, **fields)
            return await anyio.to_thread.run_sync(partial(self.client.call, operation, **fields))

    async def do(self, name: str, *arguments: Any, **fields: Any) -> Any:
        act = getattr(self.client, name)
        with anyio.fail_after(SOON_S):
            if self.is_async:
                return await act(*arguments, **fields)
            return await anyio.to_thread.run_sync(partial(act, *arguments, **fields))

    def stream(self, operation: Any, **fields: Any) -> Stream:
        return Stream(self.client.call(operation, **fields), is_async=self.is_async)

    async def close(self) -> None:
        if isinstance(self.client, AsyncClient):
            await self.client.aclose()
        else:
            self.client.close()


@asynccontextmanager
async def asking(
    kind: type[AsyncClient | Client],
    address: str,
    token: Credentials = "anna-token",
    **changes: Any,
) -> AsyncIterator[Face]:
    """Yield a client of a kind, as Anna."""
    settings = {"patience": PATIENCE, "operations": OPERATIONS} | changes
    face = Face(kind(address, token=token, **settings))
    try:
        yield face
    finally:
        await face.close()
