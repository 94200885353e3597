"""What both transports share: connections that are kept for the next call, and how a failed connection is told."""

from __future__ import annotations

import ssl
from typing import Final

from runink.client.effects import Link
from runink.client.endpoints import Endpoint
from runink.client.repeats import NOT_CONNECTED
from runink.errors import LinkLost, TimedOut
from runink.outgoing.http_client import public_roots

KEPT_MAX: Final = 8
KEPT_S: Final = 30.0  # the server keeps one for a minute
RECEIVE_BYTES: Final = 64 << 10


class Kept:
    """Connections that may serve another call, the newest first."""

    def __init__(self) -> None:
        self._links: list[Link] = []

    def take(self, now_s: float) -> tuple[Link | None, list[Link]]:
        """Return a link, if there is one, and those that are too old and are to be closed."""
        old = [one for one in self._links if now_s - one.idle_since_s > KEPT_S]
        self._links = [one for one in self._links if now_s - one.idle_since_s <= KEPT_S]
        return (self._links.pop() if self._links else None), old

    def put(self, link: Link, now_s: float) -> Link | None:
        """Keep a link; return one that is to be closed in its place."""
        link.is_kept, link.idle_since_s = True, now_s
        self._links.append(link)
        return self._links.pop(0) if len(self._links) > KEPT_MAX else None

    def clear(self) -> list[Link]:
        """Return all of them, to be closed."""
        links, self._links = self._links, []
        return links


def trust_of(endpoint: Endpoint) -> ssl.SSLContext:
    """Return what a server's certificate is checked with. Raises Refused (`bad_certificate`)."""
    context = public_roots(endpoint.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def not_connected(endpoint: Endpoint, error: OSError) -> LinkLost:
    """Return the error of a connection that could not be made."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    said = cause.strerror or str(cause)
    hint = "does `runi server --api` run there?"
    if endpoint.path is not None:
        hint = "does a cluster run for this state folder? `runi up` begins one; `runi context` says which others you know"
    return LinkLost(f"nobody answers at {endpoint}: {said}", code=NOT_CONNECTED, hint=hint)


def not_trusted(endpoint: Endpoint, error: Exception) -> LinkLost:
    """Return the error of a handshake that failed."""
    said = getattr(error, "verify_message", "") or str(error) or "the connection was closed"
    return LinkLost(
        f"{endpoint} is not trusted: {said}",
        code="tls_failed",
        hint="if its certificate is of an authority of your own, name that one's file",
    )


def cut(endpoint: Endpoint, error: object = "") -> LinkLost:
    """Return the error of a connection that broke."""
    return LinkLost(f"the connection to {endpoint} broke: {error or 'it was closed'}")


def too_late(endpoint: Endpoint, within_s: float) -> TimedOut:
    """Return the error of a wait that was long enough."""
    return TimedOut(
        f"{endpoint} has not answered within {within_s:.3g} s",
        hint="give it more time, or look at the server",
    )
