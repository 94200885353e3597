"""Gangs that are stopped for others of higher priority: announced, not counted, and begun anew."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RunWorld, staged_dag
from runink.errors import WireError
from runink.jobs import Failed
from runink.names import RunId, SliceId
from runink.runs.draining import PREEMPTED
from runink.runs.durations import UNKNOWN_MS
from runink.runs.records import ATTEMPTS_MAX, RunState, SliceState, Turn
from runink.runs.views import Yielding

BY = (RunId("1" * 26), "other")
WHY = "other of 1 needs its place, with priority 5"


def ask(world: RunWorld, gang: str, attempt: int = 1) -> None:
    """What the scheduler does."""
    world.yielding = {gang: Yielding(attempt, BY, WHY)}


def begun(fan: int = 1) -> RunWorld:
    world = RunWorld(staged_dag("a", fan=fan))
    world.settle()
    world.place()
    world.run(*world.slices)
    world.settle()
    return world


def test_a_gang_that_gives_way_is_stopped_whole_and_the_run_says_for_whom() -> None:
    world = begun(fan=2)
    ask(world, "a")
    decision = world.decide()
    assert {one.slice for one in decision.stop} == {"a", "a-1"}
    assert decision.slices == ()
    assert decision.asked_by == (BY,)
    assert decision.record.yielded["a"].why == WHY


def test_it_begins_anew_at_once_and_no_try_of_it_is_used_up() -> None:
    world = begun()
    ask(world, "a")
    world.settle()
    one = world.slices["a"]
    assert (one.state, one.attempt, one.node) == (SliceState.PENDING, 2, None)
    assert one.not_before_ms <= world.now_ms
    assert (one.tries.losses, one.tries.failures) == (0, {})
    assert (one.tries.code, one.tries.why) == (PREEMPTED, WHY)
    assert WHY in one.waits_for


def test_it_may_give_way_more_often_than_it_may_be_lost() -> None:
    world = begun()
    for attempt in range(1, ATTEMPTS_MAX + 3):
        ask(world, "a", attempt)
        world.settle()
        assert world.slices["a"].attempt == attempt + 1
        world.place()
        world.run("a")
        world.settle()
    world.yielding = {}
    world.succeed("a")
    world.settle()
    assert world.record.state is RunState.COMMITTING


def test_what_is_placed_and_not_begun_is_cancelled_by_the_controller() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    ask(world, "a")
    decision = world.decide()
    (one,) = decision.slices
    assert (one.state, one.is_moved) == (SliceState.CANCELLED, True)
    assert [stopped.slice for stopped in decision.stop] == ["a"]


def test_it_is_not_counted_though_nobody_asks_any_more_when_it_has_ended() -> None:
    world = begun()
    ask(world, "a")
    world.record = world.decide().record
    world.placed.discard(SliceId("a"))
    world.yielding = {}
    world.end("a", None, SliceState.CANCELLED)
    world.settle()
    assert (world.slices["a"].attempt, world.slices["a"].tries.losses) == (2, 0)


@pytest.mark.parametrize("attempt", [0, 2])
def test_another_attempt_than_the_one_that_is_asked_for_goes_on(attempt: int) -> None:
    world = begun()
    ask(world, "a", attempt)
    assert world.decide().is_nothing(world.record)


def test_what_has_ended_by_itself_before_it_could_be_stopped_is_as_it_ended() -> None:
    world = begun()
    ask(world, "a")
    world.record = world.decide().record
    world.placed.discard(SliceId("a"))
    world.end("a", Failed(WireError("Refused", "contract_failed", "x")))
    world.settle()
    assert world.record.ending is RunState.FAILED or world.record.state is RunState.FAILED


def test_what_succeeds_while_it_is_being_stopped_has_succeeded() -> None:
    world = begun()
    ask(world, "a")
    world.record = world.decide().record
    world.succeed("a")
    world.settle()
    assert world.record.state is RunState.COMMITTING


def test_what_publishes_is_not_stopped_for_others() -> None:
    world = begun()
    world.succeed("a")
    world.settle()
    world.place()
    world.run("@publish")
    ask(world, "@publish")
    assert world.decide().is_nothing(world.record)


def test_a_run_that_is_cancelled_ends_though_it_was_to_give_way() -> None:
    world = begun()
    ask(world, "a")
    world.record = world.decide().record
    world.put("a", state=SliceState.CANCELLED, ended_ms=world.now_ms)
    world.placed.discard(SliceId("a"))
    world.record = changed(world.record, cancel=True)
    world.settle()
    assert world.record.ending is RunState.CANCELLED


def test_a_slice_knows_its_runs_turn_and_since_when_it_waits() -> None:
    world = begun()
    assert world.slices["a"].turn == Turn(0, 1, since_ms=1000, rank_ms=UNKNOWN_MS)
    world.put("a", turn=Turn(0, 1, 1000, 1500, UNKNOWN_MS))
    world.now_ms = 2000
    ask(world, "a")
    world.settle()
    assert world.slices["a"].turn == Turn(0, 1, since_ms=2000, rank_ms=UNKNOWN_MS)
    assert world.slices["a"].node is not NODE
