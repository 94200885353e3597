"""Where the records of JSON texts begin and end.

    JSON lines   a record is a line; empty lines are nothing
    JSON         one array of objects, cut between its elements, so that a file of any size is read in constant memory

An element is found by a regular expression that never goes back (see `csv_records.py`): strings are walked whole, brackets
are matched down to DEPTH_MAX levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

from runink.connectors.blocks import BOM, Block

DEPTH_MAX: Final = 32  # brackets within an element; the expression grows with it

_SPACE: Final = rb"[ \t\r\n]*+"
_STRING: Final = rb'"[^"\\]*+(?>\\.[^"\\]*+)*+"'
_SPACES: Final = re.compile(_SPACE)
_OPENING: Final = re.compile(rb"%b\[%b" % (_SPACE, _SPACE))


class Layout(Protocol):
    """How one file is laid out. `cut` is asked for block after block."""

    def cut(self, buffer: bytearray, end: int, /) -> int: ...
    def records(self, block: Block) -> Iterator[tuple[int, bytes]]:
        """Yield each record's place in the block and its text."""

    def text(self, block: Block) -> memoryview | bytes | None:
        """Return the records with a line end behind each, or nothing if the block is not laid out so."""


class Lines:
    """JSON lines."""

    def cut(self, buffer: bytearray, end: int, /) -> int:
        return buffer.rfind(b"\n", 0, end) + 1

    def records(self, block: Block) -> Iterator[tuple[int, bytes]]:
        begin = 0
        for line in bytes(block.view).split(b"\n"):
            text = line.removeprefix(BOM) if begin == 0 and block.offset == 0 else line
            if text.strip():
                yield begin, text
            begin += len(line) + 1

    def text(self, block: Block) -> memoryview | bytes | None:
        return block.view


class Elements:
    """A JSON array of objects. What `cut` and `text` have found of a block serves the calls that follow."""

    def __init__(self) -> None:
        self._begun = False
        self._spans: list[tuple[int, int]] = []
        self._at = 0

    def cut(self, buffer: bytearray, end: int, /) -> int:
        """Return where the last element ends that has a comma behind it; all, where something else comes that is no object."""
        start = 0 if self._begun else _opened(buffer, end)
        self._walk(buffer, start, end)
        if self._at == end or buffer[self._at] in b"{]":
            return self._at if self._spans else 0
        return end

    def _walk(self, buffer: bytearray | memoryview, start: int, end: int) -> None:
        """Note the elements with a comma behind them, and where they end."""
        self._spans = []
        space = _SPACES.match(buffer, start, end)
        at = space.end() if space else start
        while match := _WITH_COMMA.match(buffer, at, end):
            self._spans.append(match.span(1))
            at = match.end()
        self._at = at

    def text(self, block: Block) -> memoryview | bytes | None:
        view = block.view
        start = _opened(view, block.end) if block.offset == 0 else 0
        self._begun = self._begun or start > 0
        if block.is_last and self._begun:
            self._walk(view, start, block.end)
        if block.is_last and self._begun and (closing := _CLOSING.match(view, self._at)):
            if closing[1] is not None:
                self._spans.append(closing.span(1))
        elif not self._begun or block.is_last or self._at != block.end:
            element = _ELEMENT.match(view, self._at)
            self._at = element.end() if element and self._begun else self._at
            return None
        return b"\n".join([view[begin:end] for begin, end in self._spans])

    def records(self, block: Block) -> Iterator[tuple[int, bytes]]:
        for begin, end in self._spans:
            yield begin, bytes(block.view[begin:end])

    @property
    def wrong_at(self) -> int:
        """Where the block, for which there was no text, begins to be no array of objects."""
        return self._at


def _opened(buffer: bytearray | memoryview, end: int) -> int:
    """Return where the first element begins, in the first block; 0 if no array begins there."""
    begin = len(BOM) if bytes(buffer[: len(BOM)]) == BOM else 0
    match = _OPENING.match(buffer, begin, end)
    return match.end() if match else 0


def _nested(depth: int) -> bytes:
    inner = rb'(?>[^"{}\[\]]++|%b)*+' % _STRING
    for _ in range(depth):
        inner = rb'(?>[^"{}\[\]]++|%b|[{\[]%b[}\]])*+' % (_STRING, inner)
    return inner


# Most objects hold no others: their brackets need no counting.
_FLAT: Final = rb'\{[^{}"]*+(?>%b[^{}"]*+)*+\}' % _STRING
_OBJECT: Final = rb"(?>%b|\{%b\})" % (_FLAT, _nested(DEPTH_MAX))
_ELEMENT: Final = re.compile(_OBJECT, re.DOTALL)
_WITH_COMMA: Final = re.compile(rb"%b(%b)%b,%b" % (_SPACE, _OBJECT, _SPACE, _SPACE), re.DOTALL)
_CLOSING: Final = re.compile(
    rb"%b(?>(%b)%b)?+\]%b\Z" % (_SPACE, _OBJECT, _SPACE, _SPACE), re.DOTALL
)
