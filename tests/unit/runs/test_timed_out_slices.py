"""What is said of a run whose slices were out of their time: that, whatever they reported on their way out."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.dag import Resources
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import HerdName, RunId, SliceId
from runink.runs.failures import failure_of, may_pass
from runink.runs.records import Exit, SliceRecord, SliceState

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
