"""Whom a certificate names: everything that our authority does not issue belongs to no node."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from runink.certificates.authority import BACKDATE_S
from runink.certificates.names import (
    CERTIFICATE_BYTES_MAX,
    GENERATION,
    cluster_name,
    encoded_generation,
    fingerprint,
    identity_of,
    serial_of,
)
from runink.certificates.roles import CONTROL, NodeRole
from runink.errors import Forbidden, Invalid
from runink.testing.node_certificates import NOW_S, authority_of_test, certified, curve_key

OURS = authority_of_test()
NODE = certified(OURS, NodeRole.AGENT, "worker-1", generation=7)
START = datetime.fromtimestamp(NOW_S, UTC)


def test_everything_that_a_certificate_says_is_read():
    found = identity_of(NODE.der)
    assert (found.cluster, found.role, found.name) == ("farm", NodeRole.AGENT, "worker-1")
    assert found.generation == 7
    assert found.key == fingerprint(NODE.key.public_key())
    assert found.authority == OURS.trusted.fingerprint
    assert (found.not_before_s, found.not_after_s) == (NOW_S - BACKDATE_S, NOW_S + 86400)
    assert found.hosts == ()
    assert str(found) == "agent worker-1"


def rebuilt(*, key=None, subject="worker-1", serial=None, **changed) -> bytes:
    """Return the certificate anew, signed by the same authority, with other extensions: by kind, nothing for one that is left out."""
    model = x509.load_der_x509_certificate(NODE.der)
    public = key.public_key() if key else model.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(model.issuer)
        .public_key(public)
        .serial_number(serial or model.serial_number)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(hours=1))
    )
    for extension in model.extensions:
        value = changed.pop(NAMES[extension.oid], extension.value)
        if value is not None:
            builder = builder.add_extension(value, extension.critical)
    for value in changed.values():
        builder = builder.add_extension(value, critical=False)
    return builder.sign(OURS.key, hashes.SHA256()).public_bytes(Encoding.DER)


NAMES = {
    ExtensionOID.BASIC_CONSTRAINTS: "basic",
    ExtensionOID.KEY_USAGE: "usage",
    ExtensionOID.EXTENDED_KEY_USAGE: "uses",
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: "san",
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: "aki",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: "ski",
    GENERATION: "generation",
}
URI = "spiffe://farm/agent/worker-1"
OWN = "worker-1.agent.runink.internal"


def san(*names: str | x509.GeneralName, uri: str | None = URI) -> x509.SubjectAlternativeName:
    found = [x509.DNSName(name) if isinstance(name, str) else name for name in names]
    return x509.SubjectAlternativeName(
        [*([x509.UniformResourceIdentifier(uri)] if uri else []), *found]
    )


def generation(der: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(GENERATION, der)


def test_a_certificate_that_is_built_anew_as_it_was_names_the_same_node():
    assert identity_of(rebuilt()).name == "worker-1"


OTHER_ADDRESS = x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
STRANGE = {
    "no SAN": {"san": None},
    "no URI": {"san": san(OWN, uri=None)},
    "two URIs": {"san": san(OWN, x509.UniformResourceIdentifier(URI))},
    "another scheme": {"san": san(OWN, uri="https://farm/agent/worker-1")},
    "a query": {"san": san(OWN, uri=URI + "?generation=9")},
    "a path that goes on": {"san": san(OWN, uri=URI + "/more")},
    "a name of capitals": {"san": san(OWN, uri="spiffe://farm/agent/Worker-1")},
    "a line behind the name": {"san": san(OWN, uri=URI + "\n")},
    "no name": {"san": san(OWN, uri="spiffe://farm/agent/")},
    "a role that there is not": {"san": san(OWN, uri="spiffe://farm/root/worker-1")},
    "another node's URI": {"san": san(OWN, uri="spiffe://farm/agent/worker-2")},
    "another role's URI": {"san": san(OWN, uri="spiffe://farm/server/worker-1")},
    "no DNS name": {"san": san()},
    "another node's DNS name": {"san": san("worker-2.agent.runink.internal")},
    "another node's DNS name besides": {"san": san(OWN, "worker-2.agent.runink.internal")},
    "the same DNS name twice": {"san": san(OWN, OWN)},
    "the control plane's name": {"san": san(OWN, CONTROL)},
    "all of our names": {"san": san(OWN, "*.agent.runink.internal")},
    "our domain": {"san": san(OWN, "Runink.internal.")},
    "a host, and is no server": {"san": san(OWN, "example.org")},
    "an address, and is no server": {"san": san(OWN, OTHER_ADDRESS)},
    "an e-mail address": {"san": san(OWN, x509.RFC822Name("a@example.org"))},
    "another subject": {"subject": "worker-2"},
    "an authority": {"basic": x509.BasicConstraints(ca=True, path_length=None)},
    "no constraints": {"basic": None},
    "no generation": {"generation": None},
    "generation 0": {"generation": generation(b"\2\1\0")},
    "a negative generation": {"generation": generation(b"\2\1\xff")},
    "a generation with a zero in front": {"generation": generation(b"\2\2\0\7")},
    "a generation with something behind": {"generation": generation(b"\2\1\7\0")},
    "a generation that is none": {"generation": generation(b"")},
    "a generation of 40 bits": {"generation": generation(b"\2\5\7\0\0\0\0")},
    "no identifier of the authority": {"aki": None},
    "an empty identifier of the authority": {"aki": x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(OURS.certificate.subject)], 1)},
    "the identifier of another key": {"ski": x509.SubjectKeyIdentifier(bytes(32))},
    "an extension more": {"more": x509.OCSPNoCheck()},
    "a key for other purposes": {"usage": x509.KeyUsage(False, False, True, False, False, False, False, False, False)},
    "no purposes": {"uses": None},
    "one purpose": {"uses": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])},
    "another purpose": {"uses": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING])},
    "a serial number of 20 bytes": {"serial": 1 << 158},
    "a key on another curve": {"key": ec.generate_private_key(ec.SECP384R1())},
    "an RSA key": {"key": rsa.generate_private_key(65537, 2048)},
}  # fmt: skip


@pytest.mark.parametrize("changed", STRANGE.values(), ids=STRANGE.keys())
def test_what_our_authority_does_not_issue_belongs_to_no_node(changed):
    with pytest.raises(Forbidden) as caught:
        identity_of(rebuilt(**changed))
    assert caught.value.code == "not_a_node"


def test_the_authority_itself_is_no_node():
    with pytest.raises(Forbidden):
        identity_of(OURS.certificate.public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    "der", [b"", b"0", NODE.der[:-1], NODE.der + b"\0", bytes(CERTIFICATE_BYTES_MAX + 1)]
)
def test_what_is_no_certificate_belongs_to_no_node(der):
    with pytest.raises(Forbidden) as caught:
        identity_of(der)
    assert caught.value.code == "not_a_node"


@pytest.mark.parametrize("number", [1, 127, 128, 255, 256, 2**31 - 1])
def test_generations_are_read_as_they_were_written(number):
    assert (
        identity_of(rebuilt(generation=generation(encoded_generation(number)))).generation == number
    )


def test_serial_numbers_are_positive_and_of_one_length():
    for entropy in (bytes(16), b"\xff" * 16):
        serial = serial_of(entropy)
        assert len(serial) == 32
        assert 0 < int(serial, 16) < 1 << 127


def test_a_server_has_the_control_plane_s_name_and_may_name_hosts():
    server = identity_of(certified(OURS, NodeRole.SERVER, "m1", key=curve_key()).der)
    assert server.hosts == ()


@pytest.mark.parametrize("name", ["", "Farm", "a.b", "a/b", "1a", "a" * 64, "a\n"])
def test_a_cluster_s_name_is_a_part_of_uris(name):
    assert cluster_name("farm-1") == "farm-1"
    with pytest.raises(Invalid):
        cluster_name(name)
