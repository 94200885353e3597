"""What a solver makes of a plan, neighbourhood by neighbourhood."""

from __future__ import annotations

from hypothesis import given, settings
from placement_cases import mistakes
from placement_packing_laws import finished, roomy, total
from placement_world import HERD, node, part, placed, unit
from runink.placement.cluster import Amount, HerdView
from runink.placement.columns import Columns
from runink.placement.finishing import PACKED
from runink.placement.improving import release
from runink.placement.packing import value
from runink.placement.planner import Planner
from runink.placement.plans import By, Finish, Plan, Snapshot, Solver
from runink.placement.room import Room
from runink.placement.solver import decide, decide_batch

# By no order of sizes do these fill both nodes: 6 + 4 and 5 + 3 + 2.
SIZES = (600, 500, 400, 300, 200)
UNITS = tuple(unit(f"g{size}", cpu_m=size) for size in SIZES)
NODES = (node("a", 1000), node("b", 1000))


def improved(rounds: int) -> Finish:
    return Finish(PACKED.tries, Solver(release(), rounds))


def solved(snapshot: Snapshot, rounds: int = 3, seed: int = 3) -> Plan:
    return decide(finished(snapshot, improved(rounds)), seed)


def test_units_that_greed_does_not_fit_are_placed_all_and_alike_each_time() -> None:
    snapshot = Snapshot(NODES, waiting=(*UNITS, unit("more", cpu_m=1000, priority=-1)))
    assert len(decide(finished(snapshot, PACKED), 3).placed) < len(UNITS)
    better = solved(snapshot)
    assert {"g600", "g500", "g400", "g300", "g200"} == set(placed(better))
    assert [one.unit.gang for one in better.unplaced] == ["more"]
    assert {one.by for one in better.moved} == {By.SOLVER}
    assert max(one.more for one in better.moved) == 1
    assert better.digest == solved(snapshot).digest


def test_a_batch_is_not_worse_for_a_solver() -> None:
    snapshot = Snapshot(NODES, waiting=UNITS)
    assert value(decide_batch(snapshot, 3, improved(3))) >= value(decide_batch(snapshot, 3))


def test_nobody_who_was_placed_gives_way_to_a_more_valuable_one() -> None:
    older = unit("older", cpu_m=300, priority=3)
    snapshot = Snapshot(NODES[:1], waiting=(older, unit("dear", cpu_m=900, priority=2)))
    assert set(placed(solved(snapshot))) == {"older"}


def test_neither_a_quota_nor_company_is_broken() -> None:
    herds = {HERD: HerdView(HERD, Amount(cpu_m=700))}
    plan = solved(Snapshot(NODES, herds, UNITS))
    assert sum(one.unit.needs.cpu_m for one in plan.placed) <= 700
    apart = [unit(f"apart{number}", part(10, groups=("x",), anti=("x",))) for number in range(3)]
    plan = solved(Snapshot(NODES, waiting=(*apart, *UNITS)))
    on = [nodes for gang, nodes in placed(plan).items() if gang.startswith("apart")]
    assert len(set(on)) == len(on) == 2


def test_what_is_as_good_as_it_can_be_stays() -> None:
    snapshot = Snapshot(NODES, waiting=UNITS[:2])
    plain = decide(finished(snapshot, PACKED), 3)
    assert solved(snapshot).packed() == plain.packed()


@settings(max_examples=8)
@given(roomy())
def test_a_solved_plan_breaks_no_rule_and_keeps_what_was_placed_at_no_more_cost(
    snapshot: Snapshot,
) -> None:
    packed = decide(finished(snapshot, PACKED))
    better, again = (
        Planner(finished(snapshot, improved(2)), rooms=rooms).plan() for rooms in (Room, Columns)
    )
    assert better.packed() == again.packed()
    assert mistakes(snapshot, better) == []
    before = {one.unit.key for one in packed.placed}
    assert before <= {one.unit.key for one in better.placed}
    if len(better.placed) == len(before):
        assert total(snapshot, better) <= total(snapshot, packed)
