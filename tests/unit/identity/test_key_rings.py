"""What gets into a ring of keys, and why other keys do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyRSAKey
from jose.backends.ecdsa_backend import ECDSAECKey
from jose.backends.rsa_backend import RSAKey
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey
from joserfc.jwk import RSAKey as JoserfcRSAKey
from runink.errors import Broken, Invalid
from runink.identity.algorithms import ALGORITHMS, Algorithm
from runink.identity.keys import KEYS_MAX, KeyRing, check_backends, jwks, verification_key
from runink.testing.tokens import EC_KID, RSA_KID, Issuer, base64url, rsa_key

ISSUER = Issuer()
RSA, EC = ISSUER.key_set()["keys"]


def ring(*keys: Any) -> KeyRing:
    return KeyRing.read({"keys": list(keys)}, ALGORITHMS)


def skipped(key: Any) -> str:
    """Return why a key is not in a ring, behind a good one that is."""
    found = ring({**EC, "kid": "good"}, key)
    assert set(found.keys) == {("good", "ES256")}
    (one,) = found.skipped
    assert one.why
    return one.why


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def test_a_ring_holds_the_keys_of_its_document() -> None:
    for document in (ISSUER.key_set(), json.dumps(ISSUER.key_set()).encode()):
        found = KeyRing.read(document, ALGORITHMS)
        assert set(found.keys) == {(RSA_KID, "RS256"), (EC_KID, "ES256")}
        assert found.skipped == ()


def test_a_key_is_found_by_id_and_algorithm_together() -> None:
    found = ring(RSA, {**RSA, "alg": "RS384"})
    assert found.find(RSA_KID, "RS384") is not found.find(RSA_KID, "RS256")
    assert found.find(RSA_KID, "RS512") is None
    assert found.find("other", "RS256") is None


@pytest.mark.parametrize("key", [RSA, EC], ids=["RSA", "EC"])
def test_a_key_without_an_algorithm_is_for_the_usual_one(key: dict[str, str]) -> None:
    bare = {name: value for name, value in key.items() if name not in {"alg", "use"}}
    assert set(ring(bare).keys) == {(key["kid"], key["alg"])}


@pytest.mark.parametrize(
    ("curve", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384"), ("P-521", "ES512")]
)
def test_keys_of_all_curves_that_another_library_writes_are_read(
    curve: str, algorithm: str
) -> None:
    theirs = ECKey.generate_key(curve, {"kid": "k"}).as_dict(private=False)
    assert set(ring(theirs).keys) == {("k", algorithm)}


def test_what_is_published_is_read_by_another_library() -> None:
    published = json.loads(json.dumps(jwks(ISSUER.ring().keys.values())))
    assert {key.kid for key in KeySet.import_key_set(published).keys} == {RSA_KID, EC_KID}


PRIVATE_RSA = JoserfcRSAKey.import_key(rsa_key(), {"kid": "x"}).as_dict(private=True)
PRIVATE_EC = ECKey.import_key(ISSUER.ec, {"kid": "x"}).as_dict(private=True)
MODULUS = rsa_key().public_key().public_numbers().n
UNFIT = {
    "private RSA": (PRIVATE_RSA, "private"),
    "private EC": (PRIVATE_EC, "private"),
    "only a part of a private one": ({**RSA, "qi": "AQ"}, "private"),
    "symmetric": (OctKey.generate_key(256, {"kid": "x"}).as_dict(private=True), "kty"),
    "symmetric under another's name": ({**RSA, "k": "AAAA"}, "private"),
    "Ed25519": (OKPKey.generate_key("Ed25519", {"kid": "x"}).as_dict(private=False), "kty"),
    "for encryption": ({**RSA, "use": "enc"}, "use"),
    "of no use that is known": ({**RSA, "use": ["sig"]}, "use"),
    "for signing only": ({**RSA, "key_ops": ["sign"]}, "key_ops"),
    "for nothing": ({**RSA, "key_ops": "verify"}, "key_ops"),
    "for HS256": ({**RSA, "alg": "HS256"}, "algorithm"),
    "for PS256": ({**RSA, "alg": "PS256"}, "algorithm"),
    "for a list of algorithms": ({**RSA, "alg": ["RS256"]}, "algorithm"),
    "RSA for a curve's algorithm": ({**RSA, "alg": "ES256"}, "kty"),
    "a curve for RSA": ({**EC, "alg": "RS256"}, "kty"),
    "P-256 for ES384": ({**EC, "alg": "ES384"}, "curve"),
    "P-256 that says P-384": ({**EC, "alg": "ES384", "crv": "P-384"}, "coordinates"),
    "a curve that is not supported": ({**EC, "alg": None, "crv": "secp256k1"}, "algorithm"),
    "a curve that is a number": ({**EC, "alg": None, "crv": 256}, "crv is no text"),
    "a point that is not on the curve": ({**EC, "x": EC["y"]}, ""),
    "the point at infinity": ({**EC, "x": base64url(bytes(32)), "y": base64url(bytes(32))}, ""),
    "a curve of the same length": ({**EC, "crv": "secp256k1"}, "its curve is not the one"),
    "a short x": ({**EC, "x": EC["x"][:-4]}, "coordinates"),
    "a short y": ({**EC, "y": EC["y"][:-4]}, "coordinates"),
    "no coordinate": ({**EC, "y": None}, "y is no text"),
    "base64 that is not for URLs": ({**RSA, "n": "+" + RSA["n"][1:]}, "base64url"),
    "padding": ({**RSA, "e": "AQAB===="}, "base64url"),
    "a modulus with spaces": ({**RSA, "n": RSA["n"] + " "}, "base64url"),
    "a modulus of other letters": ({**RSA, "n": "\u0416" * 400}, "n is no text"),
    "RSA of 1024 bits": ({**RSA, "n": number(MODULUS >> 1024)}, "1024 bits"),
    "RSA of 2047 bits": ({**RSA, "n": number(MODULUS >> 1)}, "2047 bits"),
    "RSA of 8193 bits": ({**RSA, "n": number((1 << 8192) | MODULUS)}, "8193 bits"),
    "RSA of a million bits": ({**RSA, "n": number(1 << 1_000_000)}, "1000001 bits"),
    "an even modulus": ({**RSA, "n": number(MODULUS - 1)}, "even"),
    "an exponent of 1": ({**RSA, "e": number(1)}, "exponent"),
    "an exponent of 3": ({**RSA, "e": number(3)}, "exponent"),
    "an even exponent": ({**RSA, "e": number(65538)}, "exponent"),
    "a long exponent": ({**RSA, "e": number((1 << 2000) | 1)}, "exponent"),
    "no kid": ({**RSA, "kid": None}, "kid"),
    "a kid that is a number": ({**RSA, "kid": 7}, "kid"),
    "an empty kid": ({**RSA, "kid": ""}, "kid"),
    "a long kid": ({**RSA, "kid": "k" * 256}, "kid"),
    "a kid of two lines": ({**RSA, "kid": "a\nb"}, "kid"),
    "a kind that is an object": ({**RSA, "kty": {}}, "kty"),
    "a text": ("RS256", "object"),
    "null": (None, "object"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_key_that_is_no_good_is_left_out_and_the_others_stay(name: str) -> None:
    key, why = UNFIT[name]
    assert why in skipped(key)


def test_a_key_that_is_left_out_is_told_by_its_id() -> None:
    found = ring({**RSA, "use": "enc"}, {**RSA, "kid": "a\nb"}, {**RSA, "kid": "k" * 999})
    assert [one.kid for one in found.skipped] == [RSA_KID, "", "k" * 255]


def test_an_algorithm_that_the_issuer_may_not_use_brings_no_key() -> None:
    found = KeyRing.read(ISSUER.key_set(), {Algorithm.ES256})
    assert set(found.keys) == {(EC_KID, "ES256")}
    assert [one.kid for one in found.skipped] == [RSA_KID]


def test_of_keys_with_the_same_id_none_counts() -> None:
    other = Issuer(ec=ec.generate_private_key(ec.SECP256R1())).key_set()["keys"][1]
    found = ring(EC, other, RSA, EC)
    assert set(found.keys) == {(RSA_KID, "RS256")}
    (one,) = found.skipped
    assert (one.kid, one.why) == (EC_KID, "its kid stands twice")


def test_as_many_and_as_long_keys_as_are_allowed_are_taken() -> None:
    long = {**RSA, "kid": "k" * 255, "n": number((1 << 8191) | 1)}
    found = ring(long, *({**EC, "kid": f"k{at}"} for at in range(KEYS_MAX - 1)))
    assert len(found.keys) == KEYS_MAX
    assert found.skipped == ()


def test_no_more_than_the_first_keys_are_looked_at() -> None:
    document = {"keys": [{**EC, "kid": f"k{at}"} for at in range(KEYS_MAX + 3)]}
    found = KeyRing.read(json.dumps(document).encode(), ALGORITHMS)
    assert len(found.keys) == KEYS_MAX
    assert ("k63", "ES256") in found.keys
    (one,) = found.skipped
    assert one.why == "3 keys too many"


LONGEST = b'{"keys": []}'.ljust(256 * 1024)


def test_a_key_set_may_be_long() -> None:
    assert KeyRing.read(LONGEST, ALGORITHMS).keys == {}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        LONGEST + b" ",
        b"\xff\xfe",
        {"keys": "RSA"},
        {},
    ],
)
def test_what_is_no_key_set_is_refused_whole(document: Any) -> None:
    with pytest.raises(Invalid) as refused:
        KeyRing.read(document, ALGORITHMS)
    assert refused.value.code == "invalid_keys"


def test_the_check_of_signatures_is_never_plain_python() -> None:
    check_backends(CryptographyRSAKey, CryptographyECKey)
    for of_rsa, of_curves in (
        (RSAKey, ECDSAECKey),
        (RSAKey, CryptographyECKey),
        (CryptographyRSAKey, ECDSAECKey),
    ):
        with pytest.raises(Broken, match="not by cryptography"):
            check_backends(of_rsa, of_curves)


def test_a_key_of_our_own_is_held_to_the_same_rules() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    for algorithm, public, why in (
        (Algorithm.RS256, weak, "RSA of 1024 bits"),
        (Algorithm.RS256, ISSUER.ec.public_key(), "its algorithm is for RSA"),
        (Algorithm.ES256, ISSUER.rsa.public_key(), "ES256 is for P-256"),
        (Algorithm.ES512, ISSUER.ec.public_key(), "ES512 is for P-521"),
    ):
        with pytest.raises(ValueError, match=why):
            verification_key("k", algorithm, public)
