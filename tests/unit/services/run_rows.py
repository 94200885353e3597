"""Rows of operations on runs, their parts and what they leave behind. A run's id is of one herd only."""

from __future__ import annotations

from access_row import OWN, Row
from run_records import (
    LETTER,
    PIPELINE,
    deploy,
    put_failed,
    put_run,
    run_at,
    run_record,
    slice_record,
)
from runink.jobs import Prepared
from runink.names import RunId
from runink.runs.clearing import PUBLISH
from runink.runs.records import RunState, SliceState, Task
from runink.testing.served import Served


def run_in(herd: str) -> RunId:
    return run_at(len(herd))


def run_of(_world: Served, herd: str) -> RunId:
    return run_in(herd)


async def running(world: Served, herd: str) -> None:
    """Have a run that runs, which the run controller has seen."""
    record = run_record(herd, run_in(herd))
    await put_run(world.barn, record, slice_record(record))
    await world.seen(record.run)


async def failed(world: Served, herd: str) -> None:
    record = await put_failed(world.barn, herd, run_in(herd))
    await world.seen(record.run)


async def succeeded(world: Served, herd: str) -> None:
    """Have a run that has published a file, on a node that is away."""
    output = Prepared("gold.sink", "csv://out.csv", "file", "", "/out.csv", "overwrite", 7, 99, "")
    record = run_record(herd, run_in(herd), state=RunState.SUCCEEDED, prepared=(output,))
    publish = slice_record(record, PUBLISH, task=Task.PUBLISH, state=SliceState.SUCCEEDED)
    await put_run(world.barn, record, publish)
    await world.seen(record.run)


async def deployed(world: Served, herd: str) -> None:
    await deploy(world.barn, herd)


OF_RUN = {"run": run_of}
SINCE = {"since": 1}  # streams tell what has happened, too
RUN_ROWS: dict[str, Row] = {
    "runs.list": Row(prepare=failed, shows=run_in(OWN)),
    "runs.get": Row(OF_RUN, prepare=failed),
    "runs.progress": Row(OF_RUN, prepare=running),
    "runs.submit": Row({"pipeline": PIPELINE}, prepare=deployed, makes=PIPELINE),
    "runs.cancel": Row(OF_RUN, prepare=running),
    "runs.pause": Row(OF_RUN, prepare=running),
    "runs.unpause": Row(OF_RUN, prepare=running),
    "runs.retry": Row(OF_RUN, prepare=failed),
    "runs.drop": Row(OF_RUN, prepare=failed),
    "runs.watch": Row(SINCE, prepare=failed, shows=run_in(OWN)),
    "runs.follow": Row(OF_RUN, prepare=failed),
    "events.watch": Row(SINCE, prepare=failed, shows=run_in(OWN)),
    "slices.list": Row(OF_RUN, prepare=failed),
    "slices.get": Row({**OF_RUN, "slice": "gold"}, prepare=failed),
    "placements.list": Row(OF_RUN, prepare=failed),
    "placements.why": Row(OF_RUN, prepare=failed),
    "logs.list": Row(OF_RUN, prepare=failed),
    "logs.follow": Row(OF_RUN, prepare=failed),
    "lineage.get": Row(OF_RUN, prepare=failed),
    "lineage.of-dataset": Row({"uri": "csv://orders.csv"}, prepare=failed, shows=run_in(OWN)),
    "quality.get": Row(OF_RUN, prepare=failed),
    "quality.list": Row(prepare=failed, shows=run_in(OWN)),
    "dead-letters.list": Row(OF_RUN, prepare=failed),
    "dead-letters.rows": Row({**OF_RUN, "sink": LETTER}, prepare=failed, told="node_away"),
    "samples.list": Row(OF_RUN, prepare=succeeded),
    "samples.get": Row({**OF_RUN, "sink": "gold.sink"}, prepare=succeeded, told="node_away"),
}
