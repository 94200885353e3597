"""A run's checkpoints: a retry begins there, nothing of them is published, and they go when the run is over."""

from __future__ import annotations

from msgspec.structs import replace as changed
from run_world import NODE, RunWorld, prepared, staged_dag
from runink.dag import Dag, Sink, Source
from runink.errors import WireError
from runink.jobs import Done, Failed, Prepared, PublishJob
from runink.names import NodeId
from runink.runs.clearing import DISCARD, PUBLISH
from runink.runs.jobs import Folders, closing_job
from runink.runs.records import RunState, SliceState
from runink.tries import Retry

FOLDERS = Folders("/bundle", "/p/.runink/runs/1")
RAISED = Failed(WireError("Refused", "step_raised", "x"), step="b.source")


def kept_dag(*, is_only: bool = False) -> Dag:
    """Two gangs, of which the first keeps a checkpoint for the second; and the second, unless it `is_only` that, writes a file."""
    dag = staged_dag("a", "b")
    nodes = []
    for node in dag.nodes:
        if node.id in {"a.sink", "b.source"}:
            nodes.append(changed(node, checkpoint=True))
        elif is_only and isinstance(node, Sink):
            nodes.append(changed(node, path="-"))
        else:
            nodes.append(node)
    retries = {"b.source": Retry(1, 10, 10)}
    return changed(dag, nodes=tuple(nodes), retries=retries)


def closing(world: RunWorld, name: str) -> PublishJob:
    record = world.slices[name]
    job = closing_job(world.dag, world.record, record, slices=world.slices, folders=FOLDERS)
    assert isinstance(job, PublishJob)
    return job


def test_a_retry_begins_behind_it() -> None:
    world = RunWorld(kept_dag())
    world.go(["a"])
    world.place()
    world.run("b")
    world.end("b", RAISED)
    world.settle()
    assert (world.slices["b"].state, world.slices["b"].attempt) == (SliceState.PENDING, 2)
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.SUCCEEDED, 1)


def test_it_is_not_published_and_goes_once_the_run_is() -> None:
    world = RunWorld(kept_dag())
    world.go(["a", "b"])
    assert world.record.prepared == (prepared("b"),)
    world.go([PUBLISH])
    assert world.record.state is RunState.COMMITTING
    job = closing(world, DISCARD)
    assert (job.publish, job.discard) == ((), (prepared("a"),))
    world.go([DISCARD])
    assert world.record.state is RunState.SUCCEEDED


def test_a_run_that_publishes_nothing_takes_it_away_all_the_same() -> None:
    world = RunWorld(kept_dag(is_only=True))
    world.go(["a"])
    world.place()
    world.run("b")
    shown = Prepared("b.sink", "csv://-", "stream", "", "-", "overwrite", 1, 1, "")
    world.end("b", Done(prepared=(shown,)))
    world.settle()
    assert closing(world, DISCARD).discard == (prepared("a"),)
    world.go([DISCARD])
    assert world.record.state is RunState.SUCCEEDED
    assert world.record.failure is None


def test_what_lies_on_a_lost_node_is_made_anew_before_anything_begins_from_it() -> None:
    other = NodeId("other")
    world = RunWorld(kept_dag(), nodes={NODE, other})
    world.go(["a"])
    world.place()
    world.run("b")
    world.nodes.remove(NODE)
    world.settle()
    assert (world.slices["a"].state, world.slices["a"].attempt) == (SliceState.PENDING, 2)
    assert world.slices["b"].state is SliceState.LOST
    world.put("a", state=SliceState.PLACED, node=other)
    world.run("a")
    world.succeed("a")
    world.settle()
    assert world.slices["b"].state is SliceState.PENDING


def letters_dag() -> Dag:
    """What the first gang rejects is kept on its way to the dead letter, which the second writes."""
    dag = kept_dag()
    nodes = tuple(
        changed(node, dead_letter=True) if isinstance(node, Sink) else node for node in dag.nodes
    )
    return changed(
        dag,
        nodes=tuple(
            changed(node, scenario="a") if isinstance(node, Sink | Source) else node
            for node in nodes
        ),
    )


def test_of_a_run_that_failed_behind_it_what_was_rejected_in_front_is_kept() -> None:
    world = RunWorld(letters_dag())
    world.go(["a"])
    world.place()
    world.run("b")
    world.end("b", Failed(WireError("Refused", "x", "x")))
    world.settle()
    job = closing(world, DISCARD)
    assert [one.target for one in job.publish] == ["/p/.runink/runs/1/dead/a.a.csv"]


def test_but_not_twice_where_the_dead_letter_itself_has_it() -> None:
    world = RunWorld(letters_dag())
    world.go(["a"])
    world.place()
    world.run("b")
    world.end("b", Failed(WireError("Refused", "x", "x"), prepared=(prepared("b"),)))
    world.settle()
    job = closing(world, DISCARD)
    assert [one.target for one in job.publish] == ["/p/.runink/runs/1/dead/a.b.csv"]
    assert job.discard == (prepared("a"),)
