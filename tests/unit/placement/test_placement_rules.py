"""Which nodes a part may stand on, and which of these is best."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from placement_world import HERD, node, part, placed, running, unit
from runink.names import HerdName, NodeId
from runink.placement.cluster import NOTHING, HerdView, NodeState
from runink.placement.demands import Spread
from runink.placement.feasible import Rule
from runink.placement.planner import HerdChanged, Planner
from runink.placement.plans import Snapshot, Weights
from runink.placement.room import Room
from runink.placement.solver import decide


def only(plan) -> tuple[dict[Rule, int], str, bool]:
    (told,) = plan.unplaced
    return dict(told.counts), told.text, told.is_final


@pytest.mark.parametrize("state", [NodeState.SUSPECT, NodeState.CORDONED, NodeState.DRAINING])
def test_only_a_ready_node_gets_something_new(state: NodeState) -> None:
    plan = decide(Snapshot((node("a", state=state),), waiting=(unit("g"),)))
    assert only(plan) == ({Rule.STATE: 1}, f"a is {state.value}", False)


def test_what_began_on_a_node_that_is_emptied_ends_there() -> None:
    ending = unit("end", part(pin=NodeId("a")))
    states = {NodeState.CORDONED: True, NodeState.DRAINING: True, NodeState.SUSPECT: False}
    for state, ends in states.items():
        plan = decide(Snapshot((node("a", state=state), node("b")), waiting=(ending,)))
        assert bool(plan.placed) is ends


def test_a_dedicated_node_is_for_its_herds_only() -> None:
    nodes = (node("a", dedicated_to=frozenset({HerdName("x")})),)
    plan = decide(Snapshot(nodes, waiting=(unit("ours"), unit("theirs", herd="x"))))
    assert placed(plan) == {"theirs": ("a",)}
    assert only(plan) == ({Rule.HERD: 1}, "a is for x only", True)


def test_a_herd_that_uses_its_own_nodes_only_goes_to_no_node_for_all() -> None:
    nodes = (node("a"), node("b", dedicated_to=frozenset({HERD, HerdName("x")})))
    herds = {HERD: HerdView(HERD, own_nodes=True)}
    units = (unit("ours"), unit("theirs", herd="y"))
    assert placed(decide(Snapshot(nodes, herds, units))) == {"ours": ("b",), "theirs": ("a",)}
    plan = decide(
        Snapshot((nodes[0], node("c", dedicated_to=frozenset({HerdName("x")}))), herds, units[:1])
    )
    text = f"a is for all herds, and {HERD} uses its own nodes only; c is for x only"
    assert only(plan) == ({Rule.HERD: 1, Rule.OWN: 1}, text, True)


def test_a_herd_may_say_later_that_it_uses_its_own_nodes_only_and_take_it_back() -> None:
    small = node("b", 50, dedicated_to=frozenset({HERD}))
    planner = Planner(Snapshot((node("a"), small), {HERD: HerdView(HERD)}, (unit("g"),)))
    for own_nodes in (False, True, False):
        planner.step(HerdChanged(HerdView(HERD, own_nodes=own_nodes)))
        assert bool(planner.plan().placed) is not own_nodes


def test_what_ends_a_run_goes_where_its_output_is_whatever_its_herd_says_of_nodes() -> None:
    ending = unit("end", replace(part(pin=NodeId("a")), needs=NOTHING))
    herds = {HERD: HerdView(HERD, own_nodes=True)}
    assert placed(decide(Snapshot((node("a"),), herds, (ending,)))) == {"end": ("a",)}


def test_a_part_waits_for_a_node_rather_than_go_back_to_one_that_it_avoids() -> None:
    burnt = unit("g", part(avoids=(NodeId("a"), NodeId("gone"))))
    full = running("old", "b", cpu_m=2000)
    plan = decide(Snapshot((node("a"), node("b")), waiting=(burnt,), placed=(full,)))
    counts, text, is_final = only(plan)
    assert (counts, is_final) == ({Rule.FAILED: 1, Rule.CPU: 1}, False)
    assert text.startswith("it was lost or failed on a before; ")
    assert placed(decide(Snapshot((node("a"), node("b", 8000)), waiting=(burnt,)))) == {"g": ("b",)}


def test_nobody_is_stopped_on_a_node_that_the_part_avoids_but_for_its_like_that_does_not() -> None:
    low = (running("on a", "a", cpu_m=2000), running("on b", "b", cpu_m=2000, priority=5))
    burnt = unit("burnt", part(avoids=(NodeId("a"),)), priority=5, rank=9)
    fresh = unit("fresh", part(), priority=5)
    plan = decide(Snapshot((node("a"), node("b")), waiting=(burnt, fresh), placed=low))
    assert [(one.unit[1], one.by[1]) for one in plan.preempted] == [("on a", "fresh")]


def test_a_part_goes_where_its_secrets_may_be_seen() -> None:
    nodes = (node("a", visible=frozenset({"other"})), node("b", visible=frozenset({"key"})))
    wants = unit("g", part(sees=("key",)))
    assert placed(decide(Snapshot(nodes, waiting=(wants,)))) == {"g": ("b",)}
    plan = decide(Snapshot(nodes[:1], waiting=(wants,)))
    assert only(plan) == ({Rule.SIGHT: 1}, "a may not see key", True)


def test_parts_that_stand_apart_share_no_node_whoever_says_so() -> None:
    shy, loud = part(anti=("loud",)), part(groups=("loud",))
    for first, second in ((shy, loud), (loud, shy)):
        standing = running("old", "a")
        standing = replace(standing, unit=replace(standing.unit, parts=(first,)))
        one = Snapshot((node("a"),), waiting=(unit("new", second),), placed=(standing,))
        assert only(decide(one))[0] == {Rule.APART: 1}
        two = replace(one, nodes=(node("a"), node("b")))
        assert placed(decide(two)) == {"new": ("b",)}


def test_a_hard_spread_fills_domains_evenly_and_a_soft_one_prefers_to() -> None:
    nodes = tuple(node(f"n{zone}", labels=(f"zone=z{zone}",)) for zone in range(3))
    for is_hard in (True, False):
        one = part(groups=("g",), spread=Spread("g", is_hard=is_hard))
        units = tuple(unit(f"u{number}", one) for number in range(6))
        found = placed(decide(Snapshot(nodes, waiting=units)))
        assert sorted(found.values()) == [("n0",)] * 2 + [("n1",)] * 2 + [("n2",)] * 2


def test_a_hard_spread_waits_for_the_emptiest_domain_and_needs_one() -> None:
    one = part(groups=("g",), spread=Spread("g", is_hard=True))
    nodes = (node("a", labels=("zone=x",)), node("b", 100, labels=("zone=y",)), node("c"))
    units = tuple(unit(f"u{number}", one) for number in range(4))
    plan = decide(Snapshot(nodes, waiting=units))
    assert sorted(placed(plan).values()) == [("a",), ("a",), ("b",)]
    assert only(plan)[0] == {Rule.CPU: 1, Rule.SPREAD: 2}


def test_what_belongs_on_one_node_goes_there_however_crowded_its_domain_is() -> None:
    spread = Spread("g", is_hard=True)
    nodes = (node("a", labels=("zone=x",)), node("b", labels=("zone=y",)))
    standing = running("old", "a")
    standing = replace(standing, unit=replace(standing.unit, parts=(part(groups=("g",)),)))
    pinned, loose = (
        unit(name, part(groups=("g",), spread=spread, pin=pin))
        for name, pin in (("pinned", NodeId("a")), ("loose", None))
    )
    snapshot = Snapshot(nodes[:1], waiting=(loose,), placed=(standing,))
    assert placed(decide(snapshot)) == {"loose": ("a",)}, "it is the only domain that it may use"
    for one, where in ((loose, "b"), (pinned, "a")):
        found = decide(replace(snapshot, nodes=nodes, waiting=(one,)))
        assert placed(found) == {one.gang: (where,)}


def test_what_a_crowded_domain_kept_away_is_tried_again_when_the_others_have_filled() -> None:
    spread = Spread("g", is_hard=True)
    nodes = (node("a", 1000, labels=("zone=x",)), node("b", 100, labels=("zone=y",)))
    first, large, small = (
        unit(name, part(cpu_m, groups=("g",), spread=spread), rank=rank)
        for name, cpu_m, rank in (("first", 200, 9), ("large", 500, 5), ("small", 100, 1))
    )
    # When it is the large one's turn, zone x has one and zone y, where it does not fit, has none.
    plan = decide(Snapshot(nodes, waiting=(first, large, small)))
    assert placed(plan) == {"first": ("a",), "small": ("b",), "large": ("a",)}


def test_parts_without_graphics_processors_leave_them_to_others() -> None:
    nodes = (node("a", gpus=2), node("b"))
    assert placed(decide(Snapshot(nodes, waiting=(unit("g"),)))) == {"g": ("b",)}
    many = (node("a", gpus=8), node("b", gpus=2))
    assert placed(decide(Snapshot(many, waiting=(unit("g", part(gpus=1)),)))) == {"g": ("b",)}


def test_a_part_goes_where_its_inputs_are() -> None:
    nodes = (node("a"), node("b", held={"in": 100}))
    wants = unit("g", part(inputs=(("in", 100),)))
    assert placed(decide(Snapshot(nodes, waiting=(wants,)))) == {"g": ("b",)}


def test_a_part_whose_inputs_are_on_a_full_node_goes_elsewhere() -> None:
    full = node("b", held={"in": 100})
    nodes = (node("a"), replace(full, used=full.capacity))
    wants = unit("g", part(inputs=(("in", 100),)))
    assert placed(decide(Snapshot(nodes, waiting=(wants,)))) == {"g": ("a",)}


def test_a_node_where_much_failed_lately_is_avoided_by_what_has_its_inputs_there() -> None:
    nodes = (node("a"), node("b", held={"in": 100}, failures=11))
    wants = unit("g", part(inputs=(("in", 100),)))
    assert placed(decide(Snapshot(nodes, waiting=(wants,)))) == {"g": ("a",)}


def test_who_reads_nothing_and_who_reads_what_nobody_has_are_alike_to_nodes() -> None:
    room = Room((node("a"), node("b", held={"in": 1})), Weights())
    plain, other, near = (part(), part(inputs=(("x", 1),)), part(inputs=(("in", 1),)))
    herd = HerdView(HERD)
    assert room.shape(plain, herd) is room.shape(other, herd)
    assert room.shape(plain, herd) is not room.shape(near, herd)


def test_a_node_where_much_failed_lately_is_avoided() -> None:
    nodes = (node("a", failures=3), node("b"))
    assert placed(decide(Snapshot(nodes, waiting=(unit("g"),)))) == {"g": ("b",)}


def test_a_node_in_use_is_taken_before_one_is_opened() -> None:
    nodes = (node("a", 4000), node("b", 300))
    plan = decide(Snapshot(nodes, waiting=(unit("g"),), placed=(running("old", "a"),)))
    assert placed(plan) == {"g": ("a",)}


def test_among_equal_nodes_the_seed_says_where_to_begin() -> None:
    snapshot = Snapshot(tuple(node(name) for name in "abc"), waiting=(unit("g"),))
    assert [placed(decide(snapshot, seed))["g"] for seed in range(4)] == [
        ("a",),
        ("b",),
        ("c",),
        ("a",),
    ]


def test_a_unit_that_needs_nothing_goes_to_a_node_that_has_too_much_already() -> None:
    tiny = node("a", 100)
    ending = unit("end", replace(part(), needs=replace(part().needs, cpu_m=0, slices=0)))
    over = running("big", "a", cpu_m=500)
    assert placed(decide(Snapshot((tiny,), waiting=(ending,), placed=(over,)))) == {"end": ("a",)}
    assert HERD
