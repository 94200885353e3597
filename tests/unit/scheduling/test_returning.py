"""A gang does not begin again where it was lost or failed, as long as another node could hold it; where none could, it does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.cli.why import lines_of
from runink.herds.record import HerdRecord
from runink.names import NodeId
from runink.placement.solver import decide
from runink.runs.attempts import Fault
from runink.runs.health import NodeHealth
from runink.runs.records import NodeStanding, SliceState, Standing
from runink.scheduling.answers import WhyAnswer
from runink.scheduling.snapshots import Tables, snapshot_of
from runink.scheduling.view import ClusterView
from runink.scheduling.why import decided_now
from slice_tables import HERD, N1, N2, RUN, failed_on, node, one_slice

AT = "10.0.0.1:7400"
N3 = NodeId("n3")
BURNT = one_slice("a", earlier=failed_on(N1))
BUSY = one_slice("b", run="r0", state=SliceState.RUNNING, node=N2, cpu_m=4000)


def placed_on(tables: Tables) -> tuple[NodeId, ...]:
    """Return where the one gang that waits is placed, nothing if it waits on."""
    plan = decide(snapshot_of(tables, now_ms=100))
    assert len(plan.placed) + len(plan.unplaced) == 1
    return plan.placed[0].nodes if plan.placed else ()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.FAILED])
def test_it_waits_for_another_node_that_could_hold_it_and_says_so(fault: Fault) -> None:
    burnt = changed(BURNT, earlier=failed_on(N1, fault=fault))
    tables = Tables((node("n1"), node("n2")), slices=(burnt, BUSY))
    assert placed_on(tables) == ()
    found = decided_now(tables, now_ms=100).answer(RUN, "a", ["a"])
    assert found is not None
    assert found.counts == {"failed": 1, "cpu": 1}
    assert not found.is_final
    assert found.parts[0].counts == found.counts
    told = list(lines_of(WhyAnswer(RUN, HERD, "running", "", 2, 1, (found,))))
    assert told[1] == (
        "  a waits: it was lost or failed on n1 before; it needs cpu 1, n2 has 0 of 4 left"
    )
    assert "    of 2 nodes: failed 1, cpu 1" in told
    assert "    it would fit with cpu 1 more free on n2" in told
    assert placed_on(Tables(tables.nodes, slices=(burnt,))) == (N2,)


def test_an_attempt_that_did_not_end_badly_keeps_it_from_nowhere() -> None:
    stopped = changed(BURNT, earlier=failed_on(N1, fault=Fault.NONE))
    assert placed_on(Tables((node("n1"), node("n2")), slices=(stopped, BUSY))) == (N1,)


def test_all_nodes_count_on_which_an_attempt_ended_badly_until_it_was_on_each() -> None:
    nodes = (node("n1"), node("n2"), node("n3", cpu_m=1500))
    busy = changed(BUSY, node=N3, resources=changed(BUSY.resources, cpu_m=1500))
    twice = changed(BURNT, earlier=failed_on(N1, N2))
    assert placed_on(Tables(nodes, slices=(twice,))) == (N3,)
    assert placed_on(Tables(nodes, slices=(twice, busy))) == ()
    everywhere = changed(BURNT, earlier=failed_on(N1, N2, N3))
    assert placed_on(Tables(nodes, slices=(everywhere, busy))) == (N1,)


def test_where_no_other_node_could_ever_hold_it_it_begins_again_where_it_failed() -> None:
    others = {
        "too small": node("n2", cpu_m=900),
        "of another herd": node("n2", herds=("x",)),
        "without its label": node("n2"),
    }
    for why, other in others.items():
        burnt = changed(BURNT, labels=("gpu",)) if "label" in why else BURNT
        here = node("n1", labels=("gpu",))
        assert placed_on(Tables((here, other), slices=(burnt,))) == (N1,), why
    assert placed_on(Tables((node("n1"),), slices=(BURNT,))) == (N1,)
    pinned = changed(BURNT, pin=N1)
    assert placed_on(Tables((node("n1"), node("n2")), slices=(pinned,))) == (N1,)


@pytest.mark.parametrize("standing", Standing)
def test_a_node_that_takes_nothing_new_is_not_waited_for(standing: Standing) -> None:
    said = (NodeStanding(N2, standing, 0),)
    assert placed_on(Tables((node("n1"), node("n2")), said, slices=(BURNT,))) == (N1,)
    silent = (NodeHealth(N2, silent_ms=50),)
    assert placed_on(Tables((node("n1"), node("n2")), health=silent, slices=(BURNT,))) == (N1,)


def test_what_its_quota_never_allows_is_told_that_and_not_where_it_failed() -> None:
    herds = (HerdRecord(HERD, cpu_m=500),)
    tables = Tables((node("n1"), node("n2")), herds=herds, slices=(BURNT,))
    (told,) = decide(snapshot_of(tables, now_ms=100)).unplaced
    assert told.is_final
    assert "herd default may have 500m" in told.text


def test_where_a_slice_of_a_gang_failed_none_of_the_gang_goes_that_stands_with_it() -> None:
    gang = (changed(BURNT, gang="g"), one_slice("c", gang="g"))
    assert placed_on(Tables((node("n1"), node("n2")), slices=gang)) == (N2,)


def test_each_part_of_a_gang_on_several_nodes_avoids_only_where_it_failed_itself() -> None:
    nodes = tuple(node(name, streams=AT) for name in ("n1", "n2", "n3"))
    gang = tuple(
        one_slice(name, gang="g", cpu_m=3000, earlier=earlier)
        for name, earlier in (("a", failed_on(N1)), ("b", ()))
    )
    (unit,) = snapshot_of(Tables(nodes, slices=gang), now_ms=1).waiting
    assert [part.avoids for part in unit.parts] == [(N1,), ()]
    busy = changed(BUSY, node=N3)
    assert placed_on(Tables(nodes, slices=(*gang, busy))) == (N2, N1)


def test_a_part_that_has_fewer_nodes_chooses_before_one_that_has_more() -> None:
    nodes = tuple(node(name, streams=AT) for name in ("n1", "n2", "n3"))
    gang = tuple(
        one_slice(name, gang="g", cpu_m=3000, earlier=earlier)
        for name, earlier in (("a", ()), ("b", failed_on(N2)))
    )
    busy = changed(BUSY, node=N3)
    assert placed_on(Tables(nodes, slices=(*gang, busy))) == (N2, N1)


def test_where_a_gang_has_no_more_nodes_than_parts_each_may_go_back() -> None:
    nodes = tuple(node(name, streams=AT) for name in ("n1", "n2"))
    gang = tuple(one_slice(name, gang="g", cpu_m=3000, earlier=failed_on(N1)) for name in "ab")
    assert set(placed_on(Tables(nodes, slices=gang))) == {N1, N2}
    more = (*nodes, node("n3", streams=AT))
    assert set(placed_on(Tables(more, slices=gang))) == {N2, N3}


def test_a_part_that_only_one_node_could_hold_lets_the_others_of_its_gang_avoid_where_they_failed() -> (
    None
):
    nodes = (
        node("n1", labels=("gpu",), streams=AT),
        node("n2", streams=AT),
        node("n3", streams=AT),
    )
    gang = (
        one_slice("a", gang="g", part="a", labels=("gpu",), cpu_m=3000, earlier=failed_on(N1)),
        one_slice("b", gang="g", part="b", cpu_m=3000, earlier=failed_on(N1)),
    )
    (unit,) = snapshot_of(Tables(nodes, slices=gang), now_ms=1).waiting
    assert [part.avoids for part in unit.parts] == [(), (N1,)]
    assert placed_on(Tables(nodes, slices=gang)) == (N1, N2)


def test_a_node_that_comes_keeps_it_from_where_it_failed_and_one_that_goes_lets_it_back() -> None:
    view = ClusterView(Tables((node("n1", cpu_m=900),), slices=(BURNT,)))
    small = (NodeStanding(N2, Standing.CORDONED, 1), None)
    for revision, (record, said, avoids) in enumerate(
        ((node("n2"), small[0], ()), (node("n2"), small[1], (N1,)), (None, None, ())), 1
    ):
        view.put_node(N2, record)
        view.put_standing(N2, said)
        view.look(now_ms=revision, revision=revision)
        (unit,) = view.snapshot().waiting
        assert unit.parts[0].avoids == avoids
        assert unit.failed_on == {N1}
