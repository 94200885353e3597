"""`runi dead show`: the rows that a run rejected, each with its place in the source and all reasons."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from runink.barn.keys import pipeline_key
from runink.cli.asked_runs import PAGE
from runink.cli.asked_runs import find_run as asked_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.client import find_run, slices_of
from runink.cli.node_files import end_missing, fetched
from runink.cli.options import COUNT, output_option, run_argument
from runink.cli.runs import with_cluster
from runink.cli.summary import short
from runink.cli.wording import JsonRows, echo_json, harmless
from runink.clients.cluster import Cluster
from runink.dag import Dag, Sink, Source
from runink.errors import NotFound, Unavailable
from runink.names import NodeId
from runink.operations.catalog import facts
from runink.operations.catalog.facts import DeadLetter
from runink.quantities import counted
from runink.runs.jobs import kept_dead_letter
from runink.runs.letters import Written, dead_sinks, letters_of
from runink.runs.records import PipelineRecord, RunRecord, RunState, SliceRecord, Task
from runink.stores import read_stores

ROWS_SHOWN: Final = 20
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
@asks_cluster
def show(run_id: str, limit: int, output: str, where: Where) -> None:
    """Print rejected rows with their reasons. RUN is an id, its beginning, or `last`.

    A run that succeeded has published them where its @deadletter says; those of a failed run are kept with the run. In a context marked fields are as your roles show them.
    """
    if where.context is not None:
        _show_there(where, run_id, limit, output)
        return
    with ExitStack() as stack:

        async def ask(cluster: Cluster, folder: Path) -> _Seen:
            record = await find_run(cluster, run_id)
            key = pipeline_key(record.herd, record.pipeline, record.version)
            found = await cluster.barn.get(key, PipelineRecord)
            assert found is not None, "a pipeline is kept for as long as a run of it is"
            dag, slices = found.value.dag, await slices_of(cluster, record)
            letters = letters_of(record, dag, slices)
            files = stack.enter_context(fetched(cluster, record))
            if files is None:
                return _Seen(record, dag, letters, {}, folder)
            kept = (kept_dead_letter(sink, "") for sink in dead_sinks(dag).values())
            if record.state is not RunState.SUCCEEDED:
                await files.dead_letters(slices, [Path(path).name for path in kept])
            came = await files.letters(
                [one for one in letters if one.is_file], _homes(record, slices)
            )
            return _Seen(record, dag, letters, came, files.folder, files.missing_now())

        seen = with_cluster(where.state, ask)
        _show(seen, _readable(seen), limit, output)
    if seen.record.state is not RunState.SUCCEEDED or len(seen.there) < len(seen.letters):
        end_missing(seen.lacking, output)


def _show_there(where: Where, run_id: str, limit: int, output: str) -> None:
    """Print rows of a context's run, as the API shows them."""
    with asked(where) as client:
        run = asked_run(client, where, run_id)
        of = {"herd": run.herd, "run": run.run}
        letters: list[DeadLetter] = list(client.call(facts.DEAD_LETTERS, **of))
        pages = (
            client.call(facts.DEAD_ROWS, sink=one.sink, limit=min(max(limit, 1), PAGE), **of)
            for one in letters
            if one.is_readable
        )
        rows = [one.record for one in islice(chain.from_iterable(pages), limit)]
    if output == "json":
        echo_json(rows)
    else:
        for row in rows:
            click.echo(text_of(row))
    for one in letters:
        if not one.is_readable:
            click.echo(harmless(f"note: {counted(one.rows, 'row')} are in {one.uri}, a store: read them there"), err=True)  # fmt: skip
    if not letters:
        said = (
            "rejected no rows"
            if run.state.is_over
            else f"is {run.state.value}: its rejected rows can be looked at when it is over"
        )
        click.echo(f"run {short(run.run)} {said}", err=True)


class _Seen(NamedTuple):
    """A run, its pipeline and its dead letters; those that were fetched, by their sinks; the folder that holds those of a failed run; and what could not be fetched."""

    record: RunRecord
    dag: Dag
    letters: list[Written]
    fetched: dict[str, Path]
    folder: Path
    lacking: Unavailable | None = None

    @property
    def there(self) -> list[tuple[Sink, str]]:
        """Return the letters that can be read from here, each with where it is."""
        places = ((one, self.fetched.get(one.sink.id, one.place)) for one in self.letters)
        return [(one.sink, str(place)) for one, place in places if _is_there(one, str(place))]


def _is_there(letter: Written, place: str) -> bool:
    """Say whether a letter is there, and not another file in its place, on this machine or from a later run."""
    if not letter.is_file:
        return True
    path = Path(place)
    return path.is_file() and path.stat().st_size == letter.prepared.bytes


def _homes(record: RunRecord, slices: Iterable[SliceRecord]) -> set[NodeId]:
    """Return the nodes on which a run has published, or that keep what it has prepared."""
    homes = (one for one in slices if one.task is Task.PUBLISH or one.slice in record.kept)
    return {one.node for one in homes if one.node is not None}


def _show(seen: _Seen, letters: list[tuple[Sink, str]], limit: int, output: str) -> None:
    if not letters and seen.lacking is None:
        click.echo(f"run {short(seen.record.run)} {_why_none(seen.record, seen.dag)}", err=True)
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
    if not dead_sinks(dag):
        return "has no @deadletter to keep rejected rows in"
    return "rejected no rows"


def _readable(seen: _Seen) -> list[tuple[Sink, str]]:
    """Return the run's dead letters that hold rows, each with where it is. Raises NotFound where one is not there any more, and no node is away that may have it."""
    found = seen.there
    if seen.record.state is RunState.SUCCEEDED:
        gone = [one.sink for one in seen.letters if one.sink not in [sink for sink, _ in found]]
        if gone and seen.lacking is None:
            raise NotFound(
                f"{gone[0].path} is not there any more",
                code="dead_letter_gone",
                hint="a later run or somebody else has taken it away",
            )
        return found
    run_folder = str(seen.folder / "runs" / seen.record.run)
    sinks = dead_sinks(seen.dag).values()
    under = [(sink, kept_dead_letter(sink, run_folder)) for sink in sinks]
    found = [one for one in under if Path(one[1]).exists()] + found
    whole = {sink.scenario for sink, _ in found if not sink.checkpoint}
    return [one for one in found if not (one[0].checkpoint and one[0].scenario in whole)]


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
