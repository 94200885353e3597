"""Which nodes are suspect or lost, and how trouble fades: the pure core, told what happens and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.dag import Resources
from runink.machines import BACK_S, SUSPECT_S
from runink.names import NodeId
from runink.runs.health import (
    BEGAN_ANEW,
    FADE_MS,
    FORGET_MS,
    LOST,
    NOT_LAUNCHED,
    TROUBLE,
    TROUBLES_MAX,
    NodeHealth,
    Vigil,
    faded,
    placed_by,
)
from runink.runs.records import NodeRecord

NODE = NodeId("n1")
AT_MS = 1_000_000


def record(incarnation: str = "i1") -> NodeRecord:
    return NodeRecord(NODE, Resources(), incarnation=incarnation)


def watching(*said: NodeHealth, node: NodeRecord | None = None) -> Vigil:
    """Return a vigil that has begun at second 0 with this node, and has written what it wants."""
    vigil = Vigil(SUSPECT_S)
    vigil.begin([node or record()], said, now_s=0.0)
    said_at(vigil, 0.0)
    return vigil


def said_at(vigil: Vigil, now_s: float, now_ms: int = AT_MS) -> NodeHealth | None:
    """Return what is written of the node now; nothing if it is what stands there."""
    wanted = vigil.wanted(now_s, now_ms)
    vigil.wrote(wanted)
    return dict(wanted).get(NODE)


def beat(vigil: Vigil, now_s: float, *, incarnation: str = "i1", unborn: int = 0) -> None:
    vigil.heard(NODE, incarnation, unborn, is_leaving=False, now_s=now_s)


def test_a_node_that_is_heard_each_second_is_written_of_once() -> None:
    vigil = Vigil(SUSPECT_S)
    vigil.begin([record()], (), now_s=0.0)
    assert said_at(vigil, 0.0) == NodeHealth(NODE, incarnation="i1", last=placed_by(record()))
    for second in range(1, 60):
        beat(vigil, float(second))
        assert vigil.wanted(float(second), AT_MS) == []


def test_a_node_that_is_not_heard_of_is_suspect_until_it_is() -> None:
    vigil = watching()
    assert vigil.due_s(0.0) == SUSPECT_S
    assert said_at(vigil, SUSPECT_S - 0.01) is None
    health = said_at(vigil, SUSPECT_S)
    assert health is not None
    assert (health.is_suspect, health.silent_ms, health.failures(AT_MS)) == (True, AT_MS, 0)
    assert vigil.due_s(SUSPECT_S) is None
    beat(vigil, 9.0)
    back = said_at(vigil, 9.0)
    assert back is not None
    assert not back.is_suspect


def test_a_lost_node_may_come_back_for_a_while_as_what_it_was_last() -> None:
    vigil = watching(node=record())
    told = changed(record(), labels=("gpu",), near=("s3://lake",), told_ms=5, clock_skew_ms=7)
    vigil.there(told, now_s=1.0)
    said_at(vigil, 1.0)
    vigil.gone(NODE)
    lost = said_at(vigil, 2.0)
    assert lost is not None
    assert (lost.lost_ms, lost.back_ms) == (AT_MS, AT_MS + round(BACK_S * 1000))
    assert lost.last == NodeRecord(NODE, Resources(), labels=("gpu",), near=("s3://lake",))
    assert said_at(vigil, 3.0, AT_MS + 1000) is None, "it is said once"
    vigil.there(record("i2"), now_s=4.0)
    back = said_at(vigil, 4.0)
    assert back is not None
    assert (back.lost_ms, back.back_ms, back.last) == (0, 0, placed_by(record()))


def lost(name: str, incarnation: str = "i1") -> NodeHealth:
    return NodeHealth(NodeId(name), lost_ms=AT_MS, back_ms=AT_MS + 10, incarnation=incarnation)


LATER_MS = AT_MS + 24 * 3_600_000


@pytest.mark.parametrize(
    ("there", "said", "has_time_anew"),
    [
        ((), (), True),  # nobody is there: the cluster is being started
        (("n2",), (lost("n2"),), True),  # one is there again before us
        (("n2",), (NodeHealth(NodeId("n2"), incarnation="old"),), True),  # nobody said it was lost
        (("n2",), (NodeHealth(NodeId("n2"), incarnation="i1"),), False),  # it went on
    ],
)
def test_when_a_cluster_is_started_each_of_its_nodes_may_still_come(
    there: tuple[str, ...], said: tuple[NodeHealth, ...], *, has_time_anew: bool
) -> None:
    vigil = Vigil(SUSPECT_S, back_s=60.0)
    nodes = [changed(record(), node=NodeId(name)) for name in there]
    vigil.begin(nodes, [lost(NODE), *said], now_s=0.0)
    found = said_at(vigil, 0.0, LATER_MS)
    assert (found is not None) is has_time_anew
    if found is not None:
        assert (found.lost_ms, found.back_ms) == (AT_MS, LATER_MS + 60_000)
    assert said_at(vigil, 1.0, LATER_MS + 5) is None


def test_where_no_node_is_waited_for_none_gets_time_anew() -> None:
    vigil = Vigil(SUSPECT_S, back_s=0.0)
    vigil.begin([], [lost(NODE)], now_s=0.0)
    assert said_at(vigil, 0.0, LATER_MS) is None


def test_a_node_that_leaves_is_suspect_at_once_and_its_loss_is_no_trouble() -> None:
    vigil = watching()
    vigil.heard(NODE, "i1", 0, is_leaving=True, now_s=1.0)
    health = said_at(vigil, 1.0)
    assert health is not None
    assert health.is_suspect
    vigil.gone(NODE)
    lost = said_at(vigil, 31.0)
    assert lost is not None
    assert (lost.lost_ms, lost.troubles) == (AT_MS, 0)


def test_a_word_of_a_former_process_does_not_keep_its_successor_trusted() -> None:
    vigil = watching()
    vigil.there(record("i2"), now_s=1.0)
    said_at(vigil, 1.0)
    beat(vigil, 5.9, incarnation="i1")
    health = said_at(vigil, 6.0)
    assert health is not None
    assert health.is_suspect


def test_who_begins_to_act_gives_all_their_time_and_the_suspect_none() -> None:
    vigil = watching(NodeHealth(NODE, silent_ms=7, incarnation="i1"))
    assert vigil.wanted(4.9, AT_MS) == []  # it stays suspect
    beat(vigil, 4.9)
    health = said_at(vigil, 4.9)
    assert health is not None
    assert not health.is_suspect


def test_time_in_which_nobody_could_hear_is_given_back() -> None:
    vigil = watching()
    vigil.late(20.0)
    assert said_at(vigil, 24.0) is None
    assert said_at(vigil, 25.0) is not None


def test_a_node_whose_lease_ends_is_lost_and_that_is_a_trouble() -> None:
    vigil = watching()
    vigil.gone(NODE)
    health = said_at(vigil, 30.0)
    assert health is not None
    assert (health.lost_ms, health.failures(AT_MS), health.why) == (AT_MS, 1, LOST)
    vigil.there(record("i2"), now_s=31.0)
    back = said_at(vigil, 31.0)
    assert back is not None
    assert (back.lost_ms, back.failures(AT_MS), back.why) == (0, 2, BEGAN_ANEW)


def test_a_node_that_is_cut_off_and_comes_back_as_it_was_has_had_one_trouble() -> None:
    vigil = watching()
    vigil.gone(NODE)
    said_at(vigil, 30.0)
    vigil.there(record(), now_s=31.0)
    back = said_at(vigil, 31.0)
    assert back is not None
    assert (back.lost_ms, back.failures(AT_MS)) == (0, 1)


def test_a_node_that_went_while_nobody_acted_is_found_lost() -> None:
    vigil = Vigil(SUSPECT_S)
    vigil.begin((), [NodeHealth(NODE, incarnation="i1")], now_s=0.0)
    health = said_at(vigil, 0.0)
    assert health is not None
    assert (health.lost_ms, health.failures(AT_MS)) == (AT_MS, 1)


def test_launches_that_fail_are_trouble_as_many_as_there_are_new_ones() -> None:
    vigil = watching()
    beat(vigil, 1.0, unborn=4)  # before anybody counted
    assert said_at(vigil, 1.0) is None
    beat(vigil, 2.0, unborn=7)
    health = said_at(vigil, 2.0)
    assert health is not None
    assert (health.failures(AT_MS), health.why) == (3, NOT_LAUNCHED)
    vigil.there(record("i2"), now_s=3.0)
    beat(vigil, 3.0, incarnation="i2", unborn=2)  # a new process counts from nothing
    again = said_at(vigil, 3.0)
    assert again is not None
    assert again.failures(AT_MS) == 3 + 1 + 2


def test_a_node_with_endless_trouble_has_a_bounded_number_of_it() -> None:
    vigil = watching()
    beat(vigil, 1.0)
    beat(vigil, 2.0, unborn=1_000_000)
    health = said_at(vigil, 2.0)
    assert health is not None
    assert health.troubles == TROUBLES_MAX


def test_what_the_barn_did_not_take_is_wanted_still() -> None:
    vigil = watching()
    vigil.gone(NODE)
    first = vigil.wanted(30.0, AT_MS)
    assert vigil.wanted(30.0, AT_MS) == first != []


def test_a_lost_node_that_does_not_come_back_is_forgotten() -> None:
    vigil = watching()
    vigil.gone(NODE)
    said_at(vigil, 30.0)
    assert vigil.wanted(40.0, AT_MS + FORGET_MS) == []
    assert vigil.wanted(40.0, AT_MS + FORGET_MS + 1) == [(NODE, None)]


@pytest.mark.parametrize(("elapsed_ms", "left"), [(0, 8000), (FADE_MS // 2, 6000), (FADE_MS, 4000), (3 * FADE_MS, 1000)])  # fmt: skip
def test_half_of_the_trouble_is_left_after_a_while(elapsed_ms: int, left: int) -> None:
    assert faded(8 * TROUBLE, elapsed_ms) == left


@given(st.integers(0, TROUBLES_MAX), st.integers(-1, 100 * FADE_MS), st.integers(0, FADE_MS))
def test_trouble_only_fades(troubles: int, elapsed_ms: int, more_ms: int) -> None:
    left = faded(troubles, elapsed_ms)
    assert 0 <= faded(troubles, elapsed_ms + more_ms) <= left <= troubles
    assert faded(troubles, 20 * FADE_MS) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["beat", "leave", "there", "gone", "anew"]),
            st.floats(0.0, 12.0, allow_nan=False),
        ),
        max_size=30,
    )
)
def test_a_node_is_suspect_exactly_if_it_has_not_been_heard_of(
    steps: list[tuple[str, float]],
) -> None:
    vigil, now_s, heard_s, is_there, is_leaving, process = watching(), 0.0, 0.0, True, False, 1
    for what, wait_s in steps:
        now_s += wait_s
        match what:
            case "beat" | "leave" if is_there:
                is_leaving = what == "leave"
                vigil.heard(NODE, f"i{process}", 0, is_leaving=is_leaving, now_s=now_s)
                heard_s = now_s
            case "there" | "anew":
                process += what == "anew"
                vigil.there(record(f"i{process}"), now_s=now_s)
                heard_s, is_there, is_leaving = now_s, True, False
            case "gone":
                vigil.gone(NODE)
                is_there = False
        said_at(vigil, now_s)
        health = vigil._said[NODE]
        if is_there:
            assert health.is_suspect == (is_leaving or now_s - heard_s >= SUSPECT_S)
        assert bool(health.lost_ms) != is_there
        assert vigil.wanted(now_s, AT_MS) == []
