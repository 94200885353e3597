"""Authorities by their fingerprints: what nodes trust is a bundle, and what a joiner knows beforehand is a pin.

    bundle   PEM, one authority, or two while another takes the place of the first
    pin      the fingerprint of one: SHA-256 of its key's SPKI, 64 hexadecimal digits

Who joins has a pin and no bundle.  It fetches the bundle from a server that it does not trust yet, keeps the one authority that the pin names (`pinned`), and from then on trusts that one alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runink.certificates.names import UNREADABLE, cluster_name, fingerprint
from runink.certificates.roles import Fingerprint
from runink.errors import Forbidden, Invalid, Refused

BUNDLE_BYTES_MAX: Final = 16 << 10
AUTHORITIES_MAX: Final = 2  # one, and the one that takes its place


class TrustedAuthority(msgspec.Struct, frozen=True):
    """An authority as others know it. Times are seconds of the Unix epoch, `pem` is its certificate."""

    cluster: str
    fingerprint: Fingerprint
    not_after_s: int
    pem: str


def read_bundle(pem: bytes) -> tuple[TrustedAuthority, ...]:
    """Return the authorities of a bundle. Raises Refused (`bad_authority`) for what is no bundle of one cluster's authorities."""
    if len(pem) > BUNDLE_BYTES_MAX:
        raise _bad(f"has {len(pem)} bytes")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        found = tuple(_trusted(certificate) for certificate in certificates)
    except (Invalid, *UNREADABLE) as error:
        raise _bad(f"cannot be read: {error}") from error
    if len(found) > AUTHORITIES_MAX or len({one.fingerprint for one in found}) != len(found):
        raise _bad(f"holds {len(found)} authorities")
    if len({one.cluster for one in found}) != 1:
        raise _bad("is of several clusters")
    return found


def bundle_of(authorities: tuple[TrustedAuthority, ...]) -> bytes:
    """Return them as one PEM text, in their order."""
    assert 1 <= len(authorities) <= AUTHORITIES_MAX
    return "".join(one.pem for one in authorities).encode()


def pinned(bundle: bytes, pin: Fingerprint) -> TrustedAuthority:
    """Return the authority of a bundle that the pin names; nobody vouches for any other there. Raises Forbidden (`wrong_authority`), Refused (`bad_authority`)."""
    found = read_bundle(bundle)
    for one in found:
        if one.fingerprint == pin:
            return one
    raise Forbidden(
        f"who answers has the authority {found[0].fingerprint}, and the token is of {pin}: it is another cluster, or somebody in between",
        code="wrong_authority",
        hint="check the address; if the cluster has changed its authority since, have another token made",
    )


def trusted_authority(certificate: x509.Certificate) -> TrustedAuthority:
    """Return the authority as others know it. Raises Refused (`bad_authority`)."""
    try:
        return _trusted(certificate)
    except (Invalid, *UNREADABLE) as error:
        raise _bad(f"cannot be read: {error}") from error


def _cluster_of(certificate: x509.Certificate) -> str:
    """Return the name of the cluster whose authority this is, or raise Refused (`bad_authority`)."""
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    key = certificate.public_key()
    if not basic.ca or basic.path_length != 0 or not usage.key_cert_sign:
        raise _bad("is no authority of a cluster")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad("has a key that is not P-256")
    certificate.verify_directly_issued_by(certificate)
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    if identifier.digest.hex() != fingerprint(key):
        raise _bad("has the identifier of another key")
    clusters = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(clusters) != 1:
        raise _bad("does not say of which cluster it is")
    return cluster_name(str(clusters[0].value))


def _trusted(certificate: x509.Certificate) -> TrustedAuthority:
    cluster = _cluster_of(certificate)
    until: datetime = certificate.not_valid_after_utc
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return TrustedAuthority(
        cluster, fingerprint(certificate.public_key()), int(until.timestamp()), pem
    )


def _bad(what: str) -> Refused:
    return Refused(
        f"the authority's certificate {what}",
        code="bad_authority",
        hint="it is the file authority.pem that the cluster gives to who joins",
    )
