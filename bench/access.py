"""Access: how many tokens are checked, refused and made in a second of one core, how many decisions (`access_decisions.py`), and how many requests over HTTP (`access_requests.py`).

The references are what one writes in a line: python-jose's own `jwt.decode` with the issuer's key set, which looks at less, and joserfc with its registry of claims, whose keys are prepared as ours are.  All
check the same token, of 993 characters by RS256 and 735 by ES256; the sides take turns, and the best turn of each counts, in seconds of a processor.  `--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import joserfc.jwt
from jose import jwt
from joserfc.jwk import ECKey, KeySet
from runink.identity.checked_tokens import CheckedTokens
from runink.identity.denials import Unauthenticated
from runink.identity.signing import ServiceAccountToken, SigningKey, mint
from runink.identity.tokens import verify
from runink.testing.tokens import (
    AUDIENCE,
    EC_KID,
    RSA_KID,
    URL,
    Issuer,
    claims,
    ec_header,
    header,
    policy,
)

from access_decisions import compiled, decided, named
from access_requests import requested
from figures import Figure, above, main, shown

TURNS = 7
TURN_S = 0.25
RS256_PER_S_MUST = 15_000
NOW_S = int(time.time())  # python-jose asks the clock
ISSUER = Issuer()
TOKENS = {
    kid: ISSUER.token(claims(iat=NOW_S, exp=NOW_S + 3600, scope="openid " * 20), head)
    for kid, head in ((RSA_KID, header()), (EC_KID, ec_header()))
}


def rate(work: Callable[[], object]) -> float:
    """Return how often a second something is done, counted over a short while."""
    done, began = 0, time.process_time()
    while (took := time.process_time() - began) < TURN_S:
        for _ in range(50):
            work()
        done += 50
    return done / took


def in_turns(*works: Callable[[], object]) -> list[float]:
    """Return the best rate of each."""
    turns = [[rate(work) for work in works] for _ in range(TURNS)]
    return [max(rates) for rates in zip(*turns, strict=True)]


def checks(kid: str) -> tuple[Callable[[], object], ...]:
    """Return the three ways to check the token of a key: ours, python-jose's, joserfc's."""
    token, ring, rules = TOKENS[kid], ISSUER.ring(), policy()
    algorithms = [key.algorithm.value for key in ring.keys.values()]
    # By one key, not by the set: python-jose fails at the first key of another kind.
    plain = next(one for one in ISSUER.key_set()["keys"] if one["kid"] == kid)
    keys = KeySet.import_key_set(ISSUER.key_set())
    registry = joserfc.jwt.JWTClaimsRegistry(
        leeway=rules.leeway_s,
        iss={"essential": True, "value": URL},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )

    def by_joserfc() -> None:
        registry.validate(joserfc.jwt.decode(token, keys, algorithms=algorithms).claims)

    return (
        lambda: verify(token, ring, rules, now_s=NOW_S),
        lambda: jwt.decode(token, plain, algorithms, audience=AUDIENCE, issuer=URL),
        by_joserfc,
    )


def rs256_verified() -> list[Figure]:
    ours, plain, other = in_turns(*checks(RSA_KID))
    return [
        above("RS256 tokens verified/s, to jwt.decode", ours, RS256_PER_S_MUST, plain),
        shown("RS256 tokens verified/s, to joserfc", ours, other),
    ]


def es256_verified() -> list[Figure]:
    ours, plain, other = in_turns(*checks(EC_KID))
    return [
        shown("ES256 tokens verified/s, to jwt.decode", ours, plain),
        shown("ES256 tokens verified/s, to joserfc", ours, other),
    ]


def remembered() -> list[Figure]:
    """Who comes again costs a digest and a look at the time."""
    ring, rules, found = ISSUER.ring(), policy(), []
    for kid in (RSA_KID, EC_KID):
        tokens, text = CheckedTokens(), TOKENS[kid]

        def again(tokens: CheckedTokens = tokens, text: str = text) -> None:
            tokens.check(tokens.read(text), ring, rules, now_s=NOW_S)

        ours, anew = in_turns(again, partial(verify, text, ring, rules, now_s=NOW_S))
        algorithm = "RS256" if kid == RSA_KID else "ES256"
        found.append(shown(f"{algorithm} tokens known again/s, to those verified", ours, anew))
    return found


def refused() -> list[Figure]:
    """Who sends junk costs less than who sends tokens."""
    ring, rules, good = ISSUER.ring(), policy(), TOKENS[RSA_KID]
    forged = good[:-20] + ("A" * 19 + good[-1])

    def refuse(token: str, now_s: int) -> None:
        try:
            verify(token, ring, rules, now_s=now_s)
        except Unauthenticated:
            return
        raise AssertionError

    taken, expired, wrong = in_turns(
        lambda: verify(good, ring, rules, now_s=NOW_S),
        lambda: refuse(good, NOW_S + 9000),
        lambda: refuse(forged, NOW_S),
    )
    return [
        shown("expired tokens refused/s, to good ones verified", expired, taken),
        shown("forged tokens refused/s, to good ones verified", wrong, taken),
    ]


def es256_minted() -> list[Figure]:
    key = SigningKey.from_entropy(bytes(32))
    token = ServiceAccountToken(
        issuer=URL,
        audience=AUDIENCE,
        issued_s=NOW_S,
        expires_s=NOW_S + 3600,
        token_id="a1b2c3d4-e5f6-7890-abcd-ef0123456789",
        herd="flights",
        account="loader",
    )
    theirs = ECKey.import_key(key.private)
    head = {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    members = claims(iat=NOW_S, exp=NOW_S + 3600)
    ours, other = in_turns(
        lambda: mint(token, key), lambda: joserfc.jwt.encode(head, members, theirs)
    )
    return [shown("ES256 tokens minted/s, to joserfc", ours, other)]


FIGURES = (
    rs256_verified,
    es256_verified,
    remembered,
    refused,
    es256_minted,
    decided,
    named,
    compiled,
    requested,
)


def measure(_: argparse.Namespace) -> list[Figure]:
    return [one for figures in FIGURES for one in figures()]


if __name__ == "__main__":
    main(measure, str(__doc__))
