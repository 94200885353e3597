"""An editor's positions: lines that end in LF, CR or both, and in a line the units of an encoding, UTF-16 if nothing else was agreed on.

A place is a number of characters from the beginning of the text everywhere else.  What lies beyond a line's end is its end, as the protocol
demands; half a surrogate pair is the whole character.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

from lsprotocol.types import Position, PositionEncodingKind, Range

_END: Final = re.compile(r"\r\n|\n|\r")
_ASTRAL: Final = re.compile(r"[^\x00-\uffff]")


def units(text: str, encoding: PositionEncodingKind) -> int:
    """Return how many units the text has in the encoding."""
    match encoding:
        case PositionEncodingKind.Utf8:
            return len(text.encode(errors="surrogatepass"))
        case PositionEncodingKind.Utf32:
            return len(text)
        case _:
            return len(text) + len(_ASTRAL.findall(text))


class Positions:
    """The lines of one text."""

    def __init__(
        self, text: str, encoding: PositionEncodingKind = PositionEncodingKind.Utf16
    ) -> None:
        self._text = text
        self._encoding = encoding
        self._starts = [0]
        self._ends: list[int] = []
        for end in _END.finditer(text):
            self._ends.append(end.start())
            self._starts.append(end.end())
        self._ends.append(len(text))

    def position(self, offset: int) -> Position:
        """Return a place as the editor says it; the end of the text if it lies behind that."""
        offset = min(max(offset, 0), len(self._text))
        line = bisect_right(self._starts, offset) - 1
        start = self._starts[line]
        return Position(line, units(self._text[start:offset], self._encoding))

    def offset(self, position: Position) -> int:
        """Return a place that the editor has said."""
        if position.line >= len(self._starts):
            return len(self._text)
        start, end = self._starts[position.line], self._ends[position.line]
        if self._encoding is PositionEncodingKind.Utf32:
            return min(start + position.character, end)
        at, left = start, position.character
        while at < end and left > 0:
            left -= units(self._text[at], self._encoding)
            at += 1
        return at

    def range(self, start: int, end: int) -> Range:
        return Range(self.position(start), self.position(end))

    def whole(self) -> Range:
        return self.range(0, len(self._text))
