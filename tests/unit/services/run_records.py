"""Runs as they stand in a herd, for tests of services: records put into the Barn as the control plane would have left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace as changed
from runink.barn.keys import deployment_key, lineage_key, pipeline_key, run_key, slice_key
from runink.clients.barn import BarnClient, Transaction
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Check, Dag, Format, Link, Resources, Scenario, Sink, SliceSpec, Source
from runink.errors import WireError
from runink.governance.lineage import About, lineage_of
from runink.jobs import Done, EdgeFacts, NodeFacts, Prepared, Rejections
from runink.names import BundleHash, HerdName, NodeId, PipelineName, RunId, SliceId, run_id
from runink.observe.slice_logs import LogLine, Stream, log_path
from runink.runs.records import (
    Failure,
    PipelineRecord,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
    Task,
)
from runink.runs.schedule_records import DeploymentRecord
from runink.testing.served import NOW_MS

PIPELINE = PipelineName("daily")
BUNDLE = BundleHash("b" * 64)
RUN = run_id(now_ms=NOW_MS, entropy=bytes(10))
LETTER = "gold.dead"
CONTRACT = ContractSpec(
    "Order",
    "1.0.0",
    (FieldSpec("id", Kind.INT), FieldSpec("email", Kind.STR, pii="email")),
)


def dag_of(herd: str, name: str = PIPELINE, **more: Any) -> Dag:
    """Return a pipeline: orders are read, checked and written, what breaks the contract goes into a dead letter; all in one slice."""
    nodes = (
        Source("gold.source", "gold", "csv://orders.csv", Format.CSV, "orders.csv"),
        Check("gold.check", "gold", CONTRACT),
        Sink("gold.sink", "gold", "csv://out.csv", Format.CSV, "out.csv"),
        Sink(LETTER, "gold", "jsonl://dead.jsonl", Format.JSONL, "dead.jsonl", dead_letter=True),
    )
    links = (
        Link("gold.source", "gold.check"),
        Link("gold.check", "gold.sink"),
        Link("gold.check", LETTER, "rejected"),
    )
    slices = (SliceSpec("gold", "gold", "gold", tuple(one.id for one in nodes), Resources()),)
    scenarios = (Scenario("gold", "gold", {}, 1),)
    made = Dag(PipelineName(name), HerdName(herd), "Daily", "features/daily.dsl", scenarios, nodes, links, slices)  # fmt: skip
    return changed(made, **more)


def run_at(place: int) -> RunId:
    """Return the id of a run that was made so many seconds after the first."""
    return run_id(now_ms=NOW_MS + 1000 * place, entropy=bytes(10))


def run_record(herd: str, run: RunId = RUN, **more: Any) -> RunRecord:
    dag = dag_of(herd)
    record = RunRecord(
        run=run,
        herd=HerdName(herd),
        pipeline=dag.pipeline,
        version=dag.hash,
        title=dag.title,
        file=dag.file,
        project="/srv/project",
        bundle=BUNDLE,
        state=RunState.RUNNING,
        submitted_ms=NOW_MS,
    )
    return changed(record, **more)


def slice_record(run: RunRecord, name: str = "gold", **more: Any) -> SliceRecord:
    record = SliceRecord(
        SliceId(name),
        run.run,
        run.herd,
        name,
        SliceState.RUNNING,
        Resources(),
        node=NodeId("w1"),
    )
    return changed(record, **more)


async def put_run(barn: BarnClient, run: RunRecord, *slices: SliceRecord) -> None:
    """Put a run with its pipeline and its slices."""
    dag = dag_of(run.herd, run.pipeline)
    transaction = Transaction().put(run_key(run.herd, run.run), run)
    transaction = transaction.put(
        pipeline_key(run.herd, run.pipeline, run.version), PipelineRecord(dag)
    )
    for one in slices:
        transaction = transaction.put(slice_key(run.herd, run.run, one.slice), one)
    assert (await barn.commit(transaction)).succeeded


async def deploy(barn: BarnClient, herd: str, name: str = PIPELINE, **more: Any) -> Dag:
    """Put a pipeline in force."""
    dag = dag_of(herd, name)
    found = DeploymentRecord(dag, "/srv/project", BUNDLE, NOW_MS)
    await barn.put(deployment_key(dag.herd, dag.pipeline), changed(found, **more))
    return dag


async def put_failed(barn: BarnClient, herd: str, run: RunId = RUN) -> RunRecord:
    """Put a run that has failed, with one slice's output kept, facts and all."""
    error = WireError("Refused", "step_failed", "the step raised")
    failure = Failure(error, "gold", "gold.sink", log_tail=("last words",))
    letter = Prepared(
        LETTER, "jsonl://dead.jsonl", "file", "/aside", "/dead.jsonl", "overwrite", 3, 9, ""
    )
    report = Done(
        nodes=(NodeFacts("gold.source", 0, 10), NodeFacts("gold.check", 10, 7, rejected=3)),
        edges=(EdgeFacts("gold.source", "gold.check", "main", 10, 1, 99),),
        rejections=(Rejections("gold.check", "email", "type", "email is no text", 3),),
        prepared=(letter,),
    )
    record = run_record(
        herd, run, state=RunState.FAILED, failure=failure, ended_ms=NOW_MS + 2500, kept=(SliceId("gold"),), kept_until_ms=NOW_MS + 86_400_000,
    )  # fmt: skip
    one = slice_record(record, state=SliceState.SUCCEEDED, report=report)
    discard = slice_record(record, "@discard", task=Task.DISCARD, state=SliceState.SUCCEEDED)
    await put_run(barn, record, one, discard)
    about = About(record.run, record.herd, record.pipeline, record.version, record.bundle, "failed", {})  # fmt: skip
    facts = lineage_of(about, dag_of(herd), {"gold": report}, (letter,))
    await barn.put(lineage_key(record.herd, record.run), facts)
    return record


def write_log(
    folder: Path, run: RunId, name: str, *texts: str, attempt: int = 1, at_ms: int = NOW_MS
) -> None:
    """Append lines to the log of a slice's attempt, each a millisecond behind the one before."""
    path = log_path(folder / run, name, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (LogLine(at_ms + place, Stream.STDOUT, text) for place, text in enumerate(texts))
    with path.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
