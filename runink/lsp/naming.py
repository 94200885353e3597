"""Names of streams and parameters: all places that name the same thing, and another name for all of them.

A side input has the name of a step's argument, too, and that of a table in queries.  Queries are changed along; a function is
not: then a rename says which one, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from runink.dsl.edits import Edit
from runink.dsl.extents import Extent
from runink.errors import Refused
from runink.lsp.page import Name, Page, Sort, inner
from runink.lsp.project import Offers

RESERVED: Final = frozenset({"input", "main", "rejected"})
_TEXTS: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*[\s\S]*?\*/")


def same(page: Page, offset: int) -> list[Name]:
    """Return every place that names what stands here, definitions first."""
    name = page.name_at(offset)
    if name is None:
        return []
    found = [one for one in page.names if one.is_same(name)]
    if name.sort is Sort.STREAM:
        section = page.sections[name.section]
        for extent in section.extents:
            for start, end in _tables(page, extent, name.text):
                found.append(Name(Sort.STREAM, name.text, start, end, name.section))
    return sorted(found, key=lambda one: (not one.is_definition, one.start))


def renamed(page: Page, offset: int, new: str, offers: Offers) -> list[Edit]:
    """Return the edits that give a thing another name. Raises Refused if it cannot have that name, or not from here."""
    name = page.name_at(offset)
    if name is None:
        raise Refused("only names of streams and parameters can be changed", code="rename")
    if not (new.isidentifier() and new.isascii()):
        hint = "letters, digits and _, the first a letter"
        raise Refused(f"{new!r} is no name: {hint}", code="rename")
    _check_free(page, name, new)
    places = same(page, offset)
    if not any(one.is_definition for one in places):
        raise Refused(f"nothing here gives {name.text} its name", code="rename")
    _check_functions(page, name, offers)
    return [Edit(one.start, one.end, new) for one in places]


def _check_free(page: Page, name: Name, new: str) -> None:
    known = page.parameters() if name.sort is Sort.PARAMETER else page.streams(name.section)
    if new != name.text and any(one.text == new for one in known):
        raise Refused(f"there is a {name.sort.value} {new} already", code="rename")
    if name.sort is Sort.STREAM and new in RESERVED:
        raise Refused(f"{new} has a meaning of its own: choose another name", code="rename")


def _check_functions(page: Page, name: Name, offers: Offers) -> None:
    """Refuse a name that a function takes as its argument: it would not get it any more."""
    if name.sort is not Sort.STREAM:
        return
    for extent in page.sections[name.section].extents:
        step = page.value(extent, "name") if extent.name == "step" else ""
        for code in offers.steps if step else ():
            if code.name == step and re.search(rf"[(,*\s]{name.text}\s*[:,=)]", code.signature):
                told = f"{name.text} is an argument of step {step} ({code.file}:{code.line})"
                raise Refused(f"{told}: change it there first", code="rename")


def _tables(page: Page, extent: Extent, name: str) -> Iterator[tuple[int, int]]:
    """Yield where a query names a stream: outside of texts and notes."""
    part = page.part(extent, "sql") if extent.name == "step" else None
    if part is None:
        return
    start, end = inner(page.text, part)
    query = _TEXTS.sub(lambda found: " " * len(found[0]), page.text[start:end])
    for found in re.finditer(rf"(?<![\w.$]){re.escape(name)}(?!\w)", query):
        yield start + found.start(), start + found.end()
