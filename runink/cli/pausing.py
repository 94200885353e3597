"""`runi pause` and `runi unpause`: whether anything new of a run is begun."""

from __future__ import annotations

import click

from runink.cli.asked_runs import find_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.exits import ExitCode
from runink.cli.options import run_argument
from runink.cli.output import echo_documents, shown_option
from runink.cli.summary import short
from runink.config import Role
from runink.errors import Conflict
from runink.operations.catalog import runs
from runink.operations.catalog.runs import RunDocument
from runink.operations.declarations import Operation
from runink.runs.records import RunState


@click.command()
@run_argument
@shown_option
@asks_cluster
def pause(run_id: str, output: str, where: Where) -> None:
    """Begin nothing new of a run; what runs goes on. RUN is an id, its beginning, or `last`.

    Exit code 5 if it was over, or publishing, already.
    """
    _mark(run_id, output, where, runs.PAUSE)


@click.command()
@run_argument
@shown_option
@asks_cluster
def unpause(run_id: str, output: str, where: Where) -> None:
    """Go on with a run that is paused. RUN is an id, its beginning, or `last`.

    Exit code 5 if it was over, or publishing, already.
    """
    _mark(run_id, output, where, runs.UNPAUSE)


def _mark(run_id: str, output: str, where: Where, operation: Operation) -> None:
    with asked(where, role=Role.ALL) as client:
        run = find_run(client, where, run_id)
        fields = {"herd": run.herd, "run": run.run}
        try:
            found: RunDocument = client.call(operation, **fields)
        except Conflict:  # nothing of it is left to begin
            found = client.call(runs.GET, **fields)
    if not echo_documents(found, output, lambda one: one.run):
        click.echo(pause_told(found), err=not may_change(found))
    if not may_change(found):
        raise SystemExit(ExitCode.CONFLICT)


def may_change(record: RunDocument) -> bool:
    """Say whether a run has anything left to begin."""
    return not record.state.is_over and record.state is not RunState.COMMITTING


def pause_told(record: RunDocument) -> str:
    """Say how it is with a run that was to be paused or to go on."""
    run = f"run {short(record.run)}"
    if record.state is RunState.COMMITTING:
        return f"{run} is publishing already, which is seen through"
    if record.state.is_over:
        verb = "was" if record.state is RunState.CANCELLED else "has"
        return f"{run} {verb} {record.state.value} already"
    return f"{run}: {'paused; runi unpause goes on with it' if record.paused else 'goes on'}"
