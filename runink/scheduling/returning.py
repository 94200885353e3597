"""Where a gang that waits does not begin again: on nodes on which attempts of it were lost or failed.

    nodes that are ready, where a part did not fail, and     the part
    that could hold it if they were empty
    as many as its gang has parts, or more                   does not go where it failed, and waits for one of these
    fewer                                                    goes wherever it could before; where it failed is the last choice (`placement/rank.py`)

So a cluster of one node tries again, and what has failed on every node begins anew on any.  Of a gang of several parts none can take the last node from another: as many nodes as
parts are always enough, in whatever order they choose.  A node that is suspect, cordoned or draining is nothing to wait for: nobody knows for how long it is.  A part fails where its own
slices do (`failures.fault_of`).  How a gang is cut does not depend on where it failed.

This follows from nodes, herd and slices alone, like the cut: a decision that is made again comes out the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from runink.names import NodeId
from runink.placement.cluster import HerdView, NodeState, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.feasible import feasible
from runink.runs.records import SliceRecord
from runink.scheduling.cutting import cut, may_be_cut
from runink.scheduling.units import Members, failed_on, parts_for, waiting_unit


def unit_for(members: Members, nodes: Collection[NodeView], herd: HerdView | None) -> Unit:
    """Return the unit that a gang is which waits: in how many parts, and where these do not go."""
    groups = cut(members, nodes, herd)
    return waiting_unit(groups, avoided(groups, nodes, herd or HerdView(members[0].herd)))


def depends_on_nodes(members: Collection[SliceRecord]) -> bool:
    """Say whether it depends on the nodes what unit a gang is."""
    return may_be_cut(members) or any(one.earlier for one in members)


def avoided(
    groups: Sequence[Members], nodes: Collection[NodeView], herd: HerdView
) -> tuple[tuple[NodeId, ...], ...]:
    """Return for each group of slices the nodes that it does not go to, nothing if none failed anywhere."""
    failed = [failed_on(members) for members in groups]
    if not any(failed):
        return ()
    return tuple(
        tuple(sorted(there)) if there and _has_others(part, there, nodes, herd, len(groups)) else ()
        for part, there in zip(parts_for(groups), failed, strict=True)
    )


def _has_others(
    part: Part, there: frozenset[NodeId], nodes: Iterable[NodeView], herd: HerdView, count: int
) -> bool:
    """Say whether there are so many nodes for the part beside those where it failed."""
    others = (one for one in nodes if one.state is NodeState.READY and one.node not in there)
    could_hold = (one for one in others if feasible(one, part, herd) is None)
    return sum(1 for _ in islice(could_hold, count)) == count
