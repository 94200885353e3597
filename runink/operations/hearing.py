"""Who is heard: whose token is valid, and how often somebody may ask and may be wrong. One for all doors of a server, so that who knocks at two has no more tries.

the caller                                               is told
has sent too many tokens that were not valid             TooOften (`too_many_failures`), unheard
bears a token that is not valid                          Unauthenticated
asks, sends or is sent too much                          TooOften (`rate_limited`), by its purse (`purses.py`)

Failures are counted by address, requests and bytes by principal.  A token that was valid a moment ago is heard in any case: one misled client does not lock out its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from runink.identity.principals import Principal
from runink.operations.calls import Authenticate, Unauthenticated
from runink.operations.purses import OPERATOR_TIMES, Budget, Counting, TooOften
from runink.operations.rates import KnownGood, Rates

FAILURES_PER_S: Final = 0.2  # of one address, for long
FAILURES_BURST: Final = 20


class Hearing:
    """Hears callers. `clock` returns seconds that only grow. `purse` finds what a caller may still ask and send; who runs the server has `operator_times` of the budget."""

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        clock: Callable[[], float],
        budget: Budget | None = None,
        operator_times: int = OPERATOR_TIMES,
        failed: Rates | None = None,
    ) -> None:
        self.authenticate = authenticate
        self.purse: Final = Counting(
            budget or Budget(), clock=clock, operator_times=operator_times
        ).purse
        self._clock = clock
        self._failed = (
            failed if failed is not None else Rates(per_s=FAILURES_PER_S, burst=FAILURES_BURST)
        )
        self._known_good = KnownGood()

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
