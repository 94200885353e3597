"""`runi pause` and `runi unpause`: whether anything new of a run is begun."""

from __future__ import annotations

from pathlib import Path

import click

from runink.cli.client import find_run
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, run_argument, state_option
from runink.cli.runs import with_cluster
from runink.cli.summary import short
from runink.cli.wording import echo_json
from runink.clients.cluster import Cluster
from runink.clients.run_documents import row_of
from runink.node import Role
from runink.runs.records import RunRecord, RunState


@click.command()
@run_argument
@output_option
@state_option
def pause(run_id: str, output: str, state: Path | None) -> None:
    """Begin nothing new of a run; what runs goes on. RUN is an id, its beginning, or `last`.

    Exit code 5 if it was over, or publishing, already.
    """
    _mark(run_id, output, state, paused=True)


@click.command()
@run_argument
@output_option
@state_option
def unpause(run_id: str, output: str, state: Path | None) -> None:
    """Go on with a run that is paused. RUN is an id, its beginning, or `last`.

    Exit code 5 if it was over, or publishing, already.
    """
    _mark(run_id, output, state, paused=False)


def _mark(run_id: str, output: str, state: Path | None, *, paused: bool) -> None:
    async def ask(cluster: Cluster, _: Path) -> RunRecord:
        record = await find_run(cluster, run_id)
        return record if record.state.is_over else await cluster.pause(record.run, paused=paused)

    record = with_cluster(state, ask, role=Role.ALL)
    if output == "json":
        echo_json(row_of(record))
    else:
        click.echo(pause_told(record), err=not may_change(record))
    if not may_change(record):
        raise SystemExit(ExitCode.CONFLICT)


def may_change(record: RunRecord) -> bool:
    """Say whether a run has anything left to begin."""
    return not record.state.is_over and record.state is not RunState.COMMITTING


def pause_told(record: RunRecord) -> str:
    """Say how it is with a run that was to be paused or to go on."""
    run = f"run {short(record.run)}"
    if record.state is RunState.COMMITTING:
        return f"{run} is publishing already, which is seen through"
    if record.state.is_over:
        verb = "was" if record.state is RunState.CANCELLED else "has"
        return f"{run} {verb} {record.state.value} already"
    return f"{run}: {'paused; runi unpause goes on with it' if record.paused else 'goes on'}"
