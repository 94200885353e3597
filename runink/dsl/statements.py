"""From a file's text to its statements, each read by itself, so that one mistake does not hide the next.

    begins with            is
    @                      annotations, up to the line on which all brackets are closed
    Feature: Scenario:     a header
    Given When Then And But Do *     prose
    # or //                a comment (behind an annotation, too, if a blank stands before it)
    anything else          a mistake

Inside brackets a statement ends early where the next one obviously begins, so that a bracket that is never closed costs one
statement and is told where it was opened.  Columns stay those of the file: comments are cut off, nothing is moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.dsl.diagnostics import Findings, near

_BLANK: Final = re.compile(r"\s*(#|//|$)")
_HEADER: Final = re.compile(r"\s*(Feature|Scenario):")
_PROSE: Final = re.compile(r"\s*(Given|When|Then|And|But|Do|\*)(?=\s|$)")
_BEGINS: Final = re.compile(
    r"\s*(@|(Feature|Scenario|Scenario Outline|Background|Rule|Examples?):|(Given|When|Then|And|But|Do)\s)"
)
_LATER: Final = re.compile(
    r"\s*(Scenario Outline|Scenario Template|Background|Rule|Examples?|Scenarios|Metadata|Assertions|GoldenTest"
    r"|Notifications|[Pp]roperties|Given|When|Then):"
)
_LATER_SCENARIOS: Final = ("Scenario Outline", "Scenario Template", "Background", "Example")
_SHAPES: Final = {"|": "tables", "-": "lists", '"""': "doc strings", "```": "doc strings"}
_PIECE: Final = re.compile(
    r'"""|"(?:[^"\\]|\\.)*"|"|(?:(?<=\s)|^)(?:\#|//)|[()\[\]]|[\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019]'
)
_SMART: Final = "\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
KEYWORDS: Final = ("Feature:", "Scenario:", "Given", "When", "Then", "And", "But", "Do")


class Kind(Enum):
    ANNOTATIONS = "annotations"
    HEADER = "header"
    PROSE = "prose"
    BROKEN = "broken"
    BROKEN_SCENARIO = "broken scenario"  # begins one, in a way that is not built yet


@dataclass(frozen=True, slots=True)
class Statement:
    """Whole lines of the file, from `line` on, without comments."""

    kind: Kind
    line: int
    text: str


def statements(text: str, findings: Findings) -> Iterator[Statement]:
    """Yield the statements of a file; what is none becomes a finding and a BROKEN statement."""
    return _Cutter(text, findings).cut()


class _Cutter:
    def __init__(self, text: str, findings: Findings) -> None:
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        self._findings = findings
        self._at = 0  # the line that is looked at, 0-based
        self._opened: list[
            tuple[int, int, str]
        ] = []  # brackets: line and column, 1-based, and which
        self._long: tuple[int, int] | None = None  # where a """ was opened

    def cut(self) -> Iterator[Statement]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if _BLANK.match(line):
                continue
            if line.lstrip().startswith("@"):
                yield self._annotations(line)
            elif _HEADER.match(line):
                yield Statement(Kind.HEADER, self._at, line)
            elif _PROSE.match(line):
                yield self._prose(line)
            elif later := _LATER.match(line):
                yield self._later(line, later[1], later.start(1))
            else:
                yield self._unknown(line)

    def _broken(self) -> Statement:
        return Statement(Kind.BROKEN, self._at, "")

    # Annotations.

    def _annotations(self, line: str) -> Statement:
        first = self._at
        self._opened, self._long = [], None
        kept: list[str] = []
        while True:
            clean = self._scanned(line)
            if clean is None:
                self._skip_rest()
                return self._broken()
            kept.append(clean)
            if not self._opened and self._long is None:
                return Statement(Kind.ANNOTATIONS, first, "\n".join(kept))
            if self._at >= len(self._lines) or (
                self._long is None and _BEGINS.match(self._lines[self._at])
            ):
                return self._unclosed()
            line = self._lines[self._at]
            self._at += 1

    def _scanned(self, line: str) -> str | None:
        """Follow quotes and brackets through a line and return it without its comment, or nothing if a quote is never closed."""
        at = 0
        if self._long is not None:
            at = line.find('"""') + 3
            if at < 3:
                return line
            self._long = None
        while piece := _PIECE.search(line, at):
            at = piece.end()
            match piece[0]:
                case '"""':
                    closing = line.find('"""', at)
                    if closing < 0:
                        self._long = (self._at, piece.start() + 1)
                        return line
                    at = closing + 3
                case "(" | "[":
                    self._opened.append((self._at, piece.start() + 1, piece[0]))
                case ")" | "]":
                    if self._opened:
                        self._opened.pop()
                case '"':
                    self._unquoted(line, piece.start())
                    return None
                case "#" | "//":
                    return line[: piece.start()].rstrip()
                case mark if mark in _SMART:
                    line = self._straightened(line, piece.start())
                    at = piece.start()
                case _:
                    pass  # a whole text
        return line

    def _unquoted(self, line: str, start: int) -> None:
        length = len(line) - start
        hint = 'end it with " on the same line; text over several lines stands in """'
        span = self._findings.span(self._at, start + 1, length)
        self._findings.add("D004", "this text is never closed", span, hint)

    def _straightened(self, line: str, start: int) -> str:
        """Tell typographic quotes, and go on as if they were plain ones, to find what else there is."""
        span = self._findings.span(self._at, start + 1)
        self._findings.add(
            "D006", f"{line[start]} is a typographic quote", span, 'write a plain " on both sides'
        )
        end = next((at for at in range(start + 1, len(line)) if line[at] in _SMART + '"'), -1)
        line = f'{line[:start]}"{line[start + 1 :]}'
        return line if end < 0 else f'{line[:end]}"{line[end + 1 :]}'

    def _unclosed(self) -> Statement:
        if self._long is not None:
            line, column, mark = *self._long, '"""'
            self._at = line  # it would take the rest of the file along
            self._skip_text()
        else:
            line, column, mark = self._opened[-1]
        closing = {"(": ")", "[": "]"}.get(mark, mark)
        span = self._findings.span(line, column, len(mark))
        self._findings.add(
            "D003", f"this {mark} is never closed", span, f"put {closing} where it ends"
        )
        return self._broken()

    def _skip_text(self) -> None:
        while self._at < len(self._lines) and not _BEGINS.match(self._lines[self._at]):
            self._at += 1

    def _skip_rest(self) -> None:
        """Leave out what belongs to a statement that could not be followed to its end."""
        if not self._opened:
            return
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or _BEGINS.match(line):
                return
            self._at += 1

    # The rest.

    def _prose(self, line: str) -> Statement:
        found = _PROSE.match(line)
        assert found is not None, "the caller has looked"
        if line[found.end() :].strip():
            return Statement(Kind.PROSE, self._at, line)
        span = self._findings.span(self._at, found.start(1) + 1, len(found[1]))
        self._findings.add(
            "D002", f"{found[1]} says nothing", span, f"write {found[1]} and a sentence"
        )
        return self._broken()

    def _later(self, line: str, keyword: str, start: int) -> Statement:
        span = self._findings.span(self._at, start + 1, len(keyword) + 1)
        self._findings.add(
            "D012", f"{keyword}: is not there yet", span, _LATER_HINTS.get(keyword, _WHOLE)
        )
        if keyword in _LATER_SCENARIOS:
            return Statement(Kind.BROKEN_SCENARIO, self._at, line)
        self._skip_deeper(start)
        return self._broken()

    def _skip_deeper(self, indent: int) -> None:
        """Leave out the lines of a block: those indented deeper, lists and tables."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            bare = line.lstrip()
            is_listed = not bare or bare.startswith(("-", "|"))
            if not is_listed and (len(line) - len(bare) <= indent or _BEGINS.match(line)):
                return
            self._at += 1

    def _unknown(self, line: str) -> Statement:
        bare = line.strip()
        start = len(line) - len(line.lstrip())
        for mark, what in _SHAPES.items():
            if bare.startswith(mark) and not bare.startswith("---"):
                span = self._findings.span(self._at, start + 1, len(mark))
                self._findings.add("D012", f"{what} are not there yet", span, _WHOLE)
                self._skip_like(mark)
                return self._broken()
        word = re.match(r"[^\s(:]+:?", bare)
        said = word[0] if word else bare[:1]
        span = self._findings.span(self._at, start + 1, len(said))
        self._findings.add("D001", f"a line cannot begin with {said}", span, _hint(said, bare))
        return self._broken()

    def _skip_like(self, mark: str) -> None:
        is_text = mark in {'"""', "```"}
        while self._at < len(self._lines):
            bare = self._lines[self._at].strip()
            if is_text:
                self._at += 1
                if bare.startswith(mark):
                    return
            elif bare.startswith(mark):
                self._at += 1
            else:
                return


_WHOLE: Final = "leave it away; a note begins with #"
_LATER_HINTS: Final = {
    "Background": "repeat its lines in each scenario",
    "Scenario Outline": "write one Scenario: for each example, or a @param above Feature:",
    "Scenario Template": "write one Scenario: for each example, or a @param above Feature:",
    "Example": "write Scenario:",
    "Assertions": 'write @assert("…") in the scenario',
    "GoldenTest": 'write @golden("…") below the @sink',
    "Metadata": 'write @module(layer="…") above Scenario:, and @herd("…") above Feature:',
    "properties": 'write a contract: @contract("contracts/x.py:Name")',
    "Properties": 'write a contract: @contract("contracts/x.py:Name")',
}


def _hint(said: str, line: str) -> str:
    if line.startswith("---"):
        return "leave it away: a scenario ends where the next begins"
    if re.match(r"[a-z]+\(", line):
        return f"an annotation begins with @: @{said}"
    return (
        near(said, KEYWORDS)
        or "a line is an annotation (@…), a header, Given/When/Then, or a note that begins with #"
    )
