"""When a call that went wrong is made again, and after how long. Pure.

    what went wrong                                  is made again
    nobody listens, or not yet                       always: nothing was sent
    429                                              always: it was not looked at
    503                                              what is read, and what has an Idempotency-Key
    409 `in_flight`, 504, lost on the way            the same
    TLS, the token, any other refusal                never

A POST with a key is the same call each time, so the server makes it once.  Without a key a loss on the way is OutcomeUnknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runink.errors import LinkLost, OutcomeUnknown, RuninkError, TimedOut, Unavailable

NOT_CONNECTED: Final = "not_connected"
FIRST_PAUSE_S: Final = 0.1
PAUSE_S_MAX: Final = 5.0
_NOT_LOOKED_AT: Final = frozenset({"rate_limited", "too_many_failures", "too_many_streams"})
_NEVER: Final = frozenset({"tls_failed", "host_unknown", "answer_malformed", "too_many_failures"})


@dataclass(frozen=True, slots=True)
class Failure:
    """How a try ended. `is_sent`: some of the request may have arrived. `is_answered`: the error is the server's word. `retry_after_s` is what it wants."""

    error: RuninkError
    is_sent: bool = False
    is_answered: bool = False
    retry_after_s: float = 0.0


def may_repeat(failure: Failure, *, is_repeatable: bool) -> bool:
    """Say whether the same call may be made again."""
    error = failure.error
    if error.code in _NEVER or (isinstance(error, OutcomeUnknown) and not is_repeatable):
        return False
    if not failure.is_sent:
        return isinstance(error, LinkLost)
    if failure.is_answered and error.code in _NOT_LOOKED_AT:
        return True
    return is_repeatable and (isinstance(error, Unavailable) or error.code == "in_flight")


def pause_before(failure: Failure, *, tried: int, dice: float) -> float:
    """Return how long to wait before the next try, in seconds. `tried` is how many there were, `dice` a number from 0 to 1 that keeps clients apart."""
    backed_off_s = min(FIRST_PAUSE_S * 2.0 ** min(tried - 1, 16), PAUSE_S_MAX)
    return max(failure.retry_after_s, backed_off_s * (0.5 + dice / 2))


def told(failure: Failure, *, is_repeatable: bool) -> RuninkError:
    """Return what the caller is told of a try that was the last."""
    error = failure.error
    is_lost = failure.is_sent and not failure.is_answered and isinstance(error, LinkLost | TimedOut)
    if is_lost and not is_repeatable:
        return OutcomeUnknown(
            f"{error.text}, and it may have happened",
            hint="look whether it has, before you ask again",
        )
    return error
