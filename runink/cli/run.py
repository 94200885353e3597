"""`runi run`: a pipeline from its text to its output, followed to the end.

It submits to the cluster that runs for this project's state (`runi up`, or another `runi run`), else it is the cluster itself for as long as
runs are under way.  Ctrl-C cancels the run and waits for its end; a second one goes at once, and the next start says that the run was cut.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

import anyio
import click
import msgspec
from msgspec.structs import replace as changed

from runink.bundles import pack, unpack
from runink.cli.client import Embedding
from runink.cli.exits import ExitCode, told
from runink.cli.following import run_to_end
from runink.cli.options import (
    SliceOptions,
    file_argument,
    output_option,
    param_option,
    parameters_of,
    seconds_in,
    slice_options,
    state_folder,
    state_option,
)
from runink.cli.progress import progress_for
from runink.cli.settings import tell_herd
from runink.cli.summary import WIDTH, summary
from runink.clients.bundle_store import put_bundle
from runink.clients.cluster import Cluster
from runink.clients.run_documents import run_document
from runink.clients.run_requests import RunView, Submit
from runink.clock import now_ms
from runink.dag import Dag, reads_standard, writes_standard
from runink.errors import Invalid
from runink.names import BundleHash, RunId
from runink.names import run_id as made_run_id
from runink.operations.catalog.runs import RunDocument
from runink.projects import Compiled, compile_file
from runink.runs.records import RunRecord, RunState
from runink.wants import PRIORITY_MAX


@click.command()
@file_argument
@param_option
@output_option
@state_option
@slice_options
@click.option("--timeout", metavar="DURATION", help="End each slice after so long, as in 30m.")
@click.option(
    "--priority",
    type=click.IntRange(-PRIORITY_MAX, PRIORITY_MAX),
    help="Which of the runs that wait is first: more is sooner. Counts before @priority.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def run(  # noqa: PLR0913 - what may be asked for
    file: Path,
    params: tuple[str, ...],
    output: str,
    state: Path | None,
    *,
    timeout: str | None,
    priority: int | None,
    quiet: bool,
    slices: SliceOptions,
) -> None:
    """Run a pipeline, and show how far it is.

    Exit code 0 if the run succeeded, 1 if it failed, 130 if it was cancelled, 8 if the pipeline is invalid.
    """
    wall_time_s = seconds_in(timeout)
    compiled = compile_file(file, parameters=parameters_of(params))
    folder = state_folder(state, compiled.root)
    for note in () if quiet else compiled.notes:
        click.echo(f"note: {note}", err=True)

    run_id = new_run_id()

    async def request_for(cluster: Cluster) -> Submit:
        if not quiet:
            await tell_herd(cluster, compiled.herd)
        request = await submission(
            compiled, folder, run_id, cluster=cluster, wall_time_s=wall_time_s
        )
        return changed(request, priority=priority)

    async def whole() -> RunView:
        embedding = Embedding(
            folder,
            modules=modules_of(compiled.dag),
            slices=slices,
        )
        with progress_for(compiled.dag, is_quiet=quiet or output == "json") as shown:
            return await run_to_end(embedding, request_for, shown)

    view = anyio.run(whole)
    tell(view, compiled.dag, output)
    raise SystemExit(exit_code_of(view.record))


def tell(view: RunView, dag: Dag, output: str) -> None:
    """Print what became of a run: where its own output goes to standard output, on standard error."""
    shows_on_stderr = writes_standard(dag.nodes)
    if output == "json":
        text = msgspec.json.encode(run_document(view)).decode()
    else:
        stream = sys.stderr if shows_on_stderr else sys.stdout
        text = "\n".join(summary(view, dag, width=width_of(stream)))
    click.echo(text, err=shows_on_stderr)


def width_of(stream: TextIO | None) -> int:
    """Return how wide the terminal is that the stream goes to, or WIDTH where it goes elsewhere."""
    if stream is None or not stream.isatty():
        return WIDTH
    return shutil.get_terminal_size((WIDTH, 0)).columns


def exit_code_of(record: RunRecord | RunDocument) -> ExitCode:
    """Return how a command ends that was about a run which is over."""
    match record.state:
        case RunState.SUCCEEDED:
            return ExitCode.DONE
        case RunState.CANCELLED:
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.FAILED


def modules_of(dag: Dag) -> frozenset[str]:
    """Return the heavy libraries that the pipeline's steps import."""
    return frozenset(module for node in dag.nodes for module in getattr(node, "modules", ()))


async def submission(
    compiled: Compiled,
    state: Path,
    run_id: RunId,
    *,
    cluster: Cluster,
    wall_time_s: float = 0.0,
    rehearsal: bool = False,
) -> Submit:
    """Pack the project, put it where the cluster's nodes find it, and return the request for a run of it. Raises Invalid, Unavailable."""
    dag = compiled.dag
    return Submit(
        run=run_id,
        dag=dag,
        herd=compiled.herd,
        project=str(compiled.root),
        bundle=await bundled(compiled.root, state, cluster),
        is_bound=bool(cluster.session),
        rehearsal=rehearsal,
        wall_time_s=wall_time_s,
        stdin=_standard(0, reads_standard(dag.nodes)),
        stdout=_standard(1, writes_standard(dag.nodes)),
    )


async def bundled(project: Path, state: Path, cluster: Cluster) -> BundleHash:
    """Pack a project, put it where the cluster's nodes find it, and return its hash. Raises Invalid, Unavailable."""
    try:
        bundle = pack(project)
    except OSError as error:
        raise told(error, where=error.filename or project) from error
    if cluster.is_remote:
        await put_bundle(cluster.barn, bundle)
        return bundle.hash
    try:
        unpack(bundle, state / "bundles")
    except OSError as error:
        raise told(error, where=state / "bundles") from error
    return bundle.hash


def new_run_id() -> RunId:
    """Return an id that nobody has, later in the alphabet than those before."""
    return made_run_id(now_ms=now_ms(), entropy=os.urandom(10))


def _standard(number: int, is_used: bool) -> str:  # noqa: FBT001 - one fact, one caller
    """Return the path under which another process of this user opens our standard input or output."""
    if not is_used:
        return ""
    if number == 0 and sys.stdin is not None and sys.stdin.isatty():
        raise Invalid(
            "the pipeline reads standard input, which is a terminal",
            code="stdin_is_terminal",
            hint="pipe something into it, as in: cat data.csv | runi run …",
        )
    return f"/proc/{os.getpid()}/fd/{number}"
