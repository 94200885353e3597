"""What a solver makes of a batch, neighbourhood by neighbourhood."""

from __future__ import annotations

from msgspec.structs import replace
from placement_world import HERD, node, part, placed, unit
from runink.placement.cluster import Amount, HerdView
from runink.placement.improving import improver
from runink.placement.packing import value
from runink.placement.plans import Snapshot
from runink.placement.solver import decide_batch

# By no order of sizes do these fill both nodes: 6 + 4 and 5 + 3 + 2.
SIZES = (600, 500, 400, 300, 200)
UNITS = tuple(unit(f"g{size}", cpu_m=size) for size in SIZES)
NODES = (node("a", 1000), node("b", 1000))


def test_a_batch_that_greed_does_not_fit_is_placed_whole_and_the_same_each_time() -> None:
    snapshot = Snapshot(NODES, waiting=(*UNITS, unit("more", cpu_m=1000, priority=-1)))
    better = decide_batch(snapshot, 3, improver(3))
    assert {"g600", "g500", "g400", "g300", "g200"} <= set(placed(better))
    assert [one.unit.gang for one in better.unplaced] == ["more"]
    assert better.digest == decide_batch(snapshot, 3, improver(3)).digest


def test_a_more_valuable_unit_takes_the_place_of_cheap_ones_and_these_say_why_they_wait() -> None:
    cheap = [unit(f"cheap{number}", cpu_m=300) for number in range(3)]
    snapshot = Snapshot(NODES[:1], waiting=(*cheap, unit("dear", cpu_m=900, priority=2)))
    plan = decide_batch(snapshot, 0, improver(0))
    assert set(placed(plan)) == {"dear"}
    assert all(dict(one.counts) and one.text for one in plan.unplaced)


def test_neither_a_quota_nor_company_is_broken() -> None:
    herds = {HERD: HerdView(HERD, Amount(cpu_m=700))}
    plan = decide_batch(Snapshot(NODES, herds, UNITS), 0, improver(0))
    assert sum(one.unit.needs.cpu_m for one in plan.placed) <= 700
    apart = [unit(f"apart{number}", part(10, groups=("x",), anti=("x",))) for number in range(3)]
    plan = decide_batch(Snapshot(NODES, waiting=(*apart, *UNITS)), 0, improver(0))
    on = [nodes for gang, nodes in placed(plan).items() if gang.startswith("apart")]
    assert len(set(on)) == len(on) == 2


def test_what_is_as_good_as_it_can_be_stays() -> None:
    snapshot = Snapshot(NODES, waiting=tuple(replace(one, priority=1) for one in UNITS[:1]))
    assert decide_batch(snapshot, 0, improver(0)).packed() == decide_batch(snapshot, 0).packed()
    assert value(decide_batch(snapshot, 0)) == 4
