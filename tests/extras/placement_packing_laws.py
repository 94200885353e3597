"""Batches: how near to the best that is known they come, and that moving things together breaks no rule."""

from __future__ import annotations

from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from placement_cases import Chance, mistakes, snapshots
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, NodeState, NodeView
from runink.placement.columns import Columns
from runink.placement.demands import Part, Unit
from runink.placement.finishing import PACKED
from runink.placement.packing import used_cpu_m, value
from runink.placement.planner import Planner
from runink.placement.plans import Finish, Order, Plan, Snapshot
from runink.placement.rank import cost
from runink.placement.room import Room
from runink.placement.solver import decide_batch
from runink.testing.placement_instances import stored


def cores(snapshot: Snapshot) -> dict[NodeId, int]:
    return {view.node: view.capacity.cpu_m for view in snapshot.nodes}


@st.composite
def roomy(draw: st.DrawFn) -> Snapshot:
    """Draw a cluster with more room than is asked for: there plans are packed otherwise than they were made."""
    chance = Chance(draw(st.integers(0, 1 << 32)), is_simple=draw(st.booleans()))
    choice, upto = chance.random.choice, chance.random.randint
    sizes = draw(st.integers(3, 7)), draw(st.integers(0, 3)), draw(st.integers(3, 12))
    snapshot = chance.snapshot(*sizes)
    nodes = tuple(
        replace(
            view,
            capacity=Amount(*(number * choice([1, 1, 2, 3]) for number in view.capacity.numbers)),
            state=choice([NodeState.READY, NodeState.READY, view.state]),
        )
        for view in snapshot.nodes
    )
    waiting = tuple(
        one
        if upto(0, 2) == 0
        else replace(
            one,
            parts=(
                Part(
                    Amount(upto(1, 7), upto(1, 5), slices=1),
                    inputs=(("in", 4),) if upto(0, 1) else (),
                ),
            ),
        )
        for one in snapshot.waiting
    )
    return replace(snapshot, nodes=nodes, waiting=waiting)


@settings(max_examples=300)
@given(roomy() | snapshots(), st.sampled_from(Order))
def test_a_packed_plan_breaks_no_rule_places_no_less_and_costs_less_where_it_has_moved_something(
    snapshot, order: Order
) -> None:
    plain, packed = (
        Planner(finished(snapshot, finish), rooms=Room).plan(order=order)
        for finish in (Finish(), PACKED)
    )
    assert mistakes(snapshot, packed) == []
    by_columns = Planner(finished(snapshot, PACKED), rooms=Columns).plan(order=order)
    assert packed == by_columns
    assert packed.packed() == by_columns.packed()
    went = {one.unit.key: one.nodes for one in plain.placed}
    goes = {one.unit.key: one.nodes for one in packed.placed}
    assert went.keys() <= goes.keys()
    same = replace(packed, placed=tuple(one for one in packed.placed if one.unit.key in went))
    elsewhere = {key for key, nodes in went.items() if goes[key] != nodes}
    told = {one.unit: one for one in packed.moved}
    assert elsewhere <= told.keys()
    assert all(went[key] == one.nodes[:1] for key, one in told.items())
    assert all(one.cost_after <= one.cost_before for one in packed.moved)
    if packed.moved:
        assert total(snapshot, same) < total(snapshot, plain)
    else:
        assert packed.packed() == plain.packed()


def finished(snapshot: Snapshot, finish: Finish) -> Snapshot:
    return replace(snapshot, policy=replace(snapshot.policy, finish=finish))


def total(snapshot: Snapshot, plan: Plan) -> int:
    """Return what a plan costs: its parts one after the other, each as `rank.cost` counts it on what stands there by then."""
    views = {view.node: view for view in snapshot.nodes}
    standing: list[tuple[Part, NodeId]] = []

    def stand(part: Part, name: NodeId) -> None:
        standing.append((part, name))
        if name in views:
            views[name] = replace(views[name], used=views[name].used + part.needs)

    for one in snapshot.placed:
        for part, name in zip(one.unit.parts, one.nodes, strict=True):
            stand(part, name)
    found = 0
    for placed in plan.placed:
        for part, name in zip(placed.unit.parts, placed.nodes, strict=True):
            view, spread, count = views[name], part.spread, 0
            if spread is not None and view.domain(spread.key):
                count = sum(
                    spread.group in other.groups
                    and at in views
                    and views[at].domain(spread.key) == view.domain(spread.key)
                    for other, at in standing
                )
            weights = snapshot.policy.weights
            found += cost(view, placed.unit, part, weights, count=count).exact
            stand(part, name)
    return found


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
