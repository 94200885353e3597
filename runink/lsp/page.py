"""A pipeline's text as an editor needs it: whatever is half written, the rest keeps its place.

    Page
      sections    the file's head, then one for each header, in order
        extents     its annotations, those within others included
      names       where streams and parameters get their names, and where they are named

It reads the text by itself and not by the parser: a tree is of a text that can be read, and a cursor is mostly in one that cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Final

from runink.dsl.edits import Offsets
from runink.dsl.extents import Extent, Part, extents
from runink.dsl.vocabulary import ANNOTATIONS, Where
from runink.keywords import HEADERS

_LINE: Final = re.compile(
    rf"^[ \t]*(?:(?P<at>@)|(?P<header>{'|'.join(HEADERS)}):[ \t]*(?P<title>[^\r\n]*))", re.MULTILINE
)
_TEXT: Final = re.compile(r'"""([\s\S]*?)(?:"""|\Z)|"((?:[^"\\\n]|\\.)*)"?')
_NAMED: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"?|([A-Za-z_][\w.-]*)')
_HOLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_]\w*)\}")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_SCENARIOS: Final = ("Scenario", "Scenario Outline", "Scenario Template", "Example")
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


@dataclass(slots=True)
class Section:
    """From a header to the next. The file's head has no keyword."""

    keyword: str
    title: str
    start: int
    end: int = 0
    title_start: int = 0
    extents: list[Extent] = field(default_factory=list)

    @property
    def is_scenario(self) -> bool:
        return self.keyword in _SCENARIOS


class Page:
    """One text, read once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets = Offsets(text)
        self.sections = _sections(text)

    def section_at(self, offset: int) -> int:
        """Return the number of the section that a place is in."""
        found = [number for number, section in enumerate(self.sections) if section.start <= offset]
        return found[-1]

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
        found = [
            name
            for number, section in enumerate(self.sections)
            for extent in section.extents
            for name in (*self._streams(number, extent), *self._declared(extent))
        ]
        found.extend(
            Name(Sort.PARAMETER, hole[1], hole.start(1), hole.end(1), 0)
            for hole in _HOLE.finditer(self.text)
            if hole[1]
        )
        return tuple(sorted(found, key=lambda name: name.start))

    def name_at(self, offset: int) -> Name | None:
        return next((one for one in self.names if one.start <= offset <= one.end), None)

    def streams(self, section: int) -> list[Name]:
        """Return the streams that have a name in a section."""
        return [
            one
            for one in self.names
            if one.sort is Sort.STREAM and one.is_definition and one.section == section
        ]

    def parameters(self) -> list[Name]:
        return [one for one in self.names if one.sort is Sort.PARAMETER and one.is_definition]

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


def _sections(text: str) -> list[Section]:
    sections = [Section("", "", 0)]
    at = 0
    while line := _LINE.search(text, at):
        if line["at"]:
            found = extents(text, line.start("at"))
            sections[-1].extents.extend(found)
            at = max(found[0].end, *(one.end for one in found), line.end())
            continue
        start = line.start("header")
        sections[-1].end = start
        sections.append(
            Section(line["header"], line["title"].strip(), start, title_start=line.start("title"))
        )
        at = line.end()
    sections[-1].end = len(text)
    _hand_down(sections)
    return sections


def _hand_down(sections: list[Section]) -> None:
    """Give the first scenario what stands above it and is not the file's."""
    first = next((one for one in sections if one.is_scenario), None)
    if first is None:
        return
    for section in sections[: sections.index(first)]:
        own = [one for one in section.extents if not _is_of_file(one)]
        first.extents[:0] = own
        section.extents = [one for one in section.extents if _is_of_file(one)]


def _is_of_file(extent: Extent) -> bool:
    kind = ANNOTATIONS.get(extent.name)
    return kind is None or kind.where is Where.FILE
