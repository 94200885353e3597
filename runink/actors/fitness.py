"""Whether this node takes what was placed on it: the planner's own question (`placement.feasible`), asked of the node as it is now.

A plan is made of the node's record as it stands in the Barn.  The agent may have been started anew since, with other labels, for other herds or with less room: then its
own record is about to be written, and what was placed by the old one is not launched here, but placed again.  What else is on the node, and what its herd has used of its quota,
was compared when the plan was written: only those who plan know all of it.  So it is with where the gang failed before, which counts only while other nodes could hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace as changed

from runink.actors.launching import Launching, nodes_of
from runink.dag import Dag
from runink.errors import Unavailable
from runink.herds.relied import check_relied
from runink.placement.cluster import HerdView
from runink.placement.feasible import feasible
from runink.runs.records import NodeRecord, SliceRecord
from runink.scheduling.snapshots import node_view
from runink.scheduling.units import parts_for

NOT_FOR_NODE: Final = "not_for_node"


def check_fit(
    node: NodeRecord, dag: Dag, records: Sequence[SliceRecord], launching: Launching
) -> None:
    """Raise Unavailable (`not_for_node`) where the node does not take these slices of one gang, Refused where their herd does not have them write what they write."""
    herd = HerdView(records[0].herd, isolation=launching.isolation, own_nodes=launching.own_nodes)
    check_taken(node, records, herd)
    check_relied(dag.herd, nodes_of(dag, records), launching.clearances, launching.roles)


def check_taken(node: NodeRecord, records: Sequence[SliceRecord], herd: HerdView) -> None:
    """Raise Unavailable (`not_for_node`) where the node would not take these slices of one gang, be it empty. `herd` is theirs, as far as that depends on no other node."""
    (part,) = parts_for((records,))
    view = node_view(node, None, None, now_ms=0)
    reason = feasible(view, changed(part, pin=None), herd)
    if reason is not None:
        raise Unavailable(
            f"it was placed on {node.node} as that was before: {reason.text}",
            code=NOT_FOR_NODE,
            hint="it is placed again, on a node that takes it",
        )
