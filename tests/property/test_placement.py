"""Laws of placement, for any cluster and any demand: no node and no quota is overcommitted, and no unit is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeView, Snapshot, Unit
from runink.placement.solver import decide

amounts = st.builds(Amount, st.integers(0, 50), st.integers(0, 50), st.integers(0, 5))
herds = st.sampled_from([HerdName("a"), HerdName("b")])
labels = st.frozensets(st.sampled_from(["gpu", "ssd"]))
nodes = st.lists(st.tuples(amounts, labels), max_size=4).map(
    lambda found: tuple(
        NodeView(NodeId(f"n{i}"), room, labels=marks) for i, (room, marks) in enumerate(found)
    )
)
units = st.lists(st.tuples(amounts, herds, labels), max_size=12).map(
    lambda found: tuple(
        Unit(RunId("0" * 26), f"g{i}", herd, needs, marks)
        for i, (needs, herd, marks) in enumerate(found)
    )
)


@given(nodes, units, amounts)
def test_no_node_and_no_quota_is_overcommitted_and_no_unit_forgotten(
    machines: tuple[NodeView, ...], waiting: tuple[Unit, ...], quota: Amount
) -> None:
    snapshot = Snapshot(machines, {HerdName("a"): HerdView(HerdName("a"), quota)}, waiting)
    plan = decide(snapshot)
    assert plan == decide(snapshot)
    assert {one.unit.gang for one in (*plan.placed, *plan.unplaced)} == {
        one.gang for one in waiting
    }
    for machine in machines:
        total = sum((one.unit.needs for one in plan.placed if one.node == machine.node), Amount())
        left = machine.capacity - total
        assert min(left.cpu_m, left.memory_bytes, left.slices) >= 0
    used = sum((one.unit.needs for one in plan.placed if one.unit.herd == "a"), Amount())
    for limit, taken in zip(
        (quota.cpu_m, quota.memory_bytes, quota.slices),
        (used.cpu_m, used.memory_bytes, used.slices),
        strict=True,
    ):
        assert limit == 0 or taken <= limit
    for one in plan.placed:
        assert one.unit.labels <= next(m.labels for m in machines if m.node == one.node)
