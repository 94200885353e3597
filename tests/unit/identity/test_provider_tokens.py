"""What a provider's settings mean for its tokens."""

from __future__ import annotations

import msgspec
import pytest
from runink.errors import Invalid
from runink.identity.algorithms import Algorithm
from runink.identity.principal_mapping import ClaimMapping
from runink.identity.provider_tokens import access_policy, identity_policy, mapping_of, ring_of
from runink.identity.providers import ALGORITHMS, TOKEN_TYPES, ClaimNames, Provider
from runink.identity.tokens import OF_ACCESS, TokenPolicy
from runink.names import ProviderId

PROVIDER = Provider(id=ProviderId("x"), issuer="https://x.example", client_id="y")


def test_what_is_taken_where_nothing_is_said_are_algorithms_and_types_that_are_checked():
    assert set(ALGORITHMS) <= set(Algorithm)
    assert TOKEN_TYPES == (OF_ACCESS,)


def test_an_access_token_is_for_the_audience_or_else_for_the_client():
    assert access_policy(PROVIDER) == TokenPolicy(
        issuer="https://x.example",
        audience="y",
        algorithms=frozenset({Algorithm.RS256, Algorithm.ES256, Algorithm.ES384}),
    )
    other = msgspec.structs.replace(
        PROVIDER, audience="api", token_types=("jwt",), header_members=("nonce",)
    )
    policy = access_policy(other)
    assert (policy.audience, policy.types) == ("api", {"jwt"})
    assert policy.further_header == {"nonce"}


def test_an_id_token_is_for_the_client_and_for_one_login():
    policy = identity_policy(msgspec.structs.replace(PROVIDER, audience="api"), nonce="n")
    assert (policy.audience, policy.party, policy.nonce) == ("y", "y", "n")


def test_what_is_expected_is_expected_of_both():
    provider = msgspec.structs.replace(
        PROVIDER, expected=(("hd", "x.example"),), header_members=("nonce",)
    )
    for policy in (access_policy(provider), identity_policy(provider, nonce="n")):
        assert policy.expected == (("hd", "x.example"),)
        assert policy.further_header == {"nonce"}


def test_claims_are_named_by_paths():
    names = ClaimNames("oid", "realm_access.roles", ("upn", "https://x.example/name"))
    assert mapping_of(msgspec.structs.replace(PROVIDER, claims=names)) == ClaimMapping(
        issuer_id="x",
        name=("oid",),
        display=(("upn",), ("https://x.example/name",)),
        groups=("realm_access", "roles"),
    )
    names = ClaimNames(groups="")
    assert mapping_of(msgspec.structs.replace(PROVIDER, claims=names)).groups == ()
    assert mapping_of(PROVIDER) == ClaimMapping(issuer_id="x")


def test_a_ring_is_made_of_a_key_set():
    assert "a" not in ring_of(PROVIDER, b'{"keys": []}')
    with pytest.raises(Invalid):
        ring_of(PROVIDER, b"[]")
