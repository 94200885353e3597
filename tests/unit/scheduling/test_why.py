"""Why slices wait or are where they are: counts over all nodes, the queue, candidates, what would help; and decisions made again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from runink.cli.why import lines_of
from runink.dag import Resources
from runink.errors import Invalid, NotFound
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId
from runink.placement.solver import decide
from runink.runs.health import NodeHealth
from runink.runs.records import (
    NodeStanding,
    SliceRecord,
    SliceState,
    Standing,
    Turn,
)
from runink.scheduling.answers import GangAnswer, ShutNode, WhyAnswer
from runink.scheduling.decisions import recorded
from runink.scheduling.snapshots import POLICY, Tables, snapshot_of
from runink.scheduling.what_if import applied
from runink.scheduling.why import decided_again, decided_now, differences, replayed
from runink.wants import Wants
from slice_tables import HERD, N1, N2, RUN, failed_on, node, one_slice


def asked(tables: Tables, gang: str = "a", run: str = RUN) -> GangAnswer:
    answer = decided_now(tables, now_ms=100).answer(RunId(run), gang, [gang])
    assert answer is not None
    return answer


def test_what_waits_is_told_its_place_who_is_ahead_and_which_rule_keeps_it_from_how_many_nodes() -> (
    None
):
    tables = Tables(
        (node("n1", cpu_m=500), node("n2", labels=("spot",)), node("n3")),
        (NodeStanding(NodeId("n3"), Standing.CORDONED, 0),),
        slices=(
            one_slice("a", labels=("!spot",), turn=Turn(submitted_ms=5)),
            one_slice("b", run="r0", cpu_m=9000, turn=Turn(priority=1)),
        ),
    )
    found = asked(tables)
    assert (found.stands, found.nodes) == ("waiting", ())
    assert found.counts == {"label": 1, "state": 1, "cpu": 1}
    assert (found.position, found.queue, found.ahead) == (2, 2, ("r0/b",))
    assert found.parts[0].counts == {"label": 1, "state": 1, "cpu": 1}
    assert found.parts[0].fitting == 0


def test_what_would_make_it_fit_is_room_or_else_a_node_as_it_asks_for() -> None:
    tables = Tables((node("n1", cpu_m=500),), slices=(one_slice("a"),))
    assert asked(tables).parts[0].remedies == ("a node with slices 1, cpu 1, memory 64Mi",)
    busy = one_slice("b", run="r2", state=SliceState.RUNNING, node=N1, cpu_m=3500)
    tables = Tables((node("n1"),), slices=(one_slice("a"), busy))
    assert asked(tables).parts[0].remedies == ("cpu 500m more free on n1",)
    tables = Tables((node("n1"),), slices=(one_slice("a", labels=("gpu", "zone=eu")),))
    assert asked(tables).parts[0].remedies == ("a node with gpu, zone=eu",)
    own = (HerdRecord(HERD, own_nodes=True),)
    found = asked(Tables((node("n1"),), herds=own, slices=(one_slice("a"),)))
    assert (found.counts, found.is_final) == ({"own": 1}, True)
    told = ("a node of its herd's own: runi agent … --herd default",)
    assert found.parts[0].remedies == told
    herds = (HerdRecord(HERD, cpu_m=500),)
    tables = Tables((node("n1"),), herds=herds, slices=(one_slice("a", state=SliceState.PENDING),))
    full = Tables(
        (node("n1"),),
        herds=(HerdRecord(HERD, cpu_m=1500),),
        slices=(one_slice("b", state=SliceState.RUNNING, node=N1), one_slice("a")),
    )
    assert "in the quota of herd default" in asked(full).parts[0].remedies[0]
    assert asked(tables).is_final
    assert asked(tables).parts[0].remedies[0].endswith("in the quota of herd default")


def test_what_a_spread_keeps_away_would_fit_where_fewer_stand() -> None:
    wants = Wants(groups=("pipeline:x",), domain="zone", skew=1)
    nodes = (node("n1", labels=("zone=a",)), node("n2", labels=("zone=b",), cpu_m=500))
    there = one_slice("b", run="r0", state=SliceState.RUNNING, node=N1, wants=wants)
    found = asked(Tables(nodes, slices=(one_slice("a", wants=wants), there)))
    assert found.counts == {"spread": 1, "cpu": 1}
    assert found.parts[0].remedies == (
        "a zone that has fewer of its pipeline",
        "a node with slices 1, cpu 1, memory 64Mi",
    )


SMALL, LARGE = node("n1", cpu_m=500), node("n2")


@pytest.mark.parametrize("standing", Standing)
def test_what_only_a_node_that_takes_nothing_new_could_hold_is_told_for_which_it_waits(
    standing: Standing,
) -> None:
    said = (NodeStanding(N2, standing, 0),)
    found = asked(Tables((SMALL, LARGE), said, slices=(one_slice("a"),)))
    assert found.shut == (ShutNode(N2, standing.value),)
    assert not found.is_final
    (told,) = [line for line in _told(found) if "only" in line]
    assert told.startswith(f"    only n2 ({standing.value}) could hold it, and nothing new goes")
    assert "n2 taking new work again: runi node uncordon n2" in found.parts[0].remedies


def test_nobody_is_asked_to_uncordon_a_node_that_is_suspect() -> None:
    seen = (NodeHealth(N2, silent_ms=50),)
    found = asked(Tables((SMALL, LARGE), health=seen, slices=(one_slice("a"),)))
    assert found.shut == (ShutNode(N2, "suspect"),)
    assert not any("uncordon" in line for line in _told(found))


def test_what_a_cordoned_node_could_not_hold_either_does_not_wait_for_it() -> None:
    said = (NodeStanding(N1, Standing.CORDONED, 0),)
    found = asked(Tables((SMALL,), said, slices=(one_slice("a"),)))
    assert (found.is_final, found.shut, found.counts) == (True, (), {"cpu": 1})


def test_what_waits_for_room_on_another_node_is_not_told_to_wait_for_one_that_is_cordoned() -> None:
    busy = one_slice("b", state=SliceState.RUNNING, node=N1, cpu_m=3500)
    said = (NodeStanding(N2, Standing.CORDONED, 0),)
    found = asked(Tables((node("n1"), LARGE), said, slices=(one_slice("a"), busy)))
    assert found.shut == ()
    pinned = one_slice("a", pin=N2)
    ends = asked(Tables((node("n1"), LARGE), said, slices=(pinned,)))
    assert (ends.nodes, ends.shut) == ((N2,), ()), "it ends something there"


def _told(found: GangAnswer) -> list[str]:
    return list(lines_of(WhyAnswer(RUN, HERD, "running", "", 2, 1, (found,))))


def test_of_what_is_placed_the_nodes_that_it_could_have_had_are_told_with_what_they_cost() -> None:
    tables = Tables(
        (node("n1", gpus=2), node("n2"), node("n3", cpu_m=100)), slices=(one_slice("a"),)
    )
    found = asked(tables)
    assert (found.stands, found.nodes) == ("placed", (NodeId("n2"),))
    (part,) = found.parts
    assert (part.counts, part.fitting) == ({"cpu": 1}, 2)
    assert [one.node for one in part.candidates] == ["n2", "n1"]
    first, second = part.candidates
    assert first.cost < second.cost
    assert second.of["gpu"] > 0
    assert sum(second.of.values()) == second.cost


def test_of_a_gang_on_several_nodes_each_part_is_told_by_itself() -> None:
    nodes = (
        node("n1", labels=("gpu",), streams="10.0.0.1:1"),
        node("n2", labels=("eu",), streams="10.0.0.1:2"),
    )
    slices = (
        one_slice("a", gang="g", part="a", labels=("gpu",)),
        one_slice("c", gang="g", part="c", labels=("eu",)),
    )
    found = asked(Tables(nodes, slices=slices), "g")
    assert found.nodes == (NodeId("n1"), NodeId("n2"))
    assert [(part.counts, part.fitting) for part in found.parts] == [({"label": 1}, 1)] * 2
    waits = asked(Tables(nodes[:1], slices=slices), "g")
    assert (waits.stands, sum(waits.counts.values())) == ("waiting", 1)
    assert waits.parts[0].counts


def test_a_gang_that_nobody_places_at_the_moment_has_no_answer() -> None:
    tables = Tables((node(),), slices=(one_slice("a", not_before_ms=1000),))
    assert decided_now(tables, now_ms=100).answer(RUN, "a", ["a"]) is None


STATES = st.sampled_from([SliceState.PENDING, SliceState.RUNNING])


@st.composite
def clusters(draw: st.DrawFn) -> Tables:
    """Return a few nodes of different kinds, and slices that wait and run."""
    nodes = tuple(
        node(
            f"n{at}",
            cpu_m=draw(st.sampled_from([500, 2000, 4000])),
            labels=draw(st.sampled_from([(), ("gpu",), ("zone=eu",)])),
            herds=draw(st.sampled_from([(), (), (HerdName("other"),), (HERD,)])),
            visible=draw(st.sampled_from([None, ("crm",)])),
            gpus=draw(st.integers(0, 1)),
            near=draw(st.sampled_from([(), ("s3://lake",)])),
        )
        for at in range(draw(st.integers(1, 5)))
    )
    said = draw(st.lists(st.sampled_from([one.node for one in nodes]), unique=True, max_size=2))
    slices = tuple(
        _slice(draw, at, nodes[draw(st.integers(0, len(nodes) - 1))].node)
        for at in range(draw(st.integers(1, 8)))
    )
    own = HerdRecord(HERD, own_nodes=True)
    herds = draw(st.sampled_from([(), (HerdRecord(HERD, cpu_m=3000),), (own,)]))
    return Tables(
        nodes, tuple(NodeStanding(one, Standing.CORDONED, 0) for one in said), herds, slices
    )


def _slice(draw: st.DrawFn, at: int, home: NodeId) -> SliceRecord:
    state = draw(STATES)
    fields: dict[str, Any] = {"node": home} if state is SliceState.RUNNING else {}
    one = one_slice(
        f"s{at}",
        run=f"r{draw(st.integers(0, 2))}",
        state=state,
        cpu_m=draw(st.sampled_from([100, 1000, 3000])),
        labels=draw(st.sampled_from([(), ("gpu",), ("!gpu",), ("zone=eu",)])),
        turn=Turn(draw(st.integers(0, 2)), at),
        earlier=failed_on(*draw(st.lists(st.sampled_from([N1, N2, NodeId("n0")]), max_size=3))),
        **fields,
    )
    wants = changed(
        one.wants,
        gpus=draw(st.integers(0, 1)),
        sees=draw(st.sampled_from([(), ("crm",), ("x",)])),
        reads=draw(st.sampled_from([(), ("s3://lake",), ("s3://bay", "s3://lake")])),
    )
    return changed(one, wants=wants)


@given(clusters())
def test_counts_are_over_all_nodes_and_what_is_said_is_what_is_decided(tables: Tables) -> None:
    made = decided_now(tables, now_ms=100)
    plan = decide(snapshot_of(tables, now_ms=100))
    assert made.plan.digest == plan.digest
    placed = {one.unit.key: one.nodes for one in plan.placed}
    for key in made.units:
        answer = made.answer(*key, ["x"])
        assert answer is not None
        assert answer.nodes == placed.get(key, ())
        assert (answer.stands == "placed") is (key in placed)
        if answer.stands == "waiting":
            assert sum(answer.counts.values()) == len(tables.nodes)
            assert 1 <= answer.position <= answer.queue == len(plan.unplaced)
        for part in answer.parts:
            assert sum(part.counts.values()) + part.fitting == len(tables.nodes)
            assert len(part.candidates) <= part.fitting


@given(clusters(), st.integers(0, 3))
def test_a_decision_made_again_of_the_same_tables_is_the_same_bytes(
    tables: Tables, seed: int
) -> None:
    plan = decide(snapshot_of(tables, now_ms=77), seed)
    record = recorded(plan, now_ms=77, policy=POLICY)
    again = replayed(tables, record)
    assert again.digest == again.stored == plan.digest
    assert again == replayed(tables, record)
    assert len(again.placed) == record.placed
    assert len(again.waiting) == record.waiting
    assert decided_again(tables, record).plan.packed() == plan.packed()


def test_a_decision_of_other_tables_is_told_by_its_digest() -> None:
    tables = Tables((node(),), slices=(one_slice("a"),))
    record = recorded(decide(snapshot_of(tables, now_ms=7)), now_ms=7, policy=POLICY)
    other = replayed(Tables((node("n9"),), slices=(one_slice("a"),)), record)
    assert other.digest != other.stored


def outcome(tables: Tables, *changes: str) -> tuple[str, list[tuple[str, str, str]]]:
    after = applied(tables, changes, run=RUN)
    before_, after_ = decided_now(tables, now_ms=100), decided_now(after, now_ms=100)
    found = [(one.unit, one.before, one.after) for one in differences(before_, after_)]
    answer = after_.answer(RUN, "a", ["a"])
    assert answer is not None
    return ", ".join(answer.nodes) or f"waits for {', '.join(answer.counts)}", found


@pytest.mark.parametrize(
    ("change", "becomes"),
    [
        ("node n9 cpu=2 memory=4Gi", "n9"),
        ("node n9 cpu=2", "waits for cpu, memory"),
        ("node n1 cpu=2", "n1"),
        ("node n9 cpu=2 memory=4Gi label=spot", "n9"),
        ("quota default cpu=250m", "waits for quota"),
        ("cordon n1", "waits for cpu"),
        ("node n1 slices=5", "waits for cpu"),
    ],
)
def test_what_would_be_decided_if(change: str, becomes: str) -> None:
    tables = Tables((node("n1", cpu_m=500),), slices=(one_slice("a"),))
    got, found = outcome(tables, change)
    assert got == becomes
    if becomes.startswith("n"):
        assert found == [("r1/a", found[0][1], f"placed on {becomes}")]
        assert found[0][1].startswith("waits: ")


def test_what_is_said_of_a_node_can_be_taken_back_in_thought() -> None:
    said = (NodeStanding(N1, Standing.DRAINING, 0),)
    tables = Tables((node("n1"),), said, slices=(one_slice("a"),))
    assert outcome(tables, "uncordon n1")[0] == "n1"


def test_a_node_that_is_lost_takes_nothing_and_its_slices_count_nowhere() -> None:
    running = one_slice("b", run="r2", state=SliceState.RUNNING, node=N1)
    tables = Tables((node("n1"), node("n2", cpu_m=1000)), slices=(one_slice("a"), running))
    got, _ = outcome(tables, "lose n1")
    assert got == "n2"


def test_another_priority_is_the_run_s_alone() -> None:
    tables = Tables(
        (node("n1", cpu_m=1000),),
        slices=(
            one_slice("a", turn=Turn(submitted_ms=5)),
            one_slice("b", run="r0", turn=Turn(submitted_ms=1)),
        ),
    )
    assert outcome(tables, "cordon n1", "uncordon n1")[0] == "waits for cpu"
    got, found = outcome(tables, "priority 3")
    assert got == "n1"
    assert [(one[0], one[2].split(":")[0]) for one in found] == [
        ("r0/b", "waits"),
        ("r1/a", "placed on n1"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "", "drain", "explode n1", "node n9", "node n9 cpu", "node n9 wheels=4", "quota default wheels=4",
        "priority high", "priority 101", "node n9 cpu=lots", "node n9 label=a=b=c", "drain n1 n2",
    ],
)  # fmt: skip
def test_what_is_no_change_is_refused(change: str) -> None:
    with pytest.raises(Invalid):
        applied(Tables((node("n1"),)), [change], run=RUN)


@pytest.mark.parametrize("change", ["drain n9", "lose n9", "uncordon n9"])
def test_a_node_that_is_not_there_is_told(change: str) -> None:
    with pytest.raises(NotFound):
        applied(Tables((node("n1"),)), [change], run=RUN)


def test_a_quota_that_a_herd_has_not_got_yet_is_one_in_thought() -> None:
    tables = applied(Tables((node("n1"),)), ["quota new cpu=2 slices=3 gpu=1 disk=2Gi"], run=RUN)
    quota = HerdRecord(HerdName("new"), cpu_m=2000, slices=3, gpus=1, disk_bytes=2 << 30)
    assert tables.herds == (quota,)
    more = applied(tables, ["node n1 memory=1Gi gpu=2 disk=1Ti"], run=RUN)
    assert more.nodes[0].capacity == Resources(4000, 1 << 30)
    assert (more.nodes[0].gpus, more.nodes[0].disk_bytes) == (2, 1 << 40)
