"""`runi resume` and `runi restart`: a run that goes on from one that failed or was cancelled, with what that one has kept.

What the project says now is compiled with the parameters of the old run, and has to be what that one was made of.  Asked again, the run that goes on is followed instead of a second one made.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import click
from msgspec.structs import replace as changed

from runink.cli.asked_runs import end_of_run, told_end
from runink.cli.asked_runs import find_run as asked_run
from runink.cli.asking import Where, asked, asks_cluster
from runink.cli.client import Embedding, end_of, find_run
from runink.cli.following import run_to_end
from runink.cli.options import (
    SliceOptions,
    output_option,
    project_here,
    run_argument,
    slice_options,
    state_folder,
)
from runink.cli.progress import progress_for
from runink.cli.run import exit_code_of, modules_of, new_run_id, submission, tell
from runink.cli.runs import summary_by_record, summary_line, with_cluster
from runink.cli.summary import short
from runink.cli.wording import echo_json, harmless
from runink.clients.cluster import Cluster
from runink.clients.run_documents import row_of
from runink.clients.run_requests import RunView, Submit
from runink.config import Role
from runink.names import RunId
from runink.operations.catalog import runs
from runink.operations.catalog.runs import RunDocument
from runink.projects import compile_file
from runink.runs.records import RunRecord
from runink.runs.resuming import check_over


@click.command()
@run_argument
@output_option
@slice_options
@asks_cluster
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def resume(
    run_id: str,
    output: str,
    quiet: bool,  # noqa: FBT001 - click gives it by name
    *,
    where: Where,
    slices: SliceOptions,
) -> None:
    """Go on from a run that failed or was cancelled, with what it has kept. RUN is an id, its beginning, or `last`.

    In a context the cluster goes on with the code that the run had. Exit codes as of `runi run`, and 5 if nothing may go on from it.
    """
    if where.context is not None:
        _go_on_there(where, run_id, "", output)
    _go_on(run_id, "", output, where.state, slices, is_quiet=quiet)


@click.command()
@run_argument
@click.option(
    "--from", "step", required=True, metavar="STEP", help="Do this and all behind it again."
)
@output_option
@slice_options
@asks_cluster
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def restart(
    run_id: str,
    step: str,
    output: str,
    quiet: bool,  # noqa: FBT001 - click gives it by name
    *,
    where: Where,
    slices: SliceOptions,
) -> None:
    """Go on from a run that failed or was cancelled, and do a step and all behind it again. RUN is an id, its beginning, or `last`.

    In a context the cluster goes on with the code that the run had. Exit codes as of `runi run`, and 5 if nothing may go on from it.
    """
    if where.context is not None:
        _go_on_there(where, run_id, step, output)
    _go_on(run_id, step, output, where.state, slices, is_quiet=quiet)


def _go_on_there(where: Where, run_id: str, step: str, output: str) -> NoReturn:
    """Have a context's cluster go on, and wait for the end."""
    with asked(where) as client:
        old = asked_run(client, where, run_id)
        fields = {"herd": old.herd, "run": old.run, "step": step or None}
        begun: RunDocument = client.call(runs.RETRY, **fields)
        click.echo(f"run {short(old.run)} goes on as run {short(begun.run)}", err=True)
        end = end_of_run(client, begun)
    if output == "json":
        echo_json(end)
    else:
        click.echo(harmless(told_end(end)))
    raise SystemExit(exit_code_of(end))


def _go_on(
    run_id: str, step: str, output: str, state: Path | None, slices: SliceOptions, *, is_quiet: bool
) -> None:
    record = with_cluster(state, partial(_ended, run_id), role=Role.ALL)
    if record.resumed_by is not None:
        _follow(record, record.resumed_by, output, state)
    check_over(record)
    compiled = compile_file(project_here() / record.file, parameters=record.parameters)
    folder = state_folder(state, compiled.root)
    dag, new = compiled.dag, new_run_id()

    async def request_for(cluster: Cluster) -> Submit:
        whole = await submission(compiled, folder, new, cluster=cluster)
        return changed(whole, resumes=record.run, restart=step)

    async def whole() -> RunView:
        embedding = Embedding(folder, modules=modules_of(dag), slices=slices)
        with progress_for(dag, is_quiet=is_quiet or output == "json") as shown:
            return await run_to_end(embedding, request_for, shown)

    view = anyio.run(whole)
    tell(view, dag, output)
    raise SystemExit(exit_code_of(view.record))


async def _ended(run_id: str, cluster: Cluster, _: Path) -> RunRecord:
    """Return the run; one whose end is under way, because what it lived with is gone, when it is over."""
    record = await find_run(cluster, run_id)
    is_cut = bool(record.session and cluster.session) and record.session != cluster.session
    if not record.state.is_over and (is_cut or record.ending is not None):
        return await end_of(cluster, record)
    return record


def _follow(old: RunRecord, run: RunId, output: str, state: Path | None) -> NoReturn:
    """Tell what becomes of the run that goes on already."""
    if output == "text":
        click.echo(f"run {short(old.run)} goes on as run {short(run)} already", err=True)

    async def ask(cluster: Cluster, _: Path) -> RunRecord:
        return await end_of(cluster, await find_run(cluster, run))

    record = with_cluster(state, ask, role=Role.ALL)
    if output == "json":
        echo_json(row_of(record))
    else:
        click.echo(summary_line(summary_by_record(record)))
    raise SystemExit(exit_code_of(record))
