"""What is tried again: what steps do wrong as their `@retry` says, what was lost as ever, and neither at the other's cost."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RunWorld, staged_dag
from runink.dag import Dag
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import NodeId
from runink.runs.attempts import EARLIER_MAX, Earlier, Fault
from runink.runs.records import ATTEMPTS_MAX, Exit, RunState, SliceRecord, SliceState
from runink.runs.retries import anew, backoff_ms
from runink.tries import Retry

RAISED = Failed(WireError("Refused", "step_raised", "step x raised KeyError: 'k'"), step="a.source")
ELSEWHERE = Failed(WireError("Refused", "step_raised", "ValueError"), step="a.sink")
BROKEN = Failed(WireError("Refused", "contract_broken", "id is missing"), step="a.source")
CONSEQUENCE = Failed(WireError("Unavailable", "producer_failed", "gone"), consequence=True)
KILLED = Exit("signalled", -1, 9)
OUT_OF_TIME = Exit("timeout", 1, wall_time_s=2.0)
OOM = Exit("oom", -1, 9)


def world_of(*, fan: int = 1, **retries: Retry) -> RunWorld:
    policies = {f"a.{node}": retry for node, retry in retries.items()}
    dag: Dag = changed(staged_dag("a", fan=fan), retries=policies)
    world = RunWorld(dag)
    world.settle()
    return world


def fail(
    world: RunWorld,
    report: Failed | None,
    *,
    exit_: Exit | None = None,
    state: SliceState | None = None,
) -> None:
    world.now_ms += 100_000_000
    world.place()
    world.run("a")
    world.put("a", exit=exit_)
    world.end("a", report, state)
    world.settle()


def test_a_step_that_raises_is_tried_again_as_often_as_it_says() -> None:
    world = world_of(source=Retry(2))
    for attempt in (2, 3):
        fail(world, RAISED)
        assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.PENDING, attempt)
    fail(world, RAISED)
    assert world.record.ending is RunState.FAILED
    world.go(["@discard"])
    assert world.record.failure
    assert world.record.failure.error == RAISED.error


def test_where_each_attempt_was_is_known_of_the_latest_of_them() -> None:
    one = changed(world_of().slices["a"], node=NODE)
    for _ in range(EARLIER_MAX + 3):
        waits = anew(one, not_before_ms=0)
        assert waits.node_of(waits.attempt) is None
        one = changed(waits, node=NodeId(f"n{waits.attempt}"))
    assert one.attempt == EARLIER_MAX + 4
    assert len(one.earlier) == EARLIER_MAX
    assert one.node_of(one.attempt) == f"n{one.attempt}"
    assert one.node_of(one.attempt - 1) == f"n{one.attempt - 1}"
    assert one.node_of(one.attempt - EARLIER_MAX) == f"n{one.attempt - EARLIER_MAX}"
    assert one.node_of(one.attempt - EARLIER_MAX - 1) is None
    never = anew(changed(one, node=None), not_before_ms=0)
    assert never.node_of(one.attempt) is None
    assert never.earlier == one.earlier, "an attempt that had no node takes no room"


CANCELLED = Failed(WireError("Refused", "cancelled", "cancelled"))


@pytest.mark.parametrize(
    ("state", "report", "fault"),
    [
        (SliceState.LOST, None, Fault.LOST),
        (SliceState.FAILED, RAISED, Fault.FAILED),
        (SliceState.FAILED, None, Fault.FAILED),
        (SliceState.FAILED, CONSEQUENCE, Fault.NONE),
        (SliceState.FAILED, CANCELLED, Fault.NONE),
        (SliceState.CANCELLED, None, Fault.NONE),
        (SliceState.SUCCEEDED, None, Fault.NONE),
    ],
)
def test_an_attempt_counts_against_its_node_if_it_ended_badly_there_by_itself(
    state: SliceState, report: Failed | None, fault: Fault
) -> None:
    one = changed(world_of().slices["a"], node=NODE, state=state, report=report)
    again = anew(one, not_before_ms=0)
    assert again.earlier == (Earlier(1, NODE, fault),)
    assert again.failed_on == (set() if fault is Fault.NONE else {NODE})
    later = anew(changed(again, node=NodeId("n2"), state=SliceState.LOST), not_before_ms=0)
    assert later.failed_on == again.failed_on | {"n2"}, "none of them is forgotten"


def test_what_an_older_release_wrote_of_attempts_is_read_and_counts_against_no_node() -> None:
    one = changed(world_of().slices["a"], attempt=2, earlier=(Earlier(1, NODE, Fault.LOST),))
    old = msgspec.json.decode(msgspec.json.encode(one))
    old["earlier"] = [[1, NODE]]
    old["lost_on"] = NODE
    read = msgspec.json.decode(msgspec.json.encode(old), type=SliceRecord)
    assert (read.earlier, read.failed_on) == ((Earlier(1, NODE),), set())
    assert read.node_of(1) == NODE


def test_one_that_goes_well_the_second_time_publishes_and_clears_the_first_away() -> None:
    world = world_of(source=Retry(1))
    fail(world, RAISED)
    world.now_ms += 1_000_000
    world.go(["a", "@publish", "@discard"])
    assert world.record.state is RunState.SUCCEEDED


def test_each_step_has_tries_of_its_own() -> None:
    world = world_of(source=Retry(1), sink=Retry(1))
    fail(world, RAISED)
    fail(world, ELSEWHERE)
    assert world.slices["a"].tries.failures == {"a.source": 1, "a.sink": 1}
    assert world.record.ending is None
    fail(world, RAISED)
    assert world.record.ending is RunState.FAILED


def test_another_steps_patience_is_not_that_of_the_one_that_failed() -> None:
    world = world_of(sink=Retry(5))
    fail(world, RAISED)
    assert world.record.ending is RunState.FAILED


def test_losses_and_failures_do_not_eat_each_others_tries() -> None:
    world = world_of(source=Retry(ATTEMPTS_MAX))
    for _ in range(ATTEMPTS_MAX - 1):
        fail(world, None, state=SliceState.LOST)
    for _ in range(ATTEMPTS_MAX):
        fail(world, RAISED)
    assert world.record.ending is None
    assert world.slices["a"].attempt == 2 * ATTEMPTS_MAX
    fail(world, None, state=SliceState.LOST)
    assert world.record.ending is RunState.FAILED


@pytest.mark.parametrize("exit_", [KILLED, OUT_OF_TIME, Exit("exited", 3)])
def test_a_process_that_ends_without_saying_where_is_tried_as_its_most_patient_node(
    exit_: Exit,
) -> None:
    world = world_of(source=Retry(1), sink=Retry(2))
    for _ in range(2):
        fail(world, None, exit_=exit_)
    assert world.slices["a"].tries.failures == {"a": 2}
    assert world.record.ending is None
    fail(world, None, exit_=exit_)
    assert world.record.ending is RunState.FAILED


@pytest.mark.parametrize(
    ("report", "exit_"),
    [
        (BROKEN, None),
        (Failed(WireError("Refused", "contract_drift", "another shape"), step="a.source"), None),
        (Failed(WireError("Refused", "not_cleared", "no"), step="a.source"), None),
        (Failed(WireError("Refused", "step_missing", "no"), step="a.source"), None),
        (None, OOM),
    ],
)
def test_what_would_be_met_again_is_not_tried_again(
    report: Failed | None, exit_: Exit | None
) -> None:
    world = world_of(source=Retry(9), sink=Retry(9))
    fail(world, report, exit_=exit_)
    assert world.record.ending is RunState.FAILED


def test_the_whole_gang_is_repeated_and_counts_as_one() -> None:
    world = world_of(fan=2, source=Retry(1))
    world.place()
    world.run("a", "a-1")
    world.end("a-1", CONSEQUENCE)
    world.end("a", RAISED)
    world.settle()
    assert {one.attempt for one in world.slices.values()} == {2}
    assert {one.tries.losses for one in world.slices.values()} == {0}
    assert len({one.not_before_ms for one in world.slices.values()}) == 1


def test_while_it_waits_the_run_says_why_and_a_cancel_takes_it_back() -> None:
    world = world_of(source=Retry(3, 60_000))
    fail(world, RAISED)
    assert world.record.waits_for == "attempt 2, because step x raised KeyError: 'k'"
    assert 45_000 <= world.slices["a"].not_before_ms - world.now_ms <= 60_000
    world.record = changed(world.record, cancel=True)
    world.settle()
    assert world.slices["a"].state is SliceState.CANCELLED
    world.go(["@discard"])
    assert world.record.state is RunState.CANCELLED


def test_the_waits_double_up_to_the_longest() -> None:
    waits = [
        backoff_ms("r", attempt=attempt, first_ms=10_000, longest_ms=60_000)
        for attempt in range(2, 40)
    ]
    for wait, whole in zip(waits, [10_000, 20_000, 40_000] + [60_000] * 99, strict=False):
        assert whole * 3 // 4 <= wait <= whole


def test_a_wait_may_be_a_millisecond() -> None:
    assert backoff_ms("r", attempt=2, first_ms=1, longest_ms=1) in (0, 1)


def test_a_failure_without_a_policy_ends_the_run_at_once() -> None:
    world = world_of()
    fail(world, RAISED)
    assert world.record.ending is RunState.FAILED
