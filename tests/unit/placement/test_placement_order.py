"""Who is served first, and who waits for whom."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace
from placement_world import HERD, NOW_MS, node, part, placed, running, unit, waits
from runink.names import HerdName
from runink.placement.cluster import Amount, HerdView
from runink.placement.plans import Policy, Snapshot
from runink.placement.queue import by_level, level
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


def test_units_are_grouped_by_the_level_that_they_have_now() -> None:
    random = Random(7)
    units = [
        unit(
            f"g{number}",
            priority=random.randrange(3),
            waiting_since_ms=random.choice([0, NOW_MS + 5, NOW_MS - random.randrange(2000)]),
        )
        for number in range(200)
    ]
    for policy in (Policy(ageing_ms=500), Policy(ageing_ms=0)):
        groups = by_level(units, policy, NOW_MS)
        levels = [{level(one, policy, NOW_MS) for one in group} for group in groups]
        assert all(len(found) == 1 for found in levels)
        assert sorted(levels, key=max, reverse=True) == levels
        assert sorted(one.key for group in groups for one in group) == sorted(
            one.key for one in units
        )


def test_that_nothing_can_be_done_for_one_says_nothing_of_its_like_with_a_higher_priority() -> None:
    stands = (running("stands", "n0", priority=3),)
    old = [unit(f"old{number}", waiting_since_ms=NOW_MS - 9000) for number in range(20)]
    high = unit("high", priority=5, waiting_since_ms=NOW_MS)
    snapshot = Snapshot(
        (node("n0", 100),),
        {},
        (*old, high),
        stands,
        now_ms=NOW_MS,
        policy=Policy(ageing_ms=1000),
    )
    plan = decide(snapshot)
    assert waits(plan)[-1] == "high", "who has waited for so long comes first"
    assert [one.by for one in plan.preempted] == [high.key]
    assert {one.text for one in plan.unplaced} == {plan.unplaced[0].text}
