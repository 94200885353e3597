"""Runs whose nodes are drained again and again, with a grace and without: it ends none of them, counts for nothing, and leaves nothing where it was taken away."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "runs"))

from run_world import NODE, RunWorld, patient, staged_dag
from runink.names import NodeId, SliceId
from runink.runs.draining import left_on
from runink.runs.records import RunState, SliceState, Task

NODES = (NODE, NodeId("other"))
EVENTS = st.sampled_from(
    ["drain", "uncordon", "emptied", "succeed", "succeed", "place", "place", "give up", "give up"]
)


def place(world: RunWorld, pick: int) -> None:
    """What the scheduler does: chains go where work may go, ends where they belong."""
    ready = [node for node in NODES if node not in world.draining | world.cordoned]
    for name, one in world.slices.items():
        free = [one.pin] if one.pin and (one.pin in ready or one.task is not Task.CHAIN) else ready
        if one.pin is not None and one.pin not in free:
            continue
        if one.state is SliceState.PENDING and free:
            world.put(name, state=SliceState.PLACED, node=free[pick % len(free)], waits_for="")
            world.placed.add(SliceId(name))
            world.run(name)


def happen(world: RunWorld, event: str, pick: int) -> None:
    node = NODES[pick % len(NODES)]
    on_node = sorted(name for name, one in world.slices.items() if one.state.is_on_node)
    match event:
        case "drain":
            world.draining.add(node)
        case "emptied" if node in world.draining:
            if not left_on(node, [world.record], world.slices.values()):
                world.draining.discard(node)
                world.cordoned.add(node)
        case "uncordon":
            world.draining.discard(node)
            world.cordoned.discard(node)
        case "place":
            place(world, pick)
        case "succeed" if on_node:
            world.succeed(on_node[pick % len(on_node)])
        case "give up" if world.told:
            name = sorted(world.told)[pick % len(world.told)]
            world.end(name, None, SliceState.CANCELLED)
            world.put(name, is_moved=True)


@given(
    st.lists(st.tuples(EVENTS, st.integers(0, 5)), max_size=40),
    st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 60_000]),
)
def test_no_drains_end_a_run_or_use_up_its_tries(
    events: list[tuple[str, int]], scenarios: tuple[str, ...], fan: int, grace_ms: int
) -> None:
    dag = patient(staged_dag(*scenarios, fan=fan), grace_ms)
    world = RunWorld(dag, nodes=set(NODES))
    world.settle()
    for event, pick in events:
        happen(world, event, pick)
        world.settle()
        for node in world.draining:
            left = left_on(node, [world.record], world.slices.values())
            chains = [one for one in left if one.task is Task.CHAIN and one.state.is_on_node]
            known = {one.slice for one in chains} <= (world.told if grace_ms else set())
            assert known, (
                "what a drained node had was stopped at once, or told where it has a grace"
            )
    world.draining.clear()
    world.cordoned.clear()
    for _ in range(100):
        if world.record.state.is_over:
            break
        happen(world, "place", 0)
        world.settle()
        happen(world, "succeed", 0)
        world.settle()
    assert world.record.state is RunState.SUCCEEDED
    for one in world.slices.values():
        assert not one.tries.losses
        assert not one.tries.failures
