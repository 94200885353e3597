"""`runi logs`: what a run's slices printed, in the order of time; as it comes, with `--follow`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final

import click

from runink.cli.asked_runs import find_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, run_argument
from runink.cli.summary import error_lines, short
from runink.cli.wording import JsonRows, clock, harmless
from runink.operations.catalog import logs as catalog
from runink.operations.catalog import runs
from runink.operations.catalog.logs import LogLine
from runink.operations.catalog.runs import RunDocument
from runink.runs.records import RunState

PAGE: Final = 500


@click.command()
@run_argument
@click.option("--slice", "slice_id", metavar="SLICE", help="Only this slice's lines.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt's lines, from 1.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@output_option
@asks_cluster
def logs(
    *,
    run_id: str,
    slice_id: str | None,
    attempt: int | None,
    follow: bool,
    output: str,
    where: Where,
) -> None:
    """Print what a run's slices printed, oldest first. RUN is an id, its beginning, or `last`.

    Exit code 1 where a node that keeps lines is away: the others are printed.
    """
    printer = Printer(is_json=output == "json")
    with asked(where) as client:
        run = find_run(client, where, run_id)
        fields = {"herd": run.herd, "run": run.run, "slice": slice_id, "attempt": attempt}
        if follow and not run.state.is_over:
            with client.call(catalog.FOLLOW, **fields) as events:
                printer.print_all(event.data for event in events)
        else:
            found: list[LogLine] = list(client.call(catalog.LIST, limit=PAGE, **fields))
            printer.print_all(sorted(found, key=lambda line: line.at_ms))
        end: RunDocument = client.call(runs.GET, herd=run.herd, run=run.run)
    printer.end()
    if output != "json":
        _tell_end(end, printer.printed)
    if printer.missing:
        click.echo("\n".join(map(harmless, printer.missing)), err=True)
        raise SystemExit(ExitCode.FAILED)


class Printer:
    """Prints lines as they come. `printed` counts them; `missing` says of nodes that are away why what they keep is not among them."""

    def __init__(self, *, is_json: bool) -> None:
        self.printed = 0
        self.missing: list[str] = []
        self._rows = JsonRows() if is_json else None

    def print_all(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            if line.code is not None:
                self.missing.append(line.text)
                continue
            self.printed += 1
            if self._rows is not None:
                self._rows.add(line)
            else:
                click.echo(text_of(line.slice, line.attempt, line))
            sys.stdout.flush()

    def end(self) -> None:
        """Say that this was all."""
        if self._rows is not None:
            self._rows.end()


def _tell_end(end: RunDocument, printed: int) -> None:
    run = f"run {short(end.run)}"
    if not printed and end.state is RunState.SUCCEEDED:
        click.echo(f"{run} printed nothing", err=True)
    if end.state is RunState.CANCELLED:
        click.echo(f"{run}: cancelled", err=True)
    elif end.error is not None:
        click.echo("\n".join(map(harmless, error_lines(end.error))), err=True)


def text_of(name: str, attempt: int, line: Any) -> str:
    """Return a line as people read it."""
    at = clock(line.at_ms)
    again = f" (attempt {attempt})" if attempt > 1 else ""
    return f"{at:%H:%M:%S}.{line.at_ms % 1000:03} {name}{again} {line.stream.value}: {harmless(line.text)}"
