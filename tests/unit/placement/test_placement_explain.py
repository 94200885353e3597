"""What is said of a unit: why it waits, where it could go, what would make it fit; and that a plan is the same in any process."""

from __future__ import annotations

import os
import subprocess
import sys

from msgspec.structs import replace
from placement_world import HERD, NOW_MS, node, part, placed, running, unit
from runink.names import NodeId
from runink.placement.cluster import Amount, HerdView, NodeState
from runink.placement.feasible import Rule
from runink.placement.planner import (
    HerdChanged,
    NodeChanged,
    Planner,
    UnitPlaced,
    UnitWaits,
)
from runink.placement.plans import Snapshot
from runink.placement.solver import decide, explain, explain_node, what_if

NODES = (
    node("a", 1000, labels=("gpu",)),
    node("b", 1000, labels=("gpu",)),
    node("c", 4000),
    node("d", 1000, labels=("gpu",), state=NodeState.CORDONED),
)
WANTS = unit("wants", part(900, labels=("gpu",)))
FULL = (running("x", "a", cpu_m=300), running("y", "b", cpu_m=700))


def test_a_unit_that_waits_is_told_how_many_nodes_fail_by_which_rule_and_what_would_help() -> None:
    told = explain(Snapshot(NODES, {}, (WANTS,), FULL, now_ms=NOW_MS), WANTS)
    (one,) = told.parts
    assert dict(one.counts) == {Rule.LABEL: 1, Rule.STATE: 1, Rule.CPU: 2}
    assert (one.fitting, one.candidates) == (0, ())
    assert [(found.node, found.lacks) for found in one.remedies] == [
        ("a", Amount(cpu_m=200)),
        ("b", Amount(cpu_m=600)),
    ]
    assert told.waits is not None
    assert (told.waits.position, told.waits.ahead) == (1, ())


def test_a_remedy_helps() -> None:
    snapshot = Snapshot(NODES, {}, (WANTS,), FULL[1:], now_ms=NOW_MS)
    assert placed(decide(snapshot)) == {"wants": ("a",)}


def test_a_unit_that_runs_is_told_its_candidates_cheapest_first_its_own_node_among_them() -> None:
    standing = (replace(running("wants", "a"), unit=WANTS), FULL[1])
    told = explain(Snapshot(NODES[:3], placed=standing), WANTS)
    (one,) = told.parts
    assert [found.node for found in one.candidates] == ["a"]
    assert one.candidates[0].score.opening == 600
    small = unit("small", part(100))
    (one,) = explain(Snapshot(NODES[:3], {}, (small,), standing), small).parts
    assert [found.node for found in one.candidates] == ["a", "b", "c"]
    scores = [found.score.exact for found in one.candidates]
    assert scores == sorted(scores)


def test_a_herd_without_quota_left_is_told_that_and_by_how_much() -> None:
    herds = {HERD: HerdView(HERD, Amount(cpu_m=1000))}
    told = explain(Snapshot(NODES, herds, (WANTS,), FULL[:1]), WANTS)
    assert told.quota is not None
    assert told.quota.text == "it needs cpu 900m, herd h has 700m of 1 left"
    assert told.parts[0].remedies[0].node is None


def test_one_node_says_why_it_does_not_take_a_unit_or_what_it_costs() -> None:
    snapshot = Snapshot(NODES, {}, (WANTS,), FULL)
    (refused,) = explain_node(snapshot, WANTS, NodeId("a"))
    assert refused.reason is not None
    assert (refused.reason.rule, refused.score) == (Rule.CPU, None)
    (fits,) = explain_node(replace(snapshot, placed=()), WANTS, NodeId("b"))
    assert fits.reason is None
    assert fits.score is not None
    assert explain_node(snapshot, WANTS, NodeId("nowhere")) == ()


def test_what_is_asked_what_if_changes_nothing() -> None:
    snapshot = Snapshot(NODES, {}, (WANTS,), FULL, now_ms=NOW_MS)
    before = decide(snapshot).digest
    another = NodeChanged(node("e", 1000, labels=("gpu",)))
    assert placed(what_if(snapshot, [another])) == {"wants": ("e",)}
    assert placed(what_if(snapshot, [NodeChanged(replace(NODES[3], state=NodeState.READY))])) == {
        "wants": ("d",)
    }
    small = HerdChanged(HerdView(HERD, Amount(cpu_m=10)))
    assert what_if(snapshot, [another, small]).unplaced[0].counts == ((Rule.QUOTA, 5),)
    assert len(what_if(snapshot, [UnitWaits(unit("more", part(9000)))]).unplaced) == 2
    assert decide(snapshot).digest == before


def test_explaining_leaves_the_planner_as_it_was() -> None:
    planner = Planner(Snapshot(NODES, {}, (unit("g", part(100)),), FULL))
    before = planner.plan().digest
    for one in (WANTS, FULL[0].unit):
        planner.explain(one)
        planner.verdicts(one, NodeId("a"))
    assert planner.plan().digest == before


PROGRAM = """
from runink.placement.solver import decide
from runink.testing.clusters import filled
print(decide(filled(70, 400, 3), 5).digest)
"""


def test_a_plan_is_the_same_in_any_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(digests) == 1


def test_units_that_need_the_same_are_told_the_same_but_for_who_keeps_one_of_them_away() -> None:
    nodes = (node("a", 1000), node("b", 1000))
    standing = (running("x", "a", cpu_m=300), running("y", "b", cpu_m=700))
    beside = replace(standing[0], unit=unit("x", part(300, groups=("db",))))
    plain, lonely, shy = (
        unit(name, part(900, groups=groups, anti=groups))
        for name, groups in (("plain", ()), ("lonely", ("cache",)), ("shy", ("db",)))
    )
    plan = decide(Snapshot(nodes, {}, (plain, lonely, shy), (beside, standing[1])))
    told = {one.unit.gang: (one.counts, one.text) for one in plan.unplaced}
    assert told["plain"] == told["lonely"]
    assert told["plain"][0] == ((Rule.CPU, 2),)
    assert told["shy"][0] == ((Rule.APART, 1), (Rule.CPU, 1))


def test_of_a_quota_is_told_what_it_is_and_what_is_left_of_it_now() -> None:
    first, second = unit("first", part(900)), unit("second", part(900))
    planner = Planner(
        Snapshot((node("a", 9000),), {HERD: HerdView(HERD, Amount(cpu_m=1000))}, (first, second))
    )

    def told() -> list[str]:
        return [one.text for one in planner.plan().unplaced]

    assert told() == ["it needs cpu 900m, herd h has 100m of 1 left"]
    assert told() == ["it needs cpu 900m, herd h has 100m of 1 left"]
    planner.step(UnitPlaced(running("third", "a", cpu_m=300)))
    assert told() == ["it needs cpu 900m, herd h has 700m of 1 left"] * 2
    planner.step(HerdChanged(HerdView(HERD, Amount(cpu_m=800))))
    assert told() == ["it needs cpu 900m, herd h may have 800m"] * 2
