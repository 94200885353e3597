"""What a slice wrote aside on a machine is wanted for as long as a run may publish it, keep it or take it over."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import RUN, RunWorld, staged_dag
from runink.names import RunId, SliceId
from runink.runs.leavings import is_wanted
from runink.runs.records import RunRecord, RunState

A, B = SliceId("a"), SliceId("b")
NEXT, LAST = RunId("1" * 26), RunId("2" * 26)


def run(name: RunId = RUN, state: RunState = RunState.FAILED, **more: object) -> RunRecord:
    return changed(RunWorld(staged_dag("a")).record, run=name, state=state, **more)


def wanted(*runs: RunRecord, name: SliceId = A) -> bool:
    return is_wanted(RUN, name, {one.run: one for one in runs})


@pytest.mark.parametrize("state", RunState)
def test_all_of_a_run_that_is_not_over_is_wanted_and_nothing_of_one_that_is(
    state: RunState,
) -> None:
    assert wanted(run(state=state)) is not state.is_over


def test_nothing_of_a_run_that_nobody_knows_is_wanted() -> None:
    assert not wanted()


def test_what_a_failed_run_keeps_is_wanted_until_that_is_over() -> None:
    kept = run(kept=(A,), kept_until_ms=5)
    assert wanted(kept)
    assert wanted(changed(kept, kept=())), "its last slice that takes away may still want it"
    assert not wanted(changed(kept, kept=(), kept_until_ms=0))


def test_what_was_taken_over_is_wanted_for_as_long_as_who_took_it_over_wants_it() -> None:
    old = run(kept=(A,), resumed_by=NEXT)
    assert wanted(old, run(NEXT, RunState.RUNNING))
    assert not wanted(old, run(NEXT, RunState.RUNNING), name=B), "it was not taken over"
    assert not wanted(old, run(NEXT, RunState.SUCCEEDED))
    assert not wanted(old, run(NEXT, RunState.CANCELLED))
    assert wanted(old, run(NEXT, kept=(A, B), kept_until_ms=5))
    assert not wanted(old), "who took it over is forgotten"
    then = run(NEXT, kept=(A,), resumed_by=LAST)
    assert wanted(old, then, run(LAST, RunState.RUNNING))
    assert not wanted(old, then, run(LAST, RunState.SUCCEEDED))


def test_runs_that_go_on_from_each_other_in_a_circle_want_nothing() -> None:
    assert not wanted(run(kept=(A,), resumed_by=NEXT), run(NEXT, kept=(A,), resumed_by=RUN))
