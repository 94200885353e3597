"""Connections between nodes: who listens for others, and who connects to them.

    serve_unix, connect_unix    one machine, one user: the socket's mode and the peer's user are the credentials
    serve_tcp, connect_tcp      loopback; with a TLS context any host

Each is an async context manager that holds the tasks of its connections.  A server takes LINKS_MAX connections, and beside them those that have not said who they are
(`wire/strangers.py`); what goes wrong on one of them ends that one.
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
from typing import Any, Final, NamedTuple

import anyio
import anyio.abc
from anyio.streams.tls import TLSStream

from runink.errors import LinkLost, RuninkError
from runink.runtime.cell import first_error
from runink.runtime.directory import SCHEME, Directory
from runink.runtime.guests import OPEN, Entrance, Guest, Shown
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
from runink.wire.events import Greeted
from runink.wire.link import Link
from runink.wire.messages import Hello
from runink.wire.session import HANDSHAKE_S, Session
from runink.wire.strangers import Seldom, Strangers, address_of

LINKS_MAX: Final = 512  # of one listener that have said who they are; a cluster has some ten nodes, a node some ten terminals
FAILURES_TOLD_MAX: Final = (
    20  # in TOLD_S: as many nodes may have a wrong certificate, each of which somebody has to see
)

_log = logging.getLogger(__name__)

_Serve = Callable[[socket.socket, Callable[[], object]], Awaitable[None]]
Welcome = Callable[[socket.socket], Awaitable[tuple[Carrier, Shown]]]
TlsContext = Callable[[], ssl.SSLContext]  # the one of now: authorities and certificates change


@dataclass(frozen=True, slots=True)
class Peer:
    """The node at the other end of a connection."""

    node: str
    link: Link

    def ref(self, name: str) -> RemoteRef[Any]:
        """Return what reaches an actor of that node. Nothing is looked up: an ask says if it is not there."""
        return RemoteRef(lambda: self.link, name, address=f"{SCHEME}{self.node}/{name}")


class Dialled(NamedTuple):
    """How a node that is dialled is secured: `name` is whom its certificate must be for, the host where it is empty."""

    context: ssl.SSLContext
    name: str = ""


@asynccontextmanager
async def serve_unix(
    path: Path, directory: Directory, *, entrance: Entrance = OPEN
) -> AsyncIterator[None]:
    """Let processes of this user reach the directory's actors at a socket of mode 0600. Raises Conflict, Refused."""
    listener = sockets.listen_unix(path)
    made = path.lstat()  # noqa: ASYNC240 - one stat of a local file, once
    try:
        async with _serving(listener, _welcome_unix, directory, entrance):
            yield
    finally:
        sockets.unlink_unix(listener, path, made=made)


@asynccontextmanager
async def serve_tcp(
    host: str,
    port: int,
    directory: Directory,
    *,
    entrance: Entrance = OPEN,
    tls: TlsContext | None = None,
) -> AsyncIterator[int]:
    """Let others reach the directory's actors; yields the port. Raises Refused for a host beyond loopback without TLS."""
    sockets.check_may_listen(host, has_tls=tls is not None)
    with sockets.listen_tcp(host, port) as listener:
        async with _serving(listener, partial(_welcome_tcp, tls), directory, entrance):
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
    tls: Dialled | None = None,
) -> AsyncIterator[Peer]:
    """Connect to a node. Refs of the directory reach it by this connection."""
    try:
        with anyio.fail_after(HANDSHAKE_S):
            carrier = await _dialled(host, port, tls)
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        raise LinkLost(f"cannot connect to {host}:{port}: {reason}", hint="try again") from error
    async with _connected(carrier, directory or Directory("client"), herd, credentials) as peer:
        yield peer


async def _dialled(host: str, port: int, tls: Dialled | None) -> Carrier:
    if tls is None:
        if has_direct():
            return await connect_direct(host, port)
        return StreamCarrier(await anyio.connect_tcp(host, port))
    name = tls.name or host
    if has_direct():
        return await connect_direct(host, port, tls.context, name)
    return await _secured(await anyio.connect_tcp(host, port), tls.context, name=name)


@asynccontextmanager
async def _connected(
    carrier: Carrier, directory: Directory, herd: str, credentials: bytes
) -> AsyncIterator[Peer]:
    session = Session.connecting(
        directory.node,
        now=anyio.current_time(),
        herd=herd,
        credentials=credentials,
        sizes=directory.bytes_max,
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
    listener: socket.socket, welcome: Welcome, directory: Directory, entrance: Entrance
) -> AsyncIterator[None]:
    async with _group() as group:
        failed = Seldom(lines=FAILURES_TOLD_MAX)
        serve = partial(_serve, welcome, directory, entrance, failed)
        group.start_soon(_accept, listener, serve)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _accept(listener: socket.socket, serve: _Serve) -> None:
    """Take connections for ever, each into a task of its own."""
    strangers = Strangers(_turned_away)
    refused = Seldom()
    count = 0

    async def serve_one(connection: socket.socket) -> None:
        nonlocal count
        with anyio.CancelScope() as scope:
            host = sockets.peer_host(connection)
            stranger = strangers.came(host, scope.cancel, now=anyio.current_time())
            try:
                await serve(connection, partial(strangers.left, stranger))
            finally:
                strangers.left(stranger)
                count -= 1

    async with anyio.create_task_group() as group:
        while True:  # ends by being cancelled
            connection = await sockets.accepted(listener)
            if count - len(strangers) >= LINKS_MAX:
                if times := refused.count(anyio.current_time()):
                    fields = {"links": LINKS_MAX, "times": times}
                    _log.warning("connection refused", extra=fields)
                connection.close()
                continue
            count += 1
            group.start_soon(serve_one, connection)


def _turned_away(count: int, address: str) -> None:
    fields = {"address": address, "times": count}
    _log.warning("connection turned away: it had not said who it is, and others came", extra=fields)


async def _serve(
    welcome: Welcome,
    directory: Directory,
    entrance: Entrance,
    failed: Seldom,
    connection: socket.socket,
    known: Callable[[], object],
) -> None:
    """Serve one connection to its end; `known` is called when it is open. Whatever goes wrong with it is logged, and ends nothing else."""
    try:
        with anyio.fail_after(HANDSHAKE_S):
            carrier, shown = await welcome(connection)
        admit = partial(_admitted, entrance, shown)
        session = Session.accepting(
            directory.node, now=anyio.current_time(), admit=admit, sizes=directory.bytes_max
        )
        async with anyio.create_task_group() as group:
            reception = Reception(directory, group)
            link = Link(carrier, session, reception)
            group.start_soon(_attach, directory, entrance, link, known)
            try:
                await link.run()
            finally:
                if link.peer is not None:
                    directory.detach(link.peer.node, link)
                    entrance.left(link)
                reception.close()
                group.cancel_scope.cancel()
        _log.debug("connection over", extra={"error": str(link.error)})
    except Exception as error:  # noqa: BLE001 - one connection must not end the others
        first = first_error(error)
        expected = isinstance(first, (RuninkError, *BROKEN))
        if times := failed.count(anyio.current_time()):
            fields = {"error": repr(first), "times": times}
            _log.warning("connection failed", extra=fields, exc_info=None if expected else first)


def _admitted(entrance: Entrance, shown: Shown, hello: Hello) -> Guest | Greeted | None:
    return entrance.admit(hello, shown)


async def _attach(
    directory: Directory, entrance: Entrance, link: Link, known: Callable[[], object]
) -> None:
    """Reach the node at the other end by this connection, when it has said who it is."""
    with suppress(RuninkError):  # `run` says what ended it
        opened = await link.wait_open()
        known()
        entrance.entered(link)
        if opened.guest is None or opened.guest.is_node:
            directory.attach(opened.node, link)


async def _unix(connection: socket.socket) -> Carrier:
    return StreamCarrier(await anyio.abc.UNIXSocketStream.from_socket(connection))


async def _welcome_unix(connection: socket.socket) -> tuple[Carrier, Shown]:
    try:
        sockets.check_peer(connection)
    except BaseException:
        connection.close()
        raise
    carrier = await (accept_direct(connection) if has_direct() else _unix(connection))
    return carrier, Shown(is_ours=True)


async def _welcome_tcp(tls: TlsContext | None, connection: socket.socket) -> tuple[Carrier, Shown]:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    host = sockets.peer_host(connection)
    context = tls() if tls is not None else None
    carrier: Carrier = (
        await accept_direct(connection, context)
        if has_direct()
        else await _secured(await anyio.abc.SocketStream.from_socket(connection), context)
    )
    return carrier, Shown(certificate=carrier.certificate, address=address_of(host))


async def _secured(
    stream: anyio.abc.ByteStream, tls: ssl.SSLContext | None, *, name: str | None = None
) -> Carrier:
    """Carry over a stream, under TLS if there is a context: as who connects, if there is a name. Closes it if the handshake fails."""
    if tls is None:
        return StreamCarrier(stream)
    try:
        secured = await TLSStream.wrap(
            stream,
            server_side=name is None,
            hostname=name,
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
