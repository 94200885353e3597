"""Handshakes of TLS without sockets: both ends in memory, one after the other, so that what each of them sees is the same every time."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

from runink.certificates.roles import CONTROL

ROUNDS_MAX: Final = 20  # a handshake needs three
HELLO: Final = b"hello"


class End:
    """One end of a connection."""

    def __init__(self, context: ssl.SSLContext, *, name: str | None = None) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=name is None,
            server_hostname=name,
        )
        self.is_done = False
        self.error: ssl.SSLError | None = None

    def step(self) -> None:
        """Go on as far as what has come allows."""
        if self.is_done or self.error is not None:
            return
        try:
            self.tls.do_handshake()
            self.is_done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error

    def heard(self) -> bytes:
        """Return what the other side has said. Raises ssl.SSLError if that is that it does not want us."""
        return self.tls.read(1 << 16)

    @property
    def peer(self) -> bytes:
        """The certificate (DER) of the other side, nothing if it has shown none."""
        return self.tls.getpeercert(binary_form=True) or b""


@dataclass(frozen=True)
class Handshake:
    """What has become of it on both sides."""

    server: End
    client: End

    @property
    def is_admitted(self) -> bool:
        """Whether both ends take each other for good, and a word of the server comes through: what the client alone sees proves nothing."""
        if not (self.server.is_done and self.client.is_done):
            return False
        self.server.tls.write(HELLO)
        self.client.incoming.write(self.server.outgoing.read())
        return self.client.heard() == HELLO

    @property
    def reasons(self) -> str:
        """What each side gave for a reason, the server's first."""
        return " | ".join(str(one.error or "") for one in (self.server, self.client))


def handshake(
    accepting: ssl.SSLContext, connecting: ssl.SSLContext, name: str = CONTROL
) -> Handshake:
    """Let a server, and a client that wants a server of this name, find out whether they want each other."""
    server, client = End(accepting), End(connecting, name=name)
    for _ in range(ROUNDS_MAX):
        client.step()
        server.incoming.write(client.outgoing.read())
        server.step()
        client.incoming.write(server.outgoing.read())
    return Handshake(server, client)
