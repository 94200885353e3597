"""What placement is told of the Barn: gangs as units, nodes and herds as they stand, and nothing that is not in the Barn."""

from __future__ import annotations

from random import Random

import pytest
from runink.herds.record import HerdRecord
from runink.names import RunId
from runink.placement.cluster import Amount, NodeState
from runink.placement.solver import decide
from runink.runs.health import FADE_MS, TROUBLE, NodeHealth
from runink.runs.pausing import FOREVER_MS
from runink.runs.records import (
    NodeStanding,
    SliceState,
    Standing,
    Task,
    Turn,
)
from runink.runs.reservations import ReservationRecord, Victim
from runink.scheduling.decisions import recorded
from runink.scheduling.snapshots import Tables, snapshot_of
from slice_tables import HERD, N1, N2, failed_on, node, one_slice

TURN = Turn(priority=7, submitted_ms=10, since_ms=20, rank_ms=500, estimate_ms=300)


def test_a_gang_that_waits_is_one_unit_with_all_that_its_slices_ask_for() -> None:
    slices = (
        one_slice(
            "a", gang="g", turn=TURN, labels=("gpu",), requires=("egress",), earlier=failed_on(N2)
        ),
        one_slice("b", gang="g", turn=TURN, labels=("!spot",)),
    )
    (unit,) = snapshot_of(Tables((node(),), slices=slices), now_ms=100).waiting
    assert unit.key == ("r1", "g")
    assert (unit.priority, unit.run_order, unit.rank) == (7, 10, 500)
    assert (unit.waiting_since_ms, unit.estimate_ms) == (20, 300)
    assert unit.failed_on == {N2}
    (part,) = unit.parts
    assert part.needs == Amount(2000, 128 << 20, slices=2)
    assert [str(rule) for rule in part.labels] == ["!spot", "gpu"]
    assert part.requires == ("egress",)


def test_a_retry_that_is_held_back_waits_from_the_time_at_which_it_is_due() -> None:
    tables = Tables((node(),), slices=(one_slice("a", turn=TURN, not_before_ms=50),))
    assert snapshot_of(tables, now_ms=49).waiting == ()
    (unit,) = snapshot_of(tables, now_ms=50).waiting
    assert unit.waiting_since_ms == 50


def test_a_gang_is_held_back_by_the_slice_of_it_that_is_due_last() -> None:
    slices = (one_slice("a", gang="g"), one_slice("b", gang="g", not_before_ms=FOREVER_MS))
    assert snapshot_of(Tables((node(),), slices=slices), now_ms=9).waiting == ()


def test_a_gang_has_its_node_until_the_last_slice_of_it_has_ended() -> None:
    begun = Turn(priority=7, submitted_ms=10, since_ms=20, placed_ms=90)
    slices = (
        one_slice("a", gang="g", state=SliceState.SUCCEEDED, node=N1, turn=begun),
        one_slice("b", gang="g", state=SliceState.RUNNING, node=N1, turn=begun),
    )
    snapshot = snapshot_of(Tables((node(),), slices=slices), now_ms=100)
    (running,) = snapshot.placed
    assert snapshot.waiting == ()
    assert (running.nodes, running.started_ms, running.is_leaving) == ((N1,), 90, False)
    assert running.unit.needs == Amount(1000, 64 << 20, slices=1)


def test_slices_of_a_gang_on_several_nodes_are_parts_of_one_unit() -> None:
    slices = tuple(
        one_slice(name, gang="g", state=SliceState.RUNNING, node=at, cpu_m=cpu_m)
        for name, at, cpu_m in (("a", N2, 100), ("b", N1, 200), ("c", N2, 300))
    )
    (running,) = snapshot_of(Tables((node(), node("n2")), slices=slices), now_ms=1).placed
    assert running.nodes == (N1, N2)
    assert [part.needs.cpu_m for part in running.unit.parts] == [200, 400]


def test_what_a_reservation_names_as_a_victim_is_leaving() -> None:
    slices = (one_slice("a", state=SliceState.RUNNING, node=N1),)
    kept = ReservationRecord(RunId("r2"), "b", (N1,), 5, (Victim(RunId("r1"), "a", 1),), 9)
    snapshot = snapshot_of(Tables((node(),), slices=slices, reservations=(kept,)), now_ms=1)
    assert [one.is_leaving for one in snapshot.placed] == [True]
    (reservation,) = snapshot.reservations
    assert (reservation.unit, reservation.victims) == (("r2", "b"), (("r1", "a"),))


@pytest.mark.parametrize("task", [Task.PUBLISH, Task.DISCARD, Task.COMPARE])
def test_what_ends_a_run_takes_no_room_and_is_not_stopped_for_others(task: Task) -> None:
    slices = (one_slice("@end", task=task, state=SliceState.RUNNING, node=N1),)
    (running,) = snapshot_of(Tables((node(),), slices=slices), now_ms=1).placed
    assert running.unit.needs == Amount()
    assert not running.unit.can_be_preempted


def test_a_node_is_what_its_record_and_people_say_of_it_and_what_was_seen_of_it() -> None:
    trouble = NodeHealth(N1, troubles=4 * TROUBLE, troubled_ms=1)
    tables = Tables(
        (node("n2"), node(labels=("gpu",), slices_max=3)),
        (NodeStanding(N1, Standing.DRAINING, 1),),
        health=(trouble, NodeHealth(N2, silent_ms=1)),
    )
    first, second = snapshot_of(tables, now_ms=1).nodes
    assert (first.node, first.state, first.failures) == (N1, NodeState.DRAINING, 4)
    assert (first.labels, first.capacity.slices) == ({"gpu"}, 3)
    assert (second.node, second.state, second.failures) == (N2, NodeState.SUSPECT, 0)
    assert snapshot_of(tables, now_ms=1 + FADE_MS).nodes[0].failures == 2


def test_a_herd_has_its_quota_and_its_weight() -> None:
    herd = HerdRecord(HERD, cpu_m=500, slices=2, weight=3, disk_bytes=7, gpus=1)
    view = snapshot_of(Tables(herds=(herd,)), now_ms=1).herds[HERD]
    assert view.quota == Amount(500, disk_bytes=7, gpus=1, slices=2)
    assert (view.weight, view.own_nodes) == (3, False)
    own = HerdRecord(HERD, own_nodes=True)
    assert snapshot_of(Tables(herds=(own,)), now_ms=1).herds[HERD].own_nodes


def test_the_order_of_the_tables_decides_nothing() -> None:
    slices = [one_slice(f"s{at}", gang=f"g{at % 5}", cpu_m=100 * at) for at in range(1, 20)]
    nodes = [node(f"n{at}", cpu_m=1000 * at) for at in range(1, 6)]
    tables = Tables(tuple(nodes), slices=tuple(slices), revision=8)
    shuffled = Random(5)
    shuffled.shuffle(slices)
    shuffled.shuffle(nodes)
    other = Tables(tuple(nodes), slices=tuple(slices), revision=8)
    assert snapshot_of(other, now_ms=9) == snapshot_of(tables, now_ms=9)
    plan = decide(snapshot_of(tables, now_ms=9))
    assert plan.placed
    assert decide(snapshot_of(other, now_ms=9)).digest == plan.digest


def test_a_decision_says_on_what_it_was_made_and_what_came_of_it() -> None:
    tables = Tables((node(cpu_m=1000),), slices=(one_slice("a"), one_slice("b")), revision=8)
    snapshot = snapshot_of(tables, now_ms=9)
    plan = decide(snapshot, 3)
    record = recorded(plan, now_ms=9, policy=snapshot.policy)
    assert (record.revision, record.now_ms, record.seed) == (8, 9, 3)
    assert (record.placed, record.stopped, record.waiting) == (1, 0, 1)
    assert record.digest == decide(snapshot_of(tables, now_ms=record.now_ms), record.seed).digest
