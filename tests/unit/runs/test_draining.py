"""A node that is to be emptied: what leaves it, where that goes on, and what does not count."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, staged_dag
from runink.dag import Dag, Sink
from runink.errors import WireError
from runink.jobs import Done, Failed
from runink.names import NodeId, SliceId
from runink.runs.draining import left_on
from runink.runs.records import ATTEMPTS_MAX, RunState, SliceRecord, SliceState

OTHER = NodeId("other")


def remote(dag: Dag) -> Dag:
    """Return the pipeline with all that it writes in an object store."""
    nodes = tuple(
        changed(node, path=f"s3://bucket/{node.path}") if isinstance(node, Sink) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def two_nodes(dag: Dag) -> RunWorld:
    return RunWorld(dag, nodes={NODE, OTHER})


def left(world: RunWorld, node: NodeId = NODE) -> set[SliceId]:
    return {one.slice for one in left_on(node, [world.record], world.slices.values())}


def move(world: RunWorld, name: str, node: NodeId = OTHER) -> None:
    """What the scheduler and an agent do."""
    world.put(name, state=SliceState.PLACED, node=node)
    world.placed.add(SliceId(name))
    world.run(name)


def test_what_runs_on_a_node_that_is_drained_begins_anew_at_once() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    assert left(world) == {"a"}
    world.draining.add(NODE)
    world.settle()
    one = world.slices["a"]
    assert (one.state, one.attempt, one.pin, one.failed_on) == (SliceState.PENDING, 2, None, set())
    assert one.not_before_ms <= world.now_ms
    assert not world.placed
    assert not left(world)
    move(world, "a")
    world.settle()
    world.succeed("a")
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices["@publish"].pin == OTHER


def test_what_was_stopped_does_not_count_when_the_drain_is_over_before_it_is_looked_at() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.end("a", None, SliceState.CANCELLED)
    world.cordoned.add(NODE)
    world.settle()
    assert (world.slices["a"].attempt, world.slices["a"].tries.losses) == (2, 0)


def test_a_run_whose_files_are_on_a_cordoned_node_goes_on_there() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.settle()
    world.place()
    world.run("a")
    world.cordoned.add(NODE)
    world.settle()
    world.succeed("a")
    world.settle()
    assert (world.slices["a"].attempt, world.slices["b"].pin) == (1, NODE)


def test_what_is_only_placed_there_is_taken_back() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.draining.add(NODE)
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.PENDING, 2)
    assert not world.placed


def test_a_gang_is_begun_anew_when_all_of_it_has_ended() -> None:
    world = two_nodes(staged_dag("a", fan=2))
    world.settle()
    world.place()
    world.run("a", "a-1")
    world.settle()
    world.draining.add(NODE)
    decision = world.decide()
    assert {one.slice for one in decision.stop} == {"a", "a-1"}
    world.placed.clear()
    world.put("a", state=SliceState.CANCELLED)
    world.settle()
    assert [one.attempt for one in world.slices.values()] == [1, 1]
    assert left(world) == {"a-1"}
    world.put("a-1", state=SliceState.CANCELLED)
    world.settle()
    assert [one.attempt for one in world.slices.values()] == [2, 2]


def test_no_number_of_drains_ends_a_run_and_they_count_for_no_loss() -> None:
    world = two_nodes(staged_dag("a"))
    for node in (NODE, OTHER) * ATTEMPTS_MAX:
        world.draining.discard(node)
        world.settle()
        move(world, "a", node)
        world.draining.add(node)
        world.settle()
        world.draining.clear()
    for _ in range(ATTEMPTS_MAX - 1):
        move(world, "a", OTHER)
        world.nodes.remove(OTHER)
        world.settle()
        assert world.slices["a"].state is SliceState.PENDING
        world.nodes.add(OTHER)
    move(world, "a", OTHER)
    world.nodes.remove(OTHER)
    world.settle()
    assert world.record.ending is RunState.FAILED


def test_what_lost_slices_have_left_to_try_is_not_ended_by_a_drain() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    for _ in range(ATTEMPTS_MAX - 1):
        move(world, "a", NODE)
        world.nodes.remove(NODE)
        world.settle()
        world.nodes.add(NODE)
    move(world, "a", NODE)
    world.draining.add(NODE)
    world.settle()
    assert world.record.ending is None
    assert (world.slices["a"].state, world.slices["a"].attempt) == (
        SliceState.PENDING,
        ATTEMPTS_MAX + 1,
    )


def test_files_that_others_are_to_read_are_made_anew_elsewhere_first() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    assert left(world) == {"a", "b"}
    world.place()
    world.run("b")
    world.draining.add(NODE)
    world.settle()
    first, second = world.slices["a"], world.slices["b"]
    assert (first.state, first.attempt, first.pin) == (SliceState.PENDING, 2, None)
    assert (second.state, second.attempt) == (SliceState.CANCELLED, 1)
    assert not left(world)
    move(world, "a")
    world.settle()
    world.succeed("a")
    world.settle()
    assert (world.slices["b"].attempt, world.slices["b"].pin) == (2, OTHER)
    assert not world.slices["a"].tries.losses
    assert not world.slices["b"].tries.losses


def test_what_waits_for_its_input_does_not_count_when_the_node_is_a_common_one_by_then() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    world.place()
    world.run("b")
    world.draining.add(NODE)
    world.settle()
    world.draining.clear()
    world.settle()
    assert world.slices["b"].state is SliceState.CANCELLED
    move(world, "a")
    world.settle()
    world.succeed("a")
    world.settle()
    assert (world.slices["b"].attempt, world.slices["b"].tries.losses) == (2, 0)


def test_what_waits_for_a_place_there_goes_elsewhere_too() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    assert world.slices["b"].pin == NODE
    world.draining.add(NODE)
    world.settle()
    assert world.slices["a"].attempt == 2
    assert world.slices["b"].state is SliceState.CANCELLED


def test_what_lies_in_an_object_store_stays_done() -> None:
    world = two_nodes(remote(staged_dag("a", "b")))
    world.settle()
    world.place()
    world.end("a", Done())
    world.settle()
    world.draining.add(NODE)
    world.settle()
    assert world.slices["a"].state is SliceState.SUCCEEDED
    assert not left(world)


def test_a_run_that_is_whole_is_published_where_its_files_are() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.succeed("a")
    world.draining.add(NODE)
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices["a"].attempt == 1
    assert world.slices["@publish"].pin == NODE
    assert left(world) == {"a", "@publish"}
    world.place()
    world.end("@publish", Done())
    world.settle()
    assert world.record.state is RunState.SUCCEEDED
    assert not left(world)


def test_a_drain_does_not_wait_for_a_run_that_is_paused() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.record = changed(world.record, paused=True)
    world.succeed("a")
    world.settle()
    assert left(world) == {"a"}
    world.draining.add(NODE)
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.CANCELLED, 1)
    assert not left(world)
    world.draining.clear()
    world.record = changed(world.record, paused=False)
    world.settle()
    one = world.slices["a"]
    assert (one.state, one.attempt, one.tries.losses) == (SliceState.PENDING, 2, 0)


def test_a_step_that_failed_before_it_could_be_stopped_has_failed() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.draining.add(NODE)
    world.end("a", Failed(WireError("Refused", "step_raised", "no", "")))
    world.settle()
    assert world.record.ending is RunState.FAILED
    assert "a" in left(world), "what it left aside is cleared away there"


def test_a_run_that_ends_is_not_begun_anew() -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.settle()
    world.record = changed(world.record, cancel=True)
    world.draining.add(NODE)
    world.settle()
    assert world.slices["a"].attempt == 1
    assert world.record.ending is RunState.CANCELLED


@pytest.mark.parametrize("state", list(SliceState))
def test_nothing_of_another_node_keeps_one_from_being_empty(state: SliceState) -> None:
    world = two_nodes(staged_dag("a"))
    world.settle()
    one: SliceRecord = changed(world.slices["a"], state=state, node=OTHER, run=RUN)
    assert not left_on(NODE, [world.record], [one])
