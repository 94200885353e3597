"""Runs under random faults: whatever happens to its slices, a run ends, and ends consistently."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "runs"))

from run_world import RunWorld, staged_dag
from runink.errors import WireError
from runink.jobs import Failed
from runink.runs.records import ATTEMPTS_MAX, RunState, SliceState, Task
from runink.tries import Retry

FAULTS = {
    "raise": Failed(WireError("Refused", "step_failed", "x")),
    "away": Failed(WireError("Unavailable", "unavailable", "x")),
    "consequence": Failed(WireError("Unavailable", "producer_failed", "x"), consequence=True),
    "killed": None,
    "own": Failed(WireError("Refused", "step_raised", "x"), step="a.source"),
}
EVENTS = st.sampled_from(
    [*FAULTS, "lost", "cancel", "cut", "succeed", "succeed", "succeed", "wait"]
)


def happen(world: RunWorld, event: str, pick: int) -> None:
    on_node = sorted(name for name, one in world.slices.items() if one.state.is_on_node)
    match event:
        case "cancel":
            world.record = changed(world.record, cancel=True)
        case "cut":
            world.session = "another"
            for name in on_node:
                world.end(name, None, SliceState.LOST)
        case "wait":
            world.now_ms += 100_000
        case _ if not on_node:
            pass
        case "lost":
            world.end(on_node[pick % len(on_node)], None, SliceState.LOST)
        case "succeed":
            world.succeed(on_node[pick % len(on_node)])
        case fault:
            world.end(on_node[pick % len(on_node)], FAULTS[fault])


@given(
    st.lists(st.tuples(EVENTS, st.integers(0, 5)), max_size=30),
    st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
    st.sampled_from([1, 2]),
    st.sampled_from(["", "first"]),
    st.integers(0, 3),
)
def test_a_run_ends_and_is_published_whole_or_not_at_all(
    events: list[tuple[str, int]], scenarios: tuple[str, ...], fan: int, session: str, times: int
) -> None:
    retries = {"a.source": Retry(times)}
    world = RunWorld(changed(staged_dag(*scenarios, fan=fan), retries=retries))
    world.record = changed(world.record, session=session)
    world.session = session
    world.settle()
    for event, pick in events:
        happen(world, event, pick)
        world.settle()
        world.place()
        world.settle()
    for _ in range(300):  # then nothing goes wrong any more
        if world.record.state.is_over:
            break
        happen(world, "wait", 0)
        world.settle()
        world.place()
        happen(world, "succeed", 0)
        world.settle()
    assert world.record.state.is_over
    assert world.claims == {}
    assert not world.placed
    assert all(one.state.is_over for one in world.slices.values())
    chains = [one for one in world.slices.values() if one.task is Task.CHAIN]
    for one in chains:
        assert one.tries.losses < ATTEMPTS_MAX
        assert all(failures <= times for failures in one.tries.failures.values())
        assert one.attempt == 1 + one.tries.losses + sum(one.tries.failures.values())
    if world.record.state is RunState.SUCCEEDED:
        assert all(one.state is SliceState.SUCCEEDED for one in chains)
        assert len(world.record.prepared) == len(chains)
    if RunState.COMMITTING not in world.states:
        assert world.record.state is not RunState.SUCCEEDED
