"""TLS between nodes: version 1.3, and both sides show a certificate of the cluster's own authority.

    accepting    a peer without such a certificate is cut off in the handshake
    connecting   the same, and the certificate must be for the host that was dialled

Public authorities are trusted by neither: whoever is not of this cluster is nobody.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from runink.errors import Refused

PROTOCOL: Final = "runink/1"  # by ALPN: no other service of the host is taken for ours


def accepting_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the context of a node that listens. The paths are of PEM files. Raises Refused (`bad_certificate`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a resumed session would skip the certificate
    return _loaded(context, certificate, key, authority)


def connecting_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return the context of a node that connects. The paths are of PEM files. Raises Refused (`bad_certificate`)."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key, authority)


def _loaded(
    context: ssl.SSLContext, certificate: Path, key: Path, authority: Path
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols([PROTOCOL])
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"cannot use {certificate} with {key} and {authority}: {error}",
            code="bad_certificate",
            hint="they must be PEM files, and the key that of the certificate",
        ) from error
    return context
