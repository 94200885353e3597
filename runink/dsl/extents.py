"""Where annotations and their arguments begin and end, in a text that may be in the middle of being written.

The parser's tree says what a text means and knows where things begin; it is not there for a line that is not finished yet.  This
knows nothing of meaning, and reads everything: a bracket that is open ends with the text or where the next statement obviously begins.
Editors ask it what stands at the cursor, `lint` what is to be cut.

    Extent      one annotation, from its @ to behind its closing bracket
      arguments   Part: a whole argument, its name if it has one, and its value
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from runink.dsl.statements import BEGINS

_TOKEN: Final = re.compile(
    r'''
    (?P<note>(?:(?<=\s)|^)(?:\#|//)[^\n]*)
    |(?P<line>\n)
    |(?P<blank>[^\S\n]+)
    |(?P<annotation>@[A-Za-z_]?[\w-]*)
    |(?P<open>[(\[])
    |(?P<close>[)\]])
    |(?P<comma>,)
    |(?P<text>"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|"""|"[^\n]*)
    |(?P<clause>(?:when|with|where|on)(?=[ \t]*"))
    |(?P<name>[A-Za-z_][\w.-]*(?=\s*[=:](?!/)))
    |(?P<sign>[=:])
    |(?P<value>[^\s,()\[\]"=@]+)
    |(?P<other>.)
    ''',
    re.VERBOSE | re.MULTILINE,
)


@dataclass(slots=True)
class Part:
    """An argument: the characters of all of it, of its name (or clause) and of its value; what is not there is empty, at the place where it would be."""

    start: int
    end: int
    name: str = ""
    value_start: int = 0
    is_clause: bool = False
    nested: Extent | None = None

    def value(self, text: str) -> str:
        return text[self.value_start : self.end]


@dataclass(slots=True)
class Extent:
    """`@name(…)`: `opened` is behind its opening bracket, `closed` in front of the closing one, or where it breaks off; both 0 without brackets."""

    name: str
    start: int
    end: int
    opened: int = 0
    closed: int = 0
    is_whole: bool = True
    arguments: list[Part] = field(default_factory=list)

    def part(self, name: str) -> Part | None:
        """Return the first argument of that name."""
        return next((one for one in self.arguments if one.name == name), None)

    def at(self, offset: int) -> Part | None:
        """Return the argument that a place is in, or right behind."""
        return next((one for one in self.arguments if one.start <= offset <= one.end), None)


def extents(text: str, start: int) -> list[Extent]:
    """Return the annotations of the statement that begins at `start`, in order; those within others come behind them."""
    reader = _Reader(text)
    reader.read(start)
    return reader.found


class _Reader:
    def __init__(self, text: str) -> None:
        self.found: list[Extent] = []
        self._text = text
        self._open: list[Extent] = []  # annotations whose brackets are open
        self._lists = [0]  # how many [ are open, in each of them
        self._part: Part | None = None  # the argument that is being read
        self._outer: list[Part | None] = []  # those around it

    def read(self, start: int) -> None:
        at = start
        for match in self._tokens(start):
            at = match.end()
            self._take(match)
        for extent in self._open:
            extent.closed = extent.end = at
            extent.is_whole = False

    def _tokens(self, start: int) -> Iterator[re.Match[str]]:
        at = start
        while match := _TOKEN.match(self._text, at):
            at = match.end()
            kind = match.lastgroup
            if kind == "line":
                if not self._open or BEGINS.match(self._text, at):
                    return
            elif kind not in {"blank", "note"}:
                yield match

    def _take(self, match: re.Match[str]) -> None:
        kind, start, end = match.lastgroup, match.start(), match.end()
        if kind == "annotation":
            self._annotation(match)
        elif kind == "open":
            self._opened(match)
        elif not self._open:
            return
        elif kind == "close":
            self._closed(match)
        elif kind == "comma" and not self._lists[-1]:
            self._part = None
        elif kind in {"name", "clause"} and not self._lists[-1]:
            self._add(Part(start, end, match[0], end, is_clause=kind == "clause"))
        else:
            self._value(start, end, is_sign=kind == "sign")

    def _annotation(self, match: re.Match[str]) -> None:
        extent = Extent(match[0][1:], match.start(), match.end())
        self.found.append(extent)
        if self._open:
            self._add(Part(match.start(), match.end(), value_start=match.start(), nested=extent))

    def _opened(self, match: re.Match[str]) -> None:
        last = self.found[-1] if self.found else None
        between = self._text[last.end : match.start()] if last is not None else "?"
        if match[0] == "(" and last is not None and not last.opened and not between.strip():
            last.opened = match.end()
            self._open.append(last)
            self._lists.append(0)
            self._outer.append(self._part)
            self._part = None
        elif self._open:
            self._lists[-1] += match[0] == "["
            self._value(match.start(), match.end())

    def _closed(self, match: re.Match[str]) -> None:
        if match[0] == "]":
            self._value(match.start(), match.end())
            self._lists[-1] = max(self._lists[-1] - 1, 0)
            return
        extent = self._open.pop()
        self._lists.pop()
        extent.closed, extent.end = match.start(), match.end()
        self._part = self._outer.pop()
        if self._part is not None:
            self._part.end = match.end()

    def _add(self, part: Part) -> None:
        self._part = part
        self._open[-1].arguments.append(part)

    def _value(self, start: int, end: int, *, is_sign: bool = False) -> None:
        part = self._part
        if part is None:
            if not is_sign:
                self._add(Part(start, end, value_start=start))
            return
        if part.value_start == part.end and not self._text[part.value_start : start].strip():
            part.value_start = start
        if is_sign and part.name and part.value_start == start:
            part.value_start = end
        part.end = end
