"""`runi test`: runs pipelines as rehearsals. Everything is done but publishing, and what came out is compared with the goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from runink.cli.client import Embedding, open_cluster
from runink.cli.exits import ExitCode
from runink.cli.following import followed
from runink.cli.options import (
    SliceOptions,
    output_option,
    param_option,
    parameters_of,
    project_here,
    slice_options,
    state_folder,
    state_option,
)
from runink.cli.progress import Nothing
from runink.cli.run import modules_of, new_run_id, submission
from runink.cli.summary import document, failure_lines, seconds_of
from runink.cli.wording import echo_json
from runink.clients.run_requests import RunView
from runink.errors import Invalid, NotFound
from runink.projects import Compiled, compile_file
from runink.runs.records import RunState


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE.dsl]...")
@click.option("--update", is_flag=True, help="Write what came out as the new goldens.")
@param_option
@slice_options
@output_option
@state_option
def test(
    files: tuple[Path, ...],
    update: bool,  # noqa: FBT001 - click gives it by name
    params: tuple[str, ...],
    output: str,
    state: Path | None,
    *,
    slices: SliceOptions,
) -> None:
    """Run pipelines without publishing, and compare with their goldens.

    Without a file: all of features/. Exit code 0 if every output is as its golden says, 1 if not.
    """
    parameters = parameters_of(params)
    compiled = [compile_file(file, parameters=parameters) for file in files or _all_files()]
    with_goldens = [one for one in compiled if one.dag.goldens]
    if not with_goldens:
        raise Invalid(
            "none of these pipelines has a golden",
            code="no_goldens",
            hint='write @golden("golden/NAME.csv", key=["…"]) behind a @sink',
        )
    folder = state_folder(state, with_goldens[0].root)
    embedding = Embedding(
        folder,
        modules=frozenset[str]().union(*(modules_of(one.dag) for one in with_goldens)),
        slices=slices,
    )
    views = anyio.run(_rehearsed, with_goldens, embedding, update)
    if output == "json":
        echo_json([document(view) for view in views])
    else:
        for one, view in zip(with_goldens, views, strict=True):
            click.echo("\n".join(_lines(one, view, is_update=update)))
    if not all(view.record.state is RunState.SUCCEEDED for view in views):
        raise SystemExit(ExitCode.FAILED)


def _all_files() -> list[Path]:
    root = project_here()
    found = sorted((root / "features").glob("**/*.dsl"))
    if not found:
        raise NotFound(f"there is no .dsl file in {root / 'features'}", hint="name one")
    return found


async def _rehearsed(
    compiled: list[Compiled],
    embedding: Embedding,
    update: bool,  # noqa: FBT001 - anyio.run passes by place
) -> list[RunView]:
    views: list[RunView] = []
    async with open_cluster(embedding) as cluster:
        for one in compiled:
            request = submission(
                one, embedding.state, new_run_id(), cluster=cluster, rehearsal=True
            )
            request = msgspec.structs.replace(request, update_goldens=update)
            views.append(await followed(cluster, request, Nothing()))
    return views


def _lines(compiled: Compiled, view: RunView, *, is_update: bool) -> list[Any]:
    record = view.record
    dag = compiled.dag
    if record.state is RunState.SUCCEEDED:
        said = "written" if is_update else "as expected"
        names = ", ".join(golden.path for golden in dag.goldens)
        return [f"ok      {dag.file} in {seconds_of(record):.1f} s: {names} {said}"]
    failure = failure_lines(record.failure) if record.failure else [record.state.value]
    return [f"FAILED  {dag.file} in {seconds_of(record):.1f} s", *failure]
