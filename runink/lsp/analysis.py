"""All that is to be told about a page: what the parser finds at once, and what compiler and lint find when they have looked at the whole project.

text --Reader--> Reading --analysed--> Analysis
                    +------ early ------^       of a long page: what the parser has found, and what was known of the lines that have not changed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from msgspec.structs import replace as changed

from runink.dag import Dag
from runink.dsl.compiler import Reading, SourceText, compiled_from, read
from runink.dsl.diagnostics import Findings
from runink.dsl.incremental import Incremental
from runink.dsl.lint_codes import Severity
from runink.dsl.linting import Lint, linted
from runink.dsl.syntax import Document
from runink.errors import Finding, Invalid, Label, RuninkError, Span
from runink.lsp.project import Offers
from runink.projects import find_root


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found, with spans in this file or others of the project; `missing` are contracts that must be read first."""

    text: str
    file: str
    root: Path
    found: tuple[Lint, ...]
    syntax: frozenset[Finding] = frozenset()  # what of it the parser has found
    missing: frozenset[str] = frozenset()

    def told_of(self, file: str) -> list[Lint]:
        """Return what was found in a file."""
        return [
            one
            for one in self.found
            if one.finding.span is not None and one.finding.span.file == file
        ]


class Reader:
    """Reads the versions of one page, one after the other: what has not changed is not read again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = ""
        self._incremental = Incremental("")

    def read(self, text: str) -> Reading:
        """Return the page's tree, and what the parser finds wrong. Never raises for what a person wrote."""
        root = find_root(self._file)
        path = _within(self._file, root)
        if path != self._path:  # its project has begun, or moved
            self._path, self._incremental = path, Incremental(path)
        return read(SourceText(text, path, path, str(root)), self._parse)

    def _parse(self, text: str, findings: Findings) -> Document:
        document, told = self._incremental.parse(text)
        findings.take(told.told())
        return document


def analysed(reading: Reading, offers: Offers) -> Analysis:
    """Compile a page in its project and return what is wrong. Never raises for what a person wrote; what `offers` raises besides goes through."""
    source = reading.source
    mistakes: tuple[Finding, ...] = ()
    dag: Dag | None = None
    try:
        dag = compiled_from(reading, {}, offers).dag
    except Invalid as error:
        mistakes = error.findings or (Finding(error.code, error.text, None, error.hint),)
    except RuninkError as error:
        mistakes = (Finding(error.code, error.text, None, error.hint),)
    offers.check_wanted()
    missing = frozenset(offers.asked) - offers.answers.keys()
    # Lines in another tool's notation are taken out for the compiler; lint sees them.
    is_whole = all(one.code != "D900" for one in reading.mistakes)
    if reading.document is None:
        found = tuple(Lint(one, Severity.ERROR) for one in mistakes)
    else:
        document = reading.document if is_whole else None
        found = linted(source.text, source.file, dag, _judged(mistakes), document)
    return Analysis(
        source.text, source.file, offers.root, found, frozenset(reading.mistakes), missing
    )


def early(reading: Reading, last: Analysis) -> Analysis:
    """Return what the parser says of a page, and what was known of its lines that are as they were: until the whole is looked at again."""
    source = reading.source
    found = [Lint(one, Severity.ERROR) for one in reading.mistakes]
    if last.file == source.file:
        found.extend(_kept(last, source.text))
    return Analysis(source.text, source.file, last.root, tuple(found), frozenset(reading.mistakes))


def _kept(last: Analysis, text: str) -> Iterator[Lint]:
    old, new = last.text.split("\n"), text.split("\n")
    first = _alike(old, new)
    behind = _alike(old[first:][::-1], new[first:][::-1])
    change = _Change(last.file, first, len(old) - behind, len(new) - len(old))
    for one in last.found:
        moved = change.finding(one.finding) if one.finding not in last.syntax else None
        if moved is not None:
            yield Lint(moved, one.severity)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@dataclass(frozen=True, slots=True)
class _Change:
    """Of a file's lines, those up to `first` stay, those behind `last` move `by`, those between are others now."""

    file: str
    first: int
    last: int
    by: int

    def finding(self, one: Finding) -> Finding | None:
        span = self.span(one.span)
        if span is None and one.span is not None:
            return None
        labels = ((self.span(label.span), label) for label in one.labels)
        moved = tuple(Label(at, label.text, label.source_line) for at, label in labels if at)
        return changed(one, span=span, labels=moved)

    def span(self, span: Span | None) -> Span | None:
        """Return where a place is now, or nothing if it is gone."""
        if span is None or span.file != self.file or span.line <= self.first:
            return span
        return changed(span, line=span.line + self.by) if span.line > self.last else None


def _judged(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Leave out what is no mistake in an editor: a parameter that only gets its value when the pipeline is run."""
    return (one for one in findings if one.code != "D071")


def _within(file: Path, root: Path) -> str:
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return file.name
