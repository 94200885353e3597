"""What the peer has sent and we are not done with: Asks without an answer, Tells that have not found their place, and the bytes of both.

    limit              what                                                 beyond it
    numbers            1, 2, 3 of Tells and Asks together, without gaps     ProtocolViolation
    asks_max           Asks without an answer                               ProtocolViolation
    tells_max          Tells without credit                                 ProtocolViolation
    UNDER_WAY_MAX      bytes of the frames of both, but for small ones      an Ask is refused, a Tell is a ProtocolViolation

The first three are announced, so nobody breaks them by mistake.  The last one is not: it is far above what anybody has under way, and is there so
that the memory that one connection takes has a bound, whatever its Asks wait for.
"""

from __future__ import annotations

from typing import Final

from runink.errors import ProtocolViolation
from runink.wire.messages import Limits

UNDER_WAY_MAX: Final = 64 << 20  # four of the largest frames; a client of the Barn has 32 of 2 MiB
SMALL_BYTES: Final = 4 << 10  # are not counted: as many as there are places for take 5 MiB


class Arrivals:
    """Of one connection, by the limits that we have announced."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last = 0  # number that came
        self._tells_open = 0
        self._tells_settled = 0
        self.asks: dict[int, float] = {}  # that wait for their answers: number -> when it expires
        self._bytes: dict[int, int] = {}  # of what is large
        self._under_way = 0

    def ask(self, number: int, until: float, size: int) -> bool:
        """Take an Ask, which must be answered; say whether there is room for its bytes. Raises ProtocolViolation."""
        if number != self._last + 1:
            raise self._out_of_order(number)
        self._last = number
        if len(self.asks) >= self._limits.asks_max:
            raise too_many("Asks without an answer", self._limits.asks_max)
        self.asks[number] = until
        return size <= SMALL_BYTES or self._has_room(number, size)

    def tell(self, number: int, size: int) -> None:
        """Take a Tell. Raises ProtocolViolation."""
        if number != self._last + 1:
            raise self._out_of_order(number)
        self._last = number
        self._tells_open += 1
        if self._tells_open > self._limits.tells_max:
            raise too_many("Tells without credit", self._limits.tells_max)
        if size > SMALL_BYTES and not self._has_room(number, size):
            raise too_many("bytes of Tells and Asks", UNDER_WAY_MAX)

    def answered(self, number: int) -> None:
        """Take note that an Ask has its answer."""
        del self.asks[number]
        if self._bytes:
            self._forget(number)

    def due(self, now: float) -> list[int]:
        """Return the Asks whose time is over."""
        return [number for number, until in self.asks.items() if until <= now]

    def settled(self, number: int) -> int:
        """Take note that a Tell has found its place; return the credit that is to be given now, if any."""
        if self._bytes:
            self._forget(number)
        self._tells_open -= 1
        self._tells_settled += 1
        if self._tells_settled * 2 < self._limits.tells_max:
            return 0
        credit, self._tells_settled = self._tells_settled, 0
        return credit

    def _out_of_order(self, number: int) -> ProtocolViolation:
        text = f"message {number} came behind {self._last}"
        return ProtocolViolation(text, code="bad_number")

    def _has_room(self, number: int, size: int) -> bool:
        if self._under_way + size > UNDER_WAY_MAX:
            return False
        self._bytes[number] = size
        self._under_way += size
        return True

    def _forget(self, number: int) -> None:
        self._under_way -= self._bytes.pop(number, 0)


def too_many(what: str, most: int) -> ProtocolViolation:
    return ProtocolViolation(f"more than {most} {what}", code="limit_exceeded")
