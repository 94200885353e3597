"""Placement: how many slices are placed in a second of one processor, how good the choice is, and how long an explanation takes.

The reference of speed is the plain loop: for each unit all nodes are looked at, and nothing is kept from one unit to the next.  It is written as tightly as Python allows, serves the same queue, and makes
the same plans, which is asserted.  Our own loop for small clusters, which keeps what nodes cost, is shown beside it.  At 5,000 nodes the plain loop gets the first part of
the load only.  In churn, a cluster nearly full has units end, come and nodes drained one by one, and each that comes is decided on at once.  Each side has its turns, one after the other, and its
middle one counts.

The reference of quality is what CP-SAT has found and proved for thirty stored instances (`scripts/placement_instances.py`), for runs of steps the least time in which they could be done, and for runs that come one after the other how
long they take where the first that came is always served first, with smaller ones let through behind it.
`--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from random import Random
from statistics import mean, median

from msgspec.structs import replace

# numpy is a control node's of a large cluster; here it lies among what ours is measured against.
sys.path += map(str, Path(__file__).parents[1].glob(".venv-bench/lib/python3*/site-packages"))

from runink.placement.cluster import NodeState
from runink.placement.columns import Columns
from runink.placement.companies import Crowds
from runink.placement.demands import Unit
from runink.placement.packing import used_cpu_m, value
from runink.placement.planner import (
    NodeChanged,
    Planner,
    Rooms,
    UnitDropped,
    UnitEnded,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Policy, Running, Snapshot
from runink.placement.rank import NEVER, POINT, crowd_cost
from runink.placement.room import Room
from runink.placement.shapes import Shape
from runink.placement.solver import decide_batch
from runink.testing.clusters import MIXED, Mix, cluster, filled, herds, load
from runink.testing.placement_instances import stored
from runink.testing.placement_life import FIRST_COME, Life, arriving, dags, first_come

from figures import Figure, above, at_least, at_most, below, main, shown

SEED = 7
SLICES = 10_000
TURNS = 5
LIVES = 3  # of which the quickest counts for each decision
PLAIN_UNITS = {1000: 6000, 5000: 600}
PLAIN_UNITS_IN_COMPANY = 2000
MUSTS = {1000: (12, 60_000, 8, 6), 5000: (45, 35_000, 25, 10)}  # plain, slices/s, churn, different
WARM_OPS, CHURN_OPS, PLAIN_CHURN_OPS = 2000, 6000, 600
DIFFERENT = Mix(are_all_different=True)
# Runs of 60 units, whose groups have 20 each: as many as a service has that is to outlive its nodes.
IN_COMPANY = {
    "none beside its like": Mix(apart=1, spread=0, run_units=60),
    "spread over zones": Mix(apart=0, spread=1, run_units=60),
    "spread over zones evenly": Mix(apart=0, spread=1, run_units=60, is_spread_hard=True),
}


class PlainLoop(Room):
    """Looks at every node, and keeps nothing."""

    def cheapest(
        self, shape: Shape, odd: Collection[int] = (), crowds: Crowds | None = None
    ) -> tuple[int, int]:
        cpu_m, memory, _, _, _ = shape.needs
        least_cpu_m, least_memory, disk, gpus, slices = shape.floors
        allows, ready, weights = shape.nature.allows, self.ready, self.weights
        opening, idle, per_gpu = (
            number << POINT for number in (weights.opening, weights.gpu_idle, weights.gpu_free)
        )
        cheapest, best = NEVER, -1
        for at, free in enumerate(self.free):
            if not allows[at] or not ready[at] or at in odd:
                continue
            if free[0] < least_cpu_m or free[1] < least_memory or free[4] < slices:
                continue
            if free[2] < disk or free[3] < gpus:
                continue
            scales = self._scales[at]
            cost = (free[0] - cpu_m) * scales[0] + (free[1] - memory) * scales[1] + scales[4]
            if free == scales[2]:
                cost += opening
            if scales[3]:
                cost += per_gpu * free[3] + (0 if gpus > 0 else idle)
            if crowds is not None:
                count = crowds.count(at)
                if count < 0:
                    continue
                cost += crowd_cost(count, weights)
            if cost < cheapest:
                cheapest, best = cost, at
        return cheapest, best


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    gc.freeze()
    began = time.process_time()
    work()
    took = time.process_time() - began
    gc.unfreeze()
    return took


def rate(snapshot: Snapshot, rooms: Rooms) -> float:
    """Return slices a second of planning the whole load at once; the room is made before."""
    planner = Planner(replace(snapshot, waiting=()), rooms=rooms)
    planner.plan()
    for unit in snapshot.waiting:
        planner.step(UnitWaits(unit))
    slices = sum(unit.needs.slices for unit in snapshot.waiting)
    return slices / timed(planner.plan)


def one_shot(
    nodes: int, mix: Mix, name: str, factor: float, least: int | None = None, *, plain_units: int
) -> list[Figure]:
    snapshot = filled(nodes, SLICES, SEED, mix)
    small = replace(snapshot, waiting=snapshot.waiting[:plain_units])
    by_columns, by_loop = (
        Planner(small, rooms=Columns).plan(),
        Planner(small, rooms=PlainLoop).plan(),
    )
    assert by_columns.packed() == by_loop.packed()
    # In turns, so that what else the machine does falls on both.
    turns = [(rate(snapshot, Columns), rate(small, PlainLoop)) for _ in range(TURNS)]
    ours, plain = (median(rates) for rates in zip(*turns, strict=True))
    found = [at_least(f"{name}, slices/s", ours, plain, factor)]
    if least is not None:
        found.append(above(f"{name}, slices/s by itself", ours, least))
        found.append(shown(f"{name}, to our loop for few nodes", ours, rate(small, Room)))
    return found


def crowded(nodes: int) -> Snapshot:
    """Return a cluster that is filled until a tenth of what comes no longer fits, and the units that come after."""
    policy = Policy(preemption=False)
    planner = Planner(Snapshot(cluster(nodes, SEED), herds(), policy=policy), rooms=Columns)
    for unit in load(nodes * 16, SEED):
        planner.step(UnitWaits(unit))
    plan = planner.plan()
    for one in plan.placed:
        planner.step(UnitPlaced(Running(one.unit, one.nodes)))
    for one in plan.unplaced:
        planner.step(UnitDropped(one.unit.key))
    return planner.snapshot()


def churn(
    snapshot: Snapshot, rooms: Rooms, ops: int, took: list[float] | None = None
) -> tuple[float, list[tuple]]:
    """Return placements a second, and where units went. With `took`, how long each decision took on the wall is told there, and the rate is worth nothing.

    The first WARM_OPS are lived through and not counted: a planner knows what has come for as long as it lives.
    """
    random = Random(SEED)
    planner = Planner(snapshot, rooms=rooms)
    planner.plan()
    standing = [one.unit.key for one in snapshot.placed]
    views = list(snapshot.nodes)
    coming = [replace(unit, gang=f"new-{unit.gang}") for unit in load(CHURN_OPS * 2, SEED + 1)]
    # Drawn before, so that it is not a part of what is measured.
    drawn = [(random.random(), random.random()) for _ in range(WARM_OPS + ops)]
    went: list[tuple] = []

    def live(first: int, last: int) -> None:
        for op in range(first, last):
            chance, which = drawn[op]
            if chance < 0.5 and standing:
                at = int(which * len(standing))
                standing[at], standing[-1] = standing[-1], standing[at]
                planner.step(UnitEnded(standing.pop()))
            elif chance < 0.505:
                at = int(which * len(views))
                state = NodeState.READY if op % 2 else NodeState.DRAINING
                views[at] = replace(views[at], state=state)
                planner.step(NodeChanged(views[at]))
            else:
                went.append(decided(planner, coming[op % len(coming)], standing, took))

    live(0, WARM_OPS)
    before = len(went)
    seconds = timed(lambda: live(WARM_OPS, len(drawn)))
    return (len(went) - before) / seconds, went


def decided(planner: Planner, unit: Unit, standing: list, took: list[float] | None) -> tuple:
    """Let a unit come, decide, and carry that out."""
    began = time.perf_counter() if took is not None else 0.0
    planner.step(UnitWaits(unit))
    plan = planner.plan()
    if took is not None:
        took.append(time.perf_counter() - began)
    if not plan.placed:
        planner.step(UnitDropped(unit.key))
        return ()
    (placed,) = plan.placed
    planner.step(UnitPlaced(Running(unit, placed.nodes)))
    standing.append(unit.key)
    return placed.nodes


def under_churn(nodes: int, snapshot: Snapshot, factor: float) -> list[Figure]:
    turns = [
        (churn(snapshot, Columns, CHURN_OPS), churn(snapshot, PlainLoop, PLAIN_CHURN_OPS))
        for _ in range(TURNS)
    ]
    for (_, went), (_, same) in turns:
        assert went[: len(same)] == same
    ours = median(life[0] for life, _ in turns)
    plain = median(life[0] for _, life in turns)
    loop, _ = churn(snapshot, Room, PLAIN_CHURN_OPS)
    lives: list[list[float]] = [[] for _ in range(LIVES)]
    for took in lives:
        churn(snapshot, Columns, CHURN_OPS, took)
    # All lives are the same, so what a decision takes is what it takes where nobody interrupted it.
    alone = sorted(min(decision) for decision in zip(*lives, strict=True))
    late_ms = alone[len(alone) * 99 // 100] * 1000
    name = f"churn near full, {nodes:,} nodes"
    return [
        at_least(f"{name}, placements/s", ours, plain, factor),
        shown(f"{name}, to our loop for few nodes", ours, loop),
        below(f"{name}, a decision, 99th percentile, ms", late_ms, 0.5),
    ]


def explained(snapshot: Snapshot) -> Figure:
    planner = Planner(snapshot, rooms=Columns)
    units = [replace(unit, gang=f"why-{unit.gang}") for unit in load(1000, SEED + 2)][:300]
    for unit in units:
        planner.explain(unit)
    took = timed(lambda: [planner.explain(unit) for unit in units])
    return below("explain at 5,000 nodes, ms", took / len(units) * 1000, 0.3)


def quality() -> list[Figure]:
    gaps, costs = [], []
    for one in stored():
        snapshot = one.snapshot()
        plan = decide_batch(snapshot)
        gaps.append(100 * (1 - value(plan) / one.value_most))
        used = used_cpu_m(plan, {view.node: view.capacity.cpu_m for view in snapshot.nodes})
        if value(plan) >= one.value:
            costs.append(100 * (used / one.cpu_m - 1))
    return [
        below("value below what CP-SAT proves to be the most, mean, %", mean(gaps), 1.5),
        below("the same, worst, %", max(gaps), 3),
        below(
            "processors of used nodes over CP-SAT's, where the value is equal, mean, %",
            mean(costs),
            40,
        ),
        below("the same, worst, %", max(costs), 40),
    ]


def makespan() -> list[Figure]:
    ratios = []
    for seed in range(8):
        made = dags(seed)
        life = Life(Snapshot(made.nodes), made.jobs)
        life.run()
        assert len(life.ended_ms) == len(made.jobs)
        ratios.append(max(life.ended_ms.values()) / made.bound_ms)
    return [
        below("makespan over its lower bound, mean", mean(ratios), 1.02),
        below("the same, worst of 8", max(ratios), 1.02),
    ]


def completion() -> list[Figure]:
    """Tell how long runs take from coming to their end, by our order and by that in which they came; both let smaller units through behind the first that does not fit."""
    ours, theirs = [], []
    for seed in range(6):
        made = arriving(seed)
        ours.append(mean(Life(Snapshot(made.nodes), made.jobs).run_times_ms()) / 1000)
        first = Life(Snapshot(made.nodes, policy=FIRST_COME), first_come(made.jobs))
        theirs.append(mean(first.run_times_ms()) / 1000)
    name = "a run from coming to its end, beside first come first served, mean, s"
    return [at_most(name, mean(ours), mean(theirs), 1.08)]


def sizes() -> None:
    """Tell from how many nodes on columns are quicker than the loop."""
    for nodes in (4, 8, 16, 32, 64, 128, 256):
        snapshot = filled(nodes, nodes * 10, SEED)
        loop, columns = (max(rate(snapshot, kind) for _ in range(5)) for kind in (Room, Columns))
        print(f"{nodes} nodes: loop {loop:,.0f} slices/s, columns {columns:,.0f}")


def measure(arguments: argparse.Namespace) -> list[Figure]:
    if arguments.sizes:
        sizes()
        return []
    found: list[Figure] = []
    for nodes, (factor, least, in_churn, different) in MUSTS.items():
        name, plain = f"{nodes:,} nodes x {SLICES:,}", PLAIN_UNITS[nodes]
        found += one_shot(nodes, MIXED, f"{name} mixed", factor, least, plain_units=plain)
        found += one_shot(nodes, DIFFERENT, f"{name}, all different", different, plain_units=plain)
        snapshot = crowded(nodes)
        found += under_churn(nodes, snapshot, in_churn)
    found.append(explained(snapshot))
    for how, mix in IN_COMPANY.items():
        name = f"1,000 nodes x {SLICES:,}, {how}"
        found += one_shot(1000, mix, name, 1, plain_units=PLAIN_UNITS_IN_COMPANY)
    return found + quality() + makespan() + completion()


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0], sizes=False)
