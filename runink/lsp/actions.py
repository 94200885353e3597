"""What mends a finding: the edits that lint brings, and what a hint suggests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runink.dsl.edits import Edit
from runink.dsl.linting import Lint
from runink.lsp.page import Page

_SUGGESTED: Final = re.compile(r"did you mean (\S+?)\?(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Action:
    """`is_sure` says that it changes nothing but what is wrong."""

    title: str
    edits: tuple[Edit, ...]
    is_sure: bool = False


def actions_at(page: Page, found: Iterable[Lint], start: int, end: int) -> list[Action]:
    """Return what mends the findings that touch the characters from `start` to `end`."""
    offered: list[Action] = []
    for one in found:
        span = one.finding.span
        if span is None:
            continue
        first, last = page.offsets.range(span)
        if first <= end and start <= last:
            offered.extend(_actions(page, one, first, last))
    return list(dict.fromkeys(offered))


def every_fix(found: Iterable[Lint]) -> tuple[Edit, ...]:
    """Return the edits that mend all that can be mended at once: of those that touch each other, the first."""
    kept: list[Edit] = []
    for edit in sorted({edit for one in found for edit in one.edits}):
        if not kept or edit.start >= kept[-1].end:
            kept.append(edit)
    return tuple(kept)


def _actions(page: Page, one: Lint, start: int, end: int) -> Iterator[Action]:
    finding = one.finding
    if one.edits:
        title = finding.hint or finding.text
        yield Action(f"{finding.code}: {title}", one.edits, is_sure=True)
    suggested = _SUGGESTED.search(finding.hint)
    if suggested is not None:
        new = _fitting(page.text[start:end], suggested[1])
        yield Action(f"Change to {suggested[1]}", (Edit(start, end, new),))


def _fitting(old: str, new: str) -> str:
    """Return a suggestion as it is to stand: in quotes if the old one is, and a class behind its file."""
    inside = old.strip('"')
    if ":" in inside and ":" not in new:
        new = f"{inside.rpartition(':')[0]}:{new}"
    return f'"{new}"' if old.startswith('"') else new
