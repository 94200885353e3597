"""Feasibility: whether a node, and the herd's quota, have room for a unit, and why not.

Each rule looks at one thing and returns a reason when it says no.  Rules are pure; the order is cheapest first, and the first
that refuses is the one told.  A reason is final where not even an empty cluster would do: waiting would not help.
"""

from __future__ import annotations

from runink import capabilities
from runink.capabilities import IsolationPolicy
from runink.placement.cluster import Amount, HerdView, NodeView, Reason, Unit
from runink.quantities import format_cpu, format_memory


def refused_by_node(node: NodeView, unit: Unit, isolation: IsolationPolicy) -> Reason | None:
    """Say why the node cannot hold the unit, or nothing if it can. `isolation` is its herd's."""
    if unit.pin is not None and unit.pin != node.node:
        return Reason("pin", f"it belongs on {unit.pin}")
    missing = sorted(unit.labels - node.labels)
    if missing:
        return Reason("label", f"{node.node} lacks the label {', '.join(missing)}", is_final=True)
    lacking = capabilities.lacking(node.missing, isolation, unit.requires, is_plain=node.is_plain)
    if lacking:
        why = "; ".join(f"{name} ({node.missing[name]})" for name in lacking)
        return Reason(lacking[0], f"{node.node} lacks {why}", is_final=True)
    return _short(
        unit.needs, free=node.free, whole=node.capacity, where=str(node.node), holds="has"
    )


def refused_by_quota(herd: HerdView, unit: Unit) -> Reason | None:
    """Say why the herd's quota does not allow the unit now, or nothing if it does."""
    if unit.needs == Amount():
        return None
    whole = Amount(
        herd.quota.cpu_m or _UNLIMITED,
        herd.quota.memory_bytes or _UNLIMITED,
        herd.quota.slices or _UNLIMITED,
    )
    return _short(
        unit.needs,
        free=whole - herd.used,
        whole=whole,
        where=f"herd {herd.herd}",
        holds="may have",
    )


_UNLIMITED = 1 << 60


def _short(needs: Amount, *, free: Amount, whole: Amount, where: str, holds: str) -> Reason | None:
    for what, wanted, left, most, show in (
        ("slices", needs.slices, free.slices, whole.slices, str),
        ("cpu", needs.cpu_m, free.cpu_m, whole.cpu_m, format_cpu),
        ("memory", needs.memory_bytes, free.memory_bytes, whole.memory_bytes, format_memory),
    ):
        if wanted > most:
            text = f"it needs {what} {show(wanted)}, {where} {holds} {show(most)}"
            return Reason(what, text, is_final=True)
        if wanted > left:
            text = f"it needs {what} {show(wanted)}, {where} has {show(max(left, 0))} of {show(most)} left"
            return Reason(what, text)
    return None
