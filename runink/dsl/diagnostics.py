"""What is wrong with a pipeline, said so that it can be mended: all mistakes at once, each with its line.

    error[D010]: there is no annotation @sorce
      --> features/flights.dsl:8:5
       |
     8 |     @sorce("csv://data/flights.csv")
       |     ^^^^^^
       = help: did you mean @source?

Another place that a mistake speaks of has a frame of its own below, marked by `-`, with what is there.

Codes of the language are stable (`codes.toml` says them at length):

    D00x  text and statements        D03x  URIs, and what flows where      D06x  expressions
    D01x  annotations, blocks        D04x  contracts and fields            D07x  parameters
    D02x  a file's and a scenario's parts   D05x  steps               D900  notations of other tools
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.errors import FINDINGS_SHOWN_MAX, Finding, Label, Span

LINE_KEPT_MAX: Final = 2_000  # characters of a source line that a finding carries
LINE_SHOWN_MAX: Final = (
    160  # characters of it that a frame shows: more wraps, and the caret is lost
)


class Findings:
    """Collects the mistakes in one text, with the lines that they stand on."""

    def __init__(self, file: str, text: str, *, first: int = 1) -> None:
        """`first` is the number of the text's first line in its file."""
        self._file = file
        self._first = first
        self._lines = text.split("\n")
        self._found: list[Finding] = []

    def __len__(self) -> int:
        return len(self._found)

    def span(self, line: int, column: int, length: int = 1) -> Span:
        return Span(self._file, line, column, max(length, 1))

    def add(
        self,
        code: str,
        text: str,
        span: Span | None,
        hint: str = "",
        *,
        labels: Iterable[tuple[Span, str]] = (),
    ) -> None:
        """Add a finding; `labels` are other places of this text that it speaks of, and what is there."""
        line = self.line(span.line) if span is not None else ""
        others = tuple(Label(place, told, self.line(place.line)) for place, told in labels)
        kept, said = text[:LINE_KEPT_MAX], hint[:LINE_KEPT_MAX]  # they quote the file
        self._found.append(Finding(code, kept, span, said, line, others))

    def line(self, number: int) -> str:
        """Return the text of a line, without its end."""
        at = number - self._first
        if not 0 <= at < len(self._lines):
            return ""
        return self._lines[at].rstrip("\r")[:LINE_KEPT_MAX]

    def take(self, findings: Iterable[Finding]) -> None:
        """Add findings that others have made, about other files."""
        self._found.extend(findings)

    def told(self) -> tuple[Finding, ...]:
        """Return all of them in the order of the text, each once; then those in other files, then those without a place."""
        return tuple(sorted(dict.fromkeys(self._found), key=self._place))

    def _place(self, finding: Finding) -> tuple[int, str, int, int, str]:
        span = finding.span
        if span is None:
            return (2, "", 0, 0, finding.code)
        is_other = int(span.file != self._file)
        return (is_other, span.file, span.line, span.column, finding.code)


def rendered(findings: Iterable[Finding]) -> str:
    """Return the findings as a person reads them, FINDINGS_SHOWN_MAX at most; the rest is counted."""
    listed = list(findings)
    frames = [_frame(finding) for finding in listed[:FINDINGS_SHOWN_MAX]]
    left = len(listed) - len(frames)
    if left > 0:
        frames.append(f"and {left:,} more\n")
    return "\n".join(frames)


def _frame(finding: Finding) -> str:
    span = finding.span
    lines = [f"error[{finding.code}]: {_printable(finding.text)}"]
    margin = " " * 3
    if span is not None:
        others = [one.span.line for one in finding.labels]
        margin = " " * (len(str(max(span.line, *others, 0))) + 2)
        lines.append(f"{margin[:-1]}--> {span.file}:{span.line}:{span.column}")
        if finding.source_line:
            lines.extend(_excerpt(finding.source_line, span, margin))
        for label in finding.labels:
            lines.extend(_labelled(label, span, margin))
    if finding.hint:
        lines.append(f"{margin}= help: {_printable(finding.hint)}")
    return "\n".join(lines) + "\n"


def _labelled(label: Label, main: Span, margin: str) -> list[str]:
    """Return the frame of another place that a finding speaks of, with what is there behind its mark."""
    place = label.span
    is_elsewhere = place.file != main.file
    head = [f"{margin[:-1]}::: {place.file}:{place.line}:{place.column}"] if is_elsewhere else []
    if not label.source_line:
        return [*head, f"{margin}= note: line {place.line}: {_printable(label.text)}"]
    lines = _excerpt(label.source_line, place, margin, mark="-")
    return [*head, *lines[:-1], f"{lines[-1]} {_printable(label.text)}"]


def _excerpt(source_line: str, span: Span, margin: str, mark: str = "^") -> list[str]:
    start, end = _window(len(source_line), span.column - 1)
    shown = _printable(source_line[start:end])
    before = "…" if start else ""
    after = "…" if end < len(source_line) else ""
    lead = source_line[start : span.column - 1]
    indent = " " * len(before) + "".join("\t" if char == "\t" else " " for char in lead)
    room = max(end - (span.column - 1), 1)
    carets = mark * max(min(span.length, room), 1)
    number = f"{span.line:>{len(margin) - 2}}"
    return [
        f"{margin}|",
        f" {number} | {before}{shown}{after}",
        f"{margin}| {indent}{carets}",
    ]


def _window(length: int, at: int) -> tuple[int, int]:
    """Choose the part of a long line that shows the caret."""
    if length <= LINE_SHOWN_MAX:
        return 0, length
    start = max(0, min(at - LINE_SHOWN_MAX // 4, length - LINE_SHOWN_MAX))
    return start, start + LINE_SHOWN_MAX


def _printable(text: str) -> str:
    """A file from somewhere may hold escape sequences; a terminal shall not obey them."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\t\n" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )
