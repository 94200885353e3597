"""Laws of tokens: ours takes nothing that joserfc refuses, what is minted is verified, and a change of one character is no good."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.keys import KeyRing
from runink.identity.signing import (
    ServiceAccountToken,
    SigningKey,
    SliceToken,
    mint,
    service_account_of,
    service_account_tokens,
    slice_of,
    slice_tokens,
)
from runink.identity.strict_json import decode_object
from runink.identity.tokens import Claims, verify
from runink.testing.tokens import (
    AUDIENCE,
    NOW_S,
    URL,
    Issuer,
    claims,
    document,
    ec_header,
    policy,
)
from token_mutants import ALPHABET, Mutants

ISSUER = Issuer()
RING = ISSUER.ring()
POLICY = policy()
KEYS = KeySet.import_key_set(ISSUER.key_set())
STRICT = jwt.JWTClaimsRegistry(
    now=NOW_S,
    leeway=POLICY.leeway_s,
    iss={"essential": True, "value": URL},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    iat={"essential": True},
    sub={"essential": True},
)
OF_CHARACTERS, OF_MEMBERS, OF_BYTES = 9_000, 7_000, 5_000


def oracle(token: str) -> dict[str, Any] | None:
    """Return what joserfc reads in a token, nothing if it refuses it for whatever reason."""
    try:
        found = jwt.decode(token, KEYS, algorithms=["RS256", "ES256"])
        STRICT.validate(found.claims)
    except Exception:  # noqa: BLE001 - any exception of the oracle is a refusal
        return None
    return found.claims


def ours(token: str) -> Claims | Fault:
    try:
        return verify(token, RING, POLICY, now_s=NOW_S)
    except Unauthenticated as refused:
        return refused.fault


def test_ours_takes_no_mutated_token_that_the_oracle_refuses() -> None:
    mutants = Mutants(ISSUER, seed=7)
    seen: Counter[str] = Counter()
    tokens = chain(mutants.of_members(OF_MEMBERS), mutants.of_bytes(OF_BYTES))
    for token in tokens:
        found, theirs = ours(token), oracle(token)
        seen["mutants"] += 1
        seen["oracle"] += theirs is not None
        if isinstance(found, Claims):
            assert theirs == found.members, token
            seen["ours"] += 1
        else:
            seen[found] += 1
    for token in mutants.of_characters(OF_CHARACTERS):
        found = ours(token)
        seen["mutants"] += 1
        assert isinstance(found, Fault) or token in mutants.good, token
        seen[f"text: {found}" if isinstance(found, Fault) else "same"] += 1
    assert seen["mutants"] >= 20_000
    # The mutants reach every rule, and are not all so broken that nothing is proved.
    assert seen["oracle"] > seen["ours"] > 1_000
    reached = {fault for fault in Fault if seen[fault]}
    assert reached >= set(Fault) - {
        Fault.SIZE,
        Fault.FORM,
        Fault.NONCE,
        Fault.PARTY,
        Fault.SIGNATURE,
        Fault.REVOKED,
        Fault.GROUPS,
    }
    assert all(seen[f"text: {fault}"] for fault in (Fault.FORM, Fault.SIGNATURE))


names = st.from_regex(r"\A[a-z][a-z0-9_-]{0,20}\Z")
parts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/"),
    min_size=1,
    max_size=40,
)
signing_keys = st.binary(min_size=32, max_size=32).map(SigningKey.from_entropy)
common = {
    "issuer": st.just(URL),
    "audience": st.just(AUDIENCE),
    "issued_s": st.just(NOW_S),
    "token_id": names,
    "herd": names,
}
accounts = st.builds(
    ServiceAccountToken,
    **common,
    expires_s=st.integers(NOW_S + 1, NOW_S + 3600),
    account=names,
)
slices = st.builds(
    SliceToken,
    **common,
    expires_s=st.integers(NOW_S + 1, NOW_S + 900),
    run=parts,
    slice=parts,
    attempt=st.integers(1, 1 << 32),
    node=names,
)


@given(accounts | slices, signing_keys, st.data())
def test_what_is_minted_is_verified_as_long_as_it_lives(
    token: ServiceAccountToken | SliceToken, key: SigningKey, data: st.DataObject
) -> None:
    tokens, back = (
        (slice_tokens, slice_of)
        if isinstance(token, SliceToken)
        else (service_account_tokens, service_account_of)
    )
    now_s = data.draw(st.integers(NOW_S - 30, token.expires_s + 29))
    minted, ring = mint(token, key), KeyRing.of((key.verification,))
    assert back(verify(minted, ring, tokens(URL, AUDIENCE), now_s=now_s)) == token
    with pytest.raises(Unauthenticated):
        verify(minted, ring, tokens(URL, AUDIENCE), now_s=token.expires_s + 30)


@pytest.mark.parametrize("at", [0, 1], ids=["RS256", "ES256"])
def test_a_change_of_any_one_character_is_refused(at: int) -> None:
    good = Mutants(ISSUER, seed=7).good[at]
    random = Random(7)
    assert isinstance(ours(good), Claims)
    ends = {position - 1 for position in range(1, len(good)) if good[position] == "."}
    for position, was in enumerate(good):
        is_end = position in ends or position == len(good) - 1
        for other in ALPHABET if is_end else random.sample(ALPHABET, 3):
            changed = good[:position] + other + good[position + 1 :]
            assert other == was or isinstance(ours(changed), Fault), changed


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=5)
texts = st.text() | st.text('e{}[]":,.\\u0d8', max_size=40)


@given(objects)
def test_what_is_written_as_json_is_read_as_it_was(value: dict[str, Any]) -> None:
    assert decode_object(document(value)) == value


@given(st.binary(max_size=60) | texts.map(lambda text: text.encode(errors="surrogatepass")))
def test_whatever_bytes_there_are_reading_them_gives_an_object_or_one_error(data: bytes) -> None:
    try:
        found = decode_object(data)
    except ValueError:
        return
    assert type(found) is dict


@given(texts)
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    assert isinstance(ours(text), Fault)
    assert isinstance(ours(f"{text}.{text}.{text}"), Fault)


heads = objects | objects.map(lambda odd: ec_header() | odd)
bodies = objects | objects.map(lambda odd: claims() | odd)


@given(heads, bodies)
def test_no_signed_objects_make_anything_but_claims_or_a_refusal(
    head: dict[str, Any], body: dict[str, Any]
) -> None:
    token = ISSUER.token(body, head, key="ec")
    found = ours(token)
    if isinstance(found, Claims):
        assert oracle(token) == found.members
