"""Whom a relay speaks to by certificates: relays of the cluster's other worker nodes."""

from __future__ import annotations

import ssl
from pathlib import Path

from runink.certificates.names import CertifiedNode, identity_of
from runink.certificates.roles import NodeRole
from runink.errors import Forbidden, Refused
from runink.relay.greeting import Greeting
from runink.trust_files import TrustFolder
from runink.wire.messages import Hello
from runink.wire.tls import TlsContexts


def with_certificates(node: str, trust: Path) -> Greeting:
    """Return what connections begin with. Raises Refused (`bad_certificate`, `not_joined`)."""
    passport = Passport(trust)
    return Greeting(
        node, passport.admit, accepting=passport.accepting, connecting=passport.connecting
    )


class Passport:
    """The node's trust folder, which its agent keeps: read again whenever a file in it is another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = TrustFolder(path)
        self._stamp = self._stamped()
        self._contexts = self._read()

    def accepting(self) -> ssl.SSLContext:
        self._look()
        return self._contexts.accepting()

    def connecting(self) -> ssl.SSLContext:
        self._look()
        return self._contexts.connecting()

    def admit(self, hello: Hello, certificate: bytes) -> None:
        """Raise Forbidden for who is no worker node of this cluster, or says another name than its certificate."""
        shown, ours = identity_of(certificate), self._shown()
        if shown.cluster != ours.cluster or shown.role is not NodeRole.AGENT:
            raise Forbidden(f"{shown} is no worker node of this cluster", code="not_an_agent")
        if shown.name != hello.node:
            raise Forbidden(f"{shown} says that it is {hello.node}", code="other_node")

    def _look(self) -> None:
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp, self._contexts = stamp, self._read()

    def _stamped(self) -> tuple[int, ...]:
        return tuple(one.stat().st_mtime_ns for one in sorted(self._path.glob("*.pem")))

    def _read(self) -> TlsContexts:
        identity = self._folder.load()
        if identity is None:
            raise Refused(f"{self._path} holds no certificate", code="not_joined")
        return TlsContexts(identity)

    def _shown(self) -> CertifiedNode:
        shown = self._folder.shown()
        assert shown is not None, "it was loaded"
        return shown
