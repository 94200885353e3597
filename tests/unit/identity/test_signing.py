"""Tokens that the cluster signs itself, and the keys that it signs with."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from msgspec.structs import replace
from runink.errors import Invalid
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.keys import KeyRing, jwks
from runink.identity.signing import (
    OwnToken,
    ServiceAccountToken,
    SigningKey,
    SliceToken,
    mint,
    service_account_of,
    service_account_tokens,
    slice_of,
    slice_tokens,
)
from runink.identity.tokens import Claims, verify

CLUSTER, API = "https://runink.example.org", "runink"
NOW_S = 1_800_000_000
KEY = SigningKey.from_entropy(bytes(range(32)))
RING = KeyRing.of((KEY.verification,))
ACCOUNT = ServiceAccountToken(
    issuer=CLUSTER,
    audience=API,
    issued_s=NOW_S,
    expires_s=NOW_S + 3600,
    token_id="t1",
    herd="flights",
    account="loader",
)
SLICE = SliceToken(
    issuer=CLUSTER,
    audience=API,
    issued_s=NOW_S,
    expires_s=NOW_S + 900,
    token_id="t2",
    herd="flights",
    run="01K9ZB5W3Q8T2N4R6V8X0Y1Z2A",
    slice="silver.join",
    attempt=3,
    node="worker-1",
)


def claims_of(token: OwnToken) -> Claims:
    tokens = slice_tokens if isinstance(token, SliceToken) else service_account_tokens
    return verify(mint(token, KEY), RING, tokens(CLUSTER, API), now_s=NOW_S)


def test_what_was_minted_is_what_is_verified() -> None:
    assert service_account_of(claims_of(ACCOUNT)) == ACCOUNT
    assert slice_of(claims_of(SLICE)) == SLICE


def test_a_token_says_whose_it_is_in_its_subject() -> None:
    assert claims_of(ACCOUNT).subject == "flights/loader"
    assert claims_of(ACCOUNT).members["client_id"] == "flights/loader"
    assert claims_of(SLICE).subject == "flights/01K9ZB5W3Q8T2N4R6V8X0Y1Z2A/silver.join/3"


def test_another_library_verifies_them_by_the_published_keys() -> None:
    keys = KeySet.import_key_set(jwks([KEY.verification]))
    found = jwt.decode(mint(SLICE, KEY), keys, algorithms=["ES256"])
    assert found.header == {"alg": "ES256", "kid": KEY.kid, "typ": "runink-slice+jwt"}
    assert found.claims["run"] == SLICE.run


def test_the_same_token_is_signed_to_the_same_characters() -> None:
    assert mint(SLICE, KEY) == mint(SLICE, SigningKey.from_bytes(KEY.to_bytes()))
    assert mint(SLICE, KEY) != mint(replace(SLICE, attempt=4), KEY)


def test_neither_kind_is_taken_for_the_other() -> None:
    for token, tokens in ((ACCOUNT, slice_tokens), (SLICE, service_account_tokens)):
        with pytest.raises(Unauthenticated) as refused:
            verify(mint(token, KEY), RING, tokens(CLUSTER, API), now_s=NOW_S)
        assert refused.value.fault is Fault.TYPE
    with pytest.raises(Unauthenticated):
        slice_of(claims_of(ACCOUNT))
    with pytest.raises(Unauthenticated):
        service_account_of(claims_of(SLICE))


@pytest.mark.parametrize(
    ("token", "changes"),
    [
        (ACCOUNT, {"expires_s": NOW_S + 3601}),
        (ACCOUNT, {"expires_s": NOW_S}),
        (ACCOUNT, {"herd": ""}),
        (ACCOUNT, {"herd": "flights/loader"}),
        (ACCOUNT, {"account": "Loader"}),
        (ACCOUNT, {"account": "loader\n"}),
        (ACCOUNT, {"token_id": ""}),
        (ACCOUNT, {"audience": ""}),
        (ACCOUNT, {"issued_s": 0}),
        (SLICE, {"expires_s": NOW_S + 901}),
        (SLICE, {"run": "a/b"}),
        (SLICE, {"slice": ""}),
        (SLICE, {"slice": "a\nb"}),
        (SLICE, {"run": "r" * 150, "slice": "s" * 150}),
        (SLICE, {"attempt": 0}),
        (SLICE, {"node": "a b"}),
    ],
)
def test_a_token_that_nobody_would_take_is_not_made(
    token: OwnToken, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as refused:
        mint(replace(token, **changes), KEY)
    assert refused.value.code == "invalid_token"


def test_a_token_whose_parts_do_not_agree_is_refused() -> None:
    good = claims_of(SLICE)
    for changes in ({"attempt": 4}, {"herd": "other"}, {"attempt": "3"}, {"node": None}):
        with pytest.raises(Unauthenticated):
            slice_of(replace(good, members={**good.members, **changes}))
    with pytest.raises(Unauthenticated):
        service_account_of(replace(claims_of(ACCOUNT), subject="flights/other"))


def test_a_key_comes_back_from_its_bytes() -> None:
    again = SigningKey.from_bytes(KEY.to_bytes())
    assert again == KEY
    assert again.kid == KEY.kid
    assert len(KEY.to_bytes()) == 32


def test_a_key_shows_nothing_of_itself() -> None:
    assert str(int.from_bytes(KEY.to_bytes(), "big")) not in repr(KEY)
    assert KEY.to_bytes().hex() not in repr(KEY)


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    "scalar",
    [b"", bytes(32), bytes(31), b"\xff" * 32, b"\1" * 33, ORDER.to_bytes(32, "big")],
)
def test_bytes_that_are_no_key_are_refused(scalar: bytes) -> None:
    with pytest.raises(ValueError, match="no private key"):
        SigningKey.from_bytes(scalar)


def test_the_largest_number_below_the_order_of_the_curve_is_a_key() -> None:
    largest = (ORDER - 1).to_bytes(32, "big")
    assert SigningKey.from_bytes(largest).to_bytes() == largest


def test_every_32_bytes_make_a_key_and_no_two_the_same() -> None:
    made = [bytes(32), b"\xff" * 32, bytes(31) + b"\1"]
    assert len({SigningKey.from_entropy(entropy).to_bytes() for entropy in made}) == 3


def test_the_id_of_a_key_is_its_thumbprint() -> None:
    assert KEY.kid == ECKey.import_key(KEY.verification.to_jwk()).thumbprint()


def test_a_key_of_another_curve_signs_nothing() -> None:
    with pytest.raises(ValueError, match="P-256"):
        SigningKey.of(ec.generate_private_key(ec.SECP384R1()))
