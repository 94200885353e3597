"""`runi node`: the worker nodes, what their machines have, what they offer and what runs on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.barn.keys import HEALTH, NODES, SLICES, STANDINGS
from runink.cli.commands import Commands
from runink.cli.options import output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.clients.standings import no_such_node
from runink.clock import now_ms
from runink.machines import Machine
from runink.quantities import counted, format_bytes, format_cpu, format_moment
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, NodeStanding, SliceRecord

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
SUSPECT: Final = "suspect"
LOST: Final = "lost"
_COLUMN: Final = 14  # for the names of what is told


class NodeCommands(Commands):
    table = NODE_COMMANDS


@click.command(cls=NodeCommands)
def node() -> None:
    """Look at the nodes: what they have, offer and can do; empty one, and keep work from it."""


@click.command("list")
@output_option
@state_option
def list_(output: str, state: Path | None) -> None:
    """List the nodes."""
    documents = with_cluster(state, _documents)
    if output == "json":
        echo_json(documents)
    elif not documents:
        click.echo("no node is there; runi up starts one")
    for one in documents if output == "text" else ():
        click.echo(_line(one))


@click.command()
@click.argument("name", metavar="NODE")
@output_option
@state_option
def get(name: str, output: str, state: Path | None) -> None:
    """Print all that is known of NODE."""
    documents = with_cluster(state, _documents)
    found = next((one for one in documents if one["node"] == name), None)
    if found is None:
        raise no_such_node(name)
    if output == "json":
        echo_json(found)
        return
    if found["state"] == LOST:
        click.echo(_line(found))
        return
    for what, text in _lines(msgspec.convert(found, NodeRecord), found):
        click.echo(f"{what:{_COLUMN}}{text}")


async def _documents(cluster: Cluster, _: Path) -> list[dict[str, Any]]:
    """Return each node's record as it stands in the Barn, with how many slices are on it, what people say of it and what was seen of it. Of one that is lost only that is there."""
    nodes = await cluster.barn.range(NODES.prefix(), NodeRecord)
    slices = await cluster.barn.range(SLICES.prefix(), SliceRecord)
    standings = await cluster.barn.range(STANDINGS.prefix(), NodeStanding)
    health = await cluster.barn.range(HEALTH.prefix(), NodeHealth)
    said = {found.value.node: found.value.standing.value for found in standings.items}
    on = [found.value.node for found in slices.items if found.value.state.is_on_node]
    records = {found.value.node: found.value for found in nodes.items}
    seen = {found.value.node: found.value for found in health.items}
    return [
        {
            **_about(records.get(node)),
            "node": node,
            "slices": on.count(node),
            "standing": said.get(node),
            **_seen(seen.get(node) or NodeHealth(node), is_there=node in records),
        }
        for node in sorted({*records, *(one.node for one in seen.values() if one.lost_ms)})
    ]


def _about(record: NodeRecord | None) -> dict[str, Any]:
    if record is None:
        return {}
    empty: dict[str, Any] = {
        **{name: {} for name in ("capabilities", "missing", "users")},
        **{name: [] for name in ("labels", "herds", "near")},
        **dict.fromkeys(("gpus", "disk_bytes"), 0),
        "visible": None,
    }
    return {**empty, **msgspec.to_builtins(record)}


def _seen(health: NodeHealth, *, is_there: bool) -> dict[str, Any]:
    """Return the node's state, since when and until when it is waited for, in milliseconds of the Unix epoch (0: not known, or not at all), and how much trouble there was lately."""
    state = SUSPECT if health.is_suspect else READY
    return {
        "state": state if is_there else LOST,
        "since_ms": health.silent_ms if is_there else health.lost_ms,
        "back_ms": 0 if is_there else health.back_ms,
        "troubles": health.failures(now_ms()),
        "trouble": health.why,
    }


def _line(document: dict[str, Any]) -> str:
    """Return a node as it is listed: what is not as usual, what is on it, what it offers."""
    words = [document["state"] if document["state"] != READY else "", document["standing"] or ""]
    if document["since_ms"]:
        words[0] += f" since {format_moment(document['since_ms'])}"
    if document["back_ms"] > now_ms():
        words.append(f"waited for until {format_moment(document['back_ms'])}")
    parts = [*filter(None, words), counted(document["slices"], "slice")]
    if document["state"] != LOST:
        capacity = document["capacity"]
        parts.append(f"offers cpu {format_cpu(capacity['cpu_m'])}")
        parts.append(f"memory {format_bytes(capacity['memory_bytes'])}")
        parts += [f"label {label}" for label in document["labels"]]
    if document["troubles"]:
        parts.append(_trouble(document))
    return f"{document['node']}: {', '.join(parts)}"


def _trouble(document: dict[str, Any]) -> str:
    return f"{counted(document['troubles'], 'trouble')} lately, last that {document['trouble']}"


def _lines(record: NodeRecord, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "node", record.node
    if document["state"] != READY:
        yield "state", f"{document['state']} since {format_moment(document['since_ms'])}"
    if document["standing"]:
        yield "standing", document["standing"]
    if document["troubles"]:
        yield "trouble", _trouble(document)
    for name, user in sorted(record.users.items()):
        yield f"{name} as", user
    yield "slices", f"{document['slices']} of {record.slices_max or 'any number'}"
    offers = record.capacity
    yield (
        "offers",
        f"cpu {format_cpu(offers.cpu_m)}, memory {format_bytes(offers.memory_bytes)}",
    )
    if record.gpus or record.disk_bytes:
        yield "", f"gpus {record.gpus}, disk {format_bytes(record.disk_bytes)}"
    if record.herds:
        yield "herds", f"{', '.join(record.herds)} only"
    if record.visible is not None:
        yield "sees", f"{', '.join(record.visible)} only"
    if record.near:
        yield "near", ", ".join(record.near)
    if record.reserved is not None:
        kept = record.reserved
        yield (
            "reserved",
            f"cpu {format_cpu(kept.cpu_m)}, memory {format_bytes(kept.memory_bytes)}, disk {format_bytes(kept.disk_bytes)}",
        )
    if record.streams:
        yield "streams", f"of other nodes at {record.streams}"
    if record.labels:
        yield "labels", ", ".join(record.labels)
    if record.machine is not None:
        yield from _machine_lines(record.machine)
    for name, said in sorted(record.capabilities.items()):
        yield "can", f"{name}: {said}"
    for name, why in sorted(record.missing.items()):
        yield "lacks", f"{name}: {why}"
    yield "clock", _clock(record.clock_skew_ms)
    if record.told_ms:
        yield "told", format_moment(record.told_ms)


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
