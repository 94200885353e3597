"""Which places a cluster's own outgoing calls may reach: URLs and addresses that come from documents and settings of others (SSRF).

    a place                                                   is reached
    https://, at a public address                             always
    https://, at a private address (RFC 1918, 100.64/10,      where `private` is said
    fc00::/7)
    http:// or https://, at loopback                          where `loopback` is said
    http:// elsewhere, any other scheme                       never
    link-local addresses, metadata services of clouds,        never
    multicast, unspecified, reserved, documentation,
    IPv4 within IPv6 (mapped, NAT64, 6to4, Teredo)

An address is judged where a connection is made, and it is the one that is connected to: what a name meant a moment before says nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from runink.errors import Refused

URL_CHARACTERS_MAX: Final = 2_048
HOST_CHARACTERS_MAX: Final = 253  # of DNS
SHOWN_CHARACTERS_MAX: Final = 200  # of a URL that is refused

_PORTS: Final = {"https": 443, "http": 80}
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_TARGET: Final = re.compile(r"[!-~]*")  # visible ASCII: neither spaces nor ends of lines
_PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
# What a cloud tells its machines there, keys among it, is told to whoever asks. Some stand in ranges that are otherwise private or public.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # most clouds
            "169.254.170.2",  # Amazon's containers
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # Amazon
            "fd20:ce::254",  # Google
        ),
    )
)
_GLOBAL_IPV6: Final = ipaddress.IPv6Network("2000::/3")  # all that is given out
_NEVER: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # relays of 6to4
            "198.18.0.0/15",  # benchmarks
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address within
            "3fff::/20",  # documentation
        ),
    )
)

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """What may be reached beside https at public addresses."""

    private: bool = False
    loopback: bool = False


class Url(msgspec.Struct, frozen=True):
    """A URL in its parts. `target` is path and query, as a request's first line has them."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Return scheme, host and port, all of them written out, so that two origins are equal as text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """Return what the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def checked_url(text: str, reach: Reach) -> Url:
    """Return the URL in its parts. Raises Refused (`url_refused`) for what is no URL that may be asked, wherever its name leads."""
    if len(text) > URL_CHARACTERS_MAX or not _TARGET.fullmatch(text) or "\\" in text:
        raise _refused(text, "it is too long, or has characters that a URL has not")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if parts.scheme not in _PORTS:
        raise _refused(text, "only https:// is asked")
    if parts.username is not None or parts.password is not None:
        raise _refused(text, "it has a user in it")
    if parts.fragment or "#" in text:
        raise _refused(text, "it has a fragment, which no server is told")
    host = _host(text, parts)
    if parts.scheme == "http" and not (reach.loopback and _may_be_loopback(host)):
        raise _refused(text, "http:// is read and changed by whoever is on the way: use https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, target)


def why_not(address: Ip, reach: Reach, *, scheme: str) -> str:
    """Say why an address is not connected to, or nothing where it is."""
    if address in _METADATA:
        return "it is the metadata service of a cloud"
    if address.is_loopback:
        return "" if reach.loopback else "it is this machine itself"
    if scheme != "https":
        return "http:// goes to this machine itself only"
    if any(address in network for network in _PRIVATE):
        return "" if reach.private else "it is a private address"
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_IPV6:
        return "it is no public address of IPv6"
    if not address.is_global or address.is_multicast or any(address in one for one in _NEVER):
        return "it is no public address"
    return ""


def _host(text: str, parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    if parts.netloc.startswith("["):
        if "%" in host:
            raise _refused(text, "it has an address of one link only")
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _refused(text, f"{host!r} is no address of IPv6") from None
    if not _HOST.fullmatch(host) or len(host) > HOST_CHARACTERS_MAX or ".." in host:
        raise _refused(text, "it has no host")
    return host.lower()


def _may_be_loopback(host: str) -> bool:
    """Say whether http may be tried: where a name leads is found out by whoever connects."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _refused(text: str, why: str) -> Refused:
    shown = re.sub(r"//[^/@]*@", "//…@", text[:SHOWN_CHARACTERS_MAX])  # no password is shown
    return Refused(
        f"{shown!r} is not asked: {why}",
        code="url_refused",
        hint="an address is written like https://login.example.com/path",
    )
