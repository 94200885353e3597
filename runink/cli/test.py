"""`runi test`: runs scenarios as rehearsals on their golden inputs. Everything is done but publishing, and what came out is compared with the goldens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio
import click

from runink.cli.client import Embedding
from runink.cli.exits import ExitCode, told
from runink.cli.golden_report import golden_document, junit, lines_of, summary_line
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
from runink.cli.pipeline_files import features_of, pipeline_files
from runink.cli.rehearsing import (
    GoldenOutcome,
    How,
    Status,
    chosen,
    compiled_all,
    name_of,
    rehearsed,
)
from runink.cli.run import modules_of
from runink.cli.wording import echo_json
from runink.errors import Invalid, NotFound
from runink.projects import Compiled

JOBS_MAX: Final = 64  # runs at once; more only wait for each other
JOBS: Final = min(4, os.cpu_count() or 1)


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, metavar="[FILE.dsl]...")
@click.option("--update", is_flag=True, help="Write what came out as the new goldens.")
@click.option(
    "-k",
    "wish",
    default="",
    metavar="WORDS",
    help="Only tests with these words in their name or tags: 'delays and not layer=silver'.",
)
@click.option("--list", "lists", is_flag=True, help="Print the tests' names and run none.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=JOBS,
    help="How many runs at once.  [default: one a core, at most 4]",
)
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the results as JUnit's XML.",
)
@param_option
@slice_options
@output_option
@state_option
def test(  # noqa: PLR0913 - what may be asked for
    files: tuple[Path, ...],
    *,
    wish: str,
    jobs: int,
    junit_file: Path | None,
    params: tuple[str, ...],
    output: str,
    state: Path | None,
    update: bool,
    lists: bool,
    slices: SliceOptions,
) -> None:
    """Run scenarios on their golden inputs, without publishing, and compare what comes out with their goldens.

    A folder stands for every .dsl below it; without a file: all of features/. Exit code 0 if every output is as its golden says, 1 if not.
    """
    compiled = compiled_all(_named(files), parameters_of(params))
    without = [one.dag.file for one in compiled if not one.dag.goldens]
    wished = _wished(compiled, wish)
    if lists:
        names = [name_of(one.dag.file, golden) for one in wished for golden in one.dag.goldens]
        if output == "json":
            echo_json({"tests": names, "without_golden": without})
        else:
            click.echo("\n".join(names))
        return
    embedding = Embedding(
        state_folder(state, wished[0].root),
        modules=frozenset[str]().union(*(modules_of(one.dag) for one in wished)),
        slices=slices,
    )
    is_text = output == "text"
    results = anyio.run(
        rehearsed, wished, embedding, How(jobs, update), _tell if is_text else _keep
    )
    if junit_file is not None:
        _write(junit_file, junit(results))
    if is_text:
        for file in without:
            click.echo(f"none    {file} has no golden")
        click.echo(summary_line(results))
    else:
        echo_json(golden_document(results, without))
    raise SystemExit(_exit_code(results))


def _exit_code(results: list[GoldenOutcome]) -> ExitCode:
    if any(one.status is Status.CANCELLED for one in results):
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if all(one.status.is_good for one in results) else ExitCode.FAILED


def _tell(one: GoldenOutcome) -> None:
    has_no_colour = bool(os.environ.get("NO_COLOR"))
    click.echo("\n".join(lines_of(one)), color=False if has_no_colour else None)


def _keep(_: GoldenOutcome) -> None:
    """A document is printed when all is known."""


def _wished(compiled: list[Compiled], wish: str) -> list[Compiled]:
    with_goldens = [one for one in compiled if one.dag.goldens]
    if not with_goldens:
        raise Invalid(
            "none of these pipelines has a golden",
            code="no_goldens",
            hint='write @golden("golden/NAME.csv", key=["…"]) behind a @sink',
        )
    wished = chosen(with_goldens, wish)
    if not wished:
        raise NotFound(
            f"no test is meant by {wish!r}", code="no_such_test", hint="runi test --list names them"
        )
    return wished


def _write(path: Path, body: bytes) -> None:
    """Write the file aside and rename it, so that who reads it never sees half of it. Raises Refused, Forbidden or Unavailable."""
    aside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(body)
        aside.replace(path)
    except OSError as error:
        raise told(error, where=path) from error


def _named(files: tuple[Path, ...]) -> list[Path]:
    if files:
        return list(pipeline_files(files))
    return features_of(project_here(), hint="name one: runi test FILE.dsl")
