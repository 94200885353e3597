"""The cluster's own authority: what it signs, and what it does not."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from runink.certificates.authority import (
    AUTHORITY_LIFETIME_S,
    REQUEST_BYTES_MAX,
    Grant,
    issue,
    load_authority,
    make_authority,
    make_request,
    read_request,
)
from runink.certificates.names import fingerprint, identity_of, serial_of
from runink.certificates.pins import bundle_of, pinned, read_bundle
from runink.certificates.roles import CONTROL, DOMAIN, NodeRole
from runink.errors import Forbidden, Invalid, Refused
from runink.names import NodeId
from runink.testing.handshakes import handshake
from runink.testing.node_certificates import (
    NOW_S,
    Node,
    authority_of_test,
    bundle,
    certified,
    curve_key,
    edwards_key,
    next_serial,
)
from runink.wire.tls import TlsIdentity, accepting_from, connecting_from

OURS = authority_of_test()
OTHERS = authority_of_test()
SERIAL = serial_of(bytes(16))


def granted(name: str = "worker-1", role: NodeRole = NodeRole.AGENT, *hosts: str) -> Grant:
    return Grant(role=role, name=NodeId(name), generation=1, serial=next_serial(), hosts=hosts)


def test_an_authority_signs_nodes_and_no_authorities_for_ten_years():
    certificate = OURS.certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)
    assert OURS.trusted.not_after_s == NOW_S + AUTHORITY_LIFETIME_S
    assert OURS.trusted.cluster == "farm"


def test_an_authority_s_fingerprint_is_that_of_its_key_alone():
    again = make_authority("farm", OURS.key, serial=next_serial(), now_s=NOW_S + 5)
    assert again.trusted.fingerprint == OURS.trusted.fingerprint != OTHERS.trusted.fingerprint


def test_the_same_input_gives_the_same_certificate():
    key, grant = curve_key(), granted()
    made = {issue(OURS, read_request(make_request(key, "w")), grant, now_s=NOW_S) for _ in range(5)}
    assert len(made) == 1
    anew = {make_authority("farm", OURS.key, serial=SERIAL, now_s=7).certificate for _ in range(5)}
    assert len(anew) == 1


def test_an_authority_is_kept_and_loaded():
    loaded = load_authority(OURS.trusted.pem, OURS.key_bytes())
    assert loaded.certificate == OURS.certificate
    assert certified(loaded, NodeRole.AGENT, "worker-1")
    assert OURS.key_bytes().hex() not in repr(loaded)


@pytest.mark.parametrize("key", [b"", b"damaged", OTHERS.key_bytes()])
def test_an_authority_and_a_key_that_do_not_belong_together_are_refused(key):
    with pytest.raises(Refused) as caught:
        load_authority(OURS.trusted.pem, key)
    assert caught.value.code == "bad_authority"


def test_a_cluster_s_name_that_no_certificate_can_bear_is_refused():
    with pytest.raises(Invalid):
        make_authority("the farm", curve_key(), serial=SERIAL, now_s=NOW_S)


def evil_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a request that asks for everything."""
    names = x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier("spiffe://farm/server/m1"),
            x509.DNSName(CONTROL),
            x509.DNSName("api.evil"),
        ]
    )
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "m1")]))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def test_of_a_request_only_the_key_counts():
    key = curve_key()
    der = issue(OURS, read_request(evil_request(key)), granted("worker-1"), now_s=NOW_S)
    found = identity_of(der)
    assert (found.role, found.name) == (NodeRole.AGENT, "worker-1")
    assert b"evil" not in der
    assert b"control" not in der
    listening = accepting_from(Node(der, key).identity(OURS))
    tried = handshake(listening, connecting_from(TlsIdentity(bundle(OURS))))
    assert "mismatch" in str(tried.client.error)


def forged_request() -> bytes:
    """Return a request with one's own name and somebody else's key: its signature is not that key's."""
    one, two = make_request(curve_key(), "w"), make_request(curve_key(), "w")
    spki = x509.load_der_x509_csr(one).public_key().public_numbers()
    other = x509.load_der_x509_csr(two).public_key().public_numbers()
    point = b"".join(number.to_bytes(32, "big") for number in (spki.x, spki.y))
    replaced = b"".join(number.to_bytes(32, "big") for number in (other.x, other.y))
    assert point in one
    return one.replace(point, replaced)


def other_request(key) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    digest = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("der", "said"),
    [
        (b"", "cannot be read"),
        (b"x" * 100, "cannot be read"),
        (make_request(curve_key(), "w")[:-1], "cannot be read"),
        (bytes(REQUEST_BYTES_MAX + 1), "bytes"),
        (make_request(curve_key(), "w").replace(b"\2\1\0", b"\2\1\1", 1), "cannot be read"),
        (forged_request(), "not signed by its own key"),
        (other_request(rsa.generate_private_key(65537, 2048)), "neither P-256 nor Ed25519"),
        (other_request(ec.generate_private_key(ec.SECP384R1())), "neither P-256 nor Ed25519"),
        (other_request(ed448.Ed448PrivateKey.generate()), "neither P-256 nor Ed25519"),
    ],
    ids=["empty", "noise", "cut", "long", "version 2", "forged", "RSA", "P-384", "Ed448"],
)
def test_a_request_that_proves_no_key_of_a_node_is_refused(der, said):
    with pytest.raises(Invalid, match=said) as caught:
        read_request(der)
    assert caught.value.code == "bad_request"


def test_both_types_of_keys_are_read():
    for key in (curve_key(), edwards_key()):
        assert read_request(make_request(key, "w")).key == key.public_key()


HOSTS = ("runink.example.org", "10.0.0.1", "fd00::1", "localhost")


def test_a_server_may_be_reached_by_names_of_hosts_too():
    key = curve_key()
    grant = granted("m1", NodeRole.SERVER, *HOSTS, "localhost")
    der = issue(OURS, read_request(make_request(key, "m1")), grant, now_s=NOW_S)
    assert sorted(identity_of(der).hosts) == sorted(HOSTS)
    listening = accepting_from(Node(der, key).identity(OURS), lets_programs_in=True)
    for host in HOSTS:
        tried = handshake(listening, connecting_from(TlsIdentity(bundle(OURS))), host)
        assert tried.is_admitted, tried.reasons


@pytest.mark.parametrize(
    "host",
    ["", "a b", "*.example.org", "control.runink.internal", "runink.internal", "M1.example.org",
     "example.org.", "-a", "a" * 64, "fe80::1%eth0", "a\n", "x." * 130 + "org"],
)  # fmt: skip
def test_what_is_no_host_of_a_server_is_refused(host):
    request = read_request(make_request(curve_key(), "m1"))
    with pytest.raises(Invalid) as caught:
        issue(OURS, request, granted("m1", NodeRole.SERVER, host), now_s=NOW_S)
    assert caught.value.code == "bad_host"


def test_only_servers_have_names_of_hosts_and_not_too_many():
    request = read_request(make_request(curve_key(), "m1"))
    with pytest.raises(Invalid):
        issue(OURS, request, granted("w", NodeRole.AGENT, "example.org"), now_s=NOW_S)
    many = [f"h{number}.example.org" for number in range(33)]
    with pytest.raises(Invalid):
        issue(OURS, request, granted("m1", NodeRole.SERVER, *many), now_s=NOW_S)


@pytest.mark.parametrize("name", ["", "../x", "Worker", "a.b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(Invalid):
        issue(OURS, read_request(make_request(curve_key(), "w")), granted(name), now_s=NOW_S)


@pytest.mark.parametrize("role", NodeRole)
def test_another_verifier_takes_our_certificates_too(role):
    """One that has nothing in common with OpenSSL, and goes by the rules of public authorities."""
    leaf = x509.load_der_x509_certificate(certified(OURS, role, "n-1").der)
    known = PolicyBuilder().store(Store([OURS.certificate]))
    assert (
        len(known.build_server_verifier(x509.DNSName(f"n-1.{role}.{DOMAIN}")).verify(leaf, [])) == 2
    )
    subjects = known.build_client_verifier().verify(leaf, []).subjects
    assert subjects is not None
    assert subjects[0] == x509.UniformResourceIdentifier(f"spiffe://farm/{role}/n-1")
    with pytest.raises(VerificationError):
        PolicyBuilder().store(Store([OTHERS.certificate])).build_client_verifier().verify(leaf, [])


def test_no_certificate_is_good_for_longer_than_its_authority():
    end = OURS.trusted.not_after_s
    request = read_request(make_request(curve_key(), "w"))
    assert identity_of(issue(OURS, request, granted(), now_s=end - 60)).not_after_s == end
    with pytest.raises(Refused) as caught:
        issue(OURS, request, granted(), now_s=end)
    assert caught.value.code == "authority_expired"


def test_the_authority_that_a_pin_names_is_taken_out_of_a_bundle_and_no_other():
    pem = bundle(OTHERS, OURS)
    found = pinned(pem, OURS.trusted.fingerprint)
    assert found == OURS.trusted
    assert read_bundle(bundle_of((found,))) == (OURS.trusted,)
    with pytest.raises(Forbidden) as caught:
        pinned(bundle(OTHERS), OURS.trusted.fingerprint)
    assert caught.value.code == "wrong_authority"


def strange_authority(key=None, organization="farm", **changed) -> bytes:
    """Return an authority's certificate, self-signed, that is in one thing none of ours: an extension, by name, is another or missing."""
    key = key or curve_key()
    model = OURS.certificate
    found = {
        "basic": x509.BasicConstraints(ca=True, path_length=0),
        "usage": model.extensions.get_extension_for_class(x509.KeyUsage).value,
        "ski": x509.SubjectKeyIdentifier(bytes.fromhex(fingerprint(key.public_key()))),
    } | changed
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    if organization:
        name = x509.Name([*name, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
    )
    for value in found.values():
        if value is not None:
            builder = builder.add_extension(value, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


SIGNS_NOTHING = x509.KeyUsage(True, *[False] * 8)
STRANGE = {
    "no constraints": {"basic": None},
    "a node": {"basic": x509.BasicConstraints(ca=False, path_length=None)},
    "may make authorities": {"basic": x509.BasicConstraints(ca=True, path_length=None)},
    "signs nothing": {"usage": SIGNS_NOTHING},
    "no usage": {"usage": None},
    "no identifier": {"ski": None},
    "the identifier of another key": {"ski": x509.SubjectKeyIdentifier(bytes(32))},
    "of no cluster": {"organization": ""},
    "of a cluster with a name that is none": {"organization": "the farm"},
}


def test_a_certificate_that_is_built_as_ours_are_is_one_of_a_cluster():
    assert read_bundle(strange_authority())[0].cluster == "farm"


@pytest.mark.parametrize("changed", STRANGE.values(), ids=STRANGE.keys())
def test_what_we_make_no_authority_of_is_none(changed):
    pem = strange_authority(OURS.key, **changed)
    with pytest.raises(Refused) as caught:
        read_bundle(pem)
    assert caught.value.code == "bad_authority"
    with pytest.raises(Refused) as caught:
        load_authority(pem.decode(), OURS.key_bytes())
    assert caught.value.code == "bad_authority"


def test_an_authority_with_a_key_on_another_curve_is_none():
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(Refused, match="not P-256"):
        read_bundle(strange_authority(key))


def test_what_is_no_bundle_is_refused():
    node = certified(OURS, NodeRole.AGENT, "worker-1")
    forged = OTHERS.certificate.public_bytes(Encoding.PEM)
    lines = forged.splitlines()
    lines[5] = OURS.certificate.public_bytes(Encoding.PEM).splitlines()[5]
    for pem in (
        b"",
        b"no PEM",
        node.identity(OURS).certificate,
        bundle(OURS, OURS),
        bundle(OURS, OTHERS, authority_of_test()),
        bundle(OURS, authority_of_test("other")),
        b"\n".join(lines),
        bundle(OURS) * 100,
    ):
        with pytest.raises(Refused) as caught:
            read_bundle(pem)
        assert caught.value.code == "bad_authority"
