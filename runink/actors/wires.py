"""Edges to and from slices of the gang on other nodes: which pipes the relay is given, and whom it carries them to.

The slice here has one end of a pipe, the node's relay the other one.  Both agents make the edge's name and its token from what the placement says, so neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from runink.barn.keys import node_key
from runink.barn.keyvalue import one_key
from runink.certificates.roles import NodeRole, dns_names
from runink.clients.barn import BarnClient, decode_value
from runink.config import Address
from runink.dag import Dag, Link
from runink.errors import Unavailable
from runink.names import NodeId
from runink.relay.client import RelayClient, resolved
from runink.relay.protocol import Read, Write, edge_name, token_of
from runink.runs.records import NodeRecord, SliceRecord

HINT: Final = "start its agent with --listen HOST:PORT"


@dataclass(frozen=True, slots=True)
class WireEnd:
    """The relay's end of a pipe for a link: its read end if rows go out of this node (`is_output`), else its write end."""

    link: Link
    pipe: int
    is_output: bool


async def hand_over(
    wires: Iterable[WireEnd],
    relay: RelayClient | None,
    barn: BarnClient,
    *,
    key: str,
    dag: Dag,
    slices: Mapping[str, SliceRecord],
) -> None:
    """Give these ends to the relay; they stay the caller's to close. `key` is the gang's, `slices` are the run's.

    Raises Unavailable (`no_relay`) and what the relay's client raises.
    """
    addresses: dict[NodeId, Address] = {}
    for wire in wires:
        if relay is None:
            raise Unavailable("this node has no relay", code="no_relay", hint=HINT)
        target = slices[dag.slice_of(wire.link.target).id]
        edge = edge_name(target.run, target.gang, wire.link)
        token = token_of(key, edge, target.attempt)
        if not wire.is_output:
            await relay.read(Read(edge, target.attempt, token), wire.pipe)
            continue
        node = target.node
        assert node is not None, "a gang is placed whole"
        if node not in addresses:
            addresses[node] = await _address(barn, node)
        to = addresses[node]
        name = dns_names(NodeRole.AGENT, node)[0]
        wanted = Write(edge, target.attempt, token, name, await resolved(to), to.port)
        await relay.write(wanted, wire.pipe)


async def _address(barn: BarnClient, node: NodeId) -> Address:
    """Return where the relay of a node listens. Raises Unavailable (`no_relay`)."""
    page = (await barn.read(one_key(node_key(node)))).pages[0]
    record = decode_value(page.items[0], NodeRecord).value if page.items else None
    if record is None or not record.streams:
        raise Unavailable(f"node {node} has no relay now", code="no_relay", hint=HINT)
    return Address.parse(record.streams)
