"""The solver's face: a snapshot in, a plan or an explanation out. No clock, no chance, no I/O: the same snapshot and seed give the same plan, byte by byte, in any process.

Who decides again and again keeps a `Planner`, which does the same and knows what has not changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from runink.names import NodeId
from runink.placement.demands import Unit
from runink.placement.explain import Explanation, Verdict
from runink.placement.finishing import BATCH
from runink.placement.packing import used_cpu_m, value
from runink.placement.planner import Event, Planner
from runink.placement.plans import Finish, Order, Plan, Snapshot


def decide(snapshot: Snapshot, seed: int = 0) -> Plan:
    """Place what fits. Every waiting unit is in the plan once, placed or not. `seed` says where among equally good nodes counting begins."""
    return Planner(snapshot).plan(seed)


def decide_batch(snapshot: Snapshot, seed: int = 0, finish: Finish = BATCH) -> Plan:
    """Place a batch that no other herd competes with: the order that places most, on few nodes; see `finishing.py`."""
    planner = Planner(replace(snapshot, policy=replace(snapshot.policy, finish=finish)))
    plans = [planner.plan(seed, order) for order in Order]
    cores = {view.node: view.capacity.cpu_m for view in snapshot.nodes}
    return max(plans, key=lambda plan: (value(plan), -used_cpu_m(plan, cores)))


def what_if(snapshot: Snapshot, changes: Iterable[Event], seed: int = 0) -> Plan:
    """Return what would be decided after the changes: a node drained or added, another quota, another unit. Nothing is changed."""
    planner = Planner(snapshot)
    for change in changes:
        planner.step(change)
    return planner.plan(seed)


def explain(snapshot: Snapshot, unit: Unit, seed: int = 0) -> Explanation:
    """Say why the unit is placed where it is, or why it is not, and what would make it fit."""
    planner = Planner(snapshot)
    return planner.explain(unit, planner.plan(seed))


def explain_node(snapshot: Snapshot, unit: Unit, node: NodeId) -> tuple[Verdict, ...]:
    """Say of each part of the unit why that node does not take it, or what it costs. Nothing if there is no such node."""
    return Planner(snapshot).verdicts(unit, node)
