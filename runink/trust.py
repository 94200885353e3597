"""How the machines of a cluster know each other: certificates of one authority (mutual TLS), or on loopback a secret that all have."""

from __future__ import annotations

import hmac
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import BARN, GOVERNANCE, RUNS
from runink.clients.members import Beside, Members, reaching
from runink.clients.node_files import FILES
from runink.config import Address, Servers, TlsFiles
from runink.errors import Forbidden, Refused
from runink.runtime.connections import Peer, connect_tcp
from runink.runtime.directory import Directory
from runink.runtime.ref import Ref
from runink.wire.messages import Hello
from runink.wire.tls import accepting_context, connecting_context

SECRET_BYTES_MIN: Final = 16  # shorter ones can be tried out
SECRET_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Trust:
    """What a machine shows others, and asks of them."""

    accepting: ssl.SSLContext | None
    connecting: ssl.SSLContext | None
    secret: bytes

    def admit(self, hello: Hello) -> None:
        """Let who shows the secret in, where there is one. Raises Forbidden (`wrong_secret`)."""
        if self.secret and not hmac.compare_digest(hello.credentials, self.secret):
            raise Forbidden(
                f"{hello.node} does not show the secret of this Barn's members",
                code="wrong_secret",
                hint="all members are given the same --secret file",
            )

    @asynccontextmanager
    async def connected(self, address: Address, directory: Directory) -> AsyncIterator[Peer]:
        """Connect to who listens there, as the node whose directory it is. Raises LinkLost, Forbidden."""
        async with connect_tcp(
            address.host,
            address.port,
            directory=directory,
            credentials=self.secret,
            tls=self.connecting,
        ) as peer:
            yield peer


def trust_of(tls: TlsFiles | None, secret: Path | None) -> Trust:
    """Read certificates and secret. Raises Refused (`bad_certificate`, `bad_secret`)."""
    shown = b"" if secret is None else read_secret(secret)
    if tls is None:
        return Trust(None, None, shown)
    paths = (tls.certificate, tls.key, tls.authority)
    return Trust(accepting_context(*paths), connecting_context(*paths), shown)


@dataclass(frozen=True, slots=True)
class Joined:
    """The members of a cluster elsewhere, as a worker node and commands reach them."""

    barn: Members
    runs: Beside
    governance: Beside
    files: Beside
    is_elsewhere: bool = True


@asynccontextmanager
async def joined(servers: Servers, directory: Directory) -> AsyncIterator[Joined]:
    """Keep connections to the members for as long as the block. Raises Invalid, Refused."""
    servers.validate()
    trust = trust_of(servers.tls, servers.secret)
    connects = {
        number: partial(_barn_at, trust, address, directory)
        for number, address in enumerate(servers.addresses, 1)
    }
    async with reaching(connects) as members:
        yield Joined(
            members, members.beside(RUNS), members.beside(GOVERNANCE), members.beside(FILES)
        )


@asynccontextmanager
async def _barn_at(
    trust: Trust, address: Address, directory: Directory
) -> AsyncIterator[Ref[BarnRequest]]:
    async with trust.connected(address, directory) as peer:
        yield peer.ref(BARN)


def read_secret(path: Path) -> bytes:
    """Return what members show each other. Raises Refused (`bad_secret`) for a file that others may read, or that holds too little."""
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes().strip()
    except OSError as error:
        # A long name without a folder may be the secret itself: it is not to be seen on a screen.
        is_secret = len(path.name) >= SECRET_BYTES_MIN and path.parent == Path()
        name = "the file with the secret" if is_secret else str(path)
        raise Refused(
            f"{name} cannot be read: {error.strerror}",
            code="bad_secret",
            hint="--secret and RUNINK_SECRET say where the file with the secret lies",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise Refused(f"{path} can be read by others", code="bad_secret", hint=f"chmod 600 {path}")
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise Refused(
            f"{path} holds {len(secret)} bytes; a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}",
            code="bad_secret",
            hint="openssl rand -hex 32 makes one",
        )
    return secret
