"""Who is heard: whose token is valid, and how often somebody may ask and may be wrong. One for all doors of a server, so that who knocks at two has no more tries.

the caller                                               is told
has sent too many tokens that were not valid             TooOften (`too_many_failures`), unheard
bears a token that is not valid                          Unauthenticated
asks too often                                           TooOften (`rate_limited`)

Failures are counted by address, requests by principal.  A token that was valid a moment ago is heard in any case: one misled client does not lock out its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from runink.errors import Overloaded
from runink.identity.principals import Principal
from runink.operations.calls import Authenticate, Unauthenticated
from runink.operations.rates import Allowance, KnownGood, Rates

REQUESTS_PER_S: Final = 50.0  # of one principal, for long
REQUESTS_BURST: Final = 200
FAILURES_PER_S: Final = 0.2  # of one address, for long
FAILURES_BURST: Final = 20


class TooOften(Overloaded):
    """Somebody asks, or is wrong, more often than is allowed. `retry_s` says after which time it is worth trying again."""

    def __init__(self, text: str, *, code: str, retry_s: int) -> None:
        super().__init__(text, code=code, hint=f"ask again in {retry_s} s")
        self.retry_s = retry_s


class Hearing:
    """Hears callers. `clock` returns seconds that only grow; the rates are those of the module unless they are given."""

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        clock: Callable[[], float],
        asked: Rates | None = None,
        failed: Rates | None = None,
    ) -> None:
        self.authenticate = authenticate
        self._clock = clock
        self._asked = (
            asked if asked is not None else Rates(per_s=REQUESTS_PER_S, burst=REQUESTS_BURST)
        )
        self._failed = (
            failed if failed is not None else Rates(per_s=FAILURES_PER_S, burst=FAILURES_BURST)
        )
        self._known_good = KnownGood()

    @property
    def policy(self) -> str:
        """Return what the header RateLimit-Policy says."""
        return self._asked.policy

    async def principal(self, token: str, address: str) -> Principal:
        """Return who bears the token. `address` is what failures are counted by. Raises Unauthenticated, TooOften, and Unavailable where that cannot be said now."""
        now_s = self._clock()
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        state = self._failed.look(address, now_s=now_s)
        if not state.is_allowed and not self._known_good.has(digest, now_s=now_s):
            raise TooOften(
                "too many tokens that are not valid came from this address",
                code="too_many_failures",
                retry_s=state.retry_s,
            )
        try:
            principal = await self.authenticate(token)
        except Unauthenticated:
            self._failed.take(address, now_s=now_s)
            raise
        self._known_good.add(digest, now_s=now_s)
        return principal

    def count(self, key: str) -> Allowance:
        """Count a request of the principal, or whatever it is counted by. It is refused by `check_allowed`, which whoever carries it calls when it has told the allowance."""
        return self._asked.take(key, now_s=self._clock())


def check_allowed(allowance: Allowance) -> None:
    """Raise TooOften unless the request may be made."""
    if not allowance.is_allowed:
        raise TooOften("you ask too often", code="rate_limited", retry_s=allowance.retry_s)
