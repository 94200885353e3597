"""A gang goes to one node if one could ever hold it, and else to as few as that takes, whole or not at all."""

from __future__ import annotations

from msgspec.structs import replace as changed
from runink.cli.why import lines_of
from runink.names import NodeId, SliceId
from runink.placement.plans import Plan, Snapshot
from runink.placement.solver import decide
from runink.runs.records import NodeStanding, SliceRecord, SliceState, Standing
from runink.scheduling.answers import WhyAnswer
from runink.scheduling.cutting import cut, seats_of
from runink.scheduling.snapshots import Tables, snapshot_of
from runink.scheduling.view import ClusterView
from runink.scheduling.why import decided_now
from runink.wants import Wants
from slice_tables import HERD, N1, N2, node, one_slice

AT = "10.0.0.1:7400"
GPU = node("n1", labels=("gpu",), streams=AT)
EU = node("n2", labels=("eu",), streams=AT)
BOTH = node("n3", labels=("gpu", "eu"))
GANG = (
    one_slice("a", gang="g", part="a", labels=("gpu",)),
    one_slice("b", gang="g", part="a", labels=("gpu",)),
    one_slice("c", gang="g", part="c", labels=("eu",), is_rooted=True),
)


def planned(tables: Tables) -> tuple[Snapshot, Plan]:
    snapshot = snapshot_of(tables, now_ms=1)
    return snapshot, decide(snapshot)


def seats(tables: Tables) -> dict[SliceId, NodeId]:
    """Return where the slices of the one gang that waits are placed."""
    view = ClusterView(tables)
    view.look(now_ms=1, revision=0)
    plan = view.plan()
    assert plan.digest == planned(tables)[1].digest
    (placed,) = plan.placed
    return seats_of(placed, view.groups(placed.unit.key))


def groups(slices: tuple[SliceRecord, ...], *nodes: object) -> list[list[str]]:
    tables = Tables(tuple(nodes), slices=slices)  # type: ignore[arg-type] # records of nodes
    found = cut(slices, snapshot_of(tables, now_ms=1).nodes, None)
    return [[one.slice for one in group] for group in found]


def test_a_node_that_has_all_that_a_gang_asks_for_takes_it_whole() -> None:
    assert set(seats(Tables((GPU, EU, BOTH), slices=GANG)).values()) == {"n3"}


def test_where_no_node_has_all_of_it_each_part_goes_to_a_node_that_has_its_own() -> None:
    assert seats(Tables((GPU, EU), slices=GANG[::-1])) == {"a": "n1", "b": "n1", "c": "n2"}


def test_a_gang_is_parted_also_while_a_node_that_is_too_small_for_it_is_cordoned() -> None:
    shut = node("n3", cpu_m=1000, labels=("gpu", "eu"))
    said = (NodeStanding(shut.node, Standing.CORDONED, 0),)
    assert seats(Tables((GPU, EU, shut), said, slices=GANG)) == {"a": "n1", "b": "n1", "c": "n2"}


BESIDE = one_slice("a", cpu_m=3000, pin=N1, is_beside=True, wants=Wants(beside=("x",)))
SMALL, LARGE = node("n1", cpu_m=2000), node("n2")


def test_who_is_to_be_beside_another_gang_goes_elsewhere_if_that_node_could_never_hold_it() -> None:
    assert seats(Tables((SMALL, LARGE), slices=(BESIDE,))) == {"a": "n2"}
    assert seats(Tables((node("n1"), LARGE), slices=(BESIDE,))) == {"a": "n1"}
    busy = one_slice("b", run="r0", state=SliceState.RUNNING, node=N1, cpu_m=3500)
    _, plan = planned(Tables((node("n1"), LARGE), slices=(BESIDE, busy)))
    assert not plan.placed, "it waits for room"
    bound = changed(BESIDE, is_beside=False)
    (waits,) = planned(Tables((SMALL, LARGE), slices=(bound,)))[1].unplaced
    assert waits.is_final, "its files are there"


def test_where_nobody_could_hold_it_all_nodes_are_told() -> None:
    (waits,) = planned(Tables((SMALL, node("n2", cpu_m=1000)), slices=(BESIDE,)))[1].unplaced
    assert waits.is_final
    assert waits.text == "it needs cpu 3, n1 has 2; it needs cpu 3, n2 has 1"


def test_a_gang_of_several_that_was_to_be_beside_another_goes_elsewhere_whole() -> None:
    gang = tuple(
        changed(one, pin=N1, is_beside=True, is_rooted=False, wants=Wants(beside=("x",)))
        for one in GANG
    )
    assert set(seats(Tables((BOTH, node("n1")), slices=gang)).values()) == {"n3"}


def test_why_says_that_a_gang_is_not_beside_the_other_and_why() -> None:
    decided = decided_now(Tables((SMALL, LARGE), slices=(BESIDE,)), now_ms=1)
    answer = decided.answer(BESIDE.run, "a", ["a"])
    assert answer is not None
    said = "it was to stand beside x, and never could: it needs cpu 3, n1 has 2"
    assert answer.remark == said
    told = lines_of(WhyAnswer(BESIDE.run, HERD, "running", "", 2, 1, (answer,)))
    assert f"    {said}" in list(told)
    near = decided_now(Tables((node("n1"), LARGE), slices=(BESIDE,)), now_ms=1)
    answer = near.answer(BESIDE.run, "a", ["a"])
    assert answer is not None
    assert answer.remark == ""


def test_it_is_looked_at_again_when_nodes_come() -> None:
    view = ClusterView(Tables((SMALL,), slices=(BESIDE,)))
    view.look(now_ms=1, revision=1)
    assert view.plan().unplaced
    view.put_node(N2, LARGE)
    view.look(now_ms=2, revision=2)
    (placed,) = view.plan().placed
    assert placed.nodes == (N2,)


def test_a_part_that_belongs_on_a_node_is_not_kept_from_it_by_another_of_its_gang() -> None:
    nodes = (node("n1", streams=AT), node("n2", streams=AT))
    gang = tuple(one_slice(name, gang="g", cpu_m=3000, pin=N1) for name in "ab")
    for rooted in (0, 1):
        slices = tuple(changed(one, is_rooted=at == rooted) for at, one in enumerate(gang))
        assert seats(Tables(nodes, slices=slices)) == {"ab"[rooted]: N1, "ba"[rooted]: N2}


def test_all_parts_are_placed_or_none_is() -> None:
    taken = one_slice("x", run="r0", state=SliceState.RUNNING, node=N2, cpu_m=3500)
    _, plan = planned(Tables((GPU, EU), slices=(*GANG, taken)))
    assert not plan.placed
    (waiting,) = plan.unplaced
    assert not waiting.is_final


def test_a_gang_is_not_cut_because_its_node_is_full_or_gets_nothing_new() -> None:
    full = one_slice("x", run="r0", state=SliceState.RUNNING, node=NodeId("n3"), cpu_m=4000)
    closed = NodeStanding(NodeId("n3"), Standing.CORDONED, 1)
    for tables in (
        Tables((GPU, EU, BOTH), slices=(*GANG, full)),
        Tables((GPU, EU, BOTH), (closed,), slices=GANG),
    ):
        _, plan = planned(tables)
        assert not plan.placed
        assert len(plan.unplaced[0].unit.parts) == 1


def test_a_gang_that_is_too_large_for_every_node_is_cut_by_its_slices() -> None:
    large = tuple(one_slice(name, gang="g", cpu_m=3000) for name in ("a", "b"))
    assert groups(large, node("n1", streams=AT), node("n2", streams=AT)) == [["a"], ["b"]]


def test_what_writes_files_of_the_run_stays_together_however_it_is_cut() -> None:
    sizes = (("a", 3000, False), ("b", 1500, True), ("c", 1500, True))
    large = tuple(
        one_slice(name, gang="g", cpu_m=cpu_m, is_rooted=is_rooted)
        for name, cpu_m, is_rooted in sizes
    )
    assert groups(large, node("n1", streams=AT), node("n2", streams=AT)) == [["a"], ["b", "c"]]


def test_what_is_to_stand_together_does_however_it_is_cut() -> None:
    large = tuple(
        one_slice(name, gang="g", cpu_m=cpu_m, is_rooted=name == "d", wants=Wants(together=mate))
        for name, cpu_m, mate in (
            ("a", 900, "a"),
            ("b", 900, "a"),
            ("c", 3000, ""),
            ("d", 900, "b"),
        )
    )
    nodes = node("n1", streams=AT), node("n2", streams=AT)
    assert groups(large, *nodes) == [["a", "b", "d"], ["c"]]


def test_what_belongs_where_the_files_are_goes_there_and_the_rest_of_its_gang_elsewhere() -> None:
    pinned = tuple(changed(one, pin=N2) for one in GANG)
    assert seats(Tables((GPU, EU), slices=pinned)) == {"a": "n1", "b": "n1", "c": "n2"}
    (waiting,) = planned(Tables((GPU, EU), slices=tuple(changed(one, pin=N1) for one in GANG)))[1].unplaced  # fmt: skip
    assert len(waiting.unit.parts) == 1, "no node has the files and the label"


def test_nodes_that_do_not_listen_have_no_part_and_that_is_what_is_told() -> None:
    deaf = (changed(GPU, streams=""), changed(EU, streams=""))
    _, plan = planned(Tables(deaf, slices=GANG))
    (waiting,) = plan.unplaced
    assert waiting.is_final
    assert len(waiting.unit.parts) == 2
    assert "streams (its agent does not listen for other nodes)" in waiting.text


def test_what_no_cut_would_help_is_told_of_the_whole_gang() -> None:
    _, plan = planned(Tables((GPU,), slices=GANG))
    (waiting,) = plan.unplaced
    assert waiting.is_final
    assert len(waiting.unit.parts) == 1
    assert "label" in waiting.text


def test_a_slice_by_itself_is_never_cut() -> None:
    alone = (one_slice("a", labels=("nowhere",)),)
    assert groups(alone, GPU, EU) == [["a"]]


def test_a_gang_of_which_each_slice_fits_one_node_that_never_holds_them_all_never_fits() -> None:
    """Found by the simulation, seeds 195 and 235: it was cut by its slices, and waited for ever."""
    gang = tuple(
        one_slice(name, gang="g", cpu_m=2500, labels=("eu",), wants=wants)
        for name, wants in (("a", Wants()), ("b", Wants(groups=("x",), anti=("x",))))
    )
    nodes = (node("n1", streams=AT), EU)
    tables = Tables(nodes, slices=gang)
    (waits,) = planned(tables)[1].unplaced
    assert waits.is_final
    assert waits.text == "n1 lacks the label eu; it needs cpu 5, n2 has 4"
    answer = decided_now(tables, now_ms=1).answer(gang[0].run, "g", ["a", "b"])
    assert answer is not None
    assert (answer.is_final, answer.text) == (True, waits.text)
    view = ClusterView(tables)
    view.look(now_ms=1, revision=1)
    assert view.plan().unplaced == (waits,)
    view.put_node(NodeId("n3"), node("n3", labels=("eu",), streams=AT))
    view.look(now_ms=2, revision=2)
    (placed,) = view.plan().placed
    assert set(placed.nodes) == {"n2", "n3"}


def test_a_gang_that_would_fit_if_more_nodes_listened_never_fits_and_is_told_so() -> None:
    large = tuple(one_slice(name, gang="g", cpu_m=3000) for name in ("a", "b"))
    (waits,) = planned(Tables((node("n1", streams=AT), node("n2")), slices=large))[1].unplaced
    assert waits.is_final
    assert len(waits.unit.parts) == 2
    assert "n2 lacks streams" in waits.text
