"""How the machines of a cluster know each other: by certificates of its own authority (mutual TLS), or on loopback by a secret that all have."""

from __future__ import annotations

import hmac
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from runink.certificates.roles import CONTROL
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import BARN, GOVERNANCE, IDENTITY, RUNS, TRUST
from runink.clients.members import Beside, Members, reaching
from runink.clients.node_files import FILES
from runink.config import Address, Servers
from runink.errors import Forbidden, Refused
from runink.runtime.connections import Dialled, Peer, connect_tcp
from runink.runtime.directory import Directory
from runink.runtime.guests import OpenEntrance, Shown
from runink.runtime.ref import Ref
from runink.trust_files import TrustFolder
from runink.wire.messages import Hello
from runink.wire.tls import TlsContexts

SECRET_BYTES_MIN: Final = 16  # shorter ones can be tried out
SECRET_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Trust:
    """What a machine shows others: certificates, which `folder` holds, or a secret."""

    contexts: TlsContexts | None
    folder: TrustFolder | None = None
    secret: bytes = b""

    @asynccontextmanager
    async def connected(self, address: Address, directory: Directory) -> AsyncIterator[Peer]:
        """Connect to the member that listens there, as the node whose directory it is. Raises LinkLost, Forbidden."""
        dialled = Dialled(self.contexts.connecting(), CONTROL) if self.contexts else None
        async with connect_tcp(
            address.host,
            address.port,
            directory=directory,
            credentials=self.secret,
            tls=dialled,
        ) as peer:
            yield peer


class SecretEntrance(OpenEntrance):
    """Lets in who shows the secret: on loopback, where nobody else of the machine is to come in."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def admit(self, hello: Hello, shown: Shown) -> None:  # noqa: ARG002 - a secret is shown in the hello
        """Raise Forbidden (`wrong_secret`) if it is not shown."""
        if not hmac.compare_digest(hello.credentials, self._secret):
            raise Forbidden(
                f"{hello.node} does not show the secret of this Barn's members",
                code="wrong_secret",
                hint="all members are given the same --secret file",
            )


def trust_of(folder: Path, secret: Path | None, *, lets_programs_in: bool = False) -> Trust:
    """Read the trust folder, or the secret where that is given. Raises Refused (`bad_certificate`, `bad_secret`, `not_joined`)."""
    if secret is not None:
        return Trust(None, secret=read_secret(secret))
    trust = TrustFolder(folder)
    identity = trust.load()
    if identity is None:
        raise Refused(
            f"{folder} holds no certificate: this node belongs to no cluster yet",
            code="not_joined",
            hint="--join TOKEN joins one; runi node token makes the token",
        )
    return Trust(TlsContexts(identity, lets_programs_in=lets_programs_in), trust)


@dataclass(frozen=True, slots=True)
class Joined:
    """The members of a cluster elsewhere, as a worker node and commands reach them."""

    barn: Members
    runs: Beside
    governance: Beside
    files: Beside
    trust: Beside
    identity: Beside
    is_elsewhere: bool = True
    stays: bool = True


@asynccontextmanager
async def joined(servers: Servers, trust: Trust, directory: Directory) -> AsyncIterator[Joined]:
    """Keep connections to the members for as long as the block. Raises Invalid, Refused."""
    servers.validate()
    connects = {
        number: partial(_barn_at, trust, address, directory)
        for number, address in enumerate(servers.addresses, 1)
    }
    async with reaching(connects) as members:
        runs, governance, files = map(members.beside, (RUNS, GOVERNANCE, FILES))
        trust_, identity = map(members.beside, (TRUST, IDENTITY))
        yield Joined(members, runs, governance, files, trust_, identity)


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
