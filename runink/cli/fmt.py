"""`runi fmt`: pipeline files in the one way in which they are written."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from runink.cli.exits import ExitCode
from runink.cli.pipeline_files import pipeline_files
from runink.dsl.formatting import formatted
from runink.errors import Finding, Invalid
from runink.textfiles import FILE_BYTES_MAX, decoded, read_text, replace_text

STANDARD: Final = "-"


@click.command()
@click.argument("files", nargs=-1, metavar="[FILES…]")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
@click.pass_context
def fmt(
    ctx: click.Context, files: tuple[str, ...], *, check: bool, diff: bool, output: str
) -> None:
    """Write pipeline files in the one way in which they are written.

    FILES are files, folders (every .dsl below them) or - for standard input; the folder you are in, if none is named.
    A file that cannot be read is not changed, and what is wrong with it is told.
    """
    if STANDARD in files and len(files) > 1:
        raise click.UsageError("- stands alone: standard input is one text")
    work = _Work(is_dry=check or diff, shows=diff)
    if files == (STANDARD,):
        work.standard()
    else:
        for file in pipeline_files(files or (".",)):
            work.file(file)
    work.refuse()
    if output == "json":
        click.echo(msgspec.json.encode({"files": work.seen, "changed": work.changed}).decode())
    elif not diff and files != (STANDARD,):
        _tell(work, is_check=check)
    if check and work.changed:
        ctx.exit(ExitCode.FAILED)


def _tell(work: _Work, *, is_check: bool) -> None:
    for name in work.changed:
        click.echo(f"{name} {'would change' if is_check else 'is written anew'}")
    if not work.changed:
        one = work.seen == 1
        click.echo(f"{work.seen} {'file is' if one else 'files are'} as written")


class _Work:
    """Formats files one by one, and keeps what is wrong until all are looked at."""

    def __init__(self, *, is_dry: bool, shows: bool) -> None:
        self.seen = 0
        self.changed: list[str] = []
        self._is_dry = is_dry
        self._shows = shows
        self._refused: list[str] = []
        self._findings: list[Finding] = []

    def standard(self) -> None:
        """Read standard input and print it as it is written."""
        made = self._made(STANDARD, decoded(sys.stdin.buffer.read(FILE_BYTES_MAX + 1), STANDARD))
        if made is not None and not self._is_dry:
            click.echo(made, nl=False)

    def file(self, path: Path) -> None:
        """Write a file anew if it is not as it is written."""
        try:
            text = read_text(path, str(path))
        except Invalid as error:
            self._refuse(str(path), error)
            return
        made = self._made(str(path), text)
        if made is not None and made != text and not self._is_dry:
            replace_text(path, made)

    def _made(self, name: str, text: str) -> str | None:
        self.seen += 1
        try:
            made = formatted(text, name)
        except Invalid as error:
            self._refuse(name, error)
            return None
        if made != text:
            self.changed.append(name)
            if self._shows:
                click.echo("".join(_difference(text, made, name)), nl=False)
        return made

    def _refuse(self, name: str, error: Invalid) -> None:
        self._refused.append(name)
        self._findings.extend(error.findings)

    def refuse(self) -> None:
        """Raise Invalid with all findings if a file could not be read."""
        if not self._refused:
            return
        count = len(self._refused)
        what = self._refused[0] if count == 1 else f"{count} files"
        text = f"{what} cannot be formatted; nothing was changed there"
        raise Invalid(text, findings=tuple(self._findings), code="not_formatted")


def _difference(text: str, made: str, name: str) -> Iterator[str]:
    ours, theirs = text.splitlines(keepends=True), made.splitlines(keepends=True)
    for line in difflib.unified_diff(ours, theirs, name, f"{name} as written"):
        yield line if line.endswith("\n") else f"{line}\n\\ no end of line\n"
