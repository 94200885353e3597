"""How often somebody may ask: buckets of tokens, one for each who asks. Pure: the time is an argument.

A bucket is full at first; each request takes one token, and so many come back each second.  Only buckets that are not full are worth keeping:
where there are too many, full ones go first and then those that were used the longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil
from typing import Final

BUCKETS_MAX: Final = (
    16_384  # two megabytes: whoever has more addresses than that is limited by connections
)


ONE: Final = (
    1 - 1e-9
)  # a token, as far as a difference of moments can tell: who waits as long as he was told has one


@dataclass(frozen=True, slots=True)
class Allowance:
    """What was decided. `left` are the tokens that remain, `full_s` is when the bucket is full again, `retry_s` when it has one again (0: now), `policy` is the header RateLimit-Policy."""

    is_allowed: bool
    left: int
    full_s: int
    retry_s: int
    policy: str = ""

    @property
    def header(self) -> str:
        """Return the header RateLimit."""
        return f'"default";r={self.left};t={self.full_s}'


class Rates:
    """Buckets of one size, by who asks."""

    def __init__(self, *, per_s: float, burst: int, buckets_max: int = BUCKETS_MAX) -> None:
        assert per_s > 0
        assert burst >= 1
        self.burst = burst
        # The header RateLimit-Policy: so many in the time that a bucket takes to fill.
        self.policy: Final = f'"default";q={burst};w={ceil(burst / per_s)}'
        self._per_s = per_s
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, *, now_s: float) -> Allowance:
        """Take a token, if there is one."""
        tokens = self._tokens(key, now_s)
        is_allowed = tokens >= ONE
        if is_allowed:
            tokens = max(tokens - 1, 0.0)
        self._keep(key, tokens, now_s)
        return self._allowance(tokens, is_allowed=is_allowed)

    def charge(self, key: str, amount: float, *, now_s: float) -> None:
        """Take so many tokens, also where there are fewer: what is owed comes back first."""
        assert amount >= 0
        self._keep(key, self._tokens(key, now_s) - amount, now_s)

    def wait_s(self, key: str, *, least: float, now_s: float) -> float:
        """Return after which time there are at least so many tokens, if nobody takes any; 0 where there are."""
        assert least <= self.burst
        return max(0.0, (least - self._tokens(key, now_s)) / self._per_s)

    def look(self, key: str, *, now_s: float) -> Allowance:
        """Say what `take` would, and take nothing."""
        tokens = self._tokens(key, now_s)
        return self._allowance(tokens, is_allowed=tokens >= ONE)

    def _tokens(self, key: str, now_s: float) -> float:
        tokens, then_s = self._buckets.get(key, (float(self.burst), now_s))
        return min(float(self.burst), tokens + max(0.0, now_s - then_s) * self._per_s)

    def _allowance(self, tokens: float, *, is_allowed: bool) -> Allowance:
        full_s = ceil((self.burst - tokens) / self._per_s)
        retry_s = 0 if is_allowed else max(1, ceil((1 - tokens) / self._per_s))
        return Allowance(is_allowed, max(int(tokens), 0), full_s, retry_s, self.policy)

    def _keep(self, key: str, tokens: float, now_s: float) -> None:
        self._buckets[key] = (tokens, now_s)
        self._buckets.move_to_end(key)
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        """Drop the oldest: those that have been full for long stand first, as they were not used since."""
        while self._buckets:
            oldest = next(iter(self._buckets))
            is_full = self._tokens(oldest, now_s) >= self.burst
            if not is_full and len(self._buckets) <= self._buckets_max:
                return
            del self._buckets[oldest]


class KnownGood:
    """Digests of tokens that were valid a moment ago: they are heard even where an address has sent too many that were not."""

    def __init__(self, *, kept_s: float = 300.0, kept_max: int = 4_096) -> None:
        self._kept_s = kept_s
        self._kept_max = kept_max
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def add(self, digest: bytes, *, now_s: float) -> None:
        """Take note of a valid token."""
        self._seen[digest] = now_s
        self._seen.move_to_end(digest)
        if len(self._seen) > self._kept_max:
            self._seen.popitem(last=False)

    def has(self, digest: bytes, *, now_s: float) -> bool:
        """Say whether a token was valid a moment ago."""
        then_s = self._seen.get(digest)
        return then_s is not None and now_s - then_s <= self._kept_s
