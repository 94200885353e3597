"""Listening: the doors of the API, and how it stops.

    door                    who may come                       how it is told apart
    TLS at HOST:PORT        everybody                          tokens
    plain at HOST:PORT      this machine: loopback only        tokens
    a Unix socket           its user: the file has mode 0600   tokens, or the operator without one

TLS is 1.3 alone: everything that speaks HTTP today speaks it, and there is nothing left to choose wrongly.  A certificate that is renewed on the disk is
taken in by `reload`, for the handshakes that follow.

A stop closes the doors, ends streams, lets requests end for `drain_s`, and cuts the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from runink.api.addresses import is_loopback
from runink.api.app import App
from runink.api.guard import Doorway, GuardedRunner
from runink.config import Address
from runink.errors import Refused
from runink.wire.sockets import unix_address

BACKLOG: Final = 512  # connections that wait to be taken while the loop is busy for a moment
CLOSE_NOTIFY_S: Final = 2.0  # for the other side's farewell in TLS


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate, with those that it was signed by behind it, and of its key. Both PEM."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen: an address, or a Unix socket. A port 0 is any that is free."""

    at: Address | Path
    certificate: Certificate | None = None

    def check(self) -> None:
        """Raise Refused (`insecure_listener`) for an address that others reach and that has no TLS."""
        if (
            isinstance(self.at, Address)
            and self.certificate is None
            and not is_loopback(self.at.host)
        ):
            raise Refused(
                f"the API does not listen at {self.at} without TLS",
                code="insecure_listener",
                hint="give it a certificate and its key, or let it listen on 127.0.0.1",
            )


class Serving:
    """A server that runs."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._doorway = Doorway(app.limits)
        self._runner = GuardedRunner(app.web, self._doorway)
        self._contexts: list[tuple[ssl.SSLContext, Certificate]] = []
        self._files: dict[Path, int] = {}  # sockets, by their inodes

    @property
    def addresses(self) -> list[Any]:
        """Return where it listens: host and port, or the path of a socket."""
        return self._runner.addresses

    def statistics(self) -> dict[str, int]:
        """Return how many connections and streams there are."""
        return self._doorway.statistics() | self._app.streams.statistics()

    def reload(self) -> None:
        """Take in certificates as they are on the disk now. Raises Refused (`certificate_unusable`), and goes on with the old ones."""
        for _, certificate in self._contexts:
            _context(certificate)  # all can be read, before the first is taken
        for context, certificate in self._contexts:
            context.load_cert_chain(certificate.chain, certificate.key)

    async def open(self, doors: Sequence[Door]) -> None:
        for door in doors:
            door.check()
        await self._runner.setup()
        for door in doors:
            context = None
            if door.certificate is not None:
                context = _context(door.certificate)
                self._contexts.append((context, door.certificate))
            listener = _bound(door.at)
            if isinstance(door.at, Path):
                self._files[door.at] = door.at.stat().st_ino
            site = _Site(self._runner, listener, context, self._app.limits.handshake_s)
            await site.start()

    async def close(self) -> None:
        self._app.stop()
        await self._runner.cleanup()
        for path, inode in self._files.items():
            # Another server may have put its own there meanwhile.
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:
                    path.unlink()


@asynccontextmanager
async def serving(app: App, doors: Sequence[Door]) -> AsyncIterator[Serving]:
    """Serve at the doors while the block runs. Raises Refused for a door that cannot be opened."""
    server = Serving(app)
    try:
        await server.open(doors)
        yield server
    finally:
        await server.close()


class _Site(web.BaseSite):
    """A socket that listens, with a deadline for handshakes: aiohttp's own sites have none to give."""

    __slots__ = ("_handshake_s", "_socket")

    def __init__(
        self,
        runner: web.BaseRunner,
        listener: socket.socket,
        context: ssl.SSLContext | None,
        handshake_s: float,
    ) -> None:
        super().__init__(runner, ssl_context=context, backlog=BACKLOG)
        self._socket = listener
        self._handshake_s = handshake_s

    @property
    def name(self) -> str:
        return str(self._socket.getsockname())

    async def start(self) -> None:
        await super().start()
        assert self._runner.server is not None
        deadlines: dict[str, Any] = {}
        if self._ssl_context is not None:
            deadlines = {
                "ssl_handshake_timeout": self._handshake_s,
                "ssl_shutdown_timeout": CLOSE_NOTIFY_S,
            }
        loop = asyncio.get_running_loop()
        is_local = self._socket.family == socket.AF_UNIX
        create = loop.create_unix_server if is_local else loop.create_server
        self._server = await create(
            self._runner.server,
            sock=self._socket,
            ssl=self._ssl_context,
            backlog=BACKLOG,
            **deadlines,
        )


def _bound(at: Address | Path) -> socket.socket:
    """Return a socket that is bound. Raises Refused (`address_taken`)."""
    if isinstance(at, Path):
        return _bound_file(at)
    family, *_, where = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
    except OSError as error:
        listener.close()
        raise Refused(f"the API cannot listen at {at}: {error.strerror}", code="address_taken") from None  # fmt: skip
    return listener


def _bound_file(path: Path) -> socket.socket:
    """Return a socket bound to a file that only this user may open, from its first moment on: it is bound elsewhere in its folder and moved."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        with unix_address(aside) as address:
            listener.bind(address)
        aside.chmod(0o600)
        aside.replace(path)
    except OSError as error:
        listener.close()
        aside.unlink(missing_ok=True)
        raise Refused(f"the API cannot listen at {path}: {error.strerror}", code="address_taken") from None  # fmt: skip
    return listener


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate.chain, certificate.key)
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"the certificate {certificate.chain} cannot be used: {error.strerror or error}",
            code="certificate_unusable",
            hint="PEM files: the certificate with its chain, and the key that belongs to it, without a passphrase",
        ) from None
    return context
