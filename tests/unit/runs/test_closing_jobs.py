"""The jobs that end a run: what they publish, keep, discard and compare."""

from __future__ import annotations

from msgspec.structs import replace as changed
from run_world import RunWorld, prepared, staged_dag
from runink.contracts.expected import Golden
from runink.dag import Format, Mode, Sink
from runink.errors import WireError
from runink.jobs import CompareJob, Done, Failed, PublishJob
from runink.runs.clearing import COMPARE, DISCARD
from runink.runs.jobs import Folders, closing_job, kept_dead_letter
from runink.runs.records import RunState, SliceState

FOLDERS = Folders("/bundle", "/p/.runink/runs/1")


def closing(world: RunWorld, name: str) -> PublishJob | CompareJob:
    record = world.slices[name]
    return closing_job(world.dag, world.record, record, slices=world.slices, folders=FOLDERS)


def rehearsed(*, update: bool) -> CompareJob:
    golden = Golden("gold", "gold.sink", "golden/gold.csv")
    world = RunWorld(changed(staged_dag("gold"), goldens=(golden,)))
    world.record = changed(world.record, rehearsal=True, update_goldens=update)
    world.go(["gold"])
    job = closing(world, COMPARE)
    assert isinstance(job, CompareJob)
    return job


def test_a_rehearsals_output_is_compared_or_if_asked_for_becomes_the_golden() -> None:
    job = rehearsed(update=False)
    assert job.prepared == (prepared("gold"),)
    assert [golden.path for golden in job.goldens] == ["golden/gold.csv"]
    assert not job.update
    assert rehearsed(update=True) == changed(job, update=True)


def test_a_failed_run_keeps_its_dead_letter_and_discards_the_rest() -> None:
    world = RunWorld(staged_dag("a", "b"))
    nodes = tuple(
        changed(node, dead_letter=True) if isinstance(node, Sink) and node.id == "b.sink" else node
        for node in world.dag.nodes
    )
    world.dag = changed(world.dag, nodes=nodes)
    world.go(["a"])
    world.place()
    world.run("b")
    world.end("b", Failed(WireError("Refused", "x", "x"), prepared=(prepared("b"),)))
    world.settle()
    job = closing(world, DISCARD)
    assert isinstance(job, PublishJob)
    assert job.discard == (prepared("a"),)
    kept = changed(prepared("b"), target="/p/.runink/runs/1/dead/b.b.csv", mode="overwrite")
    assert job.publish == (kept,)
    assert [sink.id for sink in job.sinks] == ["a.sink", "b.sink"]
    assert {(ticket.slice, ticket.attempt) for ticket in job.tickets} == {("a", 1), ("b", 1)}


def test_a_kept_dead_letter_is_found_by_its_sink_alone_whatever_its_mode() -> None:
    sinks = (
        Sink("a-b.dead", "a-b", "", Format.JSONL, "out/c.jsonl", dead_letter=True),
        Sink("a.dead", "a", "", Format.JSONL, "out/b-c.jsonl", mode=Mode.APPEND, dead_letter=True),
    )
    kept = [kept_dead_letter(sink, "/run") for sink in sinks]
    assert kept == ["/run/dead/a-b.c.jsonl", "/run/dead/a.b-c.jsonl"]


def test_after_a_retry_a_published_run_clears_what_its_earlier_attempts_left() -> None:
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.put("a", attempt=3, report=Done(prepared=(prepared("a"),)), state=SliceState.SUCCEEDED)
    world.settle()
    world.put("@publish", state=SliceState.SUCCEEDED)
    world.settle()
    assert world.record.state is RunState.COMMITTING
    job = closing(world, DISCARD)
    assert isinstance(job, PublishJob)
    assert (job.publish, job.discard) == ((), ())
    assert [ticket.attempt for ticket in job.tickets] == [1, 2]
