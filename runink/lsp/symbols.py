"""A page's outline: the feature, its scenarios, and in each what it reads, checks, does and writes."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsprotocol.types import SymbolKind

from runink.lsp.page import Page
from runink.lsp.sections import Section

_SHOWN = {
    "source": (SymbolKind.File, "uri"),
    "contract": (SymbolKind.Interface, "path"),
    "step": (SymbolKind.Function, "name"),
    "sink": (SymbolKind.File, "uri"),
    "deadletter": (SymbolKind.File, "uri"),
    "param": (SymbolKind.Variable, "name"),
}


@dataclass(slots=True)
class Symbol:
    """`start` to `end` is all of it, `name_start` to `name_end` what names it."""

    name: str
    kind: SymbolKind
    start: int
    end: int
    name_start: int
    name_end: int
    detail: str = ""
    children: list[Symbol] = field(default_factory=list)


def symbols(page: Page) -> list[Symbol]:
    """Return the outline: everything of a file with a feature is the feature's."""
    found = [_section(page, one) for one in page.sections if one.keyword]
    head = _annotations(page, page.sections[0])
    features = [one for one in found if one.kind is SymbolKind.Module]
    if len(features) != 1:
        return [*head, *found]
    feature = features[0]
    feature.children.extend([*head, *(one for one in found if one is not feature)])
    feature.start, feature.end = 0, len(page.text)
    return [feature]


def _section(page: Page, section: Section) -> Symbol:
    is_feature = section.keyword == "Feature"
    end = section.start + len(page.text[section.start : section.end].rstrip())
    name_end = section.title_start + len(section.title)
    children = _annotations(page, section)  # the first may stand above the header
    return Symbol(
        section.title or section.keyword,
        SymbolKind.Module if is_feature else SymbolKind.Class,
        min([section.start, *(one.start for one in children)]),
        max([end, name_end, *(one.end for one in children)]),
        section.title_start,
        name_end,
        section.keyword,
        children,
    )


def _annotations(page: Page, section: Section) -> list[Symbol]:
    found = []
    for extent in section.extents:
        if extent.name not in _SHOWN:
            continue
        kind, parameter = _SHOWN[extent.name]
        value = page.value(extent, parameter)
        name = value or next(
            (part.name for part in extent.arguments if part.name), f"@{extent.name}"
        )
        found.append(
            Symbol(
                name,
                kind,
                extent.start,
                extent.end,
                extent.start,
                extent.start + 1 + len(extent.name),
                f"@{extent.name}",
            )
        )
    return found
