"""Ranking: which of the nodes that could take a part is best. Integers only, so that every machine ranks alike.

The cheapest node is taken; among equals the first by name, counted from a place that the seed gives.  What a node costs, in
thousandths of a whole node's processors:

    fit          what is left of its processors and its memory afterwards, a thousand each for all: full nodes leave large holes for large units
    opening      it is empty until now
    gpu          for a part without graphics processors: that it has some, and how many are free; for one with them: how many are free
    failure      what failed there lately
    failed here  the unit itself failed there: such a node is the last choice, where it is one at all (`Part.avoids`)
    crowd        how many of the part's group its domain has
    locality     taken off: the share of the part's inputs that are there, or that the node is near to

`cost` says it for one node and is what explanations show.  `room.py` adds up the same numbers in another order, for many nodes.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from runink.placement.cluster import NodeView
from runink.placement.demands import Inputs, Part, Unit
from runink.placement.plans import Weights

# Costs have so many binary digits behind the point: what is free is then multiplied, where it would be divided, and division is slow for whole columns.
POINT: Final = 40
# The cost of a node that does not fit; all others are smaller, and two of them are a number of 64 bits.
NEVER: Final = 1 << 61
FAILURES_MAX: Final = 10  # a node where more failed is not worse: it is the operator's to look at
CROWD_MAX: Final = 100  # more of a group in one domain do not make it worse


class Score(Struct, frozen=True):
    """What a node costs and why, in thousandths; smaller is better. `exact` is what nodes are compared by: the sum, with POINT binary digits more."""

    fit: int
    opening: int
    gpu: int
    failure: int
    failed_here: int
    crowd: int
    locality: int
    exact: int


def pace(whole: int) -> int:
    """Return by what an amount is multiplied to be the cost of that share of the whole."""
    return (1000 << POINT) // max(whole, 1)


def worst(weights: Weights) -> int:
    """Return more than any node can cost."""
    dearest = weights.failed_here + weights.crowd * CROWD_MAX + weights.failure * FAILURES_MAX
    return (4000 + dearest + weights.opening + weights.gpu_idle + weights.gpu_free * 1000) << POINT


def failure_cost(failures: int, weights: Weights) -> int:
    return (weights.failure * min(failures, FAILURES_MAX)) << POINT


def gpu_cost(gpus: int, free: int, weights: Weights, *, uses_gpus: bool) -> int:
    """Return what a node's graphics processors add to its cost."""
    if uses_gpus:
        return (weights.gpu_free * free) << POINT
    return (weights.gpu_idle + weights.gpu_free * free) << POINT if gpus else 0


def crowd_cost(count: int, weights: Weights) -> int:
    return (weights.crowd * min(count, CROWD_MAX)) << POINT


def locality_gain(held: dict[str, int], inputs: Inputs, weights: Weights) -> int:
    """Return what a node is cheaper by because it has inputs of the part: all of them are worth `weights.locality`."""
    total = sum(size for _, size in inputs)
    there = sum(min(held.get(name, 0), size) for name, size in inputs)
    return (weights.locality * there // total if total else 0) << POINT


def cost(node: NodeView, unit: Unit, part: Part, weights: Weights, *, count: int = 0) -> Score:
    """Say what the node costs for that part. `count` is how many of the part's group its domain has."""
    free, whole, needs = list(node.free.numbers), node.capacity, part.needs
    fit = (free[0] - needs.cpu_m) * pace(whole.cpu_m) + (free[1] - needs.memory_bytes) * pace(
        whole.memory_bytes
    )
    opening = weights.opening << POINT if node.free == whole else 0
    failure = failure_cost(node.failures, weights)
    gpu = gpu_cost(whole.gpus, free[3], weights, uses_gpus=needs.gpus > 0)
    here = weights.failed_here << POINT if node.node in unit.failed_on else 0
    crowd = crowd_cost(count, weights) if part.spread else 0
    gain = locality_gain(node.held, part.inputs, weights)
    shown = (fit, opening, gpu, failure, here, crowd, -gain)
    thousandths = [number >> POINT for number in shown]
    return Score(*thousandths, exact=sum(shown))  # type: ignore[misc] # the list has as many as there are names before it
