"""The cluster's own authority: an EC key on P-256 that signs the certificates of its nodes, and nothing else.

    authority     self-signed, CA with path length 0, 10 years; O=CLUSTER, CN=Runink authority FINGERPRINT[:16]
    certificate   24 hours, from 5 minutes ago; for clients and servers; names as `names.py` says

Of a request only the public key counts, and the signature that proves that the joiner has the private one: whatever names and extensions it asks for are left unread.  Names come from the cluster's record.
The SAN is not critical, because a verifier may refuse one that is beside a subject; the subject is there because some tools show nothing else.

The same input gives the same bytes: signatures are deterministic (RFC 6979).
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runink.certificates.names import (
    GENERATION,
    HOSTS_MAX,
    UNREADABLE,
    NodeKey,
    cluster_name,
    encoded_generation,
    fingerprint,
    is_node_key,
    is_reserved,
    uri_of,
)
from runink.certificates.pins import TrustedAuthority, trusted_authority
from runink.certificates.roles import DOMAIN, Fingerprint, NodeRole, Serial, dns_names
from runink.errors import Invalid, Refused
from runink.names import NodeId, node_id

LIFETIME_S: Final = 24 * 3600
LIFETIME_S_MAX: Final = 7 * 24 * 3600  # what is lost counts that long where nobody revokes it
AUTHORITY_LIFETIME_S: Final = 3652 * 24 * 3600
BACKDATE_S: Final = 300  # clocks of machines differ
REQUEST_BYTES_MAX: Final = 4 << 10  # one of ours has some 250 bytes

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority with its key: what only the servers have. The key shows in no `repr`."""

    certificate: x509.Certificate
    trusted: TrustedAuthority  # itself, as others know it
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def key_bytes(self) -> bytes:
        """Return the private key (PKCS #8, DER), to be sealed."""
        return self.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


class Requested(msgspec.Struct, frozen=True):
    """A request whose signature is good: somebody has this key."""

    key: NodeKey
    fingerprint: Fingerprint


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a certificate shall name: as the cluster's record says, never as the request does. `hosts` are names and addresses of a server's HTTP API."""

    role: NodeRole
    name: NodeId
    generation: int
    serial: Serial
    hosts: tuple[str, ...] = ()


def make_authority(
    cluster: str, key: ec.EllipticCurvePrivateKey, *, serial: Serial, now_s: int
) -> Authority:
    """Make the authority of a cluster out of a fresh key on P-256. Raises Invalid for a cluster's name that no URI can bear."""
    public = key.public_key()
    ours = fingerprint(public)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_name(cluster)),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Runink authority {ours[:16]}"),
        ]
    )
    certificate = (
        _begun(subject, subject, public, serial, (now_s, now_s + AUTHORITY_LIFETIME_S))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return Authority(certificate, trusted_authority(certificate), key)


def load_authority(pem: str, key: bytes) -> Authority:
    """Return an authority that was kept. Raises Refused (`bad_authority`) if they do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        private = serialization.load_der_private_key(key, None)
    except UNREADABLE as error:
        text = f"the authority or its key is damaged: {error}"
        raise Refused(text, code="bad_authority") from error
    is_pair = isinstance(private, ec.EllipticCurvePrivateKey) and (
        private.public_key() == certificate.public_key()
    )
    if not is_pair or not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Refused("the key is not that of the authority", code="bad_authority")
    return Authority(certificate, trusted_authority(certificate), private)


def make_request(key: PrivateKey, name: str) -> bytes:
    """Return a certificate request (PKCS #10, DER) with this key. The name is for who looks at it: nobody relies on it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        request = builder.sign(key, None)
    else:
        request = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return request.public_bytes(serialization.Encoding.DER)


def read_request(der: bytes) -> Requested:
    """Return whose key a request is for. Raises Invalid (`bad_request`) for one that is damaged, not signed by its own key, or of another type than P-256 and Ed25519."""
    if len(der) > REQUEST_BYTES_MAX:
        raise _bad_request(f"has {len(der)} bytes; {REQUEST_BYTES_MAX} are enough")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        is_signed = request.is_signature_valid
    except UNREADABLE as error:
        raise _bad_request(f"cannot be read: {error}") from error
    if not isinstance(key, NodeKey) or not is_node_key(key):
        raise _bad_request("has a key that is neither P-256 nor Ed25519")
    if not is_signed:
        raise _bad_request("is not signed by its own key")
    return Requested(key, fingerprint(key))


def issue(
    authority: Authority,
    requested: Requested,
    grant: Grant,
    *,
    now_s: int,
    lifetime_s: int = LIFETIME_S,
) -> bytes:
    """Return the certificate (DER) that the grant speaks of. Raises Invalid for names that none can bear, Refused (`authority_expired`)."""
    assert 0 < lifetime_s <= LIFETIME_S_MAX
    trusted = authority.trusted
    if now_s >= trusted.not_after_s:
        raise Refused(
            "the cluster's authority has expired",
            code="authority_expired",
            hint="it is replaced by another one while it is good; now all nodes have to join anew",
        )
    until_s = min(now_s + lifetime_s, trusted.not_after_s)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id(grant.name))])
    names = x509.SubjectAlternativeName(_names(trusted.cluster, grant))
    issuer = x509.AuthorityKeyIdentifier(bytes.fromhex(trusted.fingerprint), None, None)
    generation = x509.UnrecognizedExtension(GENERATION, encoded_generation(grant.generation))
    span = (now_s - BACKDATE_S, until_s)
    certificate = (
        _begun(subject, authority.certificate.subject, requested.key, grant.serial, span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
        .add_extension(generation, critical=False)
        .sign(authority.key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def pem_of(der: bytes) -> bytes:
    """Return a certificate that we issued as PEM, as TLS reads it from files."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


_USES: Final = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: NodeKey, serial: Serial, span: tuple[int, int]
) -> x509.CertificateBuilder:
    """Return what authorities and nodes have in common."""
    identifier = x509.SubjectKeyIdentifier(bytes.fromhex(fingerprint(key)))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(int(serial, 16))
        .not_valid_before(datetime.fromtimestamp(span[0], UTC))
        .not_valid_after(datetime.fromtimestamp(span[1], UTC))
        .add_extension(identifier, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _names(cluster: str, grant: Grant) -> list[x509.GeneralName]:
    if grant.hosts and grant.role is not NodeRole.SERVER:
        raise Invalid("only servers have names of hosts", code="bad_host")
    if len(grant.hosts) > HOSTS_MAX:
        raise Invalid(f"a certificate names {HOSTS_MAX} hosts at most", code="bad_host")
    uri = x509.UniformResourceIdentifier(uri_of(cluster, grant.role, grant.name))
    own = [x509.DNSName(name) for name in dns_names(grant.role, grant.name)]
    return [uri, *own, *(_host(host) for host in dict.fromkeys(grant.hosts))]


def _host(text: str) -> x509.GeneralName:
    """Return a name or an address of a host. Raises Invalid: a name of nodes, a wildcard, or what is none."""
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        if "%" not in text:  # a scope is of one machine
            return x509.IPAddress(address)
    if is_reserved(text) or not _HOST.fullmatch(text):
        raise Invalid(
            f"{text!r} is not the name of a host that a server can have",
            code="bad_host",
            hint=f"as in runink.example.org or 10.0.0.1; names beneath {DOMAIN} are those of nodes",
        )
    return x509.DNSName(text)


def _bad_request(what: str) -> Invalid:
    return Invalid(f"the certificate request {what}", code="bad_request")
