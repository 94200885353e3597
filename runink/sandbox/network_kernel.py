"""What makes a herd's network real: namespaces, cables, rules, forwarding.  Only the short-lived process of `network_helper.py` imports this.

Each function does one thing to the kernel, at once or not at all.  Namespaces are entered by this process as a whole, so it has one thread.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from socket import AF_INET
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runink.errors import Conflict, Unavailable
from runink.sandbox.network import OURS, within
from runink.sandbox.network_plan import (
    CABLE_PREFIX,
    INSIDE,
    Cable,
    Names,
    Plan,
    Resolver,
    resolver_of,
)
from runink.sandbox.syscalls import CLONE_NEWNET, call

FORWARDING: Final = "/proc/sys/net/ipv4/ip_forward"
NFT_S: Final = 20.0  # a transaction takes milliseconds; the kernel may first load a module
NFT_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin"
UNAVAILABLE: Final = "network_unavailable"
NEEDS: Final = "a herd's network needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel with network namespaces, veth and nf_tables (with nat and reject)"
RESOLV_CONF: Final = "/etc/resolv.conf"
RESOLVED: Final = "/run/systemd/resolve/resolv.conf"  # the servers behind systemd-resolved
RESOLV_CONF_MAX: Final = 1 << 16  # characters; it is a page at most
MTU: Final = 1500  # Ethernet's, where the node has no way out that says another


def new_namespace() -> int:
    """Return a descriptor of a new network namespace, without IPv6. Nothing else keeps it."""
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("unshare", CLONE_NEWNET)
        try:
            _turn_off_ipv6("all")
            return os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            call("setns", home, CLONE_NEWNET)
    finally:
        os.close(home)


def whole(node: Any, names: Names, held: int, *, pool: str) -> Cable | None:
    """Return the cable of a namespace that is as `lay` leaves it, with addresses of the pool, else nothing."""
    link = link_of(node, names)
    if link is None:
        return None
    near = _address(node, link["index"])
    with within(held), IPRoute() as herd:
        inside = herd.link_lookup(ifname=INSIDE)
        # The other end's number says that it is this cable's: a namespace whose cable was taken away has none.
        if not near or inside != [link.get_attr("IFLA_LINK")]:
            return None
        far = _address(herd, inside[0])
        has_way = any(not route["dst_len"] for route in herd.get_routes(family=AF_INET))
    is_right = far and has_way and ipaddress.IPv4Address(near) in ipaddress.IPv4Network(pool)
    return Cable(near, far) if is_right else None


def link_of(node: Any, names: Names) -> Any:
    """Return the node's end of the herd's cable, or nothing. Raises Conflict (`network_collision`) if the name is somebody else's."""
    found = node.link_lookup(ifname=names.interface)
    try:
        link = node.get_links(found[0])[0] if found else None
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
        return None  # its namespace ended meanwhile, and it went with that
    if link is not None and not is_ours(link, names.alias):
        raise Conflict(
            f"the interface {names.interface} is not that of {names.alias!r}",
            code="network_collision",
            hint="name the node or the herd otherwise: their marks are the same as another's",
        )
    return link


def is_ours(link: Any, alias: str) -> bool:
    """Say whether an interface bears our alias; one whose maker was killed before it could mark it bears none."""
    told = link.get_attr("IFLA_IFALIAS")
    return told is None or str(told).startswith(alias)


def _address(route: Any, index: int) -> str:
    for address in route.get_addr(index=index, family=AF_INET):
        return str(address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS"))
    return ""


def routes(node: Any) -> list[str]:
    """Return all that the node has routes to, in whichever table."""
    found = []
    for route in node.get_routes(family=AF_INET):
        place = route.get_attr("RTA_DST")
        if place is not None:
            found.append(f"{place}/{route['dst_len']}")
    return found


def lay(node: Any, plan: Plan, namespace: int, reached: Callable[[str], None]) -> None:
    """Join the namespace with the node."""
    name, width = plan.names.interface, _width(node)
    inside = {"ifname": INSIDE, "net_ns_fd": namespace, "mtu": width}
    node.link("add", ifname=name, kind="veth", mtu=width, peer=inside)
    index = node.link_lookup(ifname=name)[0]
    reached("cable")
    node.link("set", index=index, ifalias=plan.names.alias)
    reached("marked")
    _turn_off_ipv6(name)
    node.addr("add", index=index, address=plan.cable.node, prefixlen=CABLE_PREFIX)
    node.link("set", index=index, state="up")
    with within(namespace), IPRoute() as herd:
        far = herd.link_lookup(ifname=INSIDE)[0]
        herd.addr("add", index=far, address=plan.cable.herd, prefixlen=CABLE_PREFIX)
        for one in (far, herd.link_lookup(ifname="lo")[0]):
            herd.link("set", index=one, state="up")
        herd.route("add", dst="default", gateway=plan.cable.node)
    reached("addressed")


def _width(node: Any) -> int:
    """Return the MTU of the node's way out, so that no packet is too large for it; 1500 where it has none."""
    ways = [route for route in node.get_routes(family=AF_INET) if not route["dst_len"]]
    for way in ways:
        index = way.get_attr("RTA_OIF")
        if index:
            return int(node.get_links(index)[0].get_attr("IFLA_MTU"))
    return MTU


def forward() -> str:
    """Have the node forward IPv4, and say whether it did already: `found` or `set`."""
    if _is_forwarding():
        return "found"
    with open(FORWARDING, "w") as file:  # noqa: PTH123 - beside os.open, which namespaces need
        file.write("1")
    return "set"


def check_forwarding() -> None:
    """Raise Unavailable if the node does not forward and cannot be made to."""
    if not (_is_forwarding() or os.access(FORWARDING, os.W_OK)):
        raise unavailable(f"{FORWARDING} is 0 and cannot be written")


def resolver() -> Resolver:
    """Return how names are looked up on this machine, for a herd."""
    told = ["", ""]
    for place, path in enumerate((RESOLV_CONF, RESOLVED)):
        with suppress(FileNotFoundError), open(path, errors="replace") as file:  # noqa: PTH123 - as above
            told[place] = file.read(RESOLV_CONF_MAX)
    return resolver_of(*told)


def _is_forwarding() -> bool:
    with open(FORWARDING) as file:  # noqa: PTH123 - as above
        return file.read().strip() == "1"


def _turn_off_ipv6(interface: str) -> None:
    # A kernel without IPv6 has no such file, and need not turn it off.
    with (
        suppress(FileNotFoundError),
        open(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6", "w") as file,  # noqa: PTH123 - as above
    ):
        file.write("1")


def delete_link(node: Any, name: str) -> list[str]:
    """Take a cable away, both its ends. Return its name."""
    try:
        node.link("del", ifname=name)
    except NetlinkError as error:
        if error.code != errno.ENODEV:  # its namespace ended meanwhile, and it went with that
            raise
    return [name]


def tables() -> list[str]:
    """Return the names of all tables that are for IPv4 and IPv6 together, anybody's."""
    return [line.split()[-1] for line in _nft_output("list", "tables", "inet").splitlines()]


def chains() -> str:
    """Return all chains of all tables, as text."""
    return _nft_output("list", "chains")


def delete_table(name: str) -> list[str]:
    nft(f"table inet {name}\ndelete table inet {name}\n")
    return [name]


def nft(rules: str) -> None:
    """Apply rules, all of them or none. Raises Unavailable (`network_unavailable`)."""
    _nft_output("-f", "-", given=rules)


def _nft_output(*words: str, given: str = "") -> str:
    program = shutil.which("nft", path=os.pathsep.join((NFT_PATH, os.environ.get("PATH", ""))))
    if program is None:
        raise unavailable("there is no program nft", "install it: apt-get install nftables")
    try:
        done = subprocess.run(  # noqa: S603 - the program of the machine, with words of our own
            [program, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=NFT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise unavailable(f"nft did not answer in {NFT_S:g} s") from error
    if done.returncode:
        raise unavailable(f"nft: {done.stderr.strip()[:500]}")
    return done.stdout


def unavailable(text: str, hint: str = "") -> Unavailable:
    return Unavailable(text, code=UNAVAILABLE, hint=hint or NEEDS)
