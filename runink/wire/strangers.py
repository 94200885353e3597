"""Strangers: connections whose peer has not said who it is, so many at once, of all addresses and of one.

Who comes is never turned away for them.  A good client says its Hello at once and is a stranger for milliseconds; who keeps connections open without a word is not, so
beyond a limit the oldest gives way: of the same address beyond that of one, of the address with most beyond that of all.  A crowd can so hold its
own places only, and what strangers hold in memory is bounded: STRANGERS_MAX beginnings of a frame of 64 KiB, and what one read brings.

An IPv6 address counts with its neighbours in a network of 64 bits, which is what one household is given.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

STRANGERS_MAX: Final = 256
OF_ADDRESS_MAX: Final = (
    64  # a host that starts some ten agents and terminals at once is none that harms
)
TOLD_S: Final = 10.0  # from one line of the log to the next: a crowd must not fill the disk
_NETWORK_BITS: Final = 64


class Seldom:
    """Counts what happens again and again, and says when to tell it: so many `lines` in TOLD_S."""

    def __init__(self, *, lines: int = 1) -> None:
        self._lines_max = self._lines = lines
        self._untold = 0
        self._since_s: float | None = None

    def count(self, now: float) -> int:
        """Take note that it has happened; return how often it has since it was told, or 0 if it is not to be told now."""
        self._untold += 1
        if self._since_s is None or now - self._since_s >= TOLD_S:
            self._since_s = now
            self._lines = self._lines_max
        if self._lines == 0:
            return 0
        self._lines -= 1
        untold, self._untold = self._untold, 0
        return untold


class Stranger:
    """One connection, from its first moment until it is known, or gone."""

    __slots__ = ("address", "turn_away")

    def __init__(self, address: str, turn_away: Callable[[], object]) -> None:
        self.address = address
        self.turn_away = turn_away


class Strangers:
    """Of one listener. `told` is called with how many were turned away since it was last called, and whose the last one was, once in TOLD_S at most."""

    def __init__(
        self,
        told: Callable[[int, str], object],
        *,
        most: int = STRANGERS_MAX,
        of_address: int = OF_ADDRESS_MAX,
    ) -> None:
        self._told = told
        self._turned_away = Seldom()
        self._most = most
        self._of_address = of_address
        self._count = 0
        self._by_address: dict[str, dict[Stranger, None]] = {}  # in the order in which they came

    def __len__(self) -> int:
        return self._count

    def came(self, host: str, turn_away: Callable[[], object], *, now: float) -> Stranger:
        """Take note of a connection from a host, empty for this machine's own sockets; another may be turned away for it."""
        stranger = Stranger(address_of(host), turn_away)
        theirs = self._by_address.setdefault(stranger.address, {})
        theirs[stranger] = None
        self._count += 1
        if len(theirs) > self._of_address:
            self._turn_away(stranger.address, now)
        elif self._count > self._most:
            largest = max(self._by_address, key=lambda one: len(self._by_address[one]))
            self._turn_away(largest, now)
        return stranger

    def left(self, stranger: Stranger) -> None:
        """Take note that it has said who it is, or has gone; again does no harm."""
        theirs = self._by_address.get(stranger.address)
        if theirs is None or stranger not in theirs:
            return
        del theirs[stranger]
        self._count -= 1
        if not theirs:
            del self._by_address[stranger.address]

    def _turn_away(self, address: str, now: float) -> None:
        oldest = next(iter(self._by_address[address]))
        self.left(oldest)
        oldest.turn_away()
        if count := self._turned_away.count(now):
            self._told(count, address)


def address_of(host: str) -> str:
    """Return what counts as one address: an IPv4 address, an IPv6 network, or what is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
