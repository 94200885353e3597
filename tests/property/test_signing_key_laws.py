"""Laws of what the cluster signs with: a rotation refuses no token that lives, and what was revoked stays refused for as long as it would have lived."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from runink.identity.denials import Unauthenticated
from runink.identity.revocations import (
    KeyRevoked,
    Revocation,
    Revocations,
    SubjectRevoked,
    TokenRevoked,
)
from runink.identity.rotation import LAG_S, PUBLISHED_AHEAD_S, SigningKeys
from runink.identity.signing import (
    SERVICE_ACCOUNT_LIFETIME_S_MAX,
    ServiceAccountToken,
    SigningKey,
    mint,
    service_account_tokens,
)
from runink.identity.tokens import LEEWAY_S, Claims, verify

CLUSTER, API = "https://runink.example.org", "runink"
BEGAN_S = 1_800_000_000
POLICY = service_account_tokens(CLUSTER, API)


@cache
def numbered(number: int) -> SigningKey:
    return SigningKey.from_entropy(number.to_bytes(32, "big"))


class Cluster:
    """The keys as they were at every moment, one member that has heard of the newest and one that lags behind, and what they have signed."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.now_s = BEGAN_S
        self.states = [(BEGAN_S, SigningKeys(numbered(0)))]
        self.minted: list[tuple[ServiceAccountToken, str]] = []

    def at(self, moment_s: int) -> SigningKeys:
        """Return the newest state of then."""
        return next(keys for since_s, keys in reversed(self.states) if since_s <= moment_s)

    def step(self) -> None:
        random = self._random
        self.now_s += random.choice((1, 29, 60, 599, 600, 1800, 3600))
        keys = self.at(self.now_s)
        if random.random() < 0.5 and keys.upcoming is None:
            keys = keys.announce(numbered(len(self.states)), self.now_s)
        if random.random() < 0.5:
            keys = keys.rotate(self.now_s)
        self.states.append((self.now_s, keys))
        heard_s = max(BEGAN_S, self.now_s - random.choice((0, LAG_S)))
        self._sign(self.at(heard_s), self.now_s + random.randint(-LEEWAY_S, LEEWAY_S))

    def _sign(self, keys: SigningKeys, clock_s: int) -> None:
        lives_s = self._random.choice((1, 600, SERVICE_ACCOUNT_LIFETIME_S_MAX))
        token = ServiceAccountToken(
            issuer=CLUSTER,
            audience=API,
            issued_s=clock_s,
            expires_s=clock_s + lives_s,
            token_id=f"t{len(self.minted)}",
            herd="flights",
            account="loader",
        )
        self.minted.append((token, mint(token, keys.active)))


@given(st.randoms(use_true_random=False), st.integers(5, 25))
def test_a_rotation_refuses_no_token_that_has_not_expired(random: Random, steps: int) -> None:
    cluster = Cluster(random)
    for _ in range(steps):
        cluster.step()
        clock_s = cluster.now_s + random.choice((-LEEWAY_S, 0, LEEWAY_S))
        behind_s = random.choice((0, 1, PUBLISHED_AHEAD_S - LAG_S))
        ring = cluster.at(max(BEGAN_S, cluster.now_s - behind_s)).ring(clock_s)
        for token, minted in cluster.minted:
            if clock_s - token.expires_s < LEEWAY_S and token.issued_s <= clock_s + LEEWAY_S:
                assert verify(minted, ring, POLICY, now_s=clock_s).token_id == token.token_id


few = st.sampled_from
moments = st.integers(0, 12)
revocations = (
    st.builds(TokenRevoked, few(["i", "j"]), few(["t1", "t2"]), moments)
    | st.builds(SubjectRevoked, few(["i", "j"]), few(["s1", "s2"]), moments, moments)
    | st.builds(KeyRevoked, few(["i", "j"]), few(["k1", "k2"]), moments)
)


def is_revoked(claims: Claims, one: Revocation) -> bool:
    """Say plainly whether a revocation refuses a token."""
    if claims.issuer != one.issuer:
        return False
    match one:
        case TokenRevoked():
            return claims.token_id == one.token_id
        case SubjectRevoked():
            return claims.subject == one.subject and claims.issued_s <= one.last_s
        case KeyRevoked():
            return claims.key_id == one.key_id


every_claims = [
    Claims(issuer, subject, (), issued_s, 99, token_id, key_id, {})
    for issuer in "ij"
    for subject in ("s1", "s2")
    for token_id in ("t1", "t2", "")
    for key_id in ("k1", "k2")
    for issued_s in range(13)
]


def refuses(found: Revocations, claims: Claims) -> bool:
    try:
        found.check(claims)
    except Unauthenticated:
        return True
    return False


@given(st.lists(revocations, max_size=12), moments, st.randoms(use_true_random=False))
def test_the_set_refuses_what_one_of_its_revocations_refuses(
    listed: list[Revocation], now_s: int, random: Random
) -> None:
    found = Revocations()
    for one in random.sample(listed, len(listed)):
        found.add(one)
    for claims in every_claims:
        assert refuses(found, claims) == any(is_revoked(claims, one) for one in listed)
    gone = found.prune(now_s)
    assert all(one.until_s <= now_s for one in gone)
    for claims in every_claims:
        lasting = any(is_revoked(claims, one) for one in listed if one.until_s > now_s)
        assert refuses(found, claims) or not lasting
    for one in listed:
        found.lift(one)
    assert len(found) == 0
