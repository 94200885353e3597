"""By what an address is counted: an IPv4 address by itself, an IPv6 one by its /64, which one machine has for itself."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

ADDRESSES_KEPT: Final = 1024  # it is asked for each request, and to read an address costs more than the rest of counting
LOCAL: Final = ""  # a Unix socket: its file says who may connect


@lru_cache(ADDRESSES_KEPT)
def counted_as(host: str) -> str:
    """Return the name under which a peer's address is counted."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return LOCAL
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
