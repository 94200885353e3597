"""What connections between relays begin with: who this node says it is, whom it lets in, and TLS on both ways."""

from __future__ import annotations

import errno
import hmac
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from runink.errors import Forbidden
from runink.relay.connection import Connection
from runink.wire.messages import Hello
from runink.wire.streams import StreamSession

Place = tuple[str, int]  # an address and a port
Admit = Callable[
    [Hello, bytes], object
]  # with the certificate that was shown (DER), empty without TLS; raises Refused


@dataclass(frozen=True, slots=True)
class Greeting:
    """One for a relay. `credentials` are what others are shown, `admit` looks at what they show. Contexts of TLS are asked for each time: certificates are renewed."""

    node: str
    admit: Admit
    credentials: bytes = b""
    accepting: Callable[[], ssl.SSLContext] | None = None
    connecting: Callable[[], ssl.SSLContext] | None = None

    def accepted(self, link: socket.socket, *, now_s: float) -> Connection:
        """Return the connection that somebody has made. Raises OSError if it is over already."""
        context = self.accepting() if self.accepting is not None else None

        def admit(hello: Hello) -> None:
            self.admit(hello, connection.certificate)

        session = StreamSession.accepting(self.node, now=now_s, admit=admit)
        connection = Connection(link, session, tls=context)
        return connection

    def dialled(self, place: Place, name: str, *, now_s: float) -> Connection | None:
        """Return a connection that is being made to who must have that name, or nothing if that fails at once."""
        link = _connecting(place)
        if link is None:
            return None
        session = StreamSession.connecting(self.node, now=now_s, credentials=self.credentials)
        context = self.connecting() if self.connecting is not None else None
        return Connection(link, session, tls=context, name=name)


def _connecting(place: Place) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM)
    link.setblocking(False)
    if link.connect_ex(place) in (0, errno.EINPROGRESS):
        return link
    link.close()
    return None


def with_secret(node: str, secret: bytes) -> Greeting:
    """Return what connections begin with on one machine: whoever shows the secret is let in."""

    def admit(hello: Hello, _: bytes) -> None:
        if secret and not hmac.compare_digest(hello.credentials, secret):
            text = f"{hello.node} does not show the secret of this cluster"
            raise Forbidden(text, code="wrong_secret")

    return Greeting(node, admit, secret)
