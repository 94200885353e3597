"""`decide`: a snapshot in, a plan out. No clock, no chance, no I/O: the same snapshot gives the same plan.

Units are served in the order in which they wait.  What fits is placed on its best node and taken off what is free, for those
behind it; what does not fit is left with the reasons, and does not hold back smaller units of other herds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from runink.capabilities import BY_NAME
from runink.names import HerdName, NodeId
from runink.placement.cluster import HerdView, NodeView, Placed, Plan, Snapshot, Unit, Unplaced
from runink.placement.feasible import refused_by_node, refused_by_quota
from runink.placement.rank import order

REASONS_SHOWN_MAX: Final = 3  # of nodes; the rest is counted


def decide(snapshot: Snapshot) -> Plan:
    """Place what fits. Every waiting unit is in the plan once, placed or not."""
    nodes = {view.node: view for view in snapshot.nodes}
    herds = dict(snapshot.herds)
    placed: list[Placed] = []
    unplaced: list[Unplaced] = []
    for unit in snapshot.waiting:
        found = _place(unit, nodes, herds)
        if isinstance(found, Unplaced):
            unplaced.append(found)
            continue
        placed.append(Placed(unit, found))
        nodes[found] = replace(nodes[found], used=nodes[found].used + unit.needs)
        herd = herds.get(unit.herd, HerdView(unit.herd))
        herds[unit.herd] = replace(herd, used=herd.used + unit.needs)
    assert len(placed) + len(unplaced) == len(snapshot.waiting)
    return Plan(tuple(placed), tuple(unplaced))


def _place(
    unit: Unit, nodes: dict[NodeId, NodeView], herds: dict[HerdName, HerdView]
) -> NodeId | Unplaced:
    herd = herds.get(unit.herd, HerdView(unit.herd))
    quota = refused_by_quota(herd, unit)
    if quota is not None:
        return Unplaced(unit, quota.text, is_final=quota.is_final)
    reasons = {node.node: refused_by_node(node, unit, herd.isolation) for node in nodes.values()}
    fitting = [nodes[name] for name, reason in reasons.items() if reason is None]
    if fitting:
        # A node where it was lost before is taken only when there is no other.
        fresh = [node for node in fitting if node.node not in unit.failed_on]
        return min(fresh or fitting, key=lambda node: order(node, unit)).node
    told = [reason for reason in reasons.values() if reason is not None]
    texts = list(dict.fromkeys(reason.text for reason in told))
    shown = "; ".join(texts[:REASONS_SHOWN_MAX])
    if len(texts) > REASONS_SHOWN_MAX:
        shown += f"; and {len(texts) - REASONS_SHOWN_MAX} more nodes"
    # A cluster without nodes is starting, or cut off: that passes.
    is_final = bool(told) and all(reason.is_final for reason in told)
    kinds = {reason.what for reason in told}
    lacks = next(iter(kinds & BY_NAME.keys()), "") if is_final and len(kinds) == 1 else ""
    return Unplaced(unit, shown or "no node is ready", is_final=is_final, lacks=lacks)
