"""Who is served first, and who waits for whom."""

from __future__ import annotations

from msgspec.structs import replace
from placement_world import HERD, NOW_MS, node, part, placed, running, unit, waits
from runink.names import HerdName
from runink.placement.cluster import Amount, HerdView
from runink.placement.plans import Policy, Snapshot
from runink.placement.solver import decide

USUAL = Policy()


def served(*units, nodes=1, policy=USUAL, herds=None, standing=()) -> list[str]:
    """Return who gets the slots of a small cluster, in which each node has one."""
    views = tuple(node(f"n{number}", 100) for number in range(nodes))
    plan = decide(Snapshot(views, herds or {}, units, standing, now_ms=NOW_MS, policy=policy))
    return sorted(placed(plan))


def test_priority_comes_first() -> None:
    assert served(unit("low"), unit("high", priority=1)) == ["high"]


def test_who_has_waited_for_long_comes_before_a_newer_one_of_higher_priority() -> None:
    old = unit("old", waiting_since_ms=NOW_MS - 1000)
    new = unit("new", priority=1, waiting_since_ms=NOW_MS)
    assert served(old, new, policy=Policy(ageing_ms=501)) == ["new"], "once older is one class"
    assert served(old, new, policy=Policy(ageing_ms=500)) == ["old"]
    assert served(old, new, policy=Policy(ageing_ms=0)) == ["new"]


def test_the_herd_that_has_least_of_the_cluster_comes_first() -> None:
    standing = (running("busy", "n1", herd="a"),)
    theirs, ours = unit("theirs", herd="a"), unit("ours", herd="b")
    assert served(theirs, ours, nodes=2, standing=standing) == ["ours"]


def test_a_herd_of_twice_the_weight_gets_twice_as_much() -> None:
    units = [unit(f"{herd}{number}", herd=herd) for herd in "ab" for number in range(9)]
    herds = {HerdName("a"): HerdView(HerdName("a"), weight=2)}
    got = served(*units, nodes=9, herds=herds)
    assert [sum(name.startswith(herd) for name in got) for herd in "ab"] == [6, 3]


def test_a_run_that_has_several_equal_shares_stands_behind_those_that_have_less() -> None:
    greedy = [unit(f"r0g{number}", run=0, rank=9) for number in range(30)]
    modest = [unit(f"r{run}g", run=run) for run in range(1, 20)]
    got = served(*greedy, *modest, nodes=20)
    # Four equal shares of twenty runs on twenty nodes are four nodes; the fifth is what makes it stand behind.
    assert sum(name.startswith("r0g") for name in got) == 5
    assert len(got) == 20


def test_in_a_run_the_longest_way_comes_first_then_the_smaller_unit() -> None:
    short, long = unit("short", rank=1), unit("long", rank=9)
    assert served(short, long) == ["long"]
    large, small = unit("a-large", cpu_m=100), unit("b-small", cpu_m=50)
    assert served(large, small) == ["b-small"]


def test_what_waits_is_told_its_place_and_who_is_ahead() -> None:
    units = [unit(f"g{number}", rank=-number) for number in range(6)]
    plan = decide(Snapshot((node("a", 100),), waiting=tuple(units)))
    assert waits(plan) == ["g1", "g2", "g3", "g4", "g5"]
    assert [one.position for one in plan.unplaced] == [1, 2, 3, 4, 5]
    assert [len(one.ahead) for one in plan.unplaced] == [0, 1, 2, 3, 3]
    assert plan.unplaced[-1].ahead == tuple(one.key for one in units[1:4])


def test_a_gang_over_several_nodes_is_placed_whole_or_not() -> None:
    gang = unit("gang", part(80), part(80), part(80))
    assert served(gang, nodes=2) == []
    assert served(gang, nodes=3) == ["gang"]


def test_the_quota_of_a_herd_counts_all_parts_of_a_gang() -> None:
    herds = {HERD: HerdView(HERD, Amount(cpu_m=150))}
    gang = unit("gang", part(80), part(80))
    plan = decide(Snapshot((node("a"),), herds, (gang,)))
    assert [(one.text, one.is_final) for one in plan.unplaced] == [
        ("it needs cpu 160m, herd h may have 150m", True)
    ]


def test_a_gang_of_which_the_small_part_is_the_choosy_one_finds_its_nodes() -> None:
    nodes = (node("a", 100, labels=("gpu",)), node("b", 100))
    gang = unit("gang", part(90), part(50, labels=("gpu",)))
    plan = decide(Snapshot((nodes[0], replace(nodes[1], failures=2)), waiting=(gang,)))
    assert placed(plan) == {"gang": ("b", "a")}
