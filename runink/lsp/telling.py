"""What is told of each file, in the protocol's words: diagnostics, by the page that found them.

Two pages of a project may speak of one file, a contract or a step's: it has what all of them say, each thing once, until none says it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lsprotocol import types as lsp
from pygls.uris import from_fs_path

from runink.dsl.lint_codes import Severity
from runink.dsl.linting import Lint
from runink.errors import Span
from runink.lsp.analysis import Analysis
from runink.lsp.open_page import OpenPage
from runink.lsp.positions import units

Told = Mapping[str, list[lsp.Diagnostic]]  # by file
"""Diagnostics by the URI of their file."""

_SEVERITIES: Final = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.NOTE: lsp.DiagnosticSeverity.Information,
}


class Board:
    """What was told last, by page and file."""

    def __init__(self) -> None:
        self._by_page: dict[str, Told] = {}

    def put(self, page: str, told: Told) -> dict[str, list[lsp.Diagnostic]]:
        """Note what a page says now, and return what is to be told of which files: of the page always, of others if it is something else than before."""
        before = self._by_page.get(page, {})
        self._by_page[page] = told
        return {
            uri: self._of(uri)
            for uri in sorted({page, *before, *told})
            if uri == page or before.get(uri) != told.get(uri)
        }

    def take(self, page: str) -> dict[str, list[lsp.Diagnostic]]:
        """Forget a page, and return what is to be told of which files."""
        before = self._by_page.pop(page, {})
        return {uri: self._of(uri) for uri in sorted({page, *before})}

    def _of(self, uri: str) -> list[lsp.Diagnostic]:
        said = [told[uri] for told in self._by_page.values() if told.get(uri)]
        found = list(said[0]) if said else []
        for others in said[1:]:
            found.extend(one for one in others if one not in found)
        return found


def told_of(analysis: Analysis, page: OpenPage) -> dict[str, list[lsp.Diagnostic]]:
    """Return what was found, by file; what belongs to no file is the page's."""
    told: dict[str, list[lsp.Diagnostic]] = {page.uri: []}
    for one in analysis.found:
        span = one.finding.span
        is_own = span is None or span.file == analysis.file
        uri = page.uri if span is None or is_own else uri_of(analysis, span)
        told.setdefault(uri, []).append(_diagnostic(one, page, analysis))
    return told


def uri_of(analysis: Analysis, span: Span) -> str:
    """Return the URI of the file that a place is in."""
    path = analysis.root / span.file
    return from_fs_path(str(path)) or path.as_uri()


def _diagnostic(one: Lint, page: OpenPage, analysis: Analysis) -> lsp.Diagnostic:
    finding = one.finding
    text = f"{finding.text}\n{finding.hint}" if finding.hint else finding.text
    related = [
        lsp.DiagnosticRelatedInformation(
            _location(label.span, label.source_line, page, analysis), label.text
        )
        for label in finding.labels
    ]
    span = finding.span
    here = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    return lsp.Diagnostic(
        range=here if span is None else _location(span, finding.source_line, page, analysis).range,
        message=text,
        severity=_SEVERITIES[one.severity],
        code=finding.code,
        source="runink",
        related_information=related or None,
    )


def _location(span: Span, line: str, page: OpenPage, analysis: Analysis) -> lsp.Location:
    if span.file == analysis.file:
        return lsp.Location(page.uri, page.range(*page.page.offsets.range(span)))
    return lsp.Location(uri_of(analysis, span), range_of(span, line, page))


def range_of(span: Span, line: str, page: OpenPage) -> lsp.Range:
    """Return a place in a file that is not open. `line` is its text, as far as it is known: columns are the editor's units."""
    start = span.column - 1
    end = start + span.length
    columns = [units(line[:at], page.encoding) + max(at - len(line), 0) for at in (start, end)]
    return lsp.Range(*(lsp.Position(span.line - 1, column) for column in columns))
