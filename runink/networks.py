"""Which network a slice has, and what a herd's network may reach.

    none     a network namespace of its own, with nothing in it
    egress   the herd's network namespace on the node: the public internet, names, and what the herd's policy lists
    host     the node's own network; only where the node's settings allow it

A slice has what its steps ask for (`@requires(network=…)`).  Where they ask for nothing, what its sources and sinks need decides, on the node, because only the
node knows where an object store's endpoint is: none for files, egress for a URI that leads elsewhere, host for one that leads to the node itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from runink.errors import Forbidden, Invalid

ALLOWED_MAX: Final = 256  # entries of a policy: each is a rule that packets pass, one by one
PORT_MAX: Final = 65_535
# What fsspec serves without any network.
LOCAL_SCHEMES: Final = frozenset({"file", "local", "memory"})
# Where URIs of a scheme go when the environment says so: the first name that is set.
ENDPOINT_NAMES: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST",),
}
SAME_SCHEMES: Final = {"s3a": "s3", "gcs": "gs"}


class Network(Enum):
    NONE = "none"
    EGRESS = "egress"
    HOST = "host"


class NodeNetwork(msgspec.Struct, frozen=True):
    """What a node says about its network: whether slices may share it, which addresses are its own beside loopback, where schemes lead on it."""

    allow_host: bool = False
    addresses: frozenset[str] = frozenset()
    endpoints: Mapping[str, str] = {}


class Granted(msgspec.Struct, frozen=True):
    """The network that a slice is given, and why."""

    network: Network
    why: str


class Allowed(msgspec.Struct, frozen=True):
    """Addresses (an IPv4 network) and ports of them; ports from 0 are all of them, and every protocol."""

    network: str
    port_first: int = 0
    port_last: int = 0


class NetworkPolicy(msgspec.Struct, frozen=True):
    """What a herd's network reaches: `internet` is every public address, `allow` is what it reaches besides, also of private ranges."""

    internet: bool = True
    allow: tuple[Allowed, ...] = ()


def is_elsewhere(path: str) -> bool:
    """Say whether a source's or sink's path is a URI that leads out of the machine's files."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.lower() not in LOCAL_SCHEMES


def endpoints_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where schemes lead by what the environment says of object stores."""
    found = {}
    for scheme, names in ENDPOINT_NAMES.items():
        told = next((environment[name] for name in names if environment.get(name)), "")
        if told:
            found[scheme] = told
    return found


def granted(asked: Network, places: Iterable[str], node: NodeNetwork) -> Granted:
    """Return the network of a slice that asks for `asked` and reads or writes at `places`, remote URIs.

    Raises Forbidden (`network_host_refused`) where it would need the node's own network and may not have it.
    """
    places = tuple(place for place in places if is_elsewhere(place))
    here = next((place for place in places if _is_here(place, node)), "")
    if asked is Network.HOST or (here and asked is Network.NONE):
        why = f"{here} is on the node itself" if here else "asked for"
        if not node.allow_host:
            told = f": {why}" if here else ""
            raise Forbidden(
                f"this node does not share its own network with slices{told}",
                code="network_host_refused",
                hint='start the node with --allow-host-network, or ask for network="egress" and reach it by an address that is not the node\'s',
            )
        return Granted(Network.HOST, why)
    if here:
        raise Forbidden(
            f"{here} is on the node itself, which a herd's network does not reach",
            code="network_host_refused",
            hint='ask for network="host", on a node that allows it',
        )
    if asked is Network.NONE and places:
        return Granted(Network.EGRESS, f"{places[0]} is elsewhere")
    return Granted(asked, "asked for" if asked is Network.EGRESS else "nothing asks for more")


def own_addresses(fib_trie: str, if_inet6: str) -> frozenset[str]:
    """Return a machine's addresses, from what the kernel says in /proc/net/fib_trie and /proc/net/if_inet6."""
    found = set()
    address = ""
    for words in map(str.split, fib_trie.splitlines()):
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[1:] == ["host", "LOCAL"]:
            found.add(address)
    for line in if_inet6.splitlines():
        found.add(str(ipaddress.IPv6Address(int(line.split()[0], 16))))
    return frozenset(found)


def _is_here(place: str, node: NodeNetwork) -> bool:
    parts = urlsplit(place)
    scheme = SAME_SCHEMES.get(parts.scheme, parts.scheme)
    endpoint = node.endpoints.get(scheme, "")
    if endpoint:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    elif scheme in ENDPOINT_NAMES:
        return False  # what stands where a host does is a bucket
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name; where it leads is found out by whoever connects
    return address.is_loopback or address.is_unspecified or str(address) in node.addresses


# Policies.


def policy_of(*, internet: bool, allow: Iterable[str]) -> NetworkPolicy:
    """Return the policy with these entries. Raises Invalid, as `allowed` does."""
    entries = tuple(dict.fromkeys(map(allowed, allow)))
    if len(entries) > ALLOWED_MAX:
        raise Invalid(f"a policy lists at most {ALLOWED_MAX} places", code="network_policy")
    return NetworkPolicy(internet, entries)


def allowed(text: str) -> Allowed:
    """Return what `10.1.2.0/24`, `10.1.2.3:5432` or `10.1.2.0/24:8000-8010` means. Raises Invalid (`network_policy`)."""
    place, colon, ports = text.strip().partition(":")
    if ":" in ports:
        raise Invalid(
            f"{text!r}: a herd's network has no IPv6",
            code="network_policy",
            hint="list IPv4 addresses",
        )
    try:
        network = ipaddress.IPv4Network(place)
    except ValueError as error:
        raise Invalid(
            f"{text!r} is no network: {error}",
            code="network_policy",
            hint="as in 10.1.2.0/24, 10.1.2.3:5432 or 10.1.2.0/24:8000-8010; names are not resolved",
        ) from error
    if not colon:
        return Allowed(str(network))
    first, dash, last = ports.partition("-")
    numbers = [first, last] if dash else [first, first]
    if not all(one.isascii() and one.isdigit() and len(one) <= 5 for one in numbers):
        raise Invalid(f"{text!r}: {ports!r} are no ports", code="network_policy")
    low, high = map(int, numbers)
    if not 1 <= low <= high <= PORT_MAX:
        raise Invalid(f"{text!r}: ports go from 1 to {PORT_MAX}", code="network_policy")
    return Allowed(str(network), low, high)
