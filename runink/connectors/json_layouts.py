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
    """A JSON array of objects."""

    def __init__(self) -> None:
        self._begun = False

    def cut(self, buffer: bytearray, end: int, /) -> int:
        """Return where the last element ends that has a comma behind it; all, where something else comes that is no object."""
        start = 0 if self._begun else _opened(buffer, end)
        match = _WITH_COMMAS.match(buffer, start, end)
        assert match is not None, "the pattern matches nothing at all, too"
        cut = match.end()
        if cut == end or buffer[cut] in b"{]":
            return cut if cut > start else 0
        return end

    def goes_wrong_at(self, block: Block) -> int:
        """Return the place in the block from which on it is no array of objects."""
        start = 0
        if block.offset == 0:
            start = _opened(block.view, block.end)
            if not start:
                return 0
        match = _WITH_COMMAS.match(block.view, start)
        assert match is not None, "the pattern matches nothing at all, too"
        element = _ELEMENT.match(block.view, match.end())
        return element.end() if element else match.end()

    def records(self, block: Block) -> Iterator[tuple[int, bytes]]:
        start = _opened(block.view, block.end) if block.offset == 0 else 0
        for match in _ELEMENT.finditer(block.view, start):
            yield match.start(), match[0]

    def text(self, block: Block) -> memoryview | bytes | None:
        view = block.view
        start = 0
        if block.offset == 0:
            start = _opened(view, len(view))
            if not start:
                return None
            self._begun = True
        match = _WITH_COMMAS.match(view, start)
        assert match is not None, "the pattern matches nothing at all, too"
        if block.is_last and not _CLOSING.match(view, match.end()):
            return None
        if not block.is_last and match.end() != len(view):
            return None
        return b"\n".join(found[0] for found in _ELEMENT.finditer(view, start))


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


_OBJECT: Final = rb"\{%b\}" % _nested(DEPTH_MAX)
_ELEMENT: Final = re.compile(_OBJECT, re.DOTALL)
_WITH_COMMAS: Final = re.compile(rb"%b(?>%b%b,%b)*+" % (_SPACE, _OBJECT, _SPACE, _SPACE), re.DOTALL)
_CLOSING: Final = re.compile(rb"(?>%b%b)?+\]%b\Z" % (_OBJECT, _SPACE, _SPACE), re.DOTALL)
