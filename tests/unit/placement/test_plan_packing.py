"""Packing: when what a plan places is moved together before it is committed, when it is not, and what is said of it."""

from __future__ import annotations

from msgspec.structs import replace
from placement_world import node, part, placed, unit
from runink.names import NodeId
from runink.placement.finishing import PACKED
from runink.placement.planner import Planner
from runink.placement.plans import By, Plan, Policy, Snapshot
from runink.placement.room import Room
from runink.placement.solver import decide

# Served in this order, the two small ones go to a and the large one to b; then all of them fit on b.
SMALL = (unit("g1", cpu_m=300), unit("g2", cpu_m=300))
LARGE = unit("g3", cpu_m=500)
A, B = node("a", 1000), node("b", 1100)
PACKING = Policy(finish=PACKED)


def packed(*units, nodes=(A, B), **rest) -> Plan:
    return decide(Snapshot(nodes, waiting=units, policy=PACKING, **rest))


def test_a_node_that_is_taken_into_use_is_emptied_where_others_have_room() -> None:
    assert placed(decide(Snapshot((A, B), waiting=(*SMALL, LARGE)))) == {
        "g1": ("a",),
        "g2": ("a",),
        "g3": ("b",),
    }
    plan = packed(*SMALL, LARGE)
    assert placed(plan) == {"g1": ("b",), "g2": ("b",), "g3": ("b",)}
    told = {one.unit[1]: one for one in plan.moved}
    assert told.keys() == {"g1", "g2"}
    for one in told.values():
        assert (one.nodes, one.by, one.more) == ((NodeId("a"),), By.PACKING, 0)
        assert one.cost_after < one.cost_before


def test_nothing_is_moved_to_where_much_failed_lately() -> None:
    plan = packed(*SMALL, LARGE, nodes=(A, replace(B, failures=5)))
    assert placed(plan)["g1"] == ("a",)
    assert plan.moved == ()
    assert packed(*SMALL, LARGE, nodes=(A, replace(B, failures=1))).moved


def test_nothing_is_moved_away_from_its_inputs() -> None:
    near = tuple(replace(one, parts=(part(300, inputs=(("in", 9),)),)) for one in SMALL)
    plan = packed(*near, LARGE, nodes=(replace(A, held={"in": 9}), B))
    assert placed(plan)["g1"] == ("a",)
    assert plan.moved == ()


def test_what_is_spread_or_stands_apart_stays_where_it_is() -> None:
    for company in ({"groups": ("x",)}, {"anti": ("y",)}):
        alone = replace(SMALL[0], parts=(part(300, **company),))
        assert packed(alone, SMALL[1], LARGE).moved == ()


def test_a_node_is_not_emptied_where_others_have_no_room() -> None:
    busy = replace(B, used=replace(B.used, cpu_m=200))
    plan = packed(*SMALL, LARGE, nodes=(A, busy))
    assert placed(plan) == {"g1": ("b",), "g2": ("b",), "g3": ("a",)}
    assert plan.moved == ()


def test_who_fits_when_others_have_moved_is_placed_with_them() -> None:
    whole = unit("whole", cpu_m=1000)
    plain = decide(Snapshot((A, B), waiting=(*SMALL, LARGE, whole)))
    assert [one.unit.gang for one in plain.unplaced] == ["whole"]
    plan = packed(*SMALL, LARGE, whole)
    assert placed(plan)["whole"] == ("a",)
    assert plan.unplaced == ()
    assert plan.reservations == ()


def test_a_plan_of_which_nothing_moves_is_the_same_byte_for_byte() -> None:
    plain = decide(Snapshot((A, B), waiting=(LARGE, *SMALL[:1])))
    assert packed(LARGE, *SMALL[:1]).packed() == plain.packed()


def test_what_has_been_moved_is_a_part_of_the_plans_digest() -> None:
    plan = packed(*SMALL, LARGE)
    assert replace(plan, moved=()).digest != plan.digest


class AskedRoom(Room):
    """A room that counts how often it is asked for the best node."""

    asked = 0

    def best(self, *words) -> int:
        AskedRoom.asked += 1
        return super().best(*words)


def times_asked(snapshot: Snapshot) -> int:
    AskedRoom.asked = 0
    assert Planner(snapshot, rooms=AskedRoom).plan().moved == ()
    return AskedRoom.asked


def test_of_nodes_that_are_alike_with_alike_units_on_them_one_is_tried() -> None:
    nodes = tuple(node(f"n{number}", 1600) for number in range(12))
    units = tuple(unit(f"g{number:03}", cpu_m=100) for number in range(172))
    plain = times_asked(Snapshot(nodes, waiting=units))
    # Ten nodes are full and one has twelve: of a full one the fifth finds nothing but a new node, as all of the twelve do.
    assert times_asked(Snapshot(nodes, waiting=units, policy=PACKING)) <= plain + 12 + 16
    # Were they tried each, these would be asked for 172 more.
    failing = tuple(replace(one, failures=number) for number, one in enumerate(nodes))
    assert times_asked(Snapshot(failing, waiting=units, policy=PACKING)) > plain + 12 + 16
