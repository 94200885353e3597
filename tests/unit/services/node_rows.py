"""Rows of operations on nodes, members and decisions. What a node is to run is shown to everybody who is known, each his own herds' part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import node_key, placement_key
from runink.dag import Resources
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.runs.records import NodeRecord, Placement
from runink.testing.served import Served

NODE = NodeId("worker-1")
OF = {"node": NODE}
RUN, SLICE = RunId("01JDYX5K3QW8R2M4N6P7S9T0V1"), SliceId("bronze")


async def joined(world: Served, _herd: str) -> Mapping[str, Any]:
    """Have a node that runs a slice of the foreign herd."""
    await world.barn.put(node_key(NODE), NodeRecord(NODE, Resources(1000, 1 << 30)))
    placement = Placement(RUN, SLICE, HerdName("stock-of-others"), "gang-1", 1)
    await world.barn.put(placement_key(NODE, RUN, SLICE), placement)
    return {}


NODE_ROWS: dict[str, Row] = {
    "nodes.list": Row(prepare=joined, shows=NODE),
    "nodes.watch": Row({"since": 1}, prepare=joined, shows=NODE),
    "nodes.get": Row(OF, prepare=joined),
    "nodes.cordon": Row(OF, prepare=joined),
    "nodes.drain": Row(OF, prepare=joined),
    "nodes.uncordon": Row(OF, prepare=joined),
    "nodes.placements.list": Row(OF, prepare=joined),
    "members.list": Row(nameless="members go by numbers"),
    "members.status": Row(nameless="how the group stands is asked of all members together"),
    "decisions.replay": Row({"decision": "7"}, told="no_such_decision"),
}
