"""What of a page can be folded away: what stands below a header, an annotation or a note of several lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from runink.lsp.page import Page

_NOTES: Final = re.compile(r"(?:^[ \t]*(?:#|//)[^\n]*(?:\n|\Z)){2,}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines, 0-based, the first of which stays."""

    first: int
    last: int
    is_note: bool = False


def folds(page: Page) -> list[Fold]:
    """Return what can be folded, by place."""
    found = [
        _fold(page, section.start, section.end) for section in page.sections if section.keyword
    ]
    found.extend(
        _fold(page, one.start, one.end)
        for section in page.sections
        for one in section.extents
        if "\n" in page.text[one.start : one.end]
    )
    found.extend(_fold(page, *one.span(), is_note=True) for one in _NOTES.finditer(page.text))
    return sorted(
        (one for one in set(found) if one.last > one.first), key=lambda one: (one.first, one.last)
    )


def _fold(page: Page, start: int, end: int, *, is_note: bool = False) -> Fold:
    filled = len(page.text[start:end].rstrip())
    return Fold(
        page.offsets.line(start)[0] - 1,
        page.offsets.line(start + max(filled - 1, 0))[0] - 1,
        is_note,
    )
