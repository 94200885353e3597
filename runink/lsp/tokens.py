"""What each word of a page is, for editors that colour by it (semantic tokens): what the lexer tells apart, and what its place says beside.

Colours depend on nothing but the text, and a header ends whatever stood before it: so a page is coloured by sections, and only those that have
changed are coloured again.  A text in three quotes may go on over a header: sections that are not closed are taken together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from lsprotocol.types import PositionEncodingKind
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    _TokenType,
)
from pygments.token import Text as Plain

from runink.dsl.arguments import Parameters
from runink.dsl.diagnostics import Findings
from runink.dsl.sentences import Sentences
from runink.dsl.syntax import Text
from runink.dsl.vocabulary import ANNOTATIONS
from runink.errors import Span
from runink.highlighting import RuninkLexer
from runink.keywords import BLOCKS, HEADERS, STEPS
from runink.lsp.legend import TYPES
from runink.lsp.page import DEFINES, NAMES, Page
from runink.lsp.positions import units

DEFINITION, DOCUMENTATION = 1, 2  # the bits of `legend.MODIFIERS`

_KINDS: Final = (  # the first that a token of the lexer is among
    (Comment, "comment"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (Operator, "operator"),
    (Number, "number"),
    (String.Interpol, "variable"),
    (String, "string"),
    (Name.Decorator, "decorator"),
    (Name.Function, "function"),
    (Name.Variable, "variable"),
)
_QUOTES: Final = '"""'
_FENCE: Final = re.compile(r"^[ \t]*```", re.MULTILINE)
_TEXTS: Final = {("step", "name"): "function", ("contract", "path"): "class"}
_GIVEN: Final = {*DEFINES, ("param", "name")}
_BLOCKS: Final = frozenset(BLOCKS) - frozenset(HEADERS)


class Token(NamedTuple):
    """Characters of one line that are one thing; the line is counted from the section's first. `start` and `length` are the encoding's units."""

    line: int
    start: int
    length: int
    kind: str
    modifiers: int = 0


class Colours:
    """Colours versions of one page, one after the other."""

    def __init__(self, encoding: PositionEncodingKind) -> None:
        self._encoding = encoding
        self._kept: dict[str, tuple[Token, ...]] = {}  # of the version that was coloured last

    def coloured(self, page: Page, start: int = 0, end: int | None = None) -> list[int]:
        """Return the tokens of the sections that touch these characters, as the protocol has them: five numbers each, relative to the token before."""
        kept: dict[str, tuple[Token, ...]] = {}
        found: list[int] = []
        last = Token(0, 0, 0, "")
        is_whole = start == 0 and end is None
        for at, text in _pieces(page):
            if at + len(text) < start or (end is not None and at > end):
                continue
            kept[text] = tokens = self._kept.get(text) or self._of(text)
            first = page.offsets.line(at)[0] - 1
            for one in tokens:
                line = first + one.line
                column = one.start - last.start if line == last.line else one.start
                found += (line - last.line, column, one.length, _NUMBERS[one.kind], one.modifiers)
                last = one._replace(line=line)
        self._kept = kept if is_whole else self._kept | kept
        return found

    def _of(self, text: str) -> tuple[Token, ...]:
        lines = text.split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        found: list[Token] = []
        number = 0
        for start, length, kind, modifiers in _Reading(text).words():
            while start >= starts[number + 1]:
                number += 1
            line, column = lines[number], start - starts[number]
            if line.isascii():
                found.append(Token(number, column, length, kind, modifiers))
                continue
            before = units(line[:column], self._encoding)
            size = units(line[column : column + length], self._encoding)
            found.append(Token(number, before, size, kind, modifiers))
        return tuple(found)


_NUMBERS: Final = {kind: number for number, kind in enumerate(TYPES)}
Word = tuple[int, int, str, int]  # where it begins, its length, its kind and modifiers


def _pieces(page: Page) -> Iterator[tuple[int, str]]:
    """Yield the sections' lines, and where they begin; those between which a text may be open together."""
    text = page.text
    cuts = [text.rfind("\n", 0, one.start) + 1 for one in page.sections[1:]]
    begun = 0
    for cut in (*dict.fromkeys(cuts), len(text)):
        piece = text[begun:cut]
        is_open = piece.count(_QUOTES) % 2 or len(_FENCE.findall(piece)) % 2
        if piece and (not is_open or cut == len(text)):
            yield begun, piece
            begun = cut


class _Reading:
    """Goes through the lexer's tokens of one section."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._annotation = ""
        self._argument = ""  # whose value is read; nothing: the first one's, or none
        self._is_first = False  # no comma has come since the annotation began
        self._depth = 0  # of brackets
        self._lists = 0
        self._quotes = (
            ""  # of the text that is open, in an annotation: what is in it is its own language
        )
        self._is_block = False
        self._skipped = 0  # up to there all is told

    def words(self) -> Iterator[Word]:
        for start, kind, piece in RuninkLexer().get_tokens_unprocessed(self._text):
            if start < self._skipped:
                continue
            yield from self._word(start, kind, piece)

    def _word(self, start: int, kind: _TokenType, piece: str) -> Iterator[Word]:
        is_outside = not self._depth
        if is_outside and self._begins_line(start) and self._is_prose(kind, piece):
            yield from self._prose(start, kind, piece)
        elif kind is Punctuation or (kind is Error and piece == ")"):
            if not self._quotes:
                self._punctuation(piece)
        elif kind is Name.Attribute:
            self._argument = piece if self._depth else ""
            yield start, len(piece), "parameter" if self._depth else "property", 0
        else:
            if kind is Name.Decorator:
                self._annotation, self._argument, self._is_first = piece[1:], "", True
                self._is_block = False
                if self._annotation not in ANNOTATIONS:
                    return
            elif kind is Keyword.Namespace:
                self._is_block = piece in _BLOCKS
            elif kind is Keyword and self._depth and not self._quotes:
                self._argument = piece  # a clause
            elif kind is String and self._depth and piece in {'"', _QUOTES}:
                self._quotes = self._quotes.replace(piece, "") if self._quotes else piece
            named, modifiers = self._named(kind, piece)
            if named:
                yield from _lines(start, piece, named, modifiers)

    def _punctuation(self, piece: str) -> None:
        match piece:
            case "(":
                self._depth += 1
            case ")":
                self._depth = max(self._depth - 1, 0)
                self._lists = 0
            case "[":
                self._lists += 1
            case "]":
                self._lists = max(self._lists - 1, 0)
            case "," if not self._lists:
                self._argument, self._is_first = "", False

    def _named(self, kind: _TokenType, piece: str) -> tuple[str, int]:
        """Return what a token is, and its modifiers; nothing for what has no colour of its own."""
        place = (self._annotation, self._parameter)
        modifiers = DEFINITION if place in _GIVEN else 0
        is_name = place in _GIVEN or place in NAMES
        if self._argument == "sql" and kind in Name:
            return "", 0  # tables, columns and functions: who knows
        if kind is Name:
            return ("variable" if is_name else "enumMember"), modifiers
        if kind is String and self._depth and piece not in {'"', _QUOTES}:
            return ("variable" if is_name else _TEXTS.get(place, "string")), modifiers
        return next((name for among, name in _KINDS if kind in among), ""), 0

    @property
    def _parameter(self) -> str:
        known = ANNOTATIONS.get(self._annotation)
        if self._argument or known is None or not self._is_first or not self._depth:
            return self._argument
        return known.first

    # Sentences.

    def _begins_line(self, start: int) -> bool:
        line = self._text.rfind("\n", 0, start) + 1
        return not self._text[line:start].strip()

    def _is_prose(self, kind: _TokenType, piece: str) -> bool:
        """Say whether a line for people begins: a step, an item below one, or what is none of these."""
        if kind is Keyword and piece in {*STEPS, "*"}:
            self._is_block = False
            return True
        is_item = kind is Punctuation and piece == "-"
        is_free = kind is Plain and bool(piece.strip())
        return (is_item or is_free) and not self._is_block

    def _prose(self, start: int, kind: _TokenType, piece: str) -> Iterator[Word]:
        end = self._text.find("\n", start)
        end = len(self._text) if end < 0 else end
        begun = start
        if kind is Keyword:
            yield start, len(piece), "keyword", 0
        if kind is not Plain:
            begun = start + len(piece)
        said = self._text[begun:end].strip()
        if said and not _is_enforced(said):
            yield self._text.index(said, begun), len(said), "comment", DOCUMENTATION
            self._skipped = end
        elif kind is Plain:
            self._skipped = end


def _is_enforced(sentence: str) -> bool:
    """Say whether a sentence means something, rightly or not."""
    findings = Findings("", sentence)
    text = Text(sentence, Span("", 1, 1, max(len(sentence), 1)))
    return Sentences(Parameters(), findings).read(text) is not None


def _lines(start: int, piece: str, kind: str, modifiers: int) -> Iterator[Word]:
    """Yield the lines of a token: editors want none that goes over several."""
    for line in piece.split("\n"):
        bare = line.removesuffix("\r")
        if bare.strip():
            yield start, len(bare), kind, modifiers
        start += len(line) + 1
