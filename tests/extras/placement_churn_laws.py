"""A nearly full cluster where units come and end and nodes are drained: columns decide as the plain loop does, whether rows are kept, replayed or worked out anew."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace
from runink.placement.cluster import NodeState
from runink.placement.columns import Columns
from runink.placement.planner import (
    NodeChanged,
    Planner,
    UnitDropped,
    UnitEnded,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Policy, Running, Snapshot
from runink.placement.room import Room
from runink.testing.clusters import Mix, cluster, herds, load

NODES = 90
OPS = 500


# Few requests: rows are used again before much has changed. Many: they are stale. All different: each row is used once.
@pytest.mark.parametrize("mix", [Mix(templates=6), Mix(), Mix(are_all_different=True)], ids=str)
def test_columns_decide_one_by_one_as_the_plain_loop_does(mix: Mix) -> None:
    random = Random(repr(mix))
    views = list(cluster(NODES, 3))
    planners = [
        Planner(Snapshot(tuple(views), herds(), policy=Policy(preemption=False)), rooms=rooms)
        for rooms in (Columns, Room)
    ]
    standing: list = []

    def hear(event: object) -> None:
        for planner in planners:
            planner.step(event)

    def decided(unit, seed: int) -> None:
        hear(UnitWaits(unit))
        plan, other = (planner.plan(seed) for planner in planners)
        assert plan == other
        for one in plan.placed:
            hear(UnitPlaced(Running(one.unit, one.nodes)))
            standing.append(one.unit.key)
        for one in plan.unplaced:
            hear(UnitDropped(one.unit.key))

    for unit in load(NODES * 14, 4, mix):
        decided(unit, 0)
    for op, unit in enumerate(load(OPS * 2, 5, mix)[:OPS]):
        chance = random.random()
        if chance < 0.5:
            hear(UnitEnded(standing.pop(random.randrange(len(standing)))))
        elif chance < 0.55:
            at = random.randrange(NODES)
            state = random.choice((NodeState.READY, NodeState.DRAINING))
            views[at] = replace(views[at], state=state, failures=random.randrange(3))
            hear(NodeChanged(views[at]))
        else:
            decided(replace(unit, gang=f"new-{unit.gang}"), op % NODES if op % 3 else 0)
