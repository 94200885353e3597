"""`runi logs` and `why` of a cluster elsewhere, by its API."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final

import click

from runink.cli.asked_runs import find_run
from runink.cli.asking import Where
from runink.cli.choosing import Away
from runink.cli.logs import text_of
from runink.cli.summary import short
from runink.cli.wording import JsonRows, harmless
from runink.operations.catalog import logs as log_operations
from runink.operations.catalog import runs as run_operations
from runink.operations.catalog.logs import LogLine
from runink.operations.catalog.runs import RunDocument
from runink.operations.catalog.slices import WHY, WhyDocument
from runink.runs.records import RunState

PAGE: Final = 500


def print_logs(
    away: Away, run: str, slice_id: str | None, attempt: int | None, *, follows: bool, output: str
) -> None:
    """Print what a run's slices printed, in the order of time; as it comes, if `follows`."""
    rows = JsonRows() if output == "json" else None
    where = Where(away.context, None, said=away.herd)
    with where.client() as client:
        found = find_run(client, where, run)
        fields: dict[str, Any] = {
            "herd": found.herd,
            "run": found.run,
            "slice": slice_id,
            "attempt": attempt,
        }
        lines: Iterable[LogLine]
        if follows:
            lines = (event.data for event in client.call(log_operations.FOLLOW, **fields))
        else:
            listed = client.call(log_operations.LIST, limit=PAGE, **fields)
            lines = sorted(listed, key=lambda line: line.at_ms)
        printed = 0
        for line in lines:
            _print(line, rows)
            printed += 1
        end = client.call(run_operations.GET, herd=found.herd, run=found.run)
    if rows is not None:
        rows.end()
    else:
        _tell_end(end, printed)


def _print(line: LogLine, rows: JsonRows | None) -> None:
    if rows is not None:
        rows.add(line)
    else:
        click.echo(text_of(line.slice, line.attempt, line))
    sys.stdout.flush()


def _tell_end(end: RunDocument, printed: int) -> None:
    run = f"run {short(end.run)}"
    if not printed and end.state is RunState.SUCCEEDED:
        click.echo(f"{run} printed nothing", err=True)
    if end.state is RunState.CANCELLED:
        click.echo(f"{run}: cancelled", err=True)
    elif end.error is not None:
        click.echo(harmless(f"error[{end.error.code}]: {end.error.text}"), err=True)


def why_of(away: Away, run: str, slice_id: str, changes: tuple[str, ...]) -> WhyDocument:
    """Return why a run waits, or why its slices are where they are."""
    where = Where(away.context, None, said=away.herd)
    with where.client() as client:
        found = find_run(client, where, run)
        fields: dict[str, Any] = {"herd": found.herd, "run": found.run, "changes": changes}
        answer: WhyDocument = client.call(WHY, slice=slice_id or None, **fields)
    return answer
