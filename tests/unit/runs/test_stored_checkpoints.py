"""Checkpoints in a herd's store: they are lost with no node and hold none, are found where the run goes on, and are taken away by whoever is there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace as changed
from run_world import NODE, RUN, RunWorld, prepared, staged_dag
from runink.checkpoints import folder_of, kept_in, seen_in
from runink.dag import Dag, Sink
from runink.errors import WireError
from runink.gang_parts import rooted_in, writes_files
from runink.jobs import Done, Failed, Prepared, PublishJob
from runink.names import NodeId, RunId, SliceId
from runink.runs.clearing import DISCARD, PUBLISH
from runink.runs.draining import left_on
from runink.runs.jobs import Folders, closing_job
from runink.runs.lifecycle import Decision, decide
from runink.runs.records import RunState, SliceState
from runink.runs.resuming import resumption
from runink.runs.views import RunView, World
from runink.tries import Retry

OTHER, THIRD = NodeId("other"), NodeId("third")
NEW = RunId("1" * 26)
ELSEWHERE = "s3://bucket/b.csv"
STORE = "file:///mnt/shared/runink"
FOLDER = f"{STORE}/{RUN}"
KEEP_MS = 60_000
RAISED = Failed(WireError("Refused", "step_raised", "x"), step="b.source")


def kept_dag(*, writes: str = ELSEWHERE, retries: int = 1) -> Dag:
    """Two gangs: the first keeps a checkpoint that the second begins from, which writes elsewhere or to a file."""
    dag = staged_dag("a", "b")
    nodes = []
    for node in dag.nodes:
        if node.id in {"a.sink", "b.source"}:
            nodes.append(changed(node, checkpoint=True, uri="checkpoint://a.sink", path="a.arrow"))
        elif isinstance(node, Sink):
            nodes.append(changed(node, path=writes))
        else:
            nodes.append(node)
    tries = {"b.source": Retry(retries, 10, 10)} if retries else {}
    return changed(dag, nodes=tuple(nodes), retries=tries)


def checkpoint() -> Prepared:
    return changed(prepared("a"), uri="checkpoint://a.sink", aside="/mnt/shared/.a")


@dataclass
class StoreWorld(RunWorld):
    """A run on two nodes whose herd has a store, as the run controller sees it."""

    store: str = STORE
    keep_ms: int = 0

    def world(self) -> World:
        found = super().world()
        return World(
            **{name: getattr(found, name) for name in World.__slots__}
            | {"store": self.store, "keep_ms": self.keep_ms}
        )

    def view(self) -> RunView:
        return RunView(self.record, seen_in(self.dag, self.record.store), dict(self.slices))

    def decide(self) -> Decision:
        return decide(self.view(), self.world())

    def keep(self, node: NodeId = NODE) -> None:
        """Have the first gang keep its checkpoint on a node, and the second wait."""
        self.settle()
        self.begin("a", node)
        self.end("a", Done(prepared=(checkpoint(),)))
        self.settle()

    def begin(self, name: str, node: NodeId) -> None:
        self.put(name, state=SliceState.PLACED, node=node)
        self.placed.add(SliceId(name))
        self.settle()
        self.run(name)
        self.settle()

    def stands(self, name: str) -> tuple[SliceState, int]:
        return self.slices[name].state, self.slices[name].attempt


def stored(*, writes: str = ELSEWHERE, retries: int = 1) -> StoreWorld:
    return StoreWorld(kept_dag(writes=writes, retries=retries), nodes={NODE, OTHER})


def closing(world: StoreWorld) -> PublishJob:
    """Return what the slice is told that takes away."""
    job = closing_job(
        kept_in(world.dag, folder_of(world.record.store)),
        world.record,
        world.slices[DISCARD],
        slices=world.slices,
        folders=Folders("/bundle", "/p/.runink/runs/1"),
    )
    assert isinstance(job, PublishJob)
    return job


def test_a_run_that_is_admitted_has_a_folder_of_its_own_in_the_store() -> None:
    world = stored()
    world.settle()
    assert world.record.store == FOLDER
    (sink,) = (node for node in world.view().dag.nodes if node.id == "a.sink")
    assert isinstance(sink, Sink)
    assert sink.path == f"{FOLDER}/checkpoints/a.arrow"


def test_one_without_checkpoints_has_none() -> None:
    world = StoreWorld(staged_dag("a", "b"), nodes={NODE, OTHER})
    world.settle()
    assert world.record.state is RunState.ADMITTED
    assert world.record.store == ""


def test_what_lies_there_is_no_file_of_a_machine_and_its_slices_ask_for_nodes_that_see_it() -> None:
    dag = seen_in(kept_dag(), FOLDER)
    assert not writes_files(dag)
    assert not rooted_in(dag)
    assert {spec.wants.sees for spec in dag.slices} == {(STORE,)}
    assert writes_files(seen_in(kept_dag(), "")), "on a node it is one"


def test_what_follows_may_be_anywhere() -> None:
    world = stored()
    world.settle()
    assert world.slices["a"].wants.sees == (STORE,), "from the first slices on"
    world.keep()
    assert world.slices["b"].pin is None


@pytest.mark.parametrize("writes", [ELSEWHERE, "b.csv"])
def test_when_its_node_is_lost_the_retry_begins_from_it_elsewhere(writes: str) -> None:
    world = stored(writes=writes)
    world.keep()
    world.begin("b", NODE)
    world.nodes.remove(NODE)
    world.settle()
    assert world.stands("a") == (SliceState.SUCCEEDED, 1)
    assert world.stands("b") == (SliceState.PENDING, 2)
    assert world.slices["b"].pin is None


@pytest.mark.parametrize("writes", [ELSEWHERE, "b.csv"])
def test_a_drain_honours_it(writes: str) -> None:
    world = stored(writes=writes)
    world.keep()
    world.begin("b", NODE)
    world.draining.add(NODE)
    world.settle()
    assert world.stands("a") == (SliceState.SUCCEEDED, 1)
    assert world.stands("b") == (SliceState.PENDING, 2)
    assert world.slices["b"].pin is None
    assert not list(left_on(NODE, [world.record], world.slices.values())), "the node is empty"
    world.begin("b", OTHER)
    world.succeed("b")
    world.settle()
    assert world.record.state is RunState.COMMITTING
    assert world.slices[PUBLISH].pin == OTHER


def test_files_of_the_same_run_are_lost_with_their_node_as_before() -> None:
    world = stored(writes="b.csv")
    world.settle()
    world.begin("a", NODE)
    world.end("a", Done(prepared=(checkpoint(), prepared("early"))))
    world.settle()
    world.begin("b", NODE)
    world.nodes.remove(NODE)
    world.settle()
    assert world.stands("a") == (SliceState.PENDING, 2)


def failed() -> StoreWorld:
    """A run that has failed behind its checkpoint and keeps that, on a node that is lost then."""
    world = stored(retries=0)
    world.keep_ms = KEEP_MS
    world.keep()
    world.begin("b", NODE)
    world.end("b", RAISED)
    world.settle()
    world.go([DISCARD])
    assert world.record.state is RunState.FAILED
    assert world.record.kept == ("a",)
    world.nodes.remove(NODE)
    return world


def test_a_run_that_goes_on_has_the_folder_of_the_one_before_whatever_the_herd_says_now() -> None:
    old = failed()
    new = changed(old.record, run=NEW, state=RunState.SUBMITTED, kept=(), store="", ending=None)
    found = resumption(old.view(), changed(new, failure=None), step="")
    assert found.record.store == FOLDER
    world = StoreWorld(old.dag, found.record, {one.slice: one for one in found.slices})
    world.store = "file:///mnt/another"
    world.nodes = {OTHER}
    world.settle()
    assert world.record.store == FOLDER
    assert world.stands("a") == (SliceState.SUCCEEDED, 1)
    assert world.stands("b") == (SliceState.PENDING, 1)


def test_one_that_goes_on_from_a_run_with_its_checkpoints_on_a_node_has_them_there() -> None:
    world = stored()
    world.record = changed(world.record, resumes=RUN)
    world.settle()
    assert world.record.store == ""


def test_what_was_kept_is_taken_away_in_time_by_any_node_that_is_there() -> None:
    world = failed()
    world.now_ms = world.record.kept_until_ms
    world.settle()
    assert world.slices[DISCARD].state is SliceState.PENDING
    assert world.slices[DISCARD].pin is None
    assert closing(world).discard == (checkpoint(),)
    (sink,) = (one for one in closing(world).sinks if one.checkpoint)
    assert sink.path == f"/mnt/shared/runink/{RUN}/checkpoints/a.arrow"
    world.begin(DISCARD, OTHER)
    world.end(DISCARD, Done())
    world.settle()
    assert world.record.kept_until_ms == 0


def test_who_takes_it_away_does_not_wait_for_a_node_that_goes_meanwhile() -> None:
    world = failed()
    world.nodes.add(NODE)
    world.now_ms = world.record.kept_until_ms
    world.settle()
    assert world.slices[DISCARD].pin == NODE
    world.nodes.remove(NODE)
    world.settle()
    assert world.slices[DISCARD].pin is None


def test_it_goes_when_the_run_has_succeeded_also_if_its_nodes_are_lost() -> None:
    world = stored()
    world.keep()
    world.begin("b", OTHER)
    world.end("b", Done(prepared=(changed(prepared("b"), kind="multipart"),)))
    world.settle()
    world.begin(PUBLISH, OTHER)
    world.nodes = {THIRD}
    world.end(PUBLISH, Done())
    world.settle()
    assert world.slices[DISCARD].pin is None
    assert closing(world).discard == (checkpoint(),)
    world.begin(DISCARD, THIRD)
    world.end(DISCARD, Done())
    world.settle()
    assert world.record.state is RunState.SUCCEEDED
