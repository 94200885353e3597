"""Who is stopped for others: by trying all there is, on up to three nodes, it is never more than need be, and never an equal."""

from __future__ import annotations

from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import NOTHING, Amount, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.plans import Policy, Running, Snapshot
from runink.placement.solver import decide

NOW_MS = 1_000_000
HERD = HerdName("h")
ON_NODE_MAX = 7
POLICY = Policy(ageing_ms=0)


def unit(gang: str, needs: Amount, **rest) -> Unit:
    return Unit(RunId("0" * 26), gang, HERD, (Part(needs),), **rest)


def crowded(seed: int) -> Snapshot:
    """Return up to three nodes with what runs on them, of several priorities, and one that waits and is worth more than some of it."""
    random = Random(seed)
    upto = random.randint
    views, placed = [], []
    for number in range(upto(1, 3)):
        view = NodeView(
            NodeId(f"n{number}"), Amount(upto(6, 12), upto(6, 12), gpus=upto(0, 2), slices=20)
        )
        views.append(view)
        free = view.capacity
        for at in range(upto(0, ON_NODE_MAX)):
            needs = Amount(upto(0, 4), upto(0, 4), gpus=int(upto(0, 4) == 0), slices=1)
            if needs.fits(free):
                free -= needs
                one = unit(
                    f"old{number}{at}",
                    needs,
                    priority=upto(0, 2),
                    can_be_preempted=upto(0, 9) > 0,
                    grace_ms=upto(0, 5),
                )
                placed.append(Running(one, (view.node,), NOW_MS - upto(0, 9)))
    asks = Amount(upto(1, 9), upto(0, 9), gpus=int(upto(0, 5) == 0), slices=1)
    waits = unit("new", asks, priority=2)
    return Snapshot(tuple(views), {}, (waits,), tuple(placed), now_ms=NOW_MS, policy=POLICY)


def fewest(snapshot: Snapshot) -> tuple[int, int] | None:
    """Return how many have to be stopped so that the one that waits fits, and the highest priority among them where that is lowest; nothing where it would not fit all the same."""
    (waits,) = snapshot.waiting
    found = []
    for view in snapshot.nodes:
        there = [one.unit for one in snapshot.placed if one.nodes == (view.node,)]
        lower = [one for one in there if one.priority < waits.priority and one.can_be_preempted]
        for count in range(len(lower) + 1):
            for gone in combinations(lower, count):
                stays = [one.needs for one in there if one not in gone]
                if sum(stays, waits.needs).fits(view.capacity):
                    found.append((count, max((one.priority for one in gone), default=0)))
    return min(found, default=None)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32))
def test_no_more_are_stopped_than_need_be_and_of_these_the_least_important(seed: int) -> None:
    snapshot = crowded(seed)
    plan = decide(snapshot)
    least = fewest(snapshot)
    running = {one.unit.key: one.unit for one in snapshot.placed}
    stopped = [running[one.unit] for one in plan.preempted]
    assert bool(plan.placed) == (least is not None and least[0] == 0)
    if least is None or plan.placed:
        assert stopped == []
        return
    assert (len(stopped), max(one.priority for one in stopped)) == least
    (kept,) = plan.reservations
    (waits,) = snapshot.waiting
    left = [key for key, one in running.items() if one not in stopped]
    stays = [
        one.unit.needs
        for one in snapshot.placed
        if one.unit.key in left and one.nodes == kept.nodes
    ]
    (view,) = [one for one in snapshot.nodes if (one.node,) == kept.nodes]
    assert sum(stays, waits.needs).fits(view.capacity)


def test_two_are_stopped_where_those_that_free_most_by_themselves_would_be_three() -> None:
    """What frees most of all that is lacking together is not always among the fewest."""
    sizes = {"x1": (9, 2), "x2": (9, 2), "cpu": (10, 0), "memory": (0, 10)}
    placed = tuple(
        Running(unit(name, Amount(*size, slices=1)), (NodeId("n"),), 1)
        for name, size in sizes.items()
    )
    whole = sum((one.unit.needs for one in placed), NOTHING)
    waits = unit("new", Amount(10, 10, slices=1), priority=1)
    view = NodeView(NodeId("n"), Amount(whole.cpu_m, whole.memory_bytes, slices=9))
    plan = decide(Snapshot((view,), {}, (waits,), placed, now_ms=NOW_MS, policy=POLICY))
    assert {one.unit[1] for one in plan.preempted} == {"cpu", "memory"}
