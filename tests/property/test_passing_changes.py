"""A change of a slice that is said to pass its run by leads to no decision."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "runs"))

from run_world import NODE, RunWorld, staged_dag
from runink.dag import Assertion, Dag, Source
from runink.errors import WireError
from runink.expressions import Binary, Literal, Name, Operator
from runink.jobs import Failed
from runink.names import NodeId, SliceId
from runink.runs.passing import SliceChange, Surroundings, pass_by
from runink.runs.records import RunState, SliceState, Task

OTHER = NodeId("other")
WRONG = Failed(WireError("Refused", "x", "x"))
RECORDS = Binary(Operator.GT, Name("records"), Literal(100))
EVENTS = [
    *["place"] * 6,
    "elsewhere",
    "fail",
    "lose",
    "cancel",
    "wait",
    "wait long",
    *["launch", "run", "succeed"] * 8,
]
RARE = ["pause", "go on", "end", "cordon", "free", "node", "no node"]


def dag_of(kind: str) -> Dag:
    """Return three scenarios, of two slices each: one behind the other, or side by side."""
    dag = staged_dag("a", "b", "c", fan=2)
    if kind == "staged":
        return dag
    nodes = tuple(
        changed(node, staged_from="") if isinstance(node, Source) else node for node in dag.nodes
    )
    asserted = (Assertion("a", "records > 100", RECORDS),)
    return changed(dag, nodes=nodes, assertions=asserted if kind == "asserted" else ())


def running(dag: Dag, *, waiting: tuple[str, ...] = ()) -> RunWorld:
    """Return a run whose first slices are placed, but for those that wait, and one of them runs."""
    world = RunWorld(dag)
    world.settle()
    for name in waiting:
        if name in world.slices:
            world.put(name, waits_for="no node has room", not_before_ms=world.now_ms + 1)
    world.place()
    world.settle()
    world.run("a")
    world.settle()
    return world


def happen(world: RunWorld, what: str, name: str) -> None:
    """Let one thing happen to a slice, or around the run."""
    state = world.slices[name].state
    match what:
        case "place" | "elsewhere" if state is SliceState.PENDING:
            node = NODE if what == "place" else OTHER
            world.put(name, state=SliceState.PLACED, node=node, waits_for="", not_before_ms=0)
            world.placed.add(SliceId(name))
        case "launch" if state is SliceState.PLACED:
            world.put(name, state=SliceState.LAUNCHING, launched_ms=world.now_ms)
        case "run" if state is SliceState.LAUNCHING:
            world.run(name)
        case "succeed" if state.is_on_node:
            world.succeed(name)
        case "fail" if state.is_on_node:
            world.end(name, WRONG)
        case "lose" if state.is_on_node:
            world.end(name, None, SliceState.LOST)
        case "cancel" if state.is_on_node:
            world.end(name, None, SliceState.CANCELLED)
        case "wait" if state is SliceState.PENDING:
            world.put(name, waits_for="no node has room")
        case "wait long" if state is SliceState.PENDING:
            world.put(name, waits_for="no node ever has room")
        case "pause" | "go on":
            world.record = changed(world.record, paused=what == "pause")
        case "end":
            world.record = changed(world.record, cancel=True)
        case "cordon":
            world.draining.add(NODE)
        case "free":
            world.draining.clear()
        case "node":
            world.nodes.add(OTHER)
        case "no node":
            world.nodes.discard(OTHER)


def passed(world: RunWorld, before: RunWorld, name: str) -> bool:
    change = SliceChange(before.slices[name], world.slices[name])
    chains = [one for one in world.slices.values() if one.task is Task.CHAIN]
    left = len(world.dag.slices) - sum(one.state is SliceState.SUCCEEDED for one in chains)
    said = bool(world.draining or world.cordoned)
    waits = frozenset(one.waits_for for one in world.slices.values()) - {""}
    around = Surroundings(world.record, world.dag, frozenset(world.nodes), said, left, waits)
    return pass_by([change], around)


@settings(max_examples=200)
@given(
    st.sampled_from(["staged", "beside", "asserted"]),
    st.sampled_from([(), ("b", "b-1", "c"), ("c-1",)]),
    st.lists(
        st.tuples(st.sampled_from(EVENTS + RARE), st.integers(0, 7)), min_size=10, max_size=60
    ),
)
def test_nothing_is_decided_for_what_passes_a_run_by(
    kind: str, waiting: tuple[str, ...], events: list[tuple[str, int]]
) -> None:
    world = running(dag_of(kind), waiting=waiting)
    for what, pick in events:
        if world.record.state.is_over:
            break
        names = sorted(world.slices)
        name = names[pick % len(names)]
        before = RunWorld(world.dag, world.record, dict(world.slices))
        happen(world, what, name)
        is_of_slice = what in EVENTS and world.slices[name] is not before.slices[name]
        if is_of_slice and passed(world, before, name):
            event(f"passed by: {world.slices[name].state.value}")
            assert world.decide().is_nothing(world.record)
        world.settle()


def test_what_a_run_that_goes_on_sees_most_passes_it_by() -> None:
    world = running(dag_of("beside"))
    assert world.record.state is RunState.RUNNING
    found = []
    for name, what in (("b", "launch"), ("b", "run"), ("a", "succeed"), ("c", "succeed")):
        before = RunWorld(world.dag, world.record, dict(world.slices))
        happen(world, what, name)
        found.append(passed(world, before, name))
        world.settle()
    assert found == [True, True, True, True]


def test_a_failure_and_the_last_success_do_not_pass_a_run_by() -> None:
    world = running(dag_of("beside"))
    *others, last = sorted(world.slices)
    for name in others:
        world.run(name)
        world.settle()
        world.succeed(name)
        world.settle()
    before = RunWorld(world.dag, world.record, dict(world.slices))
    world.succeed(last)
    assert not passed(world, before, last)
    world.slices[last] = changed(before.slices[last], state=SliceState.FAILED, report=WRONG)
    assert not passed(world, before, last)


def test_that_one_of_several_that_wait_for_the_same_is_placed_passes_a_run_by_and_that_the_last_is_does_not() -> (
    None
):
    world = running(dag_of("beside"), waiting=("b", "c"))
    assert world.record.waits_for == "no node has room"
    found = []
    for name in ("b", "c"):
        before = RunWorld(world.dag, world.record, dict(world.slices))
        happen(world, "place", name)
        found.append(passed(world, before, name))
        world.settle()
    assert found == [True, False]
