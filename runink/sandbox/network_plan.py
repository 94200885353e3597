"""A herd's network on a node, as values: names, addresses, rules for packets, and where names are looked up.  Pure.

    slice ── eth0 ─┤ herd's namespace ├─ cable ─┤ node ├── elsewhere
                   100.127.x.y+1        100.127.x.y

A packet from a slice passes the same list twice, in the herd's namespace and on the node, so that neither is the only wall:
    1  to a nameserver of the node, port 53                    goes
    2  loopback, link-local (metadata services), multicast,    is refused, whatever the policy says
       the pool of herds' addresses
    3  what the herd's policy lists                            goes
    4  private ranges                                          are refused
    5  everything else                                         goes where the policy says `internet`, else it is refused
On the node, what is addressed to the node itself is refused besides, whatever address it has: save for the nameserver's port, and for single addresses
(/32) that the policy lists.  Towards a herd go only answers.  So herds do not reach each other, nor does anybody reach a herd.
A refused connection is reset at once: a step fails in a millisecond with ECONNREFUSED, not in two minutes.

IPv6 is off within a herd.  To forward it, a node would have to become an IPv6 router, and then it ignores router advertisements: machines that have their own
default route from those lose it.

Names hold a mark of the node and its state folder and one of the herd, each 30 bits of a hash: two nodes on one machine do not collide, and what a killed predecessor
left is found.  An interface's alias holds what the hash stands for.  All rules of a herd are one table on either side: replaced and removed as a whole.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from runink.errors import Invalid, Unavailable
from runink.names import herd_name, node_id
from runink.networks import ALLOWED_MAX, Allowed, NetworkPolicy, allowed

POOL: Final = "100.127.0.0/16"  # of the range for carriers (RFC 6598): no home and no office has it
PREFIX: Final = "rk"
TABLE_PREFIX: Final = "runi_"
MARK_LENGTH: Final = 6  # with the prefix and two of them a name has 14 bytes; the kernel takes 15
INSIDE: Final = "eth0"  # what slices see
CABLE_PREFIX: Final = 31  # two addresses and nothing else (RFC 3021)
PROBES_MAX: Final = 4096  # places in the pool that are looked at
EVERYWHERE_PREFIX: Final = 7  # a route of this length or less is a way out, not a place
NAMESERVERS_MAX: Final = 3  # that the C library asks
COMMENT_MAX: Final = 127
NEVER: Final = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
PRIVATE: Final = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
    *("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15"),  # carriers, protocols, benchmarks
)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose network is wanted, and how it shall be; without nameservers it has the node's. Nothing of it is trusted before `checked`: it becomes rules of the kernel."""

    node: str
    state: str
    herd: str
    pool: str = POOL
    policy: NetworkPolicy = NetworkPolicy()
    nameservers: tuple[str, ...] | None = None


class Names(msgspec.Struct, frozen=True):
    """What a herd's parts are called on the node."""

    interface: str
    table: str
    alias: str


class Cable(msgspec.Struct, frozen=True):
    """The two ends' addresses."""

    node: str
    herd: str


class Plan(msgspec.Struct, frozen=True):
    """All that the rules for a herd's packets depend on."""

    names: Names
    cable: Cable
    pool: str
    policy: NetworkPolicy
    nameservers: tuple[str, ...]


class Resolver(msgspec.Struct, frozen=True):
    """Where a slice looks names up: the nameservers, the text of its resolv.conf, and what is the matter if there is no nameserver."""

    nameservers: tuple[str, ...]
    text: str
    problem: str = ""


# Orders.


def checked(order: Order) -> Order:
    """Return the order with every address in the kernel's own words. Raises Invalid (`network_request`, `network_policy`, `invalid_name`)."""
    node_id(order.node)
    herd_name(order.herd)
    told = order.nameservers
    if len(told or ()) > NAMESERVERS_MAX or len(order.policy.allow) > ALLOWED_MAX:
        raise Invalid("too many nameservers or places", code="network_request")
    try:
        pool = ipaddress.IPv4Network(order.pool)
        servers = tuple(str(ipaddress.IPv4Address(one)) for one in told or ())
    except ValueError as error:
        raise Invalid(f"pool and nameservers: {error}", code="network_request") from error
    if pool.prefixlen >= CABLE_PREFIX:
        raise Invalid(f"{pool} has no room for herds", code="network_request")
    allow = tuple(allowed(_said(entry)) for entry in order.policy.allow)
    policy = NetworkPolicy(order.policy.internet, allow)
    known = None if told is None else servers
    return msgspec.structs.replace(order, pool=str(pool), nameservers=known, policy=policy)


def _said(entry: Allowed) -> str:
    ports = f":{entry.port_first}-{entry.port_last}" if entry.port_first or entry.port_last else ""
    return f"{entry.network}{ports}"


# Names.


def mark_of(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(digest).decode()[:MARK_LENGTH].lower()


def names_of(node: str, state: str, herd: str) -> Names:
    """Return the names of a herd's parts on the node with this state folder."""
    marks = mark_of(node, state), mark_of(herd)
    whose = hashlib.sha256(state.encode()).hexdigest()[:16]  # an alias has 255 bytes, a path more
    return Names(
        PREFIX + "".join(marks), TABLE_PREFIX + "_".join(marks), f"runink {node} {herd} {whose}"
    )


def interface_prefix(node: str, state: str) -> str:
    """Return what the names of all the node's interfaces begin with."""
    return PREFIX + mark_of(node, state)


def table_prefix(node: str, state: str) -> str:
    """Return what the names of all the node's tables begin with."""
    return f"{TABLE_PREFIX}{mark_of(node, state)}_"


# Addresses.


def free_cable(pool: str, names: Names, routes: Iterable[str]) -> Cable:
    """Return two addresses of the pool that no route of the node leads to. The search begins at a place that the names decide, so a herd mostly keeps its own.

    Raises Unavailable (`network_pool_taken`).
    """
    whole = ipaddress.IPv4Network(pool)
    found = (ipaddress.IPv4Network(route) for route in routes)
    taken = [one for one in found if one.prefixlen > EVERYWHERE_PREFIX and one.overlaps(whole)]
    places = 1 << max(CABLE_PREFIX - whole.prefixlen, 0)
    start = int.from_bytes(hashlib.sha256(names.interface.encode()).digest()[:8])
    for probe in range(min(places, PROBES_MAX)):
        first = whole.network_address + 2 * ((start + probe) % places)
        pair = ipaddress.IPv4Network((int(first), CABLE_PREFIX))
        if not any(pair.overlaps(one) for one in taken):
            return Cable(str(first), str(first + 1))
    raise Unavailable(
        f"the node has routes to all of {pool}, the pool of herds' addresses",
        code="network_pool_taken",
        hint="give the node another pool: a private range that it has no route to",
    )


# Rules.


def herd_rules(plan: Plan) -> str:
    """Return the table of the herd's own namespace, for `nft -f`. It takes the place of an older one at one stroke."""
    return _table(
        plan.names.table,
        plan.names.alias,
        (
            *_sets(plan),
            _chain(
                "output",
                "type filter hook output priority filter; policy drop;",
                "meta nfproto ipv6 drop",
                # Answers to what was refused come from this namespace itself, over its loopback.
                "ct state established,related accept",
                f'oifname {{ "{INSIDE}", "lo" }} goto outward',
            ),
            _chain(
                "input",
                "type filter hook input priority filter; policy drop;",
                "meta nfproto ipv6 drop",
                "ct state established,related accept",
            ),
            _chain("forward", "type filter hook forward priority filter; policy drop;"),
            *_verdicts(plan),
        ),
    )


def node_rules(plan: Plan) -> str:
    """Return the herd's table of the node, for `nft -f`. It takes the place of an older one at one stroke, and touches no packet of anybody else."""
    ours = f'"{plan.names.interface}"'
    from_herd = (
        f"ip saddr != {plan.cable.herd} drop",
        "meta nfproto ipv6 drop",
        "ct state established,related accept",
    )
    single = [one for one in plan.policy.allow if one.network.endswith("/32")]
    return _table(
        plan.names.table,
        plan.names.alias,
        (
            *_sets(plan),
            _chain(
                "forward",
                "type filter hook forward priority filter; policy accept;",
                f"iifname {ours} goto through",
                f"oifname {ours} goto answers",
            ),
            _chain(
                "input",
                "type filter hook input priority filter; policy accept;",
                f"iifname {ours} goto here",
            ),
            _chain(
                "output",
                "type filter hook output priority filter; policy accept;",
                f"oifname {ours} goto answers",
            ),
            _chain(
                "postrouting",
                "type nat hook postrouting priority srcnat; policy accept;",
                f"ip saddr {plan.cable.herd} oifname != {ours} masquerade",
            ),
            _chain("answers", "ct state established,related accept", "drop"),
            _chain("through", *from_herd, "goto outward"),
            _chain(
                "here", *from_herd, *_names_rule(plan), *map(_allow_rule, single), "goto refused"
            ),
            *_verdicts(plan),
        ),
    )


def _table(name: str, comment: str, parts: Sequence[str]) -> str:
    # Added first, so that deleting it is right the first time, too; nft does all of it in one transaction.
    head = f'table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n  comment "{_commented(comment)}"\n'
    return head + "\n".join(parts) + "\n}\n"


def _commented(text: str) -> str:
    """Names have nothing that would end a quoted text; the kernel keeps 128 bytes of it."""
    assert text.replace(" ", "").replace("-", "").replace("_", "").isalnum()
    return text[:COMMENT_MAX]


def _chain(name: str, *lines: str) -> str:
    return "\n".join([f"  chain {name} {{", *(f"    {line}" for line in lines), "  }"])


def _sets(plan: Plan) -> Iterator[str]:
    for name, networks in (("never", (*NEVER, plan.pool)), ("private", PRIVATE)):
        merged = ipaddress.collapse_addresses(map(ipaddress.IPv4Network, networks))
        elements = ", ".join(map(str, merged))
        yield f"  set {name} {{ type ipv4_addr; flags interval; elements = {{ {elements} }} }}"


def _verdicts(plan: Plan) -> Iterator[str]:
    yield _chain(
        "refused",
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx type admin-prohibited",
    )
    yield _chain(
        "outward",
        *_names_rule(plan),
        "ip daddr @never goto refused",
        *map(_allow_rule, plan.policy.allow),
        "ip daddr @private goto refused",
        "accept" if plan.policy.internet else "goto refused",
    )


def _names_rule(plan: Plan) -> Iterator[str]:
    if plan.nameservers:
        known = ", ".join(plan.nameservers)
        yield f"ip daddr {{ {known} }} meta l4proto {{ tcp, udp }} th dport 53 accept"


def _allow_rule(entry: Allowed) -> str:
    if not entry.port_first:
        return f"ip daddr {entry.network} accept"
    ports = f"{entry.port_first}-{entry.port_last}"
    return f"ip daddr {entry.network} meta l4proto {{ tcp, udp }} th dport {ports} accept"


def drops_of_others(chains: str) -> list[str]:
    """Return the tables whose owners drop what is forwarded, save for what rules of theirs accept, from the text of `nft list chains`.

    No table of ours can overrule them: a packet goes when all tables accept it.
    """
    found, table = [], ""
    for line in map(str.strip, chains.splitlines()):
        if line.startswith("table "):
            table = line.removeprefix("table ").removesuffix("{").strip()
        elif " hook forward " in line and "policy drop" in line:
            found.append(table)
    return found


# Where names are looked up.


def resolver_of(resolv_conf: str, upstream: str) -> Resolver:
    """Return how a slice looks names up, from the node's own resolv.conf and the one that systemd-resolved keeps of the servers behind it.

    A resolver on the node's loopback is out of a herd's reach, so it is passed over for those behind it.  `trust-ad` goes: it trusts a resolver on the same machine.
    """
    text = resolv_conf
    servers = _nameservers(resolv_conf)
    if not servers:
        text, servers = upstream, _nameservers(upstream)
    kept = [line for line in map(str.strip, text.splitlines()) if line.startswith("search ")]
    for line in map(str.split, text.splitlines()):
        words = [word for word in line[1:] if word != "trust-ad"] if line[:1] == ["options"] else []
        if words:
            kept.append(f"options {' '.join(words)}")
    return resolver_for(servers, kept)


def resolver_for(servers: Sequence[str], more: Sequence[str] = ()) -> Resolver:
    """Return how names are looked up at these servers, with more lines of a resolv.conf."""
    problem = ""
    if not servers:
        problem = "the node names no IPv4 nameserver beside its own loopback, so no name is resolved within a herd"
    lines = [*(f"nameserver {one}" for one in servers), *more]
    return Resolver(tuple(servers), "".join(f"{line}\n" for line in lines), problem)


def _nameservers(text: str) -> list[str]:
    found = []
    for words in map(str.split, text.splitlines()):
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.IPv4Address(words[1])
        except ValueError:
            continue  # IPv6, which a herd has not
        if not (address.is_loopback or address.is_unspecified):
            found.append(str(address))
    return found[:NAMESERVERS_MAX]
