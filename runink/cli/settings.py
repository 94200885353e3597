"""How the nodes of a cluster run slices: told where that is without isolation, and compared with what a command insists on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from runink.barn.keys import NODES, herd_key
from runink.capabilities import (
    BUBBLEWRAP,
    BY_NAME,
    FULL,
    HOST_NETWORK,
    ISOLATION,
    NAMESPACES,
    NO_ISOLATION,
    WALLS,
    Isolation,
)
from runink.cli.options import SliceOptions
from runink.clients.cluster import Cluster
from runink.errors import Conflict
from runink.herds.lifecycle import differences
from runink.herds.record import HerdRecord
from runink.runs.records import NodeRecord

BANNER: Final = (
    "WARNING: slices are plain processes (--no-isolation): they may do all that who started them may, "
    "and nothing limits them"
)
DIFFERENCES_SHOWN_MAX: Final = 5
_AGAIN: Final = (
    "stop the cluster (runi status tells where it is) and start it so, or leave the option away"
)


async def tell_herd(cluster: Cluster, said: HerdRecord) -> None:
    """Say on standard error where a herd is declared in the cluster and a project says something else of it: what was declared holds."""
    found = await cluster.barn.get(herd_key(said.herd), HerdRecord)
    if found is None or found.value.declared is None:
        return
    keys = [line.partition(":")[0] for line in differences(said, found.value)]
    if keys:
        shown = ", ".join(keys[:DIFFERENCES_SHOWN_MAX])
        more = ", …" if len(keys) > DIFFERENCES_SHOWN_MAX else ""
        click.echo(
            f"note: herd {said.herd} is declared in the cluster, and that holds; this project says something else of {shown}{more} (runi herd get {said.herd})",
            err=True,
        )


async def tell_settings(cluster: Cluster, asked: SliceOptions) -> None:
    """Say on standard error if slices of this cluster are not isolated, or not wholly. Raises Conflict (`cluster_settings`) if it is not as the caller insists."""
    listing = await cluster.barn.range(NODES.prefix(), NodeRecord)
    nodes = [found.value for found in listing.items]
    if asked.insists:
        check_settings(nodes, asked)
    if any(is_without_isolation(node) for node in nodes):
        click.echo(BANNER, err=True)
    for line in missing_walls(nodes):
        click.echo(line, err=True)


def is_without_isolation(node: NodeRecord) -> bool:
    return node.capabilities.get(ISOLATION) == NO_ISOLATION


def missing_walls(nodes: Iterable[NodeRecord]) -> Iterator[str]:
    """Yield a warning for each node that has not got what no slice should be without, and was not told to do without."""
    for node in nodes:
        names = sorted(WALLS & node.missing.keys())
        if not names or is_without_isolation(node):
            continue
        # Without namespaces there is nothing else, so that is all there is to say.
        name = NAMESPACES if NAMESPACES in names else names[0]
        yield (
            f"WARNING: node {node.node} has no {name} ({node.missing[name]}): slices run on it only where their herd allows that, "
            f"and then {BY_NAME[name].otherwise}"
        )


def check_settings(nodes: Sequence[NodeRecord], asked: SliceOptions) -> None:
    """Raise Conflict (`cluster_settings`) if a node does not run slices as the caller insists; a node that says nothing does."""
    for node in nodes:
        if asked.isolation is not None:
            _check_isolation(node, asked.isolation)
        allowed = node.capabilities.get(HOST_NETWORK)
        if asked.shares_network is False and allowed == "allowed":
            raise _other(node, "lets slices have its own network", "--no-host-network")
        if asked.shares_network and allowed == "refused":
            raise _other(node, "does not let slices have its own network", "--allow-host-network")


def _check_isolation(node: NodeRecord, asked: Isolation) -> None:
    how = node.capabilities.get(ISOLATION, NO_ISOLATION)
    is_wrapped = BUBBLEWRAP in (how, *node.capabilities)
    match asked:
        case Isolation.NONE if how != NO_ISOLATION:
            closes_off = how in {FULL, BUBBLEWRAP}
            does = "isolates slices" if closes_off else "runs none as plain processes by itself"
            raise _other(node, does, "--no-isolation")
        case Isolation.BUBBLEWRAP if not is_wrapped:
            raise _other(node, "does without bubblewrap", "--isolation bubblewrap")
        case Isolation.CELLS if is_wrapped:
            raise _other(node, "has bubblewrap close slices off", "--isolation cells")
        case Isolation.CELLS if how == NO_ISOLATION:
            raise _other(node, "runs slices as plain processes", "--isolation cells")
        case _:
            return


def _other(node: NodeRecord, does: str, asked: str) -> Conflict:
    text = f"the cluster that runs here was started otherwise: its node {node.node} {does}, and {asked} was asked for"
    return Conflict(text, code="cluster_settings", hint=_AGAIN)
