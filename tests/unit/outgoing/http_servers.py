"""Servers that answer with whatever a test wants, on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
from runink.reach import Reach

HERE = Reach(loopback=True)
OK = b"HTTP/1.1 200 OK\r\n"
LATE_S = 0.1


class Server:
    """Answers every connection with the same bytes, and keeps what it was sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []
        self.url = f"http://127.0.0.1:{port}/x?y=1"


Serve = Callable[[anyio.abc.ByteStream], Awaitable[None]]


@asynccontextmanager
async def serving(
    answer: bytes | Serve, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server = Server(listener.extra(anyio.abc.SocketAttribute.local_port))

    async def attend(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            try:
                if tls:
                    stream = await anyio.streams.tls.TLSStream.wrap(stream, ssl_context=tls)

                await talk(stream)
                await stream.aclose()
            except (
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
                anyio.EndOfStream,
                ssl.SSLError,
            ):
                pass  # the client had enough

    async def talk(stream: anyio.abc.ByteStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
        server.heads.append(head)
        if isinstance(answer, bytes):
            await stream.send(answer)
        else:
            await answer(stream)

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, attend)
        yield server
        group.cancel_scope.cancel()
