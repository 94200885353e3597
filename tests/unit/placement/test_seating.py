"""Whether the parts of a gang could ever stand together: on empty nodes, each beside the others."""

from __future__ import annotations

from msgspec.structs import replace
from placement_world import HERD, NOW_MS, node, part, running, unit, waits
from runink.placement.cluster import Amount, HerdView, NodeState, NodeView
from runink.placement.demands import Part
from runink.placement.plans import Plan, Snapshot
from runink.placement.seating import seats
from runink.placement.solver import decide

NOBODY = HerdView(HERD)
EU = ("eu",)


def seated(parts: list[Part], *nodes: NodeView, herd: HerdView = NOBODY) -> list[str] | None:
    found = seats(parts, nodes, herd)
    return None if found is None else list(found)


def planned(*nodes: NodeView, parts: tuple[Part, ...]) -> Plan:
    return decide(Snapshot(nodes, {}, (unit("g", *parts),), now_ms=NOW_MS))


def test_parts_that_fit_the_same_node_only_and_never_together_have_no_seats() -> None:
    """Found by the simulation, seed 195: the gang waited for ever."""
    parts = [part(1500, labels=EU), part(1000, labels=EU)]
    nodes = (node("n1"), node("n2", labels=EU))
    assert seated(parts, *nodes) is None
    assert seated(parts, *nodes, node("n3", labels=EU)) == ["n2", "n3"]
    assert seated(parts, *nodes, node("n3", 2500, labels=EU)) == ["n2", "n3"]


def test_parts_that_stand_apart_need_a_node_each() -> None:
    """Found by the simulation, seed 235."""
    apart = part(groups=("heavy",), anti=("heavy",))
    assert seated([apart, apart], node("n1")) is None
    assert seated([apart, apart], node("n1"), node("n2")) == ["n1", "n2"]


def test_a_gang_that_has_no_seats_never_fits_and_one_that_has_waits() -> None:
    parts = (part(1500, labels=EU), part(1000, labels=EU))
    (told,) = planned(node("n1"), node("n2", labels=EU), parts=parts).unplaced
    assert told.is_final
    full = node("n3", labels=EU, used=Amount(1500))
    (told,) = planned(node("n2", labels=EU), full, parts=parts).unplaced
    assert not told.is_final
    assert not planned(parts=parts).unplaced[0].is_final, "the cluster is starting"


def test_what_is_on_nodes_and_who_may_have_them_now_makes_no_difference() -> None:
    parts = [part(1500), part(1500)]
    draining = node("n1", state=NodeState.DRAINING, used=Amount(2000))
    suspect = node("n2", state=NodeState.SUSPECT, groups=frozenset({"x"}))
    assert seated(parts, draining, suspect) == ["n1", "n2"]
    busy = HerdView(HERD, Amount(3000), used=Amount(3000))
    assert seated(parts, draining, suspect, herd=busy) == ["n1", "n2"]


def test_what_all_parts_need_together_is_asked_of_the_quota() -> None:
    parts = [part(1500), part(1500)]
    nodes = (node("n1"), node("n2"))
    assert seated(parts, *nodes, herd=HerdView(HERD, Amount(2999))) is None


def test_a_part_that_belongs_on_a_node_has_it_and_others_go_elsewhere() -> None:
    pinned = part(500, pin=node("n1").node)
    assert seated([part(1800), pinned], node("n1"), node("n2")) == ["n2", "n1"]
    assert seated([pinned], node("n2")) is None


def test_where_the_first_node_for_one_part_is_the_only_one_for_another_others_are_tried() -> None:
    small = part(1000, labels=EU)
    assert seated([part(1500), small], node("n1", labels=EU), node("n2")) == ["n2", "n1"]


def test_parts_of_which_nodes_hold_too_few_have_no_seats_however_many_they_are() -> None:
    nodes = [node(f"n{number:02}", 2000 + number) for number in range(29)]
    assert seated([part(1001)] * 30, *nodes[:1]) is None
    assert seated([part(700)] * 59, *nodes) is None, "two on each"
    assert seated([part(1100 + number) for number in range(30)], *nodes) is None, "one on each"
    assert seated([part(400 + 100 * (number % 3)) for number in range(120)], *nodes) is None
    assert seated([part(700)] * 58, *nodes) == sorted([one.node for one in nodes] * 2)


def test_a_gang_for_which_there_are_too_many_ways_to_try_them_all_waits() -> None:
    """No three of these fit a node, and 17 are one more than two on each: that is found out of no sum."""
    nodes = [node(f"n{number}", 3000 + number) for number in range(8)]
    parts = [part(1004 + number) for number in range(17)]
    assert seated(parts, *nodes) == ["n0"] * 17
    plan = planned(*nodes, parts=tuple(parts))
    assert waits(plan) == ["g"]
    assert not plan.unplaced[0].is_final


def test_a_gang_waits_for_a_node_that_it_belongs_on_and_that_is_away() -> None:
    parts = (part(1500, pin=node("n9").node), part(1500))
    (told,) = planned(node("n1"), parts=parts).unplaced
    assert not told.is_final


def test_who_runs_there_is_only_in_the_way_for_now() -> None:
    gang = unit("g", part(1500), part(1500))
    first = Snapshot(
        (node("n1"), node("n2")), {}, (gang,), (running("r", "n2", cpu_m=2000),), now_ms=NOW_MS
    )
    (told,) = decide(first).unplaced
    assert not told.is_final
    smaller = replace(first, nodes=(node("n1"), node("n2", 1000)))
    assert decide(smaller).unplaced[0].is_final
