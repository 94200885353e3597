"""What only a node could hold that is away: it waits for that node for a while, says so, and fails when it has not come back."""

from __future__ import annotations

from msgspec.structs import replace as changed
from runink.cli.why import lines_of
from runink.names import NodeId
from runink.placement.plans import Unplaced
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, RunState, SliceRecord
from runink.scheduling.answers import GangAnswer, WhyAnswer
from runink.scheduling.snapshots import Tables
from runink.scheduling.view import ClusterView
from runink.scheduling.why import decided_now
from slice_tables import HERD, RUN, node, one_slice

LOST_MS = 1_800_000_000_000
BACK_MS = LOST_MS + 600_000
NOW_MS = LOST_MS + 40_000
GPU = node("n2", labels=("gpu",))


def gone(record: NodeRecord = GPU, lost_ms: int = LOST_MS, back_ms: int = BACK_MS) -> NodeHealth:
    return NodeHealth(record.node, lost_ms=lost_ms, back_ms=back_ms, last=record)


def tables(*away: NodeHealth, slices: tuple[SliceRecord, ...] = ()) -> Tables:
    slices = slices or (one_slice("a", labels=("gpu",)),)
    return Tables((node("n1"),), slices=slices, health=away)


def planned(found: Tables, now_ms: int = NOW_MS) -> Unplaced:
    """Return what is decided of the one unit that waits."""
    view = ClusterView(found)
    view.look(now_ms=now_ms, revision=1)
    (one,) = view.plan().unplaced
    return one


def asked(found: Tables, gang: str = "a") -> GangAnswer:
    answer = decided_now(found, now_ms=NOW_MS).answer(RUN, gang, [gang])
    assert answer is not None
    return answer


def test_what_only_a_lost_node_could_hold_waits_for_it_and_says_until_when() -> None:
    one = planned(tables(gone()))
    assert not one.is_final
    assert one.text == (
        "node n2, lost 2027-01-15 08:00:00 UTC, would fit: waiting until 2027-01-15 08:10:00 UTC"
    )
    assert sum(count for _, count in one.counts) == 1, "of the nodes that are there"


def test_a_node_that_nobody_has_said_to_be_lost_yet_is_waited_for() -> None:
    one = planned(tables(gone(lost_ms=0, back_ms=0)))
    assert not one.is_final
    assert one.text == "node n2 would fit, and went away just now: waiting"


def test_when_its_time_is_over_it_fails_and_says_which_node_did_not_come_back() -> None:
    one = planned(tables(gone()), BACK_MS)
    assert one.is_final
    assert one.text == (
        "n1 lacks the label gpu; node n2, lost 2027-01-15 08:00:00 UTC, would fit, and did not come back by 2027-01-15 08:10:00 UTC"
    )


def test_a_lost_node_that_would_not_fit_either_is_not_waited_for() -> None:
    small = node("n2", cpu_m=500, labels=("gpu",))
    for away in (gone(node("n2")), gone(small), changed(gone(), last=None)):
        one = planned(tables(away))
        assert (one.is_final, one.text) == (True, "n1 lacks the label gpu")


def test_of_two_that_would_fit_the_one_is_told_that_may_come_back_last() -> None:
    later = gone(node("n3", labels=("gpu",)), LOST_MS + 1000, BACK_MS + 1000)
    both = tables(gone(), later)
    assert planned(both).text.startswith("node n3, ")
    assert not planned(both, BACK_MS).is_final
    assert planned(both, BACK_MS + 1000).is_final


def test_a_gang_that_is_parted_waits_for_the_nodes_that_it_lacks() -> None:
    slices = (
        one_slice("a", gang="g", part="a", labels=("gpu",)),
        one_slice("c", gang="g", part="c", labels=("!gpu",)),
    )
    away = gone(node("n2", labels=("gpu",), streams="10.0.0.1:2"))
    there = node("n1", streams="10.0.0.1:1")
    one = planned(Tables((there,), slices=slices, health=(away,)))
    assert one.text.startswith("node n2, lost ")
    deaf = gone(node("n2", labels=("gpu",)))
    assert planned(Tables((there,), slices=slices, health=(deaf,))).is_final
    other = gone(there)
    one = planned(Tables((node("n4", cpu_m=1),), slices=slices, health=(away, other)))
    assert one.text.startswith("nodes n1, n2, lost ")


def test_the_view_says_when_it_is_over_as_long_as_somebody_waits() -> None:
    view = ClusterView(tables(gone()))
    view.look(now_ms=NOW_MS, revision=1)
    assert view.next_due_ms == BACK_MS
    view.look(now_ms=BACK_MS, revision=2)
    assert view.next_due_ms == 0
    idle = ClusterView(Tables((node("n1"),), health=(gone(),)))
    idle.look(now_ms=NOW_MS, revision=1)
    assert idle.next_due_ms == 0


def test_a_node_that_is_there_again_is_not_waited_for_though_it_is_said_to_be_lost() -> None:
    view = ClusterView(tables(gone(), slices=(one_slice("a", labels=("ssd",)),)))
    view.put_node(GPU.node, GPU)
    view.put_health(NodeId("n3"), gone(node("n3", labels=("ssd",))))
    view.look(now_ms=NOW_MS, revision=1)
    assert not view.plan().unplaced[0].is_final
    view.put_health(NodeId("n3"), None)
    assert view.plan().unplaced[0].is_final


def test_why_says_for_how_long_it_is_lost_and_until_when_it_is_waited_for() -> None:
    gang = asked(tables(gone()))
    assert (gang.stands, gang.is_final, gang.counts) == ("waiting", False, {"label": 1})
    answer = WhyAnswer(RUN, HERD, RunState.ADMITTED.value, "", 1, 1, (gang,))
    said = "node n2, lost 40 s ago, would fit: waiting until 2027-01-15 08:10:00 UTC"
    assert f"    {said}" in list(lines_of(answer))
    new = asked(tables(gone(lost_ms=0, back_ms=0)))
    told = list(lines_of(changed(answer, gangs=(new,))))
    assert "    node n2 would fit, and went away just now" in told
    over = decided_now(tables(gone()), now_ms=BACK_MS).answer(RUN, "a", ["a"])
    assert over is not None
    assert (over.awaits, over.is_final) == (None, True)


def test_a_gang_waits_for_a_lost_node_only_where_all_of_it_would_fit_with_that() -> None:
    large = tuple(one_slice(name, gang="g", cpu_m=3000) for name in "abc")
    there = node("n1", streams="10.0.0.1:1")
    away = [gone(node(name, streams="10.0.0.1:2")) for name in ("n2", "n3")]
    assert planned(Tables((there,), slices=large, health=tuple(away[:1]))).is_final
    one = planned(Tables((there,), slices=large, health=tuple(away)))
    assert not one.is_final
    assert one.text.startswith("nodes n2, n3, lost ")
