"""Work is conserved: nobody waits beside nodes that take all of it, be it a slice or a gang on several nodes, unless these are kept for somebody who waits longer."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1] / "extras"))
sys.path.insert(0, str(Path(__file__).parents[1] / "simulation"))

from placement_cases import Chance
from placement_invariants import idle
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.plans import Policy, Snapshot
from runink.placement.solver import decide

SIZES = (st.integers(0, 3), st.integers(0, 6), st.integers(0, 6))


def drawn(seed: int, nodes: int, running: int, waiting: int) -> Snapshot:
    """Return a small cluster of which nobody who waits is to be spread over domains: who is may have to wait for those to fill."""
    snapshot = Chance(seed).snapshot(nodes, running, waiting)
    return replace(snapshot, waiting=tuple(map(_anywhere, snapshot.waiting)))


def _anywhere(unit: Unit) -> Unit:
    return replace(unit, parts=tuple(replace(part, spread=None) for part in unit.parts))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32), *SIZES)
def test_nobody_waits_beside_nodes_that_are_kept_for_nobody_and_take_all_of_it(
    seed: int, nodes: int, running: int, waiting: int
) -> None:
    snapshot = drawn(seed, nodes, running, waiting)
    assert idle(snapshot, decide(snapshot)) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), *SIZES)
def test_where_nothing_is_kept_for_anybody_all_of_it_is_used(
    seed: int, nodes: int, running: int, waiting: int
) -> None:
    snapshot = drawn(seed, nodes, running, waiting)
    policy = replace(snapshot.policy, preemption=False, reserve_after_ms=1 << 60)
    unknown = [replace(one, unit=replace(one.unit, estimate_ms=0)) for one in snapshot.placed]
    waits = [replace(one, estimate_ms=0) for one in snapshot.waiting]
    free = replace(snapshot, policy=policy, placed=tuple(unknown), waiting=tuple(waits))
    plan = decide(free)
    assert plan.reservations == ()
    assert idle(free, plan) == []


OTHERS = frozenset({HerdName("i")})


def tight(seed: int) -> Snapshot:
    """Return two or three nodes that are large in different things, and gangs of different parts, some of which just fit. What other herds have says which of the parts are the large ones."""
    random = Random(seed)
    upto = random.randint
    nodes = [
        NodeView(NodeId(f"n{at}"), Amount(upto(4, 12), upto(4, 12), slices=9))
        for at in range(random.choice([2, 2, 3]))
    ]
    taken = NodeView(NodeId("x"), Amount(1, upto(1, 100), slices=9), dedicated_to=OTHERS)
    gangs = tuple(
        gang(*(_part(random) for _ in range(upto(2, 3))), name=f"g{at}") for at in range(upto(1, 2))
    )
    policy = Policy(preemption=False)
    return Snapshot((*nodes, taken), {}, gangs, now_ms=1, policy=policy)


def _part(random: Random) -> Part:
    upto = random.randint
    apart = ("red",) if upto(0, 9) == 0 else ()
    return Part(Amount(upto(1, 9), upto(1, 9), slices=1), groups=apart, anti=apart)


def gang(*parts: Part, name: str = "gang") -> Unit:
    return Unit(RunId("0" * 26), name, HerdName("h"), parts)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32))
def test_no_gang_waits_that_fits_in_any_way_on_three_nodes(seed: int) -> None:
    snapshot = tight(seed)
    assert idle(snapshot, decide(snapshot)) == []


def test_a_part_leaves_its_best_node_to_the_one_that_has_no_other() -> None:
    """The larger part comes first, and costs least where alone the other one fits."""
    nodes = (
        NodeView(NodeId("a"), Amount(10, 6, slices=9)),
        NodeView(NodeId("b"), Amount(20, 2, slices=9)),
        # With this one memory is plenty, and the part with more processors the larger one.
        NodeView(NodeId("x"), Amount(1, 100, slices=9), dedicated_to=OTHERS),
    )
    unit = gang(Part(Amount(9, 1, slices=1)), Part(Amount(5, 5, slices=1)))
    (placed,) = decide(Snapshot(nodes, {}, (unit,))).placed
    assert placed.nodes == ("b", "a")
