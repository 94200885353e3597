"""Batches: how near to the best that is known they come, and that moving things together breaks no rule."""

from __future__ import annotations

from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from placement_cases import mistakes, snapshots
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, NodeView
from runink.placement.columns import Columns
from runink.placement.demands import Part, Unit
from runink.placement.packing import pack, used_cpu_m, value
from runink.placement.planner import Planner
from runink.placement.plans import Order, Snapshot
from runink.placement.room import Room
from runink.placement.solver import decide_batch
from runink.testing.placement_instances import stored


def cores(snapshot: Snapshot) -> dict[NodeId, int]:
    return {view.node: view.capacity.cpu_m for view in snapshot.nodes}


@settings(max_examples=150)
@given(snapshots(), st.sampled_from(Order))
def test_a_packed_plan_breaks_no_rule_places_as_much_and_uses_no_more(
    snapshot, order: Order
) -> None:
    planner = Planner(snapshot, rooms=Room)
    packed = planner.plan(order=order, finish=pack)
    assert mistakes(snapshot, packed) == []
    assert (
        packed.packed() == Planner(snapshot, rooms=Columns).plan(order=order, finish=pack).packed()
    )
    plain = planner.plan(order=order)
    assert value(packed) == value(plain)
    busy = {node for one in snapshot.placed for node in one.nodes}
    free = {node: 0 if node in busy else cpu_m for node, cpu_m in cores(snapshot).items()}
    assert used_cpu_m(packed, free) <= used_cpu_m(plain, free)


def test_thirty_instances_come_near_to_what_a_global_solver_has_proved() -> None:
    gaps, costs = [], []
    for one in stored():
        snapshot = one.snapshot()
        plan = decide_batch(snapshot)
        assert mistakes(snapshot, plan) == []
        assert value(plan) <= one.value_most
        gaps.append(1 - value(plan) / one.value_most)
        if value(plan) >= one.value:
            used = used_cpu_m(plan, cores(snapshot))
            assert used >= one.cpu_m_least
            costs.append(used / one.cpu_m - 1)
    assert len(gaps) == 30
    assert len(costs) >= 10
    assert mean(gaps) <= 0.005
    assert max(gaps) <= 0.015
    assert mean(costs) <= 0.1


def unit(gang: str, cpu_m: int, priority: int = 0) -> Unit:
    part = Part(Amount(cpu_m, slices=1))
    return Unit(RunId("0" * 26), gang, HerdName("h"), (part,), priority=priority)


def node(name: str, cpu_m: int) -> NodeView:
    return NodeView(NodeId(name), Amount(cpu_m, slices=9))


def test_the_least_loaded_node_is_emptied_where_others_have_room() -> None:
    # In the fair order the large one opens b, and then fits beside the small ones nowhere else; together all fit on b.
    waiting = tuple(unit(f"g{number}", cpu_m) for number, cpu_m in enumerate((300, 300, 500)))
    snapshot = Snapshot((node("a", 1000), node("b", 1100)), waiting=waiting)
    assert used_cpu_m(decide_batch(snapshot), cores(snapshot)) == 1100


def test_what_is_alone_on_a_large_node_goes_to_a_smaller_one() -> None:
    large = replace(node("a", 9000), failures=0)
    snapshot = Snapshot((large, replace(node("b", 1000), failures=9)), waiting=(unit("g", 500),))
    assert used_cpu_m(decide_batch(snapshot), cores(snapshot)) == 1000
