"""Placement: which slices go where, and what is said of those that go nowhere."""

from __future__ import annotations

from msgspec.structs import replace
from runink.capabilities import EGRESS, LANDLOCK, SECCOMP, IsolationPolicy
from runink.labels import label_rules
from runink.names import HerdName, NodeId, RunId
from runink.placement.cluster import Amount, HerdView, NodeView
from runink.placement.demands import Part, Unit
from runink.placement.plans import Snapshot
from runink.placement.solver import decide

HERD = HerdName("h")
MI = 1 << 20


def node(
    name: str, *, cpu_m: int = 2000, used_m: int = 0, labels: tuple[str, ...] = ()
) -> NodeView:
    return NodeView(
        NodeId(name),
        Amount(cpu_m, 1024 * MI, slices=100),
        Amount(used_m),
        frozenset(labels),
    )


def unit(
    gang: str = "g",
    *,
    cpu_m: int = 100,
    memory_bytes: int = 64 * MI,
    slices: int = 1,
    labels: tuple[str, ...] = (),
    failed_on: frozenset[NodeId] = frozenset(),
    **rest,
) -> Unit:
    needs = Amount(cpu_m, memory_bytes, slices=slices)
    part = Part(needs, label_rules(labels), **rest)
    return Unit(RunId("0" * 26), gang, HERD, (part,), failed_on=failed_on)


def placed(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(one.unit.gang, one.node) for one in decide(snapshot).placed]


def test_a_unit_goes_to_the_node_that_is_not_full() -> None:
    snapshot = Snapshot((node("a", used_m=1950), node("b")), waiting=(unit(),))
    assert placed(snapshot) == [("g", "b")]


def test_units_fill_the_fuller_node_first_and_count_against_each_other() -> None:
    waiting = tuple(unit(f"g{i}", cpu_m=600) for i in range(4))
    snapshot = Snapshot((node("a", used_m=500), node("b")), waiting=waiting)
    assert placed(snapshot) == [("g0", "a"), ("g1", "a"), ("g2", "b"), ("g3", "b")]


def test_a_unit_that_does_not_fit_now_waits_with_the_reasons() -> None:
    plan = decide(Snapshot((node("a", used_m=1950),), waiting=(unit(),)))
    assert not plan.placed
    assert plan.unplaced[0].text == "it needs cpu 100m, a has 50m of 2 left"
    assert not plan.unplaced[0].is_final


def test_a_unit_larger_than_every_node_is_told_so_for_good() -> None:
    plan = decide(Snapshot((node("a"), node("b", cpu_m=1000)), waiting=(unit(cpu_m=3000),)))
    assert plan.unplaced[0].is_final
    assert plan.unplaced[0].text == "it needs cpu 3, a has 2; it needs cpu 3, b has 1"


def test_a_unit_that_belongs_on_a_node_which_is_too_small_is_told_so_for_good() -> None:
    large = unit(cpu_m=3000, pin=NodeId("a"))
    plan = decide(Snapshot((node("a"), node("b", cpu_m=8000)), waiting=(large,)))
    assert plan.unplaced[0].is_final
    gone = decide(Snapshot((node("b", labels=("x",)),), waiting=(large,)))
    assert not gone.unplaced[0].is_final, "a may come back as another"


def test_a_cluster_without_nodes_is_waited_for() -> None:
    plan = decide(Snapshot((), waiting=(unit(),)))
    assert plan.unplaced[0].text == "no node is ready"
    assert not plan.unplaced[0].is_final


def test_a_gang_is_placed_whole_or_not() -> None:
    gang = unit(cpu_m=1500, slices=15)
    assert placed(Snapshot((node("a", used_m=1000), node("b", used_m=1000)), waiting=(gang,))) == []


def test_a_small_unit_is_not_held_back_by_a_large_one() -> None:
    waiting = (unit("large", cpu_m=1500), unit("small"))
    assert placed(Snapshot((node("a", used_m=1000),), waiting=waiting)) == [("small", "a")]


def test_a_quota_holds_a_herd_back_and_not_its_neighbour() -> None:
    herds = {HERD: HerdView(HERD, Amount(slices=10), Amount(slices=10))}
    other = replace(unit("other"), herd=HerdName("other"))
    plan = decide(Snapshot((node("a"),), herds, (unit(), other)))
    assert [one.unit.gang for one in plan.placed] == ["other"]
    assert plan.unplaced[0].text == "it needs slices 1, herd h has 0 of 10 left"


def test_more_than_the_quota_allows_is_told_so_for_good() -> None:
    herds = {HERD: HerdView(HERD, Amount(memory_bytes=32 * MI))}
    plan = decide(Snapshot((node("a"),), herds, (unit(),)))
    assert plan.unplaced[0].is_final
    assert plan.unplaced[0].text == "it needs memory 64Mi, herd h may have 32Mi"


def test_labels_are_needed_all_of_them() -> None:
    wants = unit(labels=("gpu", "ssd"))
    nodes = (node("a", labels=("gpu",)), node("b", labels=("gpu", "ssd")))
    assert placed(Snapshot(nodes, waiting=(wants,))) == [("g", "b")]
    assert "lacks the label ssd" in decide(Snapshot(nodes[:1], waiting=(wants,))).unplaced[0].text


def test_a_pinned_unit_goes_nowhere_else() -> None:
    pinned = unit(cpu_m=0, memory_bytes=0, slices=0, pin=NodeId("b"))
    full = node("b", used_m=2000)
    assert placed(Snapshot((node("a"), full), waiting=(pinned,))) == [("g", "b")]
    assert placed(Snapshot((node("a"),), waiting=(pinned,))) == []


def test_a_node_where_it_was_lost_is_the_last_choice() -> None:
    burnt = unit(failed_on=frozenset({NodeId("a")}))
    assert placed(Snapshot((node("a", used_m=500), node("b")), waiting=(burnt,))) == [("g", "b")]
    assert placed(Snapshot((node("a"),), waiting=(burnt,))) == [("g", "a")]


def test_a_unit_goes_to_the_node_that_has_what_no_slice_is_without() -> None:
    lacking = replace(node("a"), missing={SECCOMP: "not built in"})
    assert placed(Snapshot((lacking, node("b")), waiting=(unit(),))) == [("g", "b")]


def test_where_no_node_has_it_the_refusal_names_what_is_missing_where_and_why() -> None:
    nodes = tuple(replace(node(name), missing={SECCOMP: f"{name} says so"}) for name in "ab")
    (told,) = decide(Snapshot(nodes, waiting=(unit(),))).unplaced
    assert told.text == "a lacks seccomp (a says so); b lacks seccomp (b says so)"
    assert (told.is_final, told.lacks) == (True, SECCOMP)


def test_a_herds_policy_decides_what_its_slices_do_without() -> None:
    nodes = (replace(node("a"), missing={SECCOMP: "no", LANDLOCK: "no"}),)
    for policy, lacks in (
        (IsolationPolicy(), SECCOMP),
        (IsolationPolicy((SECCOMP,)), ""),
        (IsolationPolicy((SECCOMP,), (LANDLOCK,)), LANDLOCK),
    ):
        herds = {HERD: HerdView(HERD, isolation=policy)}
        plan = decide(Snapshot(nodes, herds, (unit(),)))
        assert [one.lacks for one in plan.unplaced] == [lacks] * bool(lacks)


def test_what_one_node_lacks_and_another_is_too_small_for_is_no_want_of_a_capability() -> None:
    nodes = (replace(node("a"), missing={SECCOMP: "no"}), node("b", cpu_m=50))
    (told,) = decide(Snapshot(nodes, waiting=(unit(),))).unplaced
    assert (told.is_final, told.lacks) == (True, "")


def test_a_unit_that_asks_for_a_network_waits_for_no_node_that_makes_none() -> None:
    nodes = (replace(node("a"), missing={EGRESS: "only root"}), node("b", used_m=1950))
    plan = decide(Snapshot(nodes, waiting=(unit(requires=(EGRESS,)), unit("other"))))
    assert [(one.unit.gang, one.node) for one in plan.placed] == [("other", "a")]
    assert "a lacks network.egress (only root)" in plan.unplaced[0].text
    assert not plan.unplaced[0].is_final, "b will have room"


def test_plain_processes_that_were_asked_for_need_no_walls() -> None:
    plain = replace(node("a"), missing={SECCOMP: "asked for"}, is_plain=True)
    assert placed(Snapshot((plain,), waiting=(unit(),))) == [("g", "a")]
