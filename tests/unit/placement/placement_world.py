"""What tests of placement build with: a node, a unit, and what of a plan they look at."""

from __future__ import annotations

from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.plans import Plan, Running

HERD = HerdName("h")
RUN = RunId("0" * 26)
MI = 1 << 20
NOW_MS = 1_000_000


def node(
    name: str, cpu_m: int = 2000, *, labels: tuple[str, ...] = (), gpus: int = 0, **rest
) -> NodeView:
    capacity = Amount(cpu_m, 1024 * MI, gpus=gpus, slices=100)
    return NodeView(NodeId(name), capacity, labels=frozenset(labels), **rest)


def part(
    cpu_m: int = 100, memory_bytes: int = 0, *, labels: tuple[str, ...] = (), gpus: int = 0, **rest
) -> Part:
    return Part(Amount(cpu_m, memory_bytes, gpus=gpus, slices=1), label_rules(labels), **rest)


def unit(gang: str, *parts: Part, cpu_m: int = 100, run: int = 0, herd: str = HERD, **rest) -> Unit:
    name = RunId(f"{run:026}")
    return Unit(name, gang, HerdName(herd), parts or (part(cpu_m),), **rest)


def running(gang: str, name: str, *, cpu_m: int = 100, started_ms: int = NOW_MS, **rest) -> Running:
    return Running(unit(gang, cpu_m=cpu_m, **rest), (NodeId(name),), started_ms)


def placed(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {one.unit.gang: one.nodes for one in plan.placed}


def waits(plan: Plan) -> list[str]:
    return [one.unit.gang for one in plan.unplaced]
