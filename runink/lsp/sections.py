"""A page's parts: the file's head, then one for each header, in order, with the annotations that stand in them.

Where a statement ends must be known to know what begins a line.  Most are one line, which is seen at a glance; what is in them is read when somebody
asks for the section, and a cursor asks for two of many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runink.dsl.extents import Extent, extents
from runink.dsl.vocabulary import ANNOTATIONS, Where
from runink.keywords import HEADERS

_LINE: Final = re.compile(
    rf"^[ \t]*(?:(?P<at>@)|(?P<header>{'|'.join(HEADERS)}):[ \t]*(?P<title>[^\r\n]*))", re.MULTILINE
)
_VALUE: Final = r'[^()\[\]"\n@#/]|"(?:[^"\\\n]|\\.)*"(?!")'
_WHOLE: Final = (
    re.compile(  # an annotation that begins and ends on its line, in brackets that are closed
        rf"@[A-Za-z_][\w-]*(?:[ \t]*\((?:{_VALUE}|\[(?:{_VALUE})*+\])*+\))?[ \t\r]*$", re.MULTILINE
    )
)
_SCENARIOS: Final = ("Scenario", "Scenario Outline", "Scenario Template", "Example")


class Section:
    """From a header to the next. The file's head has no keyword."""

    __slots__ = ("_extents", "_starts", "_text", "end", "keyword", "start", "title", "title_start")

    def __init__(self, text: str, start: int, keyword: str, title: str, title_start: int) -> None:
        self.keyword = keyword
        self.title = title
        self.start = start
        self.end = len(text)
        self.title_start = title_start
        self._text = text
        self._starts: list[int] = []
        self._extents: list[Extent] | None = None

    @property
    def is_scenario(self) -> bool:
        return self.keyword in _SCENARIOS

    @property
    def extents(self) -> list[Extent]:
        """Its annotations, those within others included."""
        if self._extents is None:
            self._extents = [one for start in self._starts for one in extents(self._text, start)]
        return self._extents

    def begins(self, start: int) -> None:
        """Note that a statement with annotations begins there."""
        self._starts.append(start)

    def hold(self, found: Iterable[Extent]) -> None:
        """Have these annotations, whatever stands in its lines."""
        self._extents = list(found)


def sections(text: str) -> list[Section]:
    """Return the parts of a text, however much of it is written."""
    found = [Section(text, 0, "", "", 0)]
    at = 0
    while line := _LINE.search(text, at):
        if line["at"]:
            found[-1].begins(line.start("at"))
            at = _end(text, line.start("at"), line.end())
            continue
        start = line.start("header")
        found[-1].end = start
        title = line["title"].strip()
        found.append(Section(text, start, line["header"], title, line.start("title")))
        at = line.end()
    _hand_down(found)
    return found


def _end(text: str, start: int, least: int) -> int:
    whole = _WHOLE.match(text, start)
    if whole is not None:
        return whole.end()
    return max(least, *(one.end for one in extents(text, start)), least)


def _hand_down(found: list[Section]) -> None:
    """Give the first scenario what stands above it and is not the file's."""
    first = next((one for one in found if one.is_scenario), None)
    if first is None:
        return
    above: list[Extent] = []
    for section in found[: found.index(first)]:
        above.extend(one for one in section.extents if not _is_of_file(one))
        section.hold(one for one in section.extents if _is_of_file(one))
    first.hold([*above, *first.extents])


def _is_of_file(extent: Extent) -> bool:
    kind = ANNOTATIONS.get(extent.name)
    return kind is None or kind.where is Where.FILE
