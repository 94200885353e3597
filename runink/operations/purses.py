"""What one who asks may still ask, send and be sent: requests and bytes, at all doors of a server together.

    bucket        a request takes            and where it is empty
    requests      one                        that request is refused
    received      the bytes of its body      what comes with a body is refused, until some have come back
    sent          the bytes of its answer    every request is refused, until some have come back

Bytes are taken although there are fewer: how long an answer is shows when it is there, and a body that was let in is read to its end.  What is owed comes back before anything else, so nobody gets more than the
burst and the rate for long.

Answers that come as a stream are no bursts, and end nothing: they wait.  They wait before the bucket is empty (STREAMS_LEAVE of it is for others), so who reads one at full speed can ask beside it.

Who runs the server has OPERATOR_TIMES of what others have: scripts at the machine itself are not held up, and one that has gone wild does not take all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final, Protocol

import msgspec

from runink.errors import Overloaded
from runink.identity.principals import Principal, PrincipalKind
from runink.operations.rates import ONE, Allowance, Rates

OPERATOR_TIMES: Final = 40  # 2,000 requests a second: a processor answers some thousands
STREAMS_LEAVE: Final = 0.25


class TooOften(Overloaded):
    """Somebody asks, sends or is wrong more often than is allowed. `retry_s` says after which time it is worth trying again."""

    def __init__(self, text: str, *, code: str, retry_s: int) -> None:
        super().__init__(text, code=code, hint=f"ask again in {retry_s} s")
        self.retry_s = retry_s


class Meter(Protocol):
    """Counts the bytes of a request, or of a stream."""

    def received(self, size_bytes: int) -> None:
        """Count what has come."""
        ...

    def sent(self, size_bytes: int) -> None:
        """Count what is handed on to be sent."""
        ...


class Unmetered:
    """Counts nothing."""

    def received(self, size_bytes: int) -> None:
        """Pass it over."""

    def sent(self, size_bytes: int) -> None:
        """Pass it over."""


UNMETERED: Final = Unmetered()


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal has: a burst of requests and of bytes either way, and so many a second that come back. All are above 0."""

    requests_per_s: float = 50.0
    requests_burst: int = 200
    received_bytes_per_s: float = float(4 << 20)
    received_bytes_burst: int = 64 << 20
    sent_bytes_per_s: float = float(16 << 20)
    sent_bytes_burst: int = 256 << 20

    def times(self, factor: int) -> Budget:
        """Return one that is so many times as large."""
        fields = Budget.__struct_fields__
        return Budget(**{name: getattr(self, name) * factor for name in fields})


class Purses:
    """The purses of all who ask: those of one budget. `clock` returns seconds that only grow."""

    def __init__(self, budget: Budget, *, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.asked = Rates(per_s=budget.requests_per_s, burst=budget.requests_burst)
        self.received = Rates(per_s=budget.received_bytes_per_s, burst=budget.received_bytes_burst)
        self.sent = Rates(per_s=budget.sent_bytes_per_s, burst=budget.sent_bytes_burst)

    def of(self, key: str) -> Purse:
        """Return the purse of a principal, or of whatever else is counted."""
        return Purse(self, key)


class Purse:
    """One purse, for a request or a stream; others of the same key count together with it."""

    __slots__ = ("_key", "_of", "meter")

    def __init__(self, of: Purses, key: str) -> None:
        self.meter: Meter = UNMETERED  # set by the door, when it knows whose bytes they are
        self._of = of
        self._key = key

    def ask(self) -> Allowance:
        """Count a request. It is refused by `check_allowed`, which whoever carries it calls when it has told the allowance."""
        return self._of.asked.take(self._key, now_s=self._of.clock())

    def check_bytes(self, *, is_sending: bool) -> None:
        """Raise TooOften (`rate_limited`) for who was sent too much lately, or who `is_sending` and has sent too much."""
        now_s = self._of.clock()
        _check(self._of.sent.wait_s(self._key, least=ONE, now_s=now_s), "were sent")
        if is_sending:
            _check(self._of.received.wait_s(self._key, least=ONE, now_s=now_s), "send")

    def has_received(self, size_bytes: int) -> None:
        """Take what has come of it, or is about to."""
        self._of.received.charge(self._key, size_bytes, now_s=self._of.clock())
        self.meter.received(size_bytes)

    def has_sent(self, size_bytes: int) -> None:
        """Take what was sent to it, or is about to be."""
        self._of.sent.charge(self._key, size_bytes, now_s=self._of.clock())
        self.meter.sent(size_bytes)

    def pause_s(self) -> float:
        """Return how long a stream to it should wait before its next bytes, 0 where it need not."""
        sent = self._of.sent
        return sent.wait_s(self._key, least=STREAMS_LEAVE * sent.burst, now_s=self._of.clock())


class Counting:
    """Finds the purse of whoever asks: that of an operator is larger."""

    def __init__(
        self, budget: Budget, *, clock: Callable[[], float], operator_times: int = OPERATOR_TIMES
    ) -> None:
        self._everybody = Purses(budget, clock=clock)
        self._operators = Purses(budget.times(operator_times), clock=clock)

    def purse(self, principal: Principal | None, address: str) -> Purse:
        """Return the purse of a principal; of an address, where nobody has said who asks."""
        if principal is None:
            return self._everybody.of(f"address {address}")
        is_operator = principal.kind is PrincipalKind.OPERATOR
        return (self._operators if is_operator else self._everybody).of(principal.subject)


def check_allowed(allowance: Allowance) -> None:
    """Raise TooOften unless the request may be made."""
    if not allowance.is_allowed:
        raise TooOften("you ask too often", code="rate_limited", retry_s=allowance.retry_s)


def _check(wait_s: float, what: str) -> None:
    if wait_s:
        text = f"you {what} too many bytes"
        raise TooOften(text, code="rate_limited", retry_s=ceil(wait_s))
