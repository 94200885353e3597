"""What is said of a run whose slices were out of their time: that, whatever they reported on their way out."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import RunWorld, staged_dag
from runink.dag import Limit, Limits, Resources
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import HerdName, RunId, SliceId
from runink.runs.failures import failure_of, may_pass
from runink.runs.limits import wall_time_s
from runink.runs.records import Exit, RunState, SliceRecord, SliceState

OUT = Exit("timeout", code=1, wall_s=61.2, wall_time_s=60.0)
RECORD = SliceRecord(
    SliceId("s"), RunId("r"), HerdName("h"), "g", SliceState.FAILED, Resources(), ended_ms=9, exit=OUT
)  # fmt: skip
CANCELLED = Failed(WireError("Refused", "cancelled", "cancelled by SIGTERM", ""))
CONSEQUENCE = Failed(WireError("Unavailable", "producer_failed", "gone", ""), consequence=True)
RAISED = Failed(WireError("Refused", "step_raised", "KeyError: 'x'", ""), step="s.step")


@pytest.mark.parametrize("report", [None, CANCELLED, CONSEQUENCE, RAISED])
def test_what_it_reported_on_its_way_out_is_not_why_it_ended(report: Failed | None) -> None:
    record = changed(RECORD, report=report, log_tail=("the last line",))
    failure = failure_of([record])
    assert failure is not None
    assert failure.error.code == "wall_time"
    assert failure.error.text == "slice s timed out after 60 s"
    assert "--timeout" in failure.error.hint
    assert failure.log_tail == ("the last line",)
    assert not may_pass(record), "it would be out of its time again"


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.25, "0.25 s"), (1.0, "1 s"), (5400.0, "5,400 s"), (0.001, "0.001 s")]
)
def test_the_time_is_told_as_it_was_allowed(seconds: float, told: str) -> None:
    failure = failure_of([changed(RECORD, exit=changed(OUT, wall_time_s=seconds))])
    assert failure is not None
    assert failure.error.text.endswith(f"timed out after {told}")


@pytest.mark.parametrize(
    ("state", "report", "exit_"),
    [
        (SliceState.FAILED, CONSEQUENCE, Exit("exited", code=1)),
        (SliceState.FAILED, None, Exit("signalled", code=-1, signal=9)),
        (SliceState.CANCELLED, CANCELLED, Exit("exited", code=1)),
    ],
)
def test_it_is_told_before_what_came_of_it(
    state: SliceState, report: Failed | None, exit_: Exit
) -> None:
    other = changed(
        RECORD, slice=SliceId("other"), state=state, report=report, exit=exit_, ended_ms=1
    )
    failure = failure_of([other, changed(RECORD, report=CANCELLED)])
    assert failure is not None
    assert (failure.error.code, failure.slice) == ("wall_time", "s")


def test_a_failure_that_came_before_it_by_itself_is_told_first() -> None:
    first = changed(RECORD, slice=SliceId("a"), report=RAISED, exit=Exit("exited", code=1), ended_ms=1)  # fmt: skip
    failure = failure_of([RECORD, first])
    assert failure is not None
    assert failure.error.code == "step_raised"


def test_one_that_was_stopped_while_it_was_out_of_its_time_may_pass() -> None:
    assert may_pass(changed(RECORD, state=SliceState.CANCELLED))


def test_the_line_that_allows_so_much_is_named() -> None:
    limits = Limits(wall_time=Limit(60_000, 12))
    failure = failure_of([changed(RECORD, limits=limits)])
    assert failure is not None
    assert failure.error.text == "slice s timed out after 60 s, limit from @timeout in line 12"
    assert "--timeout" not in failure.error.hint
    shorter = failure_of([changed(RECORD, limits=limits, exit=changed(OUT, wall_time_s=30.0))])
    assert shorter is not None
    assert "@timeout" not in shorter.error.text, "whoever ran it allowed less"


@pytest.mark.parametrize(
    ("by_run_s", "by_pipeline_ms", "allowed_s"),
    [(0.0, 0, 0.0), (5.0, 0, 5.0), (0.0, 250, 0.25), (5.0, 9000, 5.0), (5.0, 1000, 1.0)],
)
def test_a_slice_may_take_the_lesser_of_what_its_pipeline_and_its_runner_allow(
    by_run_s: float, by_pipeline_ms: int, allowed_s: float
) -> None:
    world = RunWorld(staged_dag("a"))
    limits = Limits(wall_time=Limit(by_pipeline_ms, 1)) if by_pipeline_ms else Limits()
    run = changed(world.record, wall_time_s=by_run_s)
    assert wall_time_s(run, changed(RECORD, limits=limits)) == allowed_s


def test_a_run_that_is_out_of_its_time_fails_and_names_the_line() -> None:
    world = RunWorld(changed(staged_dag("a", "b"), deadline=Limit(60_000, 1)))
    world.settle()
    assert world.decide().wake_ms == world.record.submitted_ms + 60_000
    world.go(["a"])
    world.place()
    world.run("b")
    world.now_ms = world.record.submitted_ms + 60_000
    world.settle()
    assert world.slices["b"].state is SliceState.CANCELLED
    world.go(["@discard"])
    assert world.record.state is RunState.FAILED
    assert world.record.failure
    assert world.record.failure.error.code == "deadline"
    assert (
        "1m after it was submitted, limit from @timeout in line 1"
        in world.record.failure.error.text
    )


def test_a_run_that_publishes_already_is_not_out_of_its_time() -> None:
    world = RunWorld(changed(staged_dag("a"), deadline=Limit(60_000, 1)))
    world.go(["a"])
    assert world.record.state is RunState.COMMITTING
    world.now_ms += 1_000_000
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED
