"""The process that makes and removes herds' networks: it lives for half a second, because what it needs is a quarter of a second and 11 MB of imports.

    python -m runink.sandbox.network_helper        standard input is one end of a SEQPACKET pair; one request, one answer (JSON), and it ends

    action   request beside `action`                                   answer
    make     node, state, herd, pool, policy, nameservers              interface, table, node_address, herd_address, forwarding, resolv_conf, problems;
             (and the namespace's descriptor, if there is one)         the namespace's descriptor
    remove   node, state; herd, or all of the node's                   removed: names of interfaces and tables
    check    -                                                         nothing, when a herd's network can be made here; nothing is left of the trial
    `resolv_conf` is the text of that file for the herd's slices, `problems` are for people: what this machine has that may keep packets from going.
    An answer to what cannot be done has `code`, `text`, `hint`, and `step`, the last that was reached.

Who holds the descriptor keeps the namespace alive, and nothing else does: there is no file and no mount, so when everything is killed the kernel takes away the
namespace with its cable.  What can be left is the table of the node, which then matches no interface, and the next `make` or `remove` takes it away.

make, in this order; who is killed in between leaves nothing that lets a packet through
    lock        one at a time on the machine, so that two do not take the same addresses (a lock goes with its process)
    cleared     what an earlier one left of this herd, unless it was given and is whole: then only the rules are renewed
    namespace   without IPv6
    herd_rules  before there is a way out
    node_rules
    cable       a veth pair, not up yet
    marked      as ours, by its alias
    addressed   addresses, both ends up, the way out
    forwarding  net.ipv4.ip_forward, if it is off

Forwarding stays on: by the time that the last herd goes, others may rely on it, and nobody can ask them.  The answer says `set` or `found`; a reboot forgets it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from runink.errors import Invalid, RuninkError
from runink.sandbox import network_kernel as kernel
from runink.sandbox.kernel import name_process
from runink.sandbox.log import describe, log
from runink.sandbox.network import within
from runink.sandbox.network_plan import (
    PREFIX,
    Names,
    Order,
    Plan,
    Resolver,
    checked,
    drops_of_others,
    free_cable,
    herd_rules,
    interface_prefix,
    names_of,
    node_rules,
    resolver_for,
    table_prefix,
)
from runink.sandbox.packets import close_all, receive
from runink.sandbox.syscalls import CLONE_NEWNET, call

LOCK: Final = "/run/runink-network.lock"

Reached = Callable[[str], None]


class Removal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a herd, everything of the node."""

    node: str
    state: str
    herd: str = ""


class Made(msgspec.Struct, frozen=True):
    interface: str
    table: str
    node_address: str
    herd_address: str
    forwarding: str
    resolv_conf: str
    problems: list[str]


# The actions.


def make(order: Order, held: int, reached: Reached) -> tuple[Made, int]:
    """Make a herd's network, or renew the rules of the one that is held; return a descriptor of the namespace too, the caller's to close.

    `reached` is told every step. Raises Invalid, Unavailable, Conflict (`network_collision`), and OSError or NetlinkError where the kernel refuses.
    """
    order = checked(order)
    names = names_of(order.node, order.state, order.herd)
    resolver = kernel.resolver() if order.nameservers is None else resolver_for(order.nameservers)
    with _lock(), IPRoute() as node, ExitStack() as stack:
        reached("lock")
        cable = kernel.whole(node, names, held, pool=order.pool) if held >= 0 else None
        is_new = cable is None
        if is_new:
            _clear(node, names)
            reached("cleared")
            namespace = kernel.new_namespace()
            stack.callback(os.close, namespace)
            reached("namespace")
        else:
            namespace = held
        plan = Plan(
            names=names,
            cable=cable or free_cable(order.pool, names, kernel.routes(node)),
            pool=order.pool,
            policy=order.policy,
            nameservers=resolver.nameservers,
        )
        with within(namespace):
            kernel.nft(herd_rules(plan))
        reached("herd_rules")
        kernel.nft(node_rules(plan))
        reached("node_rules")
        if is_new:
            kernel.lay(node, plan, namespace, reached)
        forwarding = kernel.forward()
        reached("forwarding")
        problems = _problems(resolver)
        if problems:
            log("herd network has problems", herd=order.herd, problems=problems)
        made = Made(
            names.interface,
            names.table,
            plan.cable.node,
            plan.cable.herd,
            forwarding,
            resolver.text,
            problems,
        )
        return made, os.dup(namespace)


def remove(removal: Removal) -> list[str]:
    """Remove what is there of a herd, or of all of the node's; return the names of what it was."""
    with _lock(), IPRoute() as node:
        if removal.herd:
            return _clear(node, names_of(removal.node, removal.state, removal.herd))
        removed = []
        prefix = interface_prefix(removal.node, removal.state)
        for link in node.get_links():
            name = link.get_attr("IFLA_IFNAME")
            if name.startswith(prefix) and kernel.is_ours(link, f"runink {removal.node} "):
                removed += kernel.delete_link(node, name)
        for table in kernel.tables():
            if table.startswith(table_prefix(removal.node, removal.state)):
                removed += kernel.delete_table(table)
        return removed


def check(reached: Reached) -> None:
    """Make a network where no one is, beside a namespace that plays the node; raises as `make` does. This process is of no other use then.

    What is tried is what is made, so there is no list of features that could be wrong.
    """
    kernel.check_forwarding()
    call("unshare", CLONE_NEWNET)
    _, namespace = make(Order("check", "/", "check"), -1, reached)
    os.close(namespace)


def _problems(resolver: Resolver) -> list[str]:
    drops = [
        f"the table {table} of this machine drops what is forwarded; it must accept what comes from and goes to {PREFIX}*"
        for table in drops_of_others(kernel.chains())
    ]
    return drops + ([resolver.problem] if resolver.problem else [])


@contextmanager
def _lock() -> Iterator[None]:
    """Wait until no other one is at work on this machine; whoever waits for our answer says how long."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(node: Any, names: Names) -> list[str]:
    """Remove a herd's interface and table; whoever is still in its namespace is cut off."""
    has_link = kernel.link_of(node, names) is not None
    removed = kernel.delete_link(node, names.interface) if has_link else []
    return removed + (kernel.delete_table(names.table) if names.table in kernel.tables() else [])


# One request.


def answered(link: socket.socket, *, reached: Reached) -> None:
    """Read the request, do it, answer. Nothing comes back from a requester that is gone."""
    packet = receive(link)
    if packet is None:
        return
    last = ""

    def step(name: str) -> None:
        nonlocal last
        last = name
        reached(name)

    try:
        answer, descriptors = _done(packet.body, packet.descriptors, step)
    except (RuninkError, NetlinkError, OSError) as error:
        told = error if isinstance(error, RuninkError) else kernel.unavailable(describe(error))
        log("herd network failed", code=told.code, text=told.text, step=last)
        answer = {"code": told.code, "text": told.text, "hint": told.hint, "step": last}
        descriptors = []
    socket.send_fds(link, [msgspec.json.encode(answer)], descriptors)
    close_all(descriptors)


def _done(body: bytes, given: list[int], reached: Reached) -> tuple[dict[str, Any], list[int]]:
    try:
        request = msgspec.json.decode(body, type=dict[str, Any])
        match request.pop("action", ""):
            case "make":
                held = given[0] if given else -1
                made, namespace = make(msgspec.convert(request, Order), held, reached)
                return msgspec.to_builtins(made), [namespace]
            case "remove":
                return {"removed": remove(msgspec.convert(request, Removal))}, []
            case "check":
                check(reached)
                return {}, []
            case action:
                raise Invalid(f"there is no action {action!r}", code="network_request")
    except msgspec.MsgspecError as error:
        raise Invalid(str(error), code="network_request") from error


def main() -> None:
    """Serve the one request that waits at standard input."""
    name_process("runi-network")
    answered(socket.socket(fileno=sys.stdin.fileno()), reached=lambda _: None)


if __name__ == "__main__":
    main()
