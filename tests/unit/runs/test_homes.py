"""Where a run's slices may be, and what is lost with a node."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RunWorld, prepared, staged_dag
from runink.dag import Dag, Sink, Source
from runink.jobs import Done
from runink.names import NodeId
from runink.runs.homes import beside
from runink.runs.records import RunState, SliceState
from runink.runs.views import RunView
from runink.wants import Wants

OTHER = NodeId("other")


def remote(dag: Dag) -> Dag:
    """Return the pipeline with all that it writes in an object store."""
    nodes = tuple(
        changed(node, path=f"s3://bucket/{node.path}") if isinstance(node, Sink) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def parted(dag: Dag) -> Dag:
    """Return the pipeline with no scenario that reads another's output: all gangs may begin at once."""
    nodes = tuple(
        node if isinstance(node, Sink) else changed(node, staged_from="") for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def two_nodes(dag: Dag) -> RunWorld:
    return RunWorld(dag, nodes={NODE, OTHER})


def test_gangs_that_follow_belong_where_the_first_was_placed() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    assert world.slices["b"].pin == NODE


def test_of_gangs_that_may_begin_at_once_the_others_wait_for_the_first_ones_place() -> None:
    world = two_nodes(parted(staged_dag("a", "b", "c")))
    world.settle()
    assert set(world.slices) == {"a"}
    world.place()
    world.settle()
    assert {name: one.pin for name, one in world.slices.items()} == {
        "a": None,
        "b": NODE,
        "c": NODE,
    }


@pytest.mark.parametrize(
    "dag", [remote(parted(staged_dag("a", "b"))), parted(staged_dag("a", "b"))]
)
def test_a_run_is_free_that_writes_no_files_or_has_one_node_only(dag: Dag) -> None:
    world = RunWorld(dag, nodes={NODE, OTHER} if dag.nodes[1].path.startswith("s3") else {NODE})
    world.settle()
    assert {name: one.pin for name, one in world.slices.items()} == {"a": None, "b": None}


def test_who_chooses_the_home_is_asked_for_what_the_others_will_ask_for_there() -> None:
    dag = staged_dag("a", "b")
    first, second = dag.slices
    second = changed(second, labels=("gpu",), asks=Wants(sees=("lake",)))
    world = two_nodes(changed(dag, slices=(first, second)))
    world.settle()
    assert (world.slices["a"].labels, world.slices["a"].wants.sees) == (("gpu",), ("lake",))
    world.go(["a"])
    assert world.slices["b"].labels == ("gpu",)
    alone = RunWorld(changed(dag, slices=(first, second)), nodes={NODE})
    alone.settle()
    assert alone.slices["a"].labels == (), "there is no choice"


def reading(dag: Dag, *stores: str) -> Dag:
    """Return the pipeline with the source of each scenario in one of these stores."""
    left = iter(stores)
    nodes = tuple(
        changed(node, path=f"{next(left)}/x.csv") if isinstance(node, Source) else node
        for node in dag.nodes
    )
    return changed(dag, nodes=nodes)


def test_who_chooses_the_home_reads_what_the_others_will_read_there() -> None:
    world = two_nodes(reading(staged_dag("a", "b"), "s3://lake", "s3://sea"))
    world.settle()
    assert world.slices["a"].wants.reads == ("s3://lake", "s3://sea")
    world.go(["a"])
    assert world.slices["b"].wants.reads == ("s3://sea",)


def test_a_slice_that_may_be_anywhere_says_what_it_alone_reads() -> None:
    dag = remote(parted(reading(staged_dag("a", "b"), "s3://lake", "s3://sea")))
    world = two_nodes(dag)
    world.settle()
    assert {name: one.wants.reads for name, one in world.slices.items()} == {
        "a": ("s3://lake",),
        "b": ("s3://sea",),
    }


def test_a_home_that_is_lost_takes_what_was_prepared_there_with_it() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    world.place()
    world.run("b")
    world.nodes.remove(NODE)
    world.nodes.add(NodeId("third"))
    world.settle()
    first = world.slices["a"]
    assert (first.state, first.attempt, first.pin) == (SliceState.PENDING, 2, None)
    assert world.slices["b"].state is SliceState.LOST
    world.put("a", state=SliceState.PLACED, node=OTHER)
    world.run("a")
    world.settle()
    assert world.slices["b"].state is SliceState.LOST
    world.succeed("a")
    world.settle()
    assert (world.slices["b"].attempt, world.slices["b"].pin) == (2, OTHER)


def test_what_was_prepared_is_there_again_when_the_only_node_comes_back() -> None:
    world = RunWorld(staged_dag("a", "b"))
    world.go(["a"])
    world.nodes.clear()
    world.settle()
    assert world.slices["a"].state is SliceState.SUCCEEDED
    world.nodes.add(NODE)
    world.settle()
    assert world.slices["a"].attempt == 1


def test_what_lies_in_an_object_store_is_not_lost_with_a_node() -> None:
    world = two_nodes(remote(staged_dag("a", "b")))
    world.settle()
    world.place()
    world.end("a", Done(prepared=(changed(prepared("a"), kind="multipart"),)))
    world.settle()
    world.nodes.remove(NODE)
    world.settle()
    assert world.slices["a"].state is SliceState.SUCCEEDED


def test_a_pending_gang_does_not_wait_for_a_node_that_is_gone() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    assert world.slices["b"].pin == NODE
    world.nodes.remove(NODE)
    world.settle()
    assert world.slices["a"].attempt == 2
    assert world.slices["b"].state is SliceState.LOST


def test_what_is_committed_waits_for_its_node() -> None:
    world = two_nodes(staged_dag("a"))
    world.go(["a"])
    assert world.record.state is RunState.COMMITTING
    world.nodes.remove(NODE)
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices["@publish"].pin == NODE


def test_a_run_that_is_cancelled_ends_though_its_node_is_gone() -> None:
    world = two_nodes(staged_dag("a", "b"))
    world.go(["a"])
    world.place()
    world.run("b")
    world.record = changed(world.record, cancel=True)
    world.nodes.remove(NODE)
    world.settle()
    assert world.record.ending is RunState.CANCELLED
    assert world.slices["@discard"].pin == NODE or world.record.state is RunState.CANCELLED


def beside_a(dag: Dag) -> Dag:
    """Return the pipeline with the slices of `b` where those of `a` were."""
    slices = tuple(
        changed(spec, asks=Wants(beside=("a",))) if spec.gang == "b" else spec
        for spec in dag.slices
    )
    return changed(dag, slices=slices)


def test_a_gang_goes_to_the_node_where_the_one_was_that_it_is_to_be_beside() -> None:
    world = two_nodes(beside_a(remote(staged_dag("a", "b"))))
    world.go(["a"])
    assert world.slices["b"].pin == NODE
    assert world.slices["b"].is_beside


def test_where_its_files_are_binds_a_gang_more_than_the_one_that_it_is_to_be_beside() -> None:
    world = two_nodes(beside_a(staged_dag("a", "b")))
    world.go(["a"])
    assert (world.slices["b"].pin, world.slices["b"].is_beside) == (NODE, False)


def test_an_attempt_is_beside_the_other_gang_again() -> None:
    world = two_nodes(beside_a(remote(staged_dag("a", "b"))))
    world.go(["a"])
    world.place()
    world.end("b", None, SliceState.LOST)
    world.settle()
    again = world.slices["b"]
    assert (again.attempt, again.pin, again.is_beside) == (2, NODE, True)


@pytest.mark.parametrize("what", ["nodes", "draining"])
def test_where_that_node_is_gone_or_is_to_be_emptied_any_node_will_do(what: str) -> None:
    world = two_nodes(beside_a(remote(staged_dag("a", "b"))))
    world.go(["a"])
    specs = world.dag.gangs()["b"]

    def home() -> NodeId | None:
        return beside(specs, RunView(world.record, world.dag, world.slices), world.world())

    assert home() == NODE
    if what == "nodes":
        world.nodes.remove(NODE)
    else:
        world.draining.add(NODE)
    assert home() is None


def split(dag: Dag) -> Dag:
    """Return the pipeline with another label for each slice."""
    slices = tuple(changed(spec, labels=(spec.id,)) for spec in dag.slices)
    return changed(dag, slices=slices)


def test_of_a_gang_on_two_nodes_the_node_with_its_files_is_the_home_and_publishes() -> None:
    world = two_nodes(split(staged_dag("a", "b", fan=2)))
    world.settle()
    assert {name: (one.part, one.is_rooted) for name, one in world.slices.items()} == {
        "a": ("a", False),
        "a-1": ("a-1", True),
    }
    for name, node in (("a", OTHER), ("a-1", NODE)):
        world.put(name, state=SliceState.PLACED, node=node)
        world.run(name)
    world.end("a", Done())
    world.succeed("a-1")
    world.settle()
    assert {world.slices[name].pin for name in ("b", "b-1")} == {NODE}
    for name in ("b", "b-1"):
        world.put(name, state=SliceState.PLACED, node=NODE)
        world.run(name)
    world.end("b", Done())
    world.succeed("b-1")
    world.settle()
    assert world.slices["@publish"].pin == NODE


def test_a_gang_on_two_nodes_that_loses_one_of_them_is_repeated_whole() -> None:
    world = two_nodes(split(staged_dag("a", fan=2)))
    world.settle()
    for name, node in (("a", OTHER), ("a-1", NODE)):
        world.put(name, state=SliceState.PLACED, node=node)
        world.run(name)
    world.nodes.remove(OTHER)
    world.settle()
    world.end("a-1", None, SliceState.CANCELLED)
    world.settle()
    assert {(one.attempt, one.state, one.part) for one in world.slices.values()} == {
        (2, SliceState.PENDING, "a"),
        (2, SliceState.PENDING, "a-1"),
    }
