"""`runi lint`: what compiles and is most likely not what was meant, or could be said better; `--fix` mends what it can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from runink.cli.exits import ExitCode
from runink.cli.options import project_here
from runink.cli.pipeline_files import features_of, pipeline_files
from runink.cli.sarif import LEVELS, sarif
from runink.dag import Dag
from runink.dsl.diagnostics import rendered
from runink.dsl.lint_codes import LINT_CODES, Severity
from runink.dsl.linting import ROUNDS_MAX, Lint, fixed, linted
from runink.errors import Finding, Invalid
from runink.projects import compile_file
from runink.quantities import counted
from runink.textfiles import replace_text

HINT: Final = "name files: runi lint FILE.dsl"
FORMATS: Final = ("text", "json", "github", "sarif")
_COMMANDS: Final = {**LEVELS, Severity.NOTE: "notice"}  # GitHub's word


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE.dsl…]")
@click.option(
    "--fix", is_flag=True, help="Mend what can be mended without changing what a pipeline does."
)
@click.option(
    "--select",
    metavar="CODES",
    help="Tell only these: L003, or L for all of lint; with commas between.",
)
@click.option("--ignore", metavar="CODES", help="Do not tell these. Mistakes are always told.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="text", help="How to print it.")
def lint(
    files: tuple[Path, ...], *, fix: bool, select: str | None, ignore: str | None, output: str
) -> int:
    """Find what is most likely a slip, or could be said better.

    A folder stands for every .dsl below it; without files it reads the pipelines in features/. It exits with 1 if there is a mistake or a warning; notes alone are no failure.
    `# lint: ignore L003 reason` behind a line, or alone above it, silences a code there.
    """
    chosen = _Chosen(_codes(select), _codes(ignore))
    told: list[tuple[Path, tuple[Lint, ...]]] = []
    mended = 0
    named = pipeline_files(files) if files else features_of(project_here(), hint=HINT)
    for file in named:
        found, count = _mended(file, chosen) if fix else (chosen.of(_found(file)), 0)
        told.append((file, found))
        mended += count
    click.echo(_PRINTERS[output](told), nl=output != "text")
    if output == "text":
        click.echo(_summary(told, mended))
    worst = max((one.severity for _, found in told for one in found), default=Severity.NOTE)
    return ExitCode.FAILED if worst >= Severity.WARNING else ExitCode.DONE


class _Chosen:
    """Which codes are told."""

    def __init__(self, select: Sequence[str], ignore: Sequence[str]) -> None:
        self._select = tuple(select)
        self._ignore = tuple(ignore)

    def of(self, found: Iterable[Lint]) -> tuple[Lint, ...]:
        return tuple(one for one in found if self._has(one))

    def _has(self, one: Lint) -> bool:
        code = one.finding.code
        if one.severity is Severity.ERROR:
            return True
        is_selected = not self._select or code.startswith(self._select)
        return is_selected and not (self._ignore and code.startswith(self._ignore))


def _codes(text: str | None) -> list[str]:
    codes = [one.strip() for one in (text or "").split(",") if one.strip()]
    for code in codes:
        if not any(one.startswith(code) for one in LINT_CODES):
            known = f"{min(LINT_CODES)} to {max(LINT_CODES)}"
            raise click.UsageError(f"there is no code {code} of lint; there are {known}")
    return codes


def _found(file: Path) -> tuple[Lint, ...]:
    """Compile a file and look at it. A parameter without a value is no mistake here: it gets one when the pipeline is run."""
    dag: Dag | None = None
    mistakes: tuple[Finding, ...] = ()
    try:
        dag = compile_file(file, parameters={}).dag
    except Invalid as error:
        mistakes = error.findings or (Finding(error.code, error.text, None, error.hint),)
    text = _text(file)
    if text is None:
        return tuple(Lint(one, Severity.ERROR) for one in mistakes)
    return linted(text, str(file), dag, (one for one in mistakes if one.code != "D071"))


def _text(file: Path) -> str | None:
    """Return a file's text as it is, ends of lines included; nothing if it cannot be read, which the compiler has told."""
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _mended(file: Path, chosen: _Chosen) -> tuple[tuple[Lint, ...], int]:
    """Mend a file until nothing more can be, and return what is left and how many findings are gone."""
    first = found = chosen.of(_found(file))
    for _ in range(ROUNDS_MAX):
        text = _text(file)
        if text is None or not any(one.edits for one in found):
            break
        replace_text(file, fixed(text, found))
        found = chosen.of(_found(file))
    return found, max(len(first) - len(found), 0)


# How it is told.


def _as_text(told: list[tuple[Path, tuple[Lint, ...]]]) -> str:
    frames = []
    for _, found in told:
        for one in found:
            frame = rendered([one.finding])
            frames.append(frame.replace("error", LEVELS[one.severity], 1))
    return "\n".join(frames) + ("\n" if frames else "")


def _summary(told: list[tuple[Path, tuple[Lint, ...]]], mended: int) -> str:
    every = [one for _, found in told for one in found]
    counts = [
        counted(number, noun)
        for severity, noun in (
            (Severity.ERROR, "mistake"),
            (Severity.WARNING, "warning"),
            (Severity.NOTE, "note"),
        )
        if (number := sum(one.severity is severity for one in every))
    ]
    said = ", ".join(counts) or "nothing to tell"
    can = sum(bool(one.edits) for one in every)
    more = f"; --fix mends {can}" if can else ""
    gone = f"; {mended} mended" if mended else ""
    return f"{counted(len(told), 'file')}: {said}{gone}{more}"


def _as_json(told: list[tuple[Path, tuple[Lint, ...]]]) -> str:
    documents = [
        {
            "file": str(file),
            "code": one.finding.code,
            "severity": LEVELS[one.severity],
            "text": one.finding.text,
            "hint": one.finding.hint,
            "span": one.finding.span,
            "fixable": bool(one.edits),
        }
        for file, found in told
        for one in found
    ]
    return msgspec.json.format(msgspec.json.encode(documents), indent=2).decode()


def _as_github(told: list[tuple[Path, tuple[Lint, ...]]]) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a change."""
    lines = []
    for file, found in told:
        for one in found:
            span = one.finding.span
            place = f"file={_property(span.file if span else str(file))}"
            if span is not None:
                end = span.column + span.length
                place += f",line={span.line},col={span.column},endColumn={end}"
            text = "\n".join(part for part in (one.finding.text, one.finding.hint) if part)
            title = _property(one.finding.code)
            lines.append(f"::{_COMMANDS[one.severity]} {place},title={title}::{_data(text)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


_PRINTERS: Final = {
    "text": _as_text,
    "json": _as_json,
    "github": _as_github,
    "sarif": sarif,
}
