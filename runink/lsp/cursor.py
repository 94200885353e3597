"""What stands at a place of a page, or could be written there.

LINE         a line begins: a header, a sentence, an annotation
ANNOTATION   the name behind an @
ARGUMENT     a parameter's name, within brackets
VALUE        a parameter's value, or an item of its list
CONDITION    within the text of a condition
HOLE         the name of a parameter, within ${…}
NOTHING      a title, a sentence, a note, a query: people's own words
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.dsl.extents import Extent, Part
from runink.dsl.vocabulary import ANNOTATIONS
from runink.lsp.page import Page

CONDITIONS: Final = (("sink", "when"), ("assert", "condition"))
_LINE: Final = re.compile(r"[ \t]*([A-Za-z][A-Za-z ]*)?")
_AT: Final = re.compile(r"(?:.*[\s,(])?(@[\w-]*)")
_TAIL: Final = re.compile(r'[^\s",\[\](){}=]*\Z')
_WORD: Final = re.compile(r"[A-Za-z_]?\w*\Z")
_HOLE: Final = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)?\Z")
_QUOTE: Final = re.compile(r'"""|(?<!\\)"')


class Kind(Enum):
    LINE = "line"
    ANNOTATION = "annotation"
    ARGUMENT = "argument"
    VALUE = "value"
    CONDITION = "condition"
    HOLE = "hole"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place: `prefix` is what of the word stands before it, `start` and `end` what would be replaced. In quotes `is_quoted`."""

    kind: Kind
    offset: int
    start: int
    end: int
    prefix: str = ""
    extent: Extent | None = None
    part: Part | None = None
    parameter: str = ""
    is_quoted: bool = False

    @property
    def annotation(self) -> str:
        return self.extent.name if self.extent is not None else ""


def at_cursor(page: Page, offset: int) -> Cursor:
    """Return what stands at a place."""
    extent = _within(page, offset)
    if extent is not None:
        return _inside(page, extent, offset)
    start = page.text.rfind("\n", 0, offset) + 1
    before = page.text[start:offset]
    if (at := _AT.fullmatch(before)) and "#" not in before:
        return _word(Kind.ANNOTATION, page, offset, at[1])
    if found := _LINE.fullmatch(before):
        return _word(Kind.LINE, page, offset, found[1] or "")
    return Cursor(Kind.NOTHING, offset, offset, offset)


def _within(page: Page, offset: int) -> Extent | None:
    """Return the innermost annotation between whose brackets a place is."""
    around = [
        one
        for one in page.near(offset)
        if one.opened and one.opened <= offset <= _closed(page, one)
    ]
    return around[-1] if around else None


def _closed(page: Page, extent: Extent) -> int:
    """Return how far the inside of an annotation goes; one that is open goes on over blanks."""
    if extent.is_whole:
        return extent.closed
    rest = page.text[extent.closed :]
    return extent.closed + len(rest) - len(rest.lstrip(" \t"))


def _word(kind: Kind, page: Page, offset: int, prefix: str) -> Cursor:
    """Return a word with what of it stands behind the cursor."""
    behind = re.compile(r"[\w-]*").match(page.text, offset)
    end = behind.end() if behind else offset
    return Cursor(kind, offset, offset - len(prefix), end, prefix)


def _inside(page: Page, extent: Extent, offset: int) -> Cursor:
    part = _part(page, extent, offset)
    if part is None:
        return Cursor(Kind.ARGUMENT, offset, offset, offset, "", extent)
    if part.nested is not None:
        return _word(Kind.ANNOTATION, page, offset, page.text[part.start : offset])
    value = page.text[part.value_start : offset]
    if part.name and offset <= part.start + len(part.name):
        return _named(page, extent, part, offset)
    is_bare_word = not part.name and re.fullmatch(r"[A-Za-z_]\w*", value) is not None
    if is_bare_word:
        return _named(page, extent, part, offset)
    return _value(page, extent, part, offset)


def _named(page: Page, extent: Extent, part: Part, offset: int) -> Cursor:
    prefix = page.text[part.start : offset]
    end = part.start + len(part.name) if part.name else part.end
    return Cursor(Kind.ARGUMENT, offset, part.start, end, prefix, extent, part)


def _part(page: Page, extent: Extent, offset: int) -> Part | None:
    """Return the argument that a place belongs to: it is in it, or behind it with nothing but blanks (or an open list) between."""
    for part in reversed(extent.arguments):
        if part.start > offset:
            continue
        if offset <= part.end:
            return part
        between = page.text[part.end : offset]
        is_list = part.value(page.text).count("[") > part.value(page.text).count("]")
        is_empty = part.name and not part.value(page.text)
        return part if not between.strip() and (is_list or is_empty) else None
    return None


def _value(page: Page, extent: Extent, part: Part, offset: int) -> Cursor:
    kind = ANNOTATIONS.get(extent.name)
    parameter = part.name or (kind.first if kind is not None else "")
    value = page.text[part.value_start : offset]
    quotes = _QUOTE.findall(value)
    is_quoted = len(quotes) % 2 == 1
    if is_quoted and (hole := _HOLE.search(value)):
        return _word(Kind.HOLE, page, offset, hole[1] or "")
    is_condition = (extent.name, parameter) in CONDITIONS
    if parameter == "sql" or (is_condition and not is_quoted):
        return Cursor(Kind.NOTHING, offset, offset, offset, "", extent, part, parameter)
    found = _WORD.search(value) if is_condition else _TAIL.search(value)
    prefix = found[0] if found else ""
    if is_quoted and not is_condition:
        prefix = value.rpartition('"')[2]
    end = _end(page, part, offset, is_quoted=is_quoted, is_condition=is_condition)
    return Cursor(
        Kind.CONDITION if is_condition else Kind.VALUE,
        offset,
        offset - len(prefix),
        end,
        prefix,
        extent,
        part,
        parameter,
        is_quoted,
    )


def _end(page: Page, part: Part, offset: int, *, is_quoted: bool, is_condition: bool) -> int:
    """Return where the word ends that a place is in: in quotes with them, else where no letter follows."""
    if is_condition or not is_quoted:
        found = re.compile(r"\w*").match(page.text, offset, max(part.end, offset))
        return found.end() if found else offset
    line = page.text.find("\n", offset)
    line = len(page.text) if line < 0 else line
    closing = page.text.find('"', offset, line)
    return closing if closing >= 0 and closing <= part.end else offset
