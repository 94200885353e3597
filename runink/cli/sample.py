"""`runi sample`: the first rows of what a run has published, as one may see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from runink.cli.asked_runs import find_run
from runink.cli.asking import Asker, Where, asked, asks_cluster
from runink.cli.commands import Commands
from runink.cli.options import COUNT, run_argument
from runink.cli.output import TABLE, Form, echo_items, output_option
from runink.cli.wording import columns, echo_json, harmless
from runink.errors import NotFound
from runink.operations.catalog import samples
from runink.operations.catalog.runs import RunDocument, RunSummary
from runink.operations.catalog.samples import ROWS, ROWS_MAX, Published, Sample
from runink.quantities import format_bytes
from runink.suggestions import near_or_all

SAMPLE_COMMANDS: Final = {
    "list": ("runink.cli.sample:list_", "List what a run has published."),
    "show": ("runink.cli.sample:show", "Print the first rows of what a run has published."),
}
CELL_MAX: Final = 60  # characters, for people
FORM: Final = Form(
    heading=("SINK", "URI", "FORMAT", "ROWS", "SIZE", "ROLE"),
    row=lambda one: (
        one.sink,
        one.uri,
        one.format,
        f"{one.rows:,}",
        format_bytes(one.bytes),
        one.role or "-",
    ),
    name=lambda one: one.sink,
)


class SampleCommands(Commands):
    table = SAMPLE_COMMANDS


@click.command(cls=SampleCommands)
def sample() -> None:
    """Look at the first rows of what a run has published."""


@click.command("list")
@run_argument
@output_option
@asks_cluster
def list_(run_id: str, output: str, where: Where) -> None:
    """List what a run has published. RUN is an id, its beginning, or `last`."""
    with asked(where) as client:
        found = _outputs(client, find_run(client, where, run_id))
    echo_items(found, output, FORM)


@click.command()
@run_argument
@click.argument("sink", required=False)
@click.option("-n", "--rows", type=COUNT, default=ROWS, show_default=True, help=f"How many rows at most, from the first; {ROWS_MAX:,} are the most.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice([TABLE, "json", "yaml"]), default=TABLE, help="How to print them.")  # fmt: skip
@asks_cluster
def show(run_id: str, sink: str | None, rows: int, output: str, where: Where) -> None:
    """Print the first rows of what a run has published by SINK: its id, or where it has written. RUN is an id, its beginning, or `last`.

    Marked fields are as your roles show them.
    """
    with asked(where) as client:
        run = find_run(client, where, run_id)
        chosen = _chosen(_outputs(client, run), sink, run)
        asks = {"herd": run.herd, "run": run.run, "sink": chosen.sink}
        found: Sample = client.call(samples.GET, rows=min(max(rows, 1), ROWS_MAX), **asks)
    told = found.rows[:rows]
    if output == "json":
        echo_json(told)
    elif output == "yaml":
        from runink.contracts.yaml_text import write_yaml  # noqa: PLC0415 - only where it is wanted

        click.echo(write_yaml(list(told)), nl=False)
    else:
        for line in columns(_table(told)):
            click.echo(harmless(line))
        if not found.is_all or len(told) < len(found.rows):
            click.echo(f"the first {len(told):,} of {chosen.rows:,} rows", err=True)


def _outputs(client: Asker, run: RunSummary | RunDocument) -> list[Published]:
    return list(client.call(samples.LIST, herd=run.herd, run=run.run))


def _chosen(
    outputs: Sequence[Published], sink: str | None, run: RunSummary | RunDocument
) -> Published:
    """Return the output that is meant. Raises NotFound (`no_sample`) if none is, or one of several has to be named."""
    found = [one for one in outputs if sink in {None, one.sink, one.uri}]
    if len(found) == 1:
        return found[0]
    names = [one.sink for one in outputs]
    if not outputs:
        why = "has published nothing" if run.state.is_over else "has published nothing yet"
        raise NotFound(f"run {run.run} {why}", code="no_sample", hint="runi runs says how it ended")
    if sink is None:
        raise NotFound(f"run {run.run} has published {len(outputs)} outputs", code="no_sample", hint=f"name one: {', '.join(names)}")  # fmt: skip
    raise NotFound(f"run {run.run} has published nothing by {sink}", code="no_sample", hint=near_or_all(sink, names) or "")  # fmt: skip


def _table(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [tuple(names), *(tuple(_cell(row.get(name)) for name in names) for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= CELL_MAX else f"{text[: CELL_MAX - 1]}…"
