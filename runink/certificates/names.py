"""Who a certificate says its holder is: the names in it, and how strictly they are read.

    subject             CN=NAME, for people who look at it; nothing relies on it
    SAN, one URI        spiffe://CLUSTER/ROLE/NAME                       the identity
    SAN, DNS            NAME.ROLE.runink.internal                        what who connects verifies, whatever host was dialled
                        control.runink.internal                          of servers besides: agents and programs want any one of them
                        other DNS names and addresses                    of servers only: where people reach the HTTP API
    GENERATION          an INTEGER: 1 for the first certificate of a node, one more at each renewal
    SKI, AKI            SHA-256 of the public key's SPKI (RFC 7093, method 4): of the holder, and of the authority

An identity is read from certificates that TLS has verified: nothing here looks at signatures.  One that differs from this table in anything, also by an extension more, belongs to no node.
GENERATION stands beneath 2.25, where an object identifier needs no registration because it is a UUID.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from runink.certificates.roles import DOMAIN, Fingerprint, NodeRole, Serial, dns_names
from runink.errors import Forbidden, Invalid
from runink.names import NodeId

NodeKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey  # P-256 of the curves

GENERATION: Final = x509.ObjectIdentifier("2.25.186511715610748763239534858958401291359")
GENERATION_MAX: Final = (1 << 31) - 1
CERTIFICATE_BYTES_MAX: Final = 8 << 10  # ours have some 700 bytes; names of hosts make them longer
SERIAL_BYTES: Final = 16
HOSTS_MAX: Final = 32  # names of the HTTP API in one certificate

_NAME: Final = r"[a-z][a-z0-9_-]{0,62}"
_URI: Final = re.compile(rf"spiffe://(?P<cluster>{_NAME})/(?P<role>[a-z]+)/(?P<name>{_NAME})")
_EXTENSIONS: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        GENERATION,
    }
)
_USES: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH})
UNREADABLE: Final = (  # what cryptography raises of bytes that are none of what they should be, or odd ones
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InvalidSignature,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

Extension = TypeVar("Extension", bound=x509.ExtensionType)


class CertifiedNode(msgspec.Struct, frozen=True):
    """Whom a certificate names. Times are seconds of the Unix epoch; `authority` is the fingerprint of the key that signed it, `key` that of the holder's."""

    cluster: str
    role: NodeRole
    name: NodeId
    generation: int
    serial: Serial
    key: Fingerprint
    authority: Fingerprint
    not_before_s: int
    not_after_s: int
    hosts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.role.value} {self.name}"


def cluster_name(text: str) -> str:
    """Return `text` as the name of a cluster that has an authority, or raise Invalid: it becomes a part of URIs."""
    if re.fullmatch(_NAME, text):
        return text
    raise Invalid(
        f"{text!r} is not a name of a cluster",
        code="invalid_name",
        hint="1 to 63 lower-case letters, digits, - and _, the first a letter",
    )


def uri_of(cluster: str, role: NodeRole, name: NodeId) -> str:
    """Return the identity as it stands in a certificate."""
    return f"spiffe://{cluster}/{role.value}/{name}"


def is_reserved(host: str) -> bool:
    """Say whether a name of a host is one of those that only nodes have."""
    plain = host.lower().rstrip(".")
    return plain == DOMAIN or plain.endswith(f".{DOMAIN}")


def fingerprint(key: object) -> Fingerprint:
    """Return the fingerprint of a public key of any type that has an SPKI."""
    assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Fingerprint(hashlib.sha256(spki).hexdigest())


def serial_of(entropy: bytes) -> Serial:
    """Make a serial number from 16 random bytes. It is positive and has 127 bits, so that it never takes more than 16 bytes."""
    assert len(entropy) == SERIAL_BYTES
    number = int.from_bytes(entropy, "big") & ((1 << 127) - 1) | 1 << 126
    return Serial(f"{number:032x}")


def encoded_generation(generation: int) -> bytes:
    """Return the DER of an INTEGER."""
    assert 1 <= generation <= GENERATION_MAX
    body = generation.to_bytes(generation.bit_length() // 8 + 1, "big")
    return bytes((2, len(body))) + body


def is_node_key(key: object) -> bool:
    """Say whether nodes may have a key of this type: P-256 or Ed25519."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, ed25519.Ed25519PublicKey)


def identity_of(der: bytes) -> CertifiedNode:
    """Return whom a certificate names that TLS has verified. Raises Forbidden (`not_a_node`) for whatever our authority does not issue to nodes, and nothing else."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise _not_a_node(f"has {len(der)} bytes")
    try:
        return _identity(x509.load_der_x509_certificate(der))
    except UNREADABLE as error:
        raise _not_a_node(f"cannot be read: {error}") from error


def _identity(certificate: x509.Certificate) -> CertifiedNode:
    _check_kind(certificate)
    key = certificate.public_key()
    if not is_node_key(key):
        raise _not_a_node("has a key that is neither P-256 nor Ed25519")
    names = _extension(certificate, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    match = _URI.fullmatch(uris[0]) if len(uris) == 1 else None
    if match is None or match["role"] not in set(NodeRole):
        raise _not_a_node("does not name exactly one node")
    role, name = NodeRole(match["role"]), NodeId(match["name"])
    if certificate.subject != x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]):
        raise _not_a_node(f"is for {name}, and says so in no subject")
    ours = fingerprint(key)
    if _extension(certificate, x509.SubjectKeyIdentifier).digest.hex() != ours:
        raise _not_a_node("has the identifier of another key")
    issuer = _extension(certificate, x509.AuthorityKeyIdentifier)
    if issuer.key_identifier is None or len(issuer.key_identifier) != hashlib.sha256().digest_size:
        raise _not_a_node("does not say which authority issued it")
    return CertifiedNode(
        match["cluster"],
        role,
        name,
        _generation(certificate),
        _serial(certificate),
        ours,
        Fingerprint(issuer.key_identifier.hex()),
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
        _hosts(names, role, name),
    )


def _check_kind(certificate: x509.Certificate) -> None:
    """Raise Forbidden for a certificate that is not a node's."""
    found = {extension.oid for extension in certificate.extensions}
    if found != _EXTENSIONS:
        raise _not_a_node("has other extensions than a node's")
    if _extension(certificate, x509.BasicConstraints).ca:
        raise _not_a_node("is an authority's")
    usage = _extension(certificate, x509.KeyUsage)
    if usage.key_cert_sign or usage.crl_sign or not usage.digital_signature:
        raise _not_a_node("has a key for other purposes")
    uses = list(_extension(certificate, x509.ExtendedKeyUsage))
    if len(uses) != len(_USES) or set(uses) != _USES:
        raise _not_a_node("has a key for other purposes")


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension:
    return certificate.extensions.get_extension_for_class(kind).value


def _generation(certificate: x509.Certificate) -> int:
    value = certificate.extensions.get_extension_for_oid(GENERATION).value
    assert isinstance(value, x509.UnrecognizedExtension)
    number = int.from_bytes(value.value[2:], "big")
    if not 1 <= number <= GENERATION_MAX or encoded_generation(number) != value.value:
        raise _not_a_node("has no generation")
    return number


def _serial(certificate: x509.Certificate) -> Serial:
    number = certificate.serial_number
    if not 0 < number < 1 << 127:
        raise _not_a_node("has a serial number that none of ours has")
    return Serial(f"{number:032x}")


def _hosts(names: x509.SubjectAlternativeName, role: NodeRole, name: NodeId) -> tuple[str, ...]:
    """Return what the certificate names besides its node. Raises Forbidden if its own names are missing, or those of others are there."""
    found = names.get_values_for_type(x509.DNSName)
    own = dns_names(role, name)
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    hosts = [host for host in found if host not in own] + addresses
    if len(found) + len(addresses) + 1 != len(list(names)):
        raise _not_a_node("names something that is neither host nor node")
    if len(set(found)) != len(found) or not set(own) <= set(found):
        raise _not_a_node(f"does not have the names of {role.value} {name}")
    if any(is_reserved(host) for host in hosts):
        raise _not_a_node("has names of other nodes")
    if len(hosts) > HOSTS_MAX or (hosts and role is not NodeRole.SERVER):
        raise _not_a_node("names hosts, and is no server's")
    return tuple(hosts)


def _not_a_node(what: str) -> Forbidden:
    return Forbidden(
        f"the certificate {what}",
        code="not_a_node",
        hint="nodes show the certificate that they were given when they joined",
    )
