"""Ranking: which of the nodes that could run a unit is best. Integers only, so that every machine ranks alike.

First cut: the node that is fullest afterwards (best fit keeps large holes for large units), ties by name.
"""

from __future__ import annotations

from runink.placement.cluster import NodeView, Unit

_FINE = 1_000_000


def order(node: NodeView, unit: Unit) -> tuple[int, str]:
    """Return a key to sort nodes by, best first."""
    left = node.free - unit.needs
    free = left.cpu_m * _FINE // max(node.capacity.cpu_m, 1) + left.memory_bytes * _FINE // max(
        node.capacity.memory_bytes, 1
    )
    return (free, str(node.node))
