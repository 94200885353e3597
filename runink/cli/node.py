"""`runi node`: the worker nodes, what their machines have, what they offer and what runs on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from runink.cli.asking import Asker, Where, asked, asks_api
from runink.cli.commands import Commands
from runink.cli.completing import completed_nodes
from runink.cli.output import echo_documents, echo_event, shown_option
from runink.cli.wording import harmless
from runink.clock import now_ms
from runink.dag import Resources
from runink.machines import Machine
from runink.operations.catalog import nodes
from runink.operations.catalog.nodes import NodeDocument, NodeSummary
from runink.quantities import counted, format_bytes, format_cpu, format_moment

NODE_COMMANDS: Final = {
    "list": ("runink.cli.node:list_", "List the nodes."),
    "get": ("runink.cli.node:get", "Print all that is known of a node."),
    "cordon": ("runink.cli.node_changes:cordon", "Give a node nothing new."),
    "drain": ("runink.cli.node_changes:drain", "Empty a node, and give it nothing new."),
    "uncordon": ("runink.cli.node_changes:uncordon", "Let a node get work again."),
    "token": ("runink.cli.node_trust:token", "Make a token that lets one node join."),
    "join": ("runink.cli.node_trust:join", "Join a cluster, and run nothing."),
    "rejoin": ("runink.cli.node_trust:rejoin", "Make a token that lets a known node in anew."),
    "revoke": ("runink.cli.node_trust:revoke", "Let a node in no more, and cut it off."),
    "trust": ("runink.cli.node_trust:trust", "List who is certified, and by which authority."),
    "rotate": ("runink.cli.node_trust:rotate", "Take a step towards another authority."),
}  # fmt: skip
READY: Final = "ready"
LOST: Final = "lost"
_COLUMN: Final = 14  # for the names of what is told


class NodeCommands(Commands):
    table = NODE_COMMANDS


@click.command(cls=NodeCommands)
def node() -> None:
    """Look at the nodes: what they have, offer and can do; empty one, and keep work from it."""


@click.command("list")
@click.option("--watch", "is_watch", is_flag=True, help="Print what becomes of nodes from now on.")
@shown_option
@asks_api
def list_(*, is_watch: bool, output: str, where: Where) -> None:
    """List the nodes."""
    with asked(where) as client:
        if is_watch:
            _watch(client, output)
            return
        found: list[NodeSummary] = list(client.call(nodes.LIST))
    if echo_documents(found, output, lambda one: one.node):
        return
    if not found:
        click.echo("no node is there; runi up starts one")
    for one in found:
        click.echo(harmless(_line(one)))


def _watch(client: Asker, output: str) -> None:
    since = client.page(nodes.LIST, limit=1).revision
    with client.call(nodes.WATCH, since=since) as events:
        for event in events:
            line = f"{event.data.node}: gone" if event.data.now is None else _line(event.data.now)
            echo_event(event.data, output, event.data.node, line)


@click.command()
@click.argument("name", metavar="NODE", shell_complete=completed_nodes)
@shown_option
@asks_api
def get(name: str, output: str, where: Where) -> None:
    """Print all that is known of NODE."""
    with asked(where) as client:
        found: NodeDocument = client.call(nodes.GET, node=name)
    if echo_documents(found, output, lambda one: one.node):
        return
    if found.state == LOST:
        click.echo(harmless(_line(found)))
        return
    for what, text in _lines(found):
        click.echo(harmless(f"{what:{_COLUMN}}{text}"))


def _line(node: NodeSummary) -> str:
    """Return a node as it is listed: what is not as usual, what is on it, what it offers."""
    words = [node.state if node.state != READY else "", node.standing or ""]
    if node.since_ms:
        words[0] += f" since {format_moment(node.since_ms)}"
    if node.back_ms > now_ms():
        words.append(f"waited for until {format_moment(node.back_ms)}")
    parts = [*filter(None, words), counted(node.slices, "slice")]
    if node.capacity is not None:
        parts.append(f"offers cpu {format_cpu(node.capacity.cpu_m)}")
        parts.append(f"memory {format_bytes(node.capacity.memory_bytes)}")
        parts += [f"label {label}" for label in node.labels]
    if node.troubles:
        parts.append(_trouble(node))
    return f"{node.node}: {', '.join(parts)}"


def _trouble(node: NodeSummary) -> str:
    return f"{counted(node.troubles, 'trouble')} lately, last that {node.trouble}"


def _lines(node: NodeDocument) -> Iterator[tuple[str, str]]:
    yield "node", node.node
    if node.state != READY:
        yield "state", f"{node.state} since {format_moment(node.since_ms)}"
    if node.standing:
        yield "standing", node.standing
    if node.left is not None:
        yield "left", counted(node.left, "slice")
    if node.troubles:
        yield "trouble", _trouble(node)
    for name, user in sorted(node.users.items()):
        yield f"{name} as", user
    yield "slices", f"{node.slices} of {node.slices_max or 'any number'}"
    yield from _offer_lines(node)
    if node.streams:
        yield "streams", f"of other nodes at {node.streams}"
    if node.labels:
        yield "labels", ", ".join(node.labels)
    if node.machine is not None:
        yield from _machine_lines(node.machine)
    for name, said in sorted(node.capabilities.items()):
        yield "can", f"{name}: {said}"
    for name, why in sorted(node.missing.items()):
        yield "lacks", f"{name}: {why}"
    yield "clock", _clock(node.clock_skew_ms)
    if node.told_ms:
        yield "told", format_moment(node.told_ms)


def _offer_lines(node: NodeDocument) -> Iterator[tuple[str, str]]:
    """Say what it offers, to whom, and what of it is not to be had."""
    if node.capacity is not None:
        yield "offers", _of_both(node.capacity)
    if node.used.cpu_m or node.used.memory_bytes:
        yield "of that used", _of_both(node.used)
    if node.gpus or node.disk_bytes:
        yield "", f"gpus {node.gpus}, disk {format_bytes(node.disk_bytes)}"
    if node.herds:
        yield "herds", f"{', '.join(node.herds)} only"
    if node.visible is not None:
        yield "sees", f"{', '.join(node.visible)} only"
    if node.near:
        yield "near", ", ".join(node.near)
    if node.reserved is not None:
        kept = node.reserved
        yield (
            "reserved",
            f"cpu {format_cpu(kept.cpu_m)}, memory {format_bytes(kept.memory_bytes)}, disk {format_bytes(kept.disk_bytes)}",
        )


def _of_both(amount: Resources) -> str:
    return f"cpu {format_cpu(amount.cpu_m)}, memory {format_bytes(amount.memory_bytes)}"


def _machine_lines(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "host", f"{machine.host}, {machine.kernel}, {machine.architecture}, boot {machine.boot}"
    nodes = counted(machine.numa_nodes, "NUMA node")
    yield "cpu", f"{format_cpu(machine.cpu_m)}, {nodes}"
    yield "memory", format_bytes(machine.memory_bytes)
    free, size = format_bytes(machine.disk_free_bytes), format_bytes(machine.disk_bytes)
    yield "disk", f"{free} free of {size}"
    for gpu in machine.gpus:
        memory = f", {format_bytes(gpu.memory_bytes)}" if gpu.memory_bytes else ""
        yield "gpu", f"{gpu.name}{memory}"
    yield "versions", ", ".join(f"{name} {said}" for name, said in sorted(machine.versions.items()))
    now = machine.pressure
    yield (
        "pressure",
        "the kernel does not tell it"
        if now is None
        else f"cpu {now.cpu_some} %, memory {now.memory_some} %, io {now.io_some} % of the time",
    )


def _clock(skew_ms: int) -> str:
    if not skew_ms:
        return "as the Barn's"
    return f"{abs(skew_ms) / 1000} s {'ahead of' if skew_ms > 0 else 'behind'} the Barn's"
