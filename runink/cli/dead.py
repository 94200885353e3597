"""`runi dead show`: the rows that a run rejected, each with its place in the source and all reasons."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from runink.barn.keys import pipeline_key
from runink.cli.client import find_run
from runink.cli.logs import slices_of
from runink.cli.node_files import end_missing, fetched
from runink.cli.options import COUNT, output_option, run_argument, state_option
from runink.cli.runs import with_cluster
from runink.cli.summary import short
from runink.cli.wording import JsonRows, harmless
from runink.clients.cluster import Cluster
from runink.dag import Dag, Sink, Source
from runink.errors import NotFound, Unavailable
from runink.jobs import Done, Prepared
from runink.runs.jobs import kept_dead_letter
from runink.runs.records import PipelineRecord, RunRecord, RunState
from runink.stores import read_stores

ROWS_SHOWN: Final = 20
Lacking = Unavailable | None  # what could not be fetched from a node
OURS: Final = "dead_"  # what the names of our own columns in a dead letter begin with


@click.group()
def dead() -> None:
    """Look at the rows that a run rejected."""


@dead.command()
@run_argument
@click.option(
    "-n",
    "--limit",
    type=COUNT,
    default=ROWS_SHOWN,
    show_default=True,
    help="How many rows at most.",
)
@output_option
@state_option
def show(run_id: str, limit: int, output: str, state: Path | None) -> None:
    """Print rejected rows with their reasons. RUN is an id, its beginning, or `last`.

    A run that succeeded has published them where its @deadletter says; those of a failed run are kept with the run.
    """
    with ExitStack() as stack:
        aside: list[Prepared] = []

        async def ask(cluster: Cluster, folder: Path) -> tuple[RunRecord, Dag, Path, Lacking]:
            record = await find_run(cluster, run_id)
            key = pipeline_key(record.herd, record.pipeline, record.version)
            found = await cluster.barn.get(key, PipelineRecord)
            assert found is not None, "a pipeline is kept for as long as a run of it is"
            aside[:] = await _kept(cluster, record) if record.kept else []
            files = stack.enter_context(fetched(cluster, record.run))
            if files is None:
                return record, found.value.dag, folder, None
            kept = (kept_dead_letter(sink, "") for sink in _dead_sinks(found.value.dag).values())
            names = [Path(path).name for path in kept]
            await files.dead_letters(await slices_of(cluster, record), names)
            return record, found.value.dag, files.folder, files.missing_now()

        record, dag, folder, lacking = with_cluster(state, ask)
        _show(record, dag, _letters(record, dag, folder, aside), limit, output)
    if record.state is not RunState.SUCCEEDED:
        end_missing(lacking, output)


def _show(
    record: RunRecord, dag: Dag, letters: list[tuple[Sink, str]], limit: int, output: str
) -> None:
    if not letters:
        click.echo(f"run {short(record.run)} {_why_none(record, dag)}", err=True)
    rows = islice(_rows(letters), limit)
    if output == "json":
        document = JsonRows()
        for row in rows:
            document.add(row)
        document.end()
    else:
        for row in rows:
            click.echo(text_of(row))


def _why_none(record: RunRecord, dag: Dag) -> str:
    if not record.state.is_over:
        return f"is {record.state.value}: its rejected rows can be looked at when it is over"
    if not any(isinstance(node, Sink) and node.dead_letter for node in dag.nodes):
        return "has no @deadletter to keep rejected rows in"
    return "rejected no rows"


def _dead_sinks(dag: Dag) -> dict[str, Sink]:
    return {node.id: node for node in dag.nodes if isinstance(node, Sink) and node.dead_letter}


async def _kept(cluster: Cluster, record: RunRecord) -> list[Prepared]:
    """Return what a run has prepared that may still be resumed."""
    slices = await slices_of(cluster, record)
    reports = [one.report for one in slices if one.slice in record.kept]
    return [one for report in reports if isinstance(report, Done) for one in report.prepared]


def _letters(
    record: RunRecord, dag: Dag, folder: Path, prepared: list[Prepared]
) -> list[tuple[Sink, str]]:
    """Return the run's dead letters that hold rows, each with where it is; `prepared` is what it keeps. Raises NotFound where one is not there any more."""
    sinks = _dead_sinks(dag)
    aside = [(sinks[one.sink], one.aside) for one in prepared if one.sink in sinks and one.rows]
    if record.state is RunState.SUCCEEDED:
        found = [
            (sinks[one.sink], one.target)
            for one in record.prepared
            if one.sink in sinks and one.rows
        ]
    else:
        run_folder = str(folder / "runs" / record.run)
        under = [(sink, kept_dead_letter(sink, run_folder)) for sink in sinks.values()]
        found = [(sink, path) for sink, path in (*under, *aside) if Path(path).exists()]
        whole = {sink.scenario for sink, _ in found if not sink.checkpoint}
        found = [one for one in found if not (one[0].checkpoint and one[0].scenario in whole)]
    for sink, path in found:
        if "://" not in path and not Path(path).exists():
            raise NotFound(
                f"{sink.path} is not there any more",
                code="dead_letter_gone",
                hint="a later run or somebody else has taken it away",
            )
    return found


def _rows(letters: list[tuple[Sink, str]]) -> Iterator[dict[str, Any]]:
    from runink.connectors.sources import open_source  # noqa: PLC0415 - Arrow, which no other command needs

    stores = read_stores(os.environ)
    for sink, path in letters:
        node = Source(sink.id, sink.scenario, sink.uri, sink.format, sink.path)
        reader = open_source(node, root=Path(), staged=(path,), stdin_fd=None, stores=stores)
        try:
            for batch in reader.batches():
                for place in range(batch.data.num_rows):
                    yield batch.data.slice(place, 1).to_pylist()[0]
        finally:
            reader.close()


def text_of(row: dict[str, Any]) -> str:
    reasons = row.get("dead_reasons") or []
    if isinstance(reasons, str):  # a CSV file holds them as text
        reasons = json.loads(reasons)
    said = " · ".join(str(reason["message"]) for reason in reasons)
    values = ", ".join(
        f"{name}={value}"
        for name, value in row.items()
        if not name.startswith(OURS) and value is not None
    )
    place = f"{row.get('dead_origin')} row {row.get('dead_row')}"
    return f"{harmless(f'{place}: {said}')}\n    {harmless(values)}"
