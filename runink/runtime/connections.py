"""Connections between nodes: who listens for others, and who connects to them.

    serve_unix, connect_unix    one machine, one user: the socket's mode and the peer's user are the credentials
    serve_tcp, connect_tcp      loopback; with a TLS context any host

Each is an async context manager that holds the tasks of its connections.  A server takes LINKS_MAX connections; what goes wrong on one of them ends that one.
`connect_*` yield a Peer when the handshake is done, or raise what was in the way: LinkLost, NotFound, Forbidden, Refused (`version_mismatch`).
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc
from anyio.streams.tls import TLSStream

from runink.errors import LinkLost, RuninkError
from runink.runtime.cell import first_error
from runink.runtime.directory import SCHEME, Directory
from runink.runtime.reception import Reception
from runink.runtime.remote import RemoteRef
from runink.wire import sockets
from runink.wire.carriers import (
    BROKEN,
    Carrier,
    StreamCarrier,
    accept_direct,
    connect_direct,
    connect_direct_unix,
    has_direct,
)
from runink.wire.link import Link
from runink.wire.session import HANDSHAKE_S, Admit, Session, admit_all

LINKS_MAX: Final = 512  # of one listener; a cluster has some ten nodes, a node some ten terminals

_log = logging.getLogger(__name__)

Welcome = Callable[[socket.socket], Awaitable[Carrier]]


@dataclass(frozen=True, slots=True)
class Peer:
    """The node at the other end of a connection."""

    node: str
    link: Link

    def ref(self, name: str) -> RemoteRef[Any]:
        """Return what reaches an actor of that node. Nothing is looked up: an ask says if it is not there."""
        return RemoteRef(lambda: self.link, name, address=f"{SCHEME}{self.node}/{name}")


@asynccontextmanager
async def serve_unix(
    path: Path, directory: Directory, *, admit: Admit = admit_all
) -> AsyncIterator[None]:
    """Let processes of this user reach the directory's actors at a socket of mode 0600. Raises Conflict, Refused."""
    listener = sockets.listen_unix(path)
    made = path.lstat()  # noqa: ASYNC240 - one stat of a local file, once
    try:
        async with _serving(listener, _welcome_unix, directory, admit):
            yield
    finally:
        sockets.unlink_unix(listener, path, made=made)


@asynccontextmanager
async def serve_tcp(
    host: str,
    port: int,
    directory: Directory,
    *,
    admit: Admit = admit_all,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Let others reach the directory's actors; yields the port. Raises Refused for a host beyond loopback without TLS."""
    sockets.check_may_listen(host, has_tls=tls is not None)
    with sockets.listen_tcp(host, port) as listener:
        async with _serving(listener, partial(_welcome_tcp, tls), directory, admit):
            yield listener.getsockname()[1]


@asynccontextmanager
async def connect_unix(
    path: Path, *, directory: Directory | None = None, herd: str = ""
) -> AsyncIterator[Peer]:
    """Connect to who listens at the path. Refs of the directory reach that node by this connection."""
    connection = sockets.connect_unix(path)
    carrier = await (connect_direct_unix(connection) if has_direct() else _unix(connection))
    async with _connected(carrier, directory or Directory("client"), herd, b"") as peer:
        yield peer


@asynccontextmanager
async def connect_tcp(
    host: str,
    port: int,
    *,
    directory: Directory | None = None,
    herd: str = "",
    credentials: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    """Connect to a node. Refs of the directory reach it by this connection."""
    try:
        with anyio.fail_after(HANDSHAKE_S):
            if has_direct():
                carrier: Carrier = await connect_direct(host, port, tls)
            else:
                carrier = await _secured(await anyio.connect_tcp(host, port), tls, hostname=host)
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        raise LinkLost(f"cannot connect to {host}:{port}: {reason}", hint="try again") from error
    async with _connected(carrier, directory or Directory("client"), herd, credentials) as peer:
        yield peer


@asynccontextmanager
async def _connected(
    carrier: Carrier, directory: Directory, herd: str, credentials: bytes
) -> AsyncIterator[Peer]:
    session = Session.connecting(
        directory.node, now=anyio.current_time(), herd=herd, credentials=credentials
    )
    async with _group() as group:
        reception = Reception(directory, group)
        link = Link(carrier, session, reception)
        group.start_soon(link.run)
        try:
            opened = await link.wait_open()
            directory.attach(opened.node, link)
            try:
                yield Peer(opened.node, link)
            finally:
                directory.detach(opened.node, link)
        finally:
            reception.close()
            group.cancel_scope.cancel()


@asynccontextmanager
async def _serving(
    listener: socket.socket, welcome: Welcome, directory: Directory, admit: Admit
) -> AsyncIterator[None]:
    async with _group() as group:
        group.start_soon(_accept, listener, partial(_serve, welcome, directory, admit))
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _accept(
    listener: socket.socket, serve: Callable[[socket.socket], Awaitable[None]]
) -> None:
    """Take connections for ever, each into a task of its own."""
    places = anyio.Semaphore(LINKS_MAX)

    async def serve_one(connection: socket.socket) -> None:
        try:
            await serve(connection)
        finally:
            places.release()

    async with anyio.create_task_group() as group:
        while True:  # ends by being cancelled
            connection = await sockets.accepted(listener)
            try:
                places.acquire_nowait()
            except anyio.WouldBlock:
                _log.warning("connection refused", extra={"links": LINKS_MAX})
                connection.close()
                continue
            group.start_soon(serve_one, connection)


async def _serve(
    welcome: Welcome, directory: Directory, admit: Admit, connection: socket.socket
) -> None:
    """Serve one connection to its end. Whatever goes wrong with it is logged, and ends nothing else."""
    try:
        with anyio.fail_after(HANDSHAKE_S):
            carrier = await welcome(connection)
        session = Session.accepting(directory.node, now=anyio.current_time(), admit=admit)
        async with anyio.create_task_group() as group:
            reception = Reception(directory, group)
            link = Link(carrier, session, reception)
            group.start_soon(_attach, directory, link)
            try:
                await link.run()
            finally:
                if link.peer is not None:
                    directory.detach(link.peer.node, link)
                reception.close()
                group.cancel_scope.cancel()
        _log.debug("connection over", extra={"error": str(link.error)})
    except Exception as error:  # noqa: BLE001 - one connection must not end the others
        first = first_error(error)
        expected = isinstance(first, (RuninkError, *BROKEN))
        _log.warning(
            "connection failed", extra={"error": repr(first)}, exc_info=None if expected else first
        )


async def _attach(directory: Directory, link: Link) -> None:
    """Reach the node at the other end by this connection, when it has said who it is."""
    with suppress(RuninkError):  # `run` says what ended it
        opened = await link.wait_open()
        directory.attach(opened.node, link)


async def _unix(connection: socket.socket) -> Carrier:
    return StreamCarrier(await anyio.abc.UNIXSocketStream.from_socket(connection))


async def _welcome_unix(connection: socket.socket) -> Carrier:
    try:
        sockets.check_peer(connection)
    except BaseException:
        connection.close()
        raise
    return await (accept_direct(connection) if has_direct() else _unix(connection))


async def _welcome_tcp(tls: ssl.SSLContext | None, connection: socket.socket) -> Carrier:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if has_direct():
        return await accept_direct(connection, tls)
    return await _secured(await anyio.abc.SocketStream.from_socket(connection), tls)


async def _secured(
    stream: anyio.abc.ByteStream, tls: ssl.SSLContext | None, *, hostname: str | None = None
) -> Carrier:
    """Carry over a stream, under TLS if there is a context. Closes it if the handshake fails."""
    if tls is None:
        return StreamCarrier(stream)
    try:
        secured = await TLSStream.wrap(
            stream,
            server_side=hostname is None,
            hostname=hostname,
            ssl_context=tls,
            standard_compatible=False,
        )
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return StreamCarrier(secured)


@asynccontextmanager
async def _group() -> AsyncIterator[anyio.abc.TaskGroup]:
    """Open a task group that raises the first real error of what it held, and no group."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        first = first_error(errors)
        if first is errors:
            raise
        raise first from first.__cause__
