"""How the nodes of a cluster run slices: told where that is without isolation, and compared with what a command insists on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from runink.barn.keys import NODES
from runink.cli.options import SliceOptions
from runink.clients.cluster import Cluster
from runink.config import HOST_NETWORK, ISOLATION
from runink.errors import Conflict
from runink.runs.records import NodeRecord

BANNER: Final = (
    "WARNING: slices are plain processes (--no-isolation): they may do all that who started them may, "
    "and nothing limits them"
)
_AGAIN: Final = (
    "stop the cluster (runi status tells where it is) and start it so, or leave the option away"
)


async def tell_settings(cluster: Cluster, asked: SliceOptions) -> None:
    """Say on standard error if slices of this cluster are not isolated. Raises Conflict (`cluster_settings`) if it is not as the caller insists."""
    listing = await cluster.barn.range(NODES.prefix(), NodeRecord)
    nodes = [found.value for found in listing.items]
    if asked.insists:
        check_settings(nodes, asked)
    if any(is_without_isolation(node) for node in nodes):
        click.echo(BANNER, err=True)


def is_without_isolation(node: NodeRecord) -> bool:
    return node.capabilities.get(ISOLATION) == "none"


def check_settings(nodes: Sequence[NodeRecord], asked: SliceOptions) -> None:
    """Raise Conflict (`cluster_settings`) if a node does not run slices as the caller insists; a node that says nothing does."""
    for node in nodes:
        if asked.is_plain and node.capabilities.get(ISOLATION, "none") != "none":
            raise _other(node, "isolates slices", "--no-isolation")
        allowed = node.capabilities.get(HOST_NETWORK)
        if asked.shares_network is False and allowed == "allowed":
            raise _other(node, "lets slices have its own network", "--no-host-network")
        if asked.shares_network and allowed == "refused":
            raise _other(node, "does not let slices have its own network", "--allow-host-network")


def _other(node: NodeRecord, does: str, asked: str) -> Conflict:
    text = f"the cluster that runs here was started otherwise: its node {node.node} {does}, and {asked} was asked for"
    return Conflict(text, code="cluster_settings", hint=_AGAIN)
