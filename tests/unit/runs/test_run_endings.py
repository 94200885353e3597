"""What ends a run from outside, and what it then says of itself."""

from __future__ import annotations

from msgspec.structs import replace as changed
from run_world import RunWorld, staged_dag
from runink.runs.failures import REPLACED
from runink.runs.lifecycle import PUBLISH
from runink.runs.records import Failure, RunState

DEADLINE_MS = 5_000


def begun() -> RunWorld:
    """A run that has a deadline and is running."""
    world = RunWorld(staged_dag("a"))
    world.record = changed(world.record, deadline_ms=DEADLINE_MS)
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    assert world.record.state is RunState.RUNNING
    return world


def test_a_run_is_looked_at_again_at_its_deadline_and_ends_then() -> None:
    world = begun()
    assert world.decide().wake_ms == DEADLINE_MS
    world.now_ms = DEADLINE_MS - 1
    world.settle()
    assert world.record.ending is None
    world.now_ms = DEADLINE_MS
    world.settle()
    assert world.record.ending is RunState.CANCELLED
    assert world.record.failure is not None
    assert world.record.failure.error.code == "deadline"


def test_a_run_that_waits_for_room_is_late_as_any_other() -> None:
    world = RunWorld(staged_dag("a"), refused="the herd is full")
    world.record = changed(world.record, deadline_ms=DEADLINE_MS)
    world.settle()
    assert (world.record.state, world.decide().wake_ms) == (RunState.SUBMITTED, DEADLINE_MS)
    world.now_ms = DEADLINE_MS
    world.settle()
    assert world.record.state is RunState.CANCELLED


def test_what_publishes_already_is_not_late() -> None:
    world = begun()
    world.succeed("a")
    world.settle()
    assert world.record.state is RunState.COMMITTING
    world.now_ms = DEADLINE_MS
    world.settle()
    assert (world.record.ending, PUBLISH in world.slices) == (None, True)


def test_a_run_that_is_cancelled_for_a_reason_tells_it() -> None:
    world = begun()
    world.record = changed(world.record, cancel=True, failure=Failure(REPLACED))
    world.settle()
    assert world.record.ending is RunState.CANCELLED
    assert world.record.failure == Failure(REPLACED)
