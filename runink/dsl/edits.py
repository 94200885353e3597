"""Changes of a text, by characters: what `runi lint --fix` does and an editor is offered.

A place in a file is a line and a column to people, and a number of characters from its beginning to what cuts and pastes.  `Offsets`
turns one into the other; lines end in LF here, as everywhere in the language.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from runink.errors import Span


class Edit(msgspec.Struct, frozen=True, order=True):
    """Put `text` in the place of the characters from `start` to `end`, 0-based, the end not among them."""

    start: int
    end: int
    text: str


class Offsets:
    """Where the lines of a text begin."""

    def __init__(self, text: str) -> None:
        self.size = len(text)
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def of(self, span: Span) -> int:
        """Return where a span begins; the text's end if it lies behind it."""
        if span.line > len(self._starts):
            return self.size
        return min(self._starts[span.line - 1] + span.column - 1, self.size)

    def range(self, span: Span) -> tuple[int, int]:
        """Return where a span begins and ends; it never goes beyond the text."""
        start = self.of(span)
        return start, min(start + span.length, self.size)

    def line(self, offset: int) -> tuple[int, int]:
        """Return the line, 1-based, that a character stands in, and where that begins."""
        number = bisect_right(self._starts, offset)
        return number, self._starts[number - 1]

    def place(self, offset: int) -> tuple[int, int]:
        """Return a character's line and column, 1-based."""
        number, start = self.line(offset)
        return number, offset - start + 1

    def line_range(self, number: int) -> tuple[int, int]:
        """Return where a line, 1-based, begins and ends, its end included."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else self.size
        return start, end


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits done. Of two that touch the same characters the first is done, the other left."""
    pieces: list[str] = []
    at = 0
    for edit in sorted(set(edits)):
        if edit.start < at:
            continue
        pieces.extend((text[at : edit.start], edit.text))
        at = edit.end
    pieces.append(text[at:])
    return "".join(pieces)
