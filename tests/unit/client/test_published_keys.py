"""The key set of the cluster over HTTP: whoever wants checks a token of a program by it, with a library of their own and no token."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from joserfc import jwt
from joserfc.errors import InvalidClaimError
from joserfc.jwk import KeySet
from runink.identity.rotation import PUBLISHED_AHEAD_S
from runink.operations.catalog import accounts, tokens
from runink.operations.catalog.identity import KEYS_CACHED_S
from runink.testing.served import NOW_MS
from served_cluster import served_cluster

OF = {"herd": "sales", "account": "nightly"}


def test_a_service_checks_a_programs_token_by_the_key_set_alone(tmp_path: Path) -> None:
    with served_cluster(tmp_path, "sales", tokens={}, signs=True) as served:
        served.on_loop(lambda: served.cluster.ask(accounts.CREATE, **OF))
        made = served.on_loop(lambda: served.cluster.ask(tokens.MINT, lifetime_s=60, **OF))
        with urlopen(f"{served.address}/api/v1/jwks", timeout=20) as answer:
            kept_for, found = answer.headers["Cache-Control"], json.load(answer)
    assert kept_for == f"public, max-age={KEYS_CACHED_S}"
    keys = KeySet.import_key_set({"keys": found["keys"]})
    token = jwt.decode(made.access_token, keys, algorithms=["ES256"])
    issuer = {"essential": True, "value": found["issuer"]}
    rules = {"iss": issuer, "aud": issuer, "exp": {"essential": True}}
    jwt.JWTClaimsRegistry(now=NOW_MS // 1000, **rules).validate(token.claims)
    assert token.claims["sub"] == "sales/nightly"
    with pytest.raises(InvalidClaimError):
        jwt.JWTClaimsRegistry(now=NOW_MS // 1000, iss={"value": "another"}).validate(token.claims)


def test_a_kept_key_set_is_never_older_than_a_key_is_published_before_it_signs() -> None:
    assert 0 < KEYS_CACHED_S < PUBLISHED_AHEAD_S
