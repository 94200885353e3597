"""A pipeline's text as an editor needs it: whatever is half written, the rest keeps its place.

    Page
      sections    the file's head, then one for each header, in order
        extents     its annotations, those within others included
      names       where streams and parameters get their names, and where they are named

It reads the text by itself and not by the parser: a tree is of a text that can be read, and a cursor is mostly in one that cannot.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from runink.dsl.edits import Offsets
from runink.dsl.extents import Extent, Part
from runink.dsl.vocabulary import ANNOTATIONS
from runink.lsp.sections import Section, sections

_TEXT: Final = re.compile(r'"""([\s\S]*?)(?:"""|\Z)|"((?:[^"\\\n]|\\.)*)"?')
_NAMED: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"?|([A-Za-z_][\w.-]*)')
_HOLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_]\w*)\}")
_PARAM: Final = re.compile(r"@param\b")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
DEFINES: Final = (("source", "as"), ("step", "as"), ("step", "id"))
NAMES: Final = (
    ("contract", "on"),
    ("step", "from"),
    ("step", "after"),
    ("sink", "from"),
    ("sink", "after"),
)


class Sort(Enum):
    STREAM = "stream"
    PARAMETER = "parameter"


@dataclass(frozen=True, slots=True)
class Name:
    """A name where it stands. Streams are known in their section, parameters (section 0) in the whole file."""

    sort: Sort
    text: str
    start: int
    end: int
    section: int
    is_definition: bool = False

    def is_same(self, other: Name) -> bool:
        return (self.sort, self.text, self.section) == (other.sort, other.text, other.section)


class Page:
    """One text, read once, as far as somebody asks."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets = Offsets(text)

    @cached_property
    def sections(self) -> list[Section]:
        return sections(self.text)

    def section_at(self, offset: int) -> int:
        """Return the number of the section that a place is in."""
        return bisect_right(self.sections, offset, key=lambda section: section.start) - 1

    def extent_at(self, offset: int) -> Extent | None:
        """Return the innermost annotation that a place is in: on its name, between its brackets, or right behind it."""
        around = [one for one in self.near(offset) if one.start <= offset <= one.end]
        return around[-1] if around else None

    def near(self, offset: int) -> list[Extent]:
        """Return the annotations that a place can be in, those within others behind them: the section's, and the next one's, which may begin above its header."""
        number = self.section_at(offset)
        return [one for section in self.sections[number : number + 2] for one in section.extents]

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """All names of streams and parameters, by their place."""
        found = [name for number in range(len(self.sections)) for name in self.names_in(number)]
        found.extend(self._holes(0, len(self.text)))
        return tuple(sorted(found, key=lambda name: name.start))

    def names_in(self, section: int) -> list[Name]:
        """Return the names in the annotations of a section."""
        return [
            name
            for extent in self.sections[section].extents
            for name in (*self._streams(section, extent), *self._declared(extent))
        ]

    def name_at(self, offset: int) -> Name | None:
        line, _ = self.offsets.line(offset)
        around = self._around([self.section_at(offset)])
        found = [*around, *self._holes(*self.offsets.line_range(line))]
        found.sort(key=lambda name: name.start)
        return next((one for one in found if one.start <= offset <= one.end), None)

    def _around(self, sections: Iterable[int]) -> list[Name]:
        """Return the names of annotations in these sections, wherever they belong: to the header below them, or to the first scenario."""
        first = next((at for at, one in enumerate(self.sections) if one.is_scenario), 0)
        numbers = {first}.union(*((one, one + 1) for one in sections))
        known = (one for one in sorted(numbers) if one < len(self.sections))
        return [name for number in known for name in self.names_in(number)]

    def streams(self, section: int) -> list[Name]:
        """Return the streams that have a name in a section."""
        found = self.names_in(section)
        return sorted(
            (one for one in found if one.sort is Sort.STREAM and one.is_definition),
            key=lambda name: name.start,
        )

    def parameters(self) -> list[Name]:
        """Return the parameters that the page declares."""
        declared = {self.section_at(one.start()) for one in _PARAM.finditer(self.text)}
        found = self._around(declared) if declared else []
        return [one for one in found if one.sort is Sort.PARAMETER and one.is_definition]

    def _holes(self, start: int, end: int) -> Iterator[Name]:
        for hole in _HOLE.finditer(self.text, start, end):
            if hole[1]:
                yield Name(Sort.PARAMETER, hole[1], hole.start(1), hole.end(1), 0)

    def value(self, extent: Extent, name: str) -> str:
        """Return an argument's value without its quotes; the first parameter may go without its name. Nothing if it is not there."""
        part = self.part(extent, name)
        if part is None:
            return ""
        start, end = inner(self.text, part)
        return self.text[start:end]

    def part(self, extent: Extent, name: str) -> Part | None:
        """Return an argument by its parameter."""
        found = extent.part(name)
        kind = ANNOTATIONS.get(extent.name)
        if found is None and kind is not None and kind.first == name:
            found = next(
                (one for one in extent.arguments if not one.name and one.nested is None), None
            )
        return found

    def _streams(self, section: int, extent: Extent) -> Iterator[Name]:
        for annotation, parameter in (*DEFINES, *NAMES):
            part = extent.part(parameter) if extent.name == annotation else None
            if part is None or not part.value(self.text):
                continue
            defines = (annotation, parameter) in DEFINES
            for start, end in words(self.text, part):
                text = self.text[start:end]
                yield Name(Sort.STREAM, text, start, end, section, is_definition=defines)

    def _declared(self, extent: Extent) -> Iterator[Name]:
        part = self.part(extent, "name") if extent.name == "param" else None
        if part is not None and part.value(self.text):
            start, end = inner(self.text, part)
            text = self.text[start:end]
            yield Name(Sort.PARAMETER, text, start, end, 0, is_definition=True)


def inner(text: str, part: Part) -> tuple[int, int]:
    """Return where an argument's value begins and ends, without its quotes."""
    start, end = part.value_start, part.end
    found = _TEXT.match(text, start, end)
    if found is None:
        return start, end
    return found.span(1) if found[1] is not None else found.span(2)


def words(text: str, part: Part) -> Iterator[tuple[int, int]]:
    """Yield where the names of an argument stand: one, or those of a list; with or without quotes."""
    for found in _NAMED.finditer(text, part.value_start, part.end):
        group = 1 if found[1] is not None else 2
        if found[group]:
            yield found.span(group)


def word_at(text: str, offset: int) -> tuple[int, int] | None:
    """Return the word that a place is in, or right behind."""
    line = text.rfind("\n", 0, offset) + 1
    for found in _WORD.finditer(text, line):
        if found.start() > offset:
            return None
        if offset <= found.end():
            return found.span()
    return None
