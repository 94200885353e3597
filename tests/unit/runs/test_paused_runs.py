"""A run that is paused begins nothing new: no gang, no further try, no publishing; what runs goes on."""

from __future__ import annotations

from msgspec.structs import replace as changed
from run_world import RunWorld, staged_dag
from runink.errors import WireError
from runink.jobs import Failed
from runink.runs.pausing import PAUSED
from runink.runs.records import RunState, SliceState
from runink.tries import Retry

RAISED = Failed(WireError("Refused", "step_raised", "x"), step="a.source")


def pause(world: RunWorld, *, paused: bool = True) -> None:
    world.record = changed(world.record, paused=paused)
    world.settle()


def test_what_runs_goes_on_and_no_other_gang_begins() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.settle()
    world.place()
    world.run("a")
    pause(world)
    assert world.slices["a"].state is SliceState.RUNNING
    world.succeed("a")
    world.settle()
    assert set(world.slices) == {"a"}
    assert world.record.waits_for == PAUSED
    pause(world, paused=False)
    world.go(["b", "@publish"])
    assert world.record.state is RunState.SUCCEEDED
    assert world.record.waits_for == ""


def test_what_waits_for_a_place_is_held_back_and_let_go() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    pause(world)
    world.now_ms += 10**12
    world.place()
    assert world.slices["a"].state is SliceState.PENDING
    pause(world, paused=False)
    world.go(["a", "@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_a_run_that_is_not_admitted_yet_stays_so() -> None:
    world = RunWorld(staged_dag("a"))
    pause(world)
    assert (world.record.state, world.slices) == (RunState.SUBMITTED, {})
    pause(world, paused=False)
    world.go(["a", "@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_nothing_is_published_until_it_goes_on() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    pause(world)
    world.succeed("a")
    world.settle()
    assert world.record.state is RunState.RUNNING
    pause(world, paused=False)
    assert world.record.state is RunState.COMMITTING


def test_what_failed_is_tried_again_when_it_goes_on() -> None:
    world = RunWorld(changed(staged_dag("a"), retries={"a.source": Retry(1)}))
    world.settle()
    world.place()
    world.run("a")
    pause(world)
    world.end("a", RAISED)
    world.settle()
    assert (world.slices["a"].attempt, world.record.ending) == (1, None)
    pause(world, paused=False)
    assert world.slices["a"].attempt == 2


def test_it_can_be_cancelled() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.settle()
    world.place()
    world.run("a")
    pause(world)
    world.record = changed(world.record, cancel=True)
    world.settle()
    world.go(["@discard"])
    assert world.record.state is RunState.CANCELLED


def test_one_that_publishes_is_seen_through() -> None:
    world = RunWorld(staged_dag("a"))
    world.go(["a"])
    pause(world)
    world.go(["@publish"])
    assert world.record.state is RunState.SUCCEEDED


def test_a_gang_that_failed_does_not_keep_another_one_from_being_held_back() -> None:
    dag = staged_dag("a")
    other = staged_dag("b")
    both = changed(
        dag,
        scenarios=(*dag.scenarios, *other.scenarios),
        nodes=(*dag.nodes, *other.nodes),
        links=(*dag.links, *other.links),
        slices=(*dag.slices, *other.slices),
        retries={"a.source": Retry(1)},
    )
    world = RunWorld(both)
    world.settle()
    world.place()
    world.run("a")
    world.put("b", state=SliceState.PENDING, node=None)
    world.placed.discard(world.slices["b"].slice)
    world.end("a", RAISED)
    pause(world)
    world.now_ms += 10**12
    world.place()
    assert world.slices["b"].state is SliceState.PENDING
    assert world.slices["a"].attempt == 1
