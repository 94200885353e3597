"""What connections between relays begin with: who this node says it is, whom it lets in, and TLS on both ways."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

from runink.relay.connection import Connection
from runink.wire.session import Admit
from runink.wire.streams import StreamSession

Place = tuple[str, int]  # an address and a port


@dataclass(frozen=True, slots=True)
class Greeting:
    """One for a relay. `credentials` are what others are shown, `admit` looks at what they show."""

    node: str
    admit: Admit
    credentials: bytes = b""
    accepting: ssl.SSLContext | None = None
    connecting: ssl.SSLContext | None = None

    def accepted(self, link: socket.socket, *, now_s: float) -> Connection:
        """Return the connection that somebody has made. Raises OSError if it is over already."""
        session = StreamSession.accepting(self.node, now=now_s, admit=self.admit)
        return Connection(link, session, tls=self.accepting)

    def dialled(self, place: Place, host: str, *, now_s: float) -> Connection | None:
        """Return a connection that is being made to a host, or nothing if that fails at once."""
        link = _connecting(place)
        if link is None:
            return None
        session = StreamSession.connecting(self.node, now=now_s, credentials=self.credentials)
        return Connection(link, session, tls=self.connecting, host=host)


def _connecting(place: Place) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM)
    link.setblocking(False)
    if link.connect_ex(place) in (0, errno.EINPROGRESS):
        return link
    link.close()
    return None
