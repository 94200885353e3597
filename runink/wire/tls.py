"""TLS between nodes: version 1.3, and both sides show a certificate of the cluster's own authority.

    accepting    a peer with a certificate that is not of the cluster is cut off in the handshake; so is one without any, unless programs are let in,
                 which show a token behind it
    connecting   the same, and the certificate must be for the host that was dialled, or for the name that is asked for in its place:
                 addresses of nodes change, and their names do not

Public authorities are trusted by neither: whoever is not of this cluster is nobody.

In TLS 1.3 a client has done its handshake before the server has looked at its certificate: to be cut off then is the end of the stream for it, not an error of the handshake.
So nobody counts as connected before the other side has said so behind the handshake (`HelloAck`).
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from typing import Final

from runink.errors import Refused

PROTOCOL: Final = "runink/1"  # by ALPN: no other service of the host is taken for ours


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """PEM texts: the authorities that are trusted, and what is shown. A program without a certificate has empty ones. The key shows in no `repr`."""

    authority: bytes
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)


class TlsContexts:
    """What a node accepts and connects with at the moment.

    A certificate that was renewed and a bundle that has changed are taken by `replace`: contexts are made anew, because an authority cannot be taken out of one that is in use.
    So nobody keeps a context; whoever accepts or connects asks for it each time.  What is connected stays so.
    """

    def __init__(self, identity: TlsIdentity, *, lets_programs_in: bool = False) -> None:
        """Make the contexts. Raises Refused (`bad_certificate`)."""
        self._lets_programs_in = lets_programs_in
        self._accepting, self._connecting = self._made(identity)

    def accepting(self) -> ssl.SSLContext:
        """Return what the next one who comes is accepted with."""
        return self._accepting

    def connecting(self) -> ssl.SSLContext:
        """Return what the next one is dialled with; which name it must have is said there."""
        return self._connecting

    def replace(self, identity: TlsIdentity) -> None:
        """Accept and connect with these from now on. Raises Refused (`bad_certificate`); then everything is as before."""
        self._accepting, self._connecting = self._made(identity)

    def _made(self, identity: TlsIdentity) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        accepting = accepting_from(identity, lets_programs_in=self._lets_programs_in)
        return accepting, connecting_from(identity)


def accepting_from(identity: TlsIdentity, *, lets_programs_in: bool = False) -> ssl.SSLContext:
    """Return the context of a node that listens. With `lets_programs_in` who comes may show no certificate; one that is shown must be good all the same. Raises Refused (`bad_certificate`)."""
    context = _listening()
    _load(context, identity)
    _secure(context, ssl.CERT_OPTIONAL if lets_programs_in else ssl.CERT_REQUIRED)
    return context


def connecting_from(identity: TlsIdentity) -> ssl.SSLContext:
    """Return the context of who connects, with a certificate or without. Raises Refused (`bad_certificate`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, identity)
    _secure(context, ssl.CERT_REQUIRED)
    return context


def asking_context() -> ssl.SSLContext:
    """Return the context of who knows no authority yet and asks for it. It verifies nobody: nothing secret may be said, and what is heard is compared with a pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _secure(context, ssl.CERT_NONE)
    return context


def _listening() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a resumed session would skip the certificate
    return context


def _secure(context: ssl.SSLContext, mode: ssl.VerifyMode) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = mode
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([PROTOCOL])


def _load(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    """Give a context what it trusts and shows. OpenSSL takes certificates as texts, and a certificate with its key from files only: these are in memory."""
    try:
        context.load_verify_locations(cadata=identity.authority.decode("ascii"))
        if identity.certificate:
            descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
            try:
                with os.fdopen(descriptor, "wb", closefd=False) as file:
                    file.write(identity.certificate + identity.key)
                # Without a password OpenSSL would ask for one at the terminal.
                context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
            finally:
                os.close(descriptor)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise Refused(
            f"cannot use this certificate: {error}",
            code="bad_certificate",
            hint="certificate, key and authority must be PEM, and the key that of the certificate",
        ) from error
