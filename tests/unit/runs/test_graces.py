"""Slices whose steps ask for a grace: told before they are stopped, and done if they come to their end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RunWorld, patient, staged_dag
from runink.names import NodeId, RunId, SliceId
from runink.runs.draining import DRAINED, PREEMPTED
from runink.runs.records import RunState, SliceState
from runink.runs.views import Yielding

BY = (RunId("1" * 26), "other")
WHY = "other of 1 needs its place, with priority 5"
OTHER = NodeId("other")


def begun(fan: int = 1) -> RunWorld:
    world = RunWorld(patient(staged_dag("a", fan=fan)), nodes={NODE, OTHER})
    world.settle()
    world.place()
    world.run(*world.slices)
    world.settle()
    return world


def preempted(world: RunWorld) -> None:
    world.yielding = {"a": Yielding(1, BY, WHY)}


def drained(world: RunWorld) -> None:
    world.draining.add(NODE)


@pytest.mark.parametrize("asks", [preempted, drained])
def test_a_gang_that_has_a_grace_is_told_whole_and_once_and_not_stopped(asks) -> None:
    world = begun(fan=2)
    asks(world)
    decision = world.decide()
    assert {one.slice for one in decision.tell} == {"a", "a-1"}
    assert (decision.stop, decision.slices) == ((), ())
    world.settle()
    assert world.told == {"a", "a-1"}
    assert all(one.state is SliceState.RUNNING for one in world.slices.values())
    assert world.decide().is_nothing(world.record)


@pytest.mark.parametrize("asks", [preempted, drained])
def test_what_ends_within_its_grace_is_done_and_the_run_goes_on(asks) -> None:
    world = begun()
    asks(world)
    world.settle()
    world.yielding = {}
    world.succeed("a")
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.SUCCEEDED, 1)
    assert world.record.state is RunState.COMMITTING


@pytest.mark.parametrize(
    ("asks", "code", "why"),
    [(preempted, PREEMPTED, WHY), (drained, DRAINED, "local is to be emptied")],
)
def test_what_is_stopped_behind_its_grace_begins_anew_and_says_what_it_had(asks, code, why) -> None:
    world = begun()
    asks(world)
    world.settle()
    world.end("a", None, SliceState.CANCELLED)
    world.put("a", is_moved=True)
    world.settle()
    one = world.slices["a"]
    assert (one.attempt, one.tries.losses, one.tries.failures) == (2, 0, {})
    assert (one.tries.code, one.tries.why) == (code, f"{why}; it had 2m for its end")


def test_it_counts_as_moved_though_the_node_takes_new_work_again_by_then() -> None:
    world = begun()
    drained(world)
    world.settle()
    world.draining.clear()
    world.end("a", None, SliceState.CANCELLED)
    world.put("a", is_moved=True)
    world.settle()
    assert (world.slices["a"].attempt, world.slices["a"].tries.losses) == (2, 0)


def test_what_is_placed_and_not_begun_has_no_grace() -> None:
    world = RunWorld(patient(staged_dag("a")))
    world.settle()
    world.place()
    preempted(world)
    decision = world.decide()
    assert [one.slice for one in decision.stop] == ["a"]
    assert decision.tell == ()
    world.settle()
    assert world.slices["a"].tries.why == WHY


def test_a_run_that_is_cancelled_has_none_either_though_its_slices_were_told() -> None:
    world = begun()
    preempted(world)
    world.settle()
    world.record = changed(world.record, cancel=True)
    assert [one.slice for one in world.decide().stop] == ["a"]


def test_the_rest_of_a_gang_is_stopped_when_one_of_it_has_given_up() -> None:
    world = begun(fan=2)
    preempted(world)
    world.settle()
    world.end("a", None, SliceState.CANCELLED)
    decision = world.decide()
    while not decision.stop:
        assert not decision.is_nothing(world.record)
        world.record = decision.record
        world.slices |= {one.slice: one for one in decision.slices}
        decision = world.decide()
    assert [one.slice for one in decision.stop] == [SliceId("a-1")]


@pytest.mark.parametrize(("most_ms", "has_ms"), [(0, 0), (60_000, 60_000), (300_000, 120_000)])
def test_a_slice_begins_with_no_more_of_it_than_its_herd_has(most_ms: int, has_ms: int) -> None:
    world = RunWorld(patient(staged_dag("a")), grace_max_ms=most_ms)
    world.settle()
    assert world.slices["a"].wants.grace_ms == has_ms


def drained_in_the_middle(*scenarios: str) -> RunWorld:
    """Return a run whose first gang has left files on a node that is drained now, and whose second runs there with a grace."""
    world = RunWorld(patient(staged_dag(*scenarios)), nodes={NODE, OTHER})
    world.go([scenarios[0]])
    world.place()
    world.run(scenarios[1])
    world.settle()
    drained(world)
    world.settle()
    assert world.told == {scenarios[1]}
    assert world.slices[scenarios[0]].state is SliceState.SUCCEEDED, "it is read from yet"
    return world


def test_files_on_a_drained_node_stay_while_what_may_make_the_run_whole_has_its_grace() -> None:
    world = drained_in_the_middle("a", "b")
    world.succeed("b")
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert {one.attempt for one in world.slices.values()} == {1}
    assert world.slices["@publish"].pin == NODE


@pytest.mark.parametrize("ends_well", [True, False])
def test_they_leave_when_the_grace_is_over_and_the_run_is_not_whole(*, ends_well: bool) -> None:
    world = drained_in_the_middle("a", "b", "c")
    if ends_well:
        world.succeed("b")
    else:
        world.end("b", None, SliceState.CANCELLED)
        world.put("b", is_moved=True)
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.PENDING, 2)
    assert "c" not in world.slices
    assert world.slices["b"].state is SliceState.CANCELLED, "it waits for what it reads"


def test_what_is_left_of_a_gang_keeps_its_grace_when_a_part_of_it_is_done() -> None:
    world = begun(fan=2)
    drained(world)
    world.settle()
    world.succeed("a")
    world.settle()
    assert (world.slices["a-1"].state, world.told) == (SliceState.RUNNING, {"a-1"})
    world.succeed("a-1")
    world.settle()
    assert world.record.state is RunState.COMMITTING


def test_nothing_of_the_run_begins_meanwhile_for_its_files_are_where_nothing_new_goes() -> None:
    dag = patient(staged_dag("a", "b", "c"))
    nodes = (
        changed(one, staged_from="a.sink") if one.id == "c.source" else one for one in dag.nodes
    )
    world = RunWorld(changed(dag, nodes=tuple(nodes)), nodes={NODE, OTHER})
    world.go("a")
    world.place()
    world.run("b", "c")
    world.settle()
    drained(world)
    world.settle()
    assert world.told == {"b", "c"}
    world.end("c", None, SliceState.CANCELLED)
    world.put("c", is_moved=True)
    world.settle()
    assert (world.slices["c"].state, world.slices["c"].attempt) == (SliceState.CANCELLED, 1)
    world.succeed("b")
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.PENDING, 2)
