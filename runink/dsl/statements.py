"""From a file's text to its statements, each read by itself, so that one mistake does not hide the next.

    begins with                   is
    @                             annotations, up to the line on which all brackets are closed
    Feature: Scenario: Rule: …    a header
    Metadata: Then: …             the head of a block
    Given When Then And But Do *  a step
    -                             a bullet
    word:                         a pair, as blocks hold them
    |                             a table's row
    three quotes or backquotes    a doc string, up to the line that ends it
    ---                           a cut
    # or //                       a note (behind an annotation, too, if a blank stands before it)
    anything else                 free text, which may stand right below a header only

Inside brackets a statement ends early where the next one obviously begins (an annotation only where it stands no deeper), so that a bracket that is never closed costs one
statement and is told where it was opened.  Columns stay those of the file: comments are cut off, nothing is moved.
What a statement is does not depend on those before it; what it may mean there is the parser's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from runink.dsl.diagnostics import Findings
from runink.keywords import BLOCKS, HEADERS, STEPS

KEYWORDS: Final = (*(f"{one}:" for one in (*HEADERS, *BLOCKS)), *STEPS)
TYPOGRAPHIC: Final = "\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
TYPOGRAPHIC_TOLD_MAX: Final = 20  # of a line; what has more was never meant to be read by a program

_HEADER: Final = "|".join(HEADERS).replace(" ", r"\ ")
_LINE: Final = re.compile(
    rf"""\s*(?:
    (?P<NOTE>\#|//)
    |(?P<ANNOTATIONS>@)
    |(?P<STEP>(?:{"|".join(STEPS)}|\*)(?=\s|$))
    |(?P<HEADER>(?:{_HEADER}):)
    |(?P<BLOCK>(?:{"|".join(BLOCKS)}):)
    |(?P<CUT>-{{3,}})\s*$
    |(?P<BULLET>-)(?=\s|$)
    |(?P<ROW>\|)
    |(?P<DOC>\"\"\"|```)
    |(?P<PAIR>[A-Za-z_][\w.-]*:)(?=\s|$)
    |(?P<BLANK>$)
    )""",
    re.VERBOSE,
)
BEGINS: Final = re.compile(
    rf"\s*(@|({_HEADER}|{'|'.join(BLOCKS)}):|({'|'.join(STEPS)})\s|---+\s*$)"
)
_PIECE: Final = re.compile(
    rf'"""|"(?:[^"\\]|\\.)*"|"|(?:(?<=\s)|^)(?:\#|//)|[()\[\]]|[{TYPOGRAPHIC}]'
)


class Kind(Enum):
    ANNOTATIONS = "annotations"
    HEADER = "header"
    BLOCK = "block"
    STEP = "step"
    BULLET = "bullet"
    PAIR = "pair"
    ROW = "row"
    DOC = "doc"
    CUT = "cut"
    NOTE = "note"
    BLANK = "blank"
    FREE = "free"
    BROKEN = "broken"


_KINDS: Final = {one.name: one for one in Kind}


class Statement(msgspec.Struct, gc=False):
    """Whole lines of the file, from `line` on. `text` is without comments; it begins at the first column.

    `column` is where its `word` stands (a keyword with its colon, `-`, the quotes of a doc string), and `lines` how many it takes.
    """

    kind: Kind
    line: int
    text: str
    column: int = 1
    word: str = ""
    lines: int = 1

    @property
    def rest(self) -> str:
        """What stands behind the word, without blanks around it."""
        return self.text[self.column - 1 + len(self.word) :].strip()


def statements(text: str, findings: Findings, *, first: int = 1) -> Iterator[Statement]:
    """Yield the statements of a text that begins at line `first` of its file; what is none becomes a finding and a BROKEN statement."""
    return Cutter(text, findings, first).cut()


class Cutter:
    """Cuts a text; `is_open` says afterwards that something was open at its end or is a text that is never closed, so that more lines would have been read otherwise."""

    def __init__(self, text: str, findings: Findings, first: int) -> None:
        self._lines = text.split("\n")
        self._findings = findings
        self._first = first
        self.is_open = False
        self._at = 0  # how many lines are read
        # Brackets that are open: line and column, 1-based, and which.
        self._opened: list[tuple[int, int, str]] = []
        self._long: tuple[int, int] | None = None  # where a """ was opened

    @property
    def _number(self) -> int:
        """The number of the line that was read last."""
        return self._first + self._at - 1

    def cut(self) -> Iterator[Statement]:
        lines, match, kinds, first = self._lines, _LINE.match, _KINDS, self._first
        while self._at < len(lines):
            line = lines[self._at].removesuffix("\r")
            self._at += 1
            found = match(line)
            if found is None:
                start = len(line) - len(line.lstrip())
                yield Statement(Kind.FREE, first + self._at - 1, line, start + 1)
                continue
            name = found.lastgroup
            assert name is not None, "every way through the pattern has a name"
            kind = kinds[name]
            if kind is Kind.ANNOTATIONS:
                yield self._annotations(line, found.start(name) + 1)
            elif kind is Kind.DOC:
                yield self._doc(line, found[name], found.start(name) + 1)
            else:
                yield Statement(
                    kind, first + self._at - 1, line, found.start(name) + 1, found[name]
                )

    def _next(self) -> str:
        self._at += 1
        return self._lines[self._at - 1].removesuffix("\r")

    def _broken(self, first: int) -> Statement:
        return Statement(Kind.BROKEN, first, "", lines=self._number - first + 1)

    # Annotations.

    def _annotations(self, line: str, column: int) -> Statement:
        first = self._number
        self._opened, self._long = [], None
        kept: list[str] = []
        while True:
            clean = self._scanned(line)
            if clean is None:
                self._skip_rest()
                return self._broken(first)
            kept.append(clean)
            if not self._opened and self._long is None:
                text = "\n".join(kept)
                return Statement(Kind.ANNOTATIONS, first, text, column, lines=len(kept))
            if self._at >= len(self._lines) or (self._long is None and self._begins(column)):
                return self._unclosed(first)
            line = self._next()

    def _begins(self, column: int) -> bool:
        """Say whether the next line begins a statement: an annotation that stands deeper than the one that is open is within it."""
        found = BEGINS.match(self._lines[self._at])
        return found is not None and (found[1] != "@" or found.start(1) < column)

    def _scanned(self, line: str) -> str | None:
        """Follow quotes and brackets through a line and return it without its comment, or nothing if a quote is never closed."""
        at = straightened = 0
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
                        self._long = (self._number, piece.start() + 1)
                        return line
                    at = closing + 3
                case "(" | "[":
                    self._opened.append((self._number, piece.start() + 1, piece[0]))
                case ")" | "]":
                    if self._opened:
                        self._opened.pop()
                case '"':
                    self._unquoted(line, piece.start())
                    return None
                case "#" | "//":
                    return line[: piece.start()].rstrip()
                case mark if mark in TYPOGRAPHIC:
                    straightened += 1
                    if straightened > TYPOGRAPHIC_TOLD_MAX:
                        return None
                    line = self._straightened(line, piece.start())
                    at = piece.start()
                case _:
                    pass  # a whole text
        return line

    def _unquoted(self, line: str, start: int) -> None:
        length = len(line) - start
        hint = 'end it with " on the same line; text over several lines stands in """'
        span = self._findings.span(self._number, start + 1, length)
        self._findings.add("D004", "this text is never closed", span, hint)

    def _straightened(self, line: str, start: int) -> str:
        """Tell typographic quotes, and go on as if they were plain ones, to find what else there is."""
        span = self._findings.span(self._number, start + 1)
        self._findings.add(
            "D006", f"{line[start]} is a typographic quote", span, 'write a plain " on both sides'
        )
        found = re.compile(f'["{TYPOGRAPHIC}]').search(line, start + 1)
        line = f'{line[:start]}"{line[start + 1 :]}'
        return line if found is None else f'{line[: found.start()]}"{line[found.end() :]}'

    def _unclosed(self, first: int) -> Statement:
        self.is_open |= self._at >= len(self._lines)
        if self._long is not None:
            self.is_open = True
            line, column, mark = *self._long, '"""'
            self._at = line - self._first + 1  # it would take the rest of the file along
            self._skip_text()
        else:
            line, column, mark = self._opened[-1]
        closing = {"(": ")", "[": "]"}.get(mark, mark)
        self._tell_unclosed(line, column, mark, closing)
        return self._broken(first)

    def _tell_unclosed(self, line: int, column: int, mark: str, closing: str) -> None:
        """Tell it where it opens, and show where reading goes on."""
        span = self._findings.span(line, column, len(mark))
        hint = f"put {closing} where it ends"
        labels = []
        if self._at < len(self._lines) and (found := BEGINS.match(self._lines[self._at])):
            place = self._findings.span(
                self._number + 1, found.start(1) + 1, len(found[1].rstrip())
            )
            labels.append((place, "the next statement begins here"))
        text = f"this {mark} is never closed"
        self._findings.add("D003", text, span, hint, labels=labels)

    def _skip_text(self) -> None:
        while self._at < len(self._lines) and not BEGINS.match(self._lines[self._at]):
            self._at += 1

    def _skip_rest(self) -> None:
        """Leave out what belongs to a statement that could not be followed to its end."""
        if not self._opened:
            return
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or BEGINS.match(line):
                return
            self._at += 1

    # Doc strings.

    def _doc(self, line: str, mark: str, column: int) -> Statement:
        first = self._number
        kept = [line]
        while self._at < len(self._lines):
            kept.append(self._next())
            if kept[-1].strip() == mark:
                text = "\n".join(kept)
                return Statement(Kind.DOC, first, text, column, mark, len(kept))
        self.is_open = True
        self._at = first - self._first + 1
        self._skip_text()
        self._tell_unclosed(first, column, mark, f"a line with {mark}")
        return self._broken(first)
