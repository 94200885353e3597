"""A run's life, told as what happens to its slices: from submitted to its end, and through every crash."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, staged_dag
from runink.dag import Assertion
from runink.errors import WireError
from runink.expressions import Binary, Literal, Name, Operator
from runink.jobs import Done, Failed, NodeFacts, Rejections
from runink.names import NodeId, RunId
from runink.runs.records import ATTEMPTS_MAX, Exit, RunState, SliceState, Task

RAISED = Failed(WireError("Refused", "step_failed", "KeyError: 'x'"), step="a.step")
CONSEQUENCE = Failed(WireError("Unavailable", "producer_failed", "gone"), consequence=True)
AWAY = Failed(WireError("Unavailable", "unavailable", "the store does not answer"))


def test_a_run_of_two_scenarios_goes_through_all_its_states() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.go(["a", "b", "@publish"])
    assert world.states == [
        RunState.ADMITTED, RunState.PLACED, RunState.RUNNING, RunState.COMMITTING, RunState.SUCCEEDED,
    ]  # fmt: skip
    assert [one.sink for one in world.record.prepared] == ["a.sink", "b.sink"]
    assert world.claims == {}
    assert world.record.ended_ms == world.now_ms


def test_a_gang_begins_when_what_it_reads_is_prepared() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.settle()
    assert set(world.slices) == {"a"}
    world.go(["a"])
    assert set(world.slices) == {"a", "b"}


def test_a_run_that_prepared_nothing_succeeds_without_publishing() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.end("a", Done())
    world.settle()
    assert world.record.state is RunState.SUCCEEDED
    assert set(world.slices) == {"a"}


def test_a_full_herd_keeps_a_run_submitted_and_says_why() -> None:
    world = RunWorld(staged_dag("a"), refused="herd default has 10 of 10 runs")
    world.settle()
    assert world.record.state is RunState.SUBMITTED
    assert world.record.waits_for == "herd default has 10 of 10 runs"
    world.refused = ""
    world.settle()
    assert world.record.state is RunState.ADMITTED
    assert world.record.waits_for == ""


def test_a_failed_slice_ends_the_run_behind_clearing_away() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.go(["a"])
    world.place()
    world.run("b")
    world.end("b", RAISED)
    world.settle()
    assert world.record.state is RunState.RUNNING
    assert world.record.ending is RunState.FAILED
    world.go(["@discard"])
    assert world.record.state is RunState.FAILED
    assert world.record.failure
    assert world.record.failure.error.text == "KeyError: 'x'"


def test_the_cause_is_told_and_not_its_consequence_though_that_came_first() -> None:
    world = RunWorld(staged_dag("a", fan=2))
    world.settle()
    world.place()
    world.run("a", "a-1")
    world.end("a-1", CONSEQUENCE)
    world.end("a", RAISED)
    world.settle()
    assert world.record.failure
    assert world.record.failure.slice == "a"


def test_a_killed_slice_is_told_rather_than_the_neighbour_that_noticed() -> None:
    world = RunWorld(staged_dag("a", fan=2))
    world.settle()
    for _ in range(ATTEMPTS_MAX):
        world.now_ms += 100_000
        world.place()
        world.run("a", "a-1")
        world.end("a-1", CONSEQUENCE)
        world.put("a", exit=Exit("signalled", -1, 9))
        world.end("a", None)
        world.settle()
    assert world.record.failure
    assert "killed by signal 9 (SIGKILL)" in world.record.failure.error.text


def test_the_rest_of_a_gang_is_stopped_when_one_of_it_fails() -> None:
    world = RunWorld(staged_dag("a", fan=2))
    world.settle()
    world.place()
    world.run("a", "a-1")
    world.end("a", RAISED)
    world.settle()
    assert world.slices["a-1"].state is SliceState.CANCELLED
    assert world.placed == set()


def test_a_lost_gang_is_repeated_whole_later_under_a_higher_attempt() -> None:
    world = RunWorld(staged_dag("a", fan=2))
    world.settle()
    world.place()
    world.run("a", "a-1")
    world.end("a", None, SliceState.LOST)
    world.end("a-1", CONSEQUENCE)
    decision = world.decide()
    world.settle()
    assert {one.attempt for one in world.slices.values()} == {2}
    assert {one.state for one in world.slices.values()} == {SliceState.PENDING}
    assert decision.wake_ms > world.now_ms
    assert {one.not_before_ms for one in world.slices.values()} == {decision.wake_ms}


def test_slices_of_a_node_that_went_away_are_lost_and_repeated() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.nodes = {NodeId("other")}
    world.settle()
    assert world.slices["a"].attempt == 2


def test_what_is_lost_again_and_again_fails_the_run() -> None:
    world = RunWorld(staged_dag("a"))
    for _ in range(ATTEMPTS_MAX):
        world.settle()
        world.now_ms += 100_000
        world.place()
        world.run("a")
        world.end("a", AWAY)
    world.settle()
    world.go(["@discard"])
    assert world.record.state is RunState.FAILED
    assert world.record.failure
    assert world.record.failure.error == AWAY.error


def test_what_a_step_did_wrong_is_not_repeated() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.end("a", RAISED)
    world.settle()
    assert world.slices["a"].attempt == 1


def test_a_success_after_a_lost_attempt_clears_away_what_that_left() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.end("a", None, SliceState.LOST)
    world.settle()
    world.now_ms += 100_000
    world.go(["a", "@publish", "@discard"])
    assert world.record.state is RunState.SUCCEEDED


@pytest.mark.parametrize("placed", [False, True])
def test_a_cancelled_run_stops_its_slices(*, placed: bool) -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    if placed:
        world.place()
        world.run("a")
    world.record = changed(world.record, cancel=True)
    world.settle()
    assert world.slices["a"].state is SliceState.CANCELLED
    if placed:
        world.go(["@discard"])
    assert world.record.state is RunState.CANCELLED


def test_a_placed_slice_that_no_agent_has_begun_with_is_cancelled_by_the_decision_itself() -> None:
    """Its placement goes with it, so the agent may never see it: nobody else would write its end."""
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.settle()
    world.record = changed(world.record, cancel=True)
    decision = world.decide()
    assert [(one.slice, one.state) for one in decision.slices] == [("a", SliceState.CANCELLED)]
    assert [one.slice for one in decision.stop] == ["a"]


def test_a_run_that_is_committing_cannot_be_cancelled_any_more() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    world.record = changed(world.record, cancel=True)
    world.settle()
    assert world.record.state is RunState.COMMITTING
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_a_run_of_an_ended_session_was_cut_and_fails() -> None:
    world = RunWorld(staged_dag("a"))
    world.record = changed(world.record, session="before")
    world.session = "before"
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.session = "now"
    world.end("a", None, SliceState.LOST)
    world.go(["@discard"])
    assert world.record.state is RunState.FAILED
    assert world.record.failure
    assert world.record.failure.error.code == "cut"


def test_what_an_ended_session_was_committing_is_rolled_forward() -> None:
    world = RunWorld(staged_dag("a"))
    world.record = changed(world.record, session="before")
    world.session = "before"
    world.go(["a"])
    world.place()
    world.run("@publish")
    world.session = "now"
    world.end("@publish", None, SliceState.LOST)
    world.settle()
    world.now_ms += 100_000
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_publishing_waits_while_another_run_publishes_to_the_same_target() -> None:
    world = RunWorld(staged_dag("a"))
    other = RunId("1" * 26)
    world.claims[world.claimed] = other
    world.go(["a"])
    assert world.record.state is RunState.RUNNING
    assert other in world.record.waits_for
    del world.claims[world.claimed]
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_publishing_that_fails_is_tried_again_and_that_is_told() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    world.place()
    world.run("@publish")
    world.end("@publish", Failed(WireError("Unavailable", "disk_full", "no space left")))
    world.settle()
    assert "no space left" in world.record.waits_for
    assert world.slices["@publish"].attempt == 2
    world.now_ms += 100_000
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_publishing_refused_before_anything_was_visible_fails_the_run_whole() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    world.place()
    world.run("@publish")
    world.end("@publish", Failed(WireError("Conflict", "exists", "out.csv is there already")))
    world.go(["@discard"])
    assert world.record.state is RunState.FAILED
    assert world.claims == {}


def test_publishing_refused_behind_the_first_output_goes_on_forward() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    world.place()
    world.run("@publish")
    some = world.record.prepared
    world.end("@publish", Failed(WireError("Conflict", "exists", "there"), prepared=some))
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices["@publish"].state is SliceState.PENDING


def test_publishing_that_was_told_to_end_is_tried_again_for_who_was_before_it_may_have_published() -> (
    None
):
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    world.place()
    world.run("@publish")
    world.end("@publish", None, SliceState.LOST)
    world.settle()
    world.now_ms += 1_000_000
    world.place()
    world.run("@publish")
    told = Failed(WireError("Refused", "cancelled", "cancelled by SIGTERM"))
    world.end("@publish", told, SliceState.CANCELLED)
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices["@publish"].state is SliceState.PENDING


def test_an_assertion_that_does_not_hold_fails_the_run_with_the_figures() -> None:
    holds = Binary(Operator.LE, Name("rejected_ratio"), Literal(0.03))
    world = RunWorld(staged_dag("a", assertions=(Assertion("a", "rejected_ratio <= 0.03", holds),)))
    world.settle()
    world.place()
    world.run("a")
    facts = (NodeFacts("a.source", rows_out=10), NodeFacts("a.sink", rows_in=5, rejected=5))
    world.end(
        "a", Done(nodes=facts, rejections=(Rejections("a.c", "x", "missing", "x is missing", 5),))
    )
    world.settle()
    assert world.record.failure
    assert world.record.failure.error.code == "assertion_failed"
    assert "rejected_ratio is 0.5" in world.record.failure.error.text


def test_a_rehearsal_compares_and_publishes_nothing() -> None:
    world = RunWorld(staged_dag("a"))
    world.record = changed(world.record, rehearsal=True)
    world.go(["a", "@compare", "@discard"])
    assert world.record.state is RunState.SUCCEEDED
    assert RunState.COMMITTING not in world.states
    assert world.slices["@compare"].task is Task.COMPARE


def test_the_slices_that_end_a_run_take_no_room_and_stay_where_the_output_is() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    assert world.slices["@publish"].resources.cpu_m == 0
    assert world.slices["@publish"].pin == NODE


def test_a_run_that_is_over_stays_as_it_is() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a", "@publish"])
    world.record = changed(world.record, cancel=True)
    world.nodes = set()
    assert world.decide().is_nothing(world.record)
    assert world.record.run == RUN
