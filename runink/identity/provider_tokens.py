"""What a provider's settings mean for its tokens: how they are checked (`tokens.py`), by which keys (`keys.py`), and whom they speak for (`principal_mapping.py`).

Apart from `providers.py`, because these need python-jose, which is where the server is; settings and logins are wherever a person is.
"""

from __future__ import annotations

import msgspec

from runink.identity.algorithms import Algorithm
from runink.identity.keys import KeyRing
from runink.identity.principal_mapping import ClaimMapping, claim_path
from runink.identity.providers import Provider
from runink.identity.tokens import TokenPolicy, id_tokens


def ring_of(provider: Provider, document: bytes) -> KeyRing:
    """Return the ring of a JWKS document. Raises Invalid (`invalid_keys`)."""
    return KeyRing.read(document, _algorithms(provider))


def access_policy(provider: Provider) -> TokenPolicy:
    """Return what an access token of the provider must be."""
    return TokenPolicy(
        issuer=provider.issuer,
        audience=provider.audience or provider.client_id,
        algorithms=_algorithms(provider),
        types=frozenset(provider.token_types),
        expected=provider.expected,
        further_header=frozenset(provider.header_members),
    )


def identity_policy(provider: Provider, *, nonce: str) -> TokenPolicy:
    """Return what the ID token must be that ends the login with this nonce."""
    policy = id_tokens(
        issuer=provider.issuer,
        client_id=provider.client_id,
        nonce=nonce,
        algorithms=_algorithms(provider),
    )
    return msgspec.structs.replace(
        policy,
        expected=provider.expected,
        further_header=frozenset(provider.header_members),
    )


def mapping_of(provider: Provider) -> ClaimMapping:
    """Return what the provider's claims mean. Raises Invalid (`invalid_claim_path`)."""
    names = provider.claims
    return ClaimMapping(
        issuer_id=provider.id,
        name=claim_path(names.subject),
        display=tuple(map(claim_path, names.display)),
        groups=claim_path(names.groups) if names.groups else (),
    )


def _algorithms(provider: Provider) -> frozenset[Algorithm]:
    return frozenset(map(Algorithm, provider.algorithms))
