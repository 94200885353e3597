"""Laws of certificates: whatever bytes come, they name a node of ours or are refused in one way."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from runink.certificates.authority import Grant, issue, make_request, read_request
from runink.certificates.names import GENERATION_MAX, identity_of, serial_of
from runink.certificates.pins import read_bundle
from runink.certificates.roles import NodeRole
from runink.errors import Refused
from runink.names import NodeId
from runink.testing.node_certificates import (
    NOW_S,
    authority_of_test,
    certified,
    curve_key,
    edwards_key,
)

OURS = authority_of_test()
REQUESTS = [make_request(curve_key(), "w"), make_request(edwards_key(), "w")]
NODES = [certified(OURS, role, "worker-1").der for role in NodeRole]
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True).map(NodeId)


@given(
    st.sampled_from(REQUESTS),
    st.sampled_from(NodeRole),
    NAMES,
    st.integers(1, GENERATION_MAX),
    st.binary(min_size=16, max_size=16),
)
def test_what_is_granted_is_what_the_certificate_says(request, role, name, generation, entropy):
    grant = Grant(role=role, name=name, generation=generation, serial=serial_of(entropy))
    requested = read_request(request)
    found = identity_of(issue(OURS, requested, grant, now_s=NOW_S))
    assert (found.cluster, found.role, found.name) == ("farm", role, name)
    assert (found.generation, found.serial) == (generation, grant.serial)
    assert (found.key, found.authority) == (requested.fingerprint, OURS.trusted.fingerprint)


def changed(original: bytes, place: int, value: int, cut: int) -> bytes:
    damaged = bytearray(original)
    damaged[place % len(damaged)] ^= value
    return bytes(damaged[: len(damaged) - cut])


CHANGES = (st.integers(0, 1000), st.integers(0, 255), st.sampled_from([0, 0, 0, 1, 50]))


def refusal(read: Callable[[bytes], object], der: bytes) -> str:
    """Return with which code the bytes are refused, empty if they are read. Whatever else is raised fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd encodings, which the library takes for now
        try:
            read(der)
        except Refused as error:
            return error.code
    return ""


@given(st.sampled_from(NODES), *CHANGES)
def test_damaged_certificates_are_read_or_refused_and_nothing_else_is_raised(
    der, place, value, cut
):
    assert refusal(identity_of, changed(der, place, value, cut)) in {"", "not_a_node"}


@given(st.sampled_from(REQUESTS), *CHANGES)
def test_damaged_requests_are_refused_and_nothing_else_is_raised(der, place, value, cut):
    damaged = changed(der, place, value, cut)
    assert refusal(read_request, damaged) == ("" if damaged == der else "bad_request")


@given(*CHANGES)
def test_damaged_bundles_are_refused_and_nothing_else_is_raised(place, value, cut):
    der = OURS.certificate.public_bytes(Encoding.DER)
    damaged = changed(der, place, value, cut)
    text = base64.encodebytes(damaged).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()
    assert refusal(read_bundle, pem) == ("" if damaged == der else "bad_authority")
