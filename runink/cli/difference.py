"""`runi diff`: what has changed between two pipelines, and what of it breaks somebody."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from runink.cli.exits import ExitCode
from runink.cli.options import output_option, param_option, parameters_of
from runink.cli.wording import echo_json
from runink.dsl.difference import Change, difference
from runink.errors import Invalid
from runink.projects import compile_file
from runink.quantities import counted
from runink.textfiles import FILE_BYTES_MAX

STANDARD: Final = "-"
_FILE: Final = click.Path(path_type=Path)
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("old", type=_FILE, metavar="OLD.dsl")
@click.argument("new", type=_FILE, metavar="NEW.dsl")
@click.option("--exit-code", "is_told", is_flag=True, help="Exit with 1 if anything differs.")
@param_option
@output_option
def diff(
    old: Path,
    new: Path,
    is_told: bool,  # noqa: FBT001 - click gives it by name
    params: tuple[str, ...],
    output: str,
) -> None:
    """Say what differs between two pipelines, and what of it is breaking.

    Formatting, notes and sentences for people are no difference. OLD may be `-`: standard input, read as if it stood where NEW stands, as in
    `git show HEAD:features/x.dsl | runi diff - features/x.dsl`.
    """
    parameters = parameters_of(params)
    if str(old) == STANDARD:
        before = compile_file(new, parameters=parameters, text=_standard())
    else:
        before = compile_file(old, parameters=parameters)
    now = compile_file(new, parameters=parameters)
    changes = difference(before.dag, now.dag)
    if output == "json":
        echo_json({"old": before.dag.hash, "new": now.dag.hash, "changes": changes})
    else:
        click.echo("\n".join(_lines(changes)))
    if is_told and changes:
        raise SystemExit(ExitCode.FAILED)


def _standard() -> str:
    content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise Invalid(f"standard input is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"standard input is not UTF-8: byte {error.start}") from None


def _lines(changes: tuple[Change, ...]) -> list[str]:
    if not changes:
        return ["no difference in what they do"]
    told = [
        f"{_MARKS[one.how]} {one.what} {one.where}: {one.text}{' [breaking]' if one.breaking else ''}"
        for one in changes
    ]
    breaking = sum(one.breaking for one in changes)
    return [*told, f"{counted(len(changes), 'change')}, {breaking} breaking"]
