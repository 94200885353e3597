"""Commands about a pipeline's text, for which nothing runs: `runi compile`, `explain`, `graph`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
import msgspec

from runink.cli.options import file_argument, output_option, param_option, parameters_of
from runink.dsl.codes import told_at_length
from runink.dsl.drawing import as_svg
from runink.dsl.explain import explained
from runink.dsl.pictures import as_dot, as_mermaid
from runink.projects import Compiled, compile_file
from runink.quantities import counted

_CODE: Final = re.compile(r"[A-Za-z]\d{3}")


def _compiled(file: Path, params: tuple[str, ...]) -> Compiled:
    compiled = compile_file(file, parameters=parameters_of(params))
    for note in compiled.notes:
        click.echo(f"note: {note}", err=True)
    return compiled


@click.command("compile")
@file_argument
@param_option
@output_option
def compile_(file: Path, params: tuple[str, ...], output: str) -> None:
    """Check a pipeline and print what it compiles to.

    Text is one line; `-o json` is the whole compiled pipeline, the same bytes for the same files and parameters.
    """
    dag = _compiled(file, params).dag
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(dag, order="sorted"), indent=2))
        return
    click.echo(
        f"{dag.pipeline} {dag.hash[:12]}: {counted(len(dag.scenarios), 'scenario')}, "
        f"{counted(len(dag.nodes), 'node')}, {counted(len(dag.slices), 'slice')} in {counted(len(dag.gangs()), 'gang')}"
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.dsl|CODE")
@param_option
def explain(file: Path, params: tuple[str, ...]) -> None:
    """Say what a pipeline does, and what of its text is not enforced; or what a CODE of a mistake means (D010)."""
    if _CODE.fullmatch(str(file)) and not file.exists():
        click.echo(told_at_length(str(file)))
        return
    click.echo(explained(_compiled(file, params).dag))


@click.command()
@file_argument
@param_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "svg"]),
    default="mermaid",
    show_default=True,
    help="For which program: svg is a picture that a browser shows.",
)
def graph(file: Path, params: tuple[str, ...], form: str) -> None:
    """Print a pipeline's graph: for mermaid or dot, or as a picture (svg)."""
    dag = _compiled(file, params).dag
    drawn = {"mermaid": as_mermaid, "dot": as_dot, "svg": as_svg}[form](dag)
    click.echo(drawn.removesuffix("\n"))
