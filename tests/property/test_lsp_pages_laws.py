"""A page read by sections, as far as somebody asks, is the page read line by line."""

from __future__ import annotations

import re
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st
from runink.dsl.extents import extents
from runink.lsp.folds import folds
from runink.lsp.page import Page
from runink.lsp.sections import sections
from runink.testing.pipeline_texts import SPLINTERS, damaged_text, whole_text

HEADER = re.compile(
    r"^[ \t]*(?:(@)|(Feature|Background|Rule|Scenario Outline|Scenario Template|Scenarios|Scenario|Examples|Example):)",
    re.MULTILINE,
)


def slowly(text: str) -> list[tuple[str, int]]:
    """Return all annotations of a text, each by reading from the end of the last statement."""
    found, at = [], 0
    while line := HEADER.search(text, at):
        at = line.end()
        if line[1]:
            those = extents(text, line.start(1))
            found.extend((one.name, one.start) for one in those)
            at = max(at, *(one.end for one in those))
    return found


def written(seed: int) -> str:
    chance = Random(seed)
    text = chance.choice((whole_text, damaged_text))(chance)
    lines = text.split("\n")
    for _ in range(3):
        lines[chance.randrange(len(lines))] += chance.choice(SPLINTERS)
    return "\n".join(lines)


@given(st.integers(0, 1 << 32).map(written))
@example('@a("""x""")\nScenario: y\n@b("")\n')
@example("@a(x # )\nScenario: y\n)\n@b\n")
@example("@a([1, 2), 3])\n@b(\nScenario: y\n")
@example('@a("\\"") @b("x\n@c([[1]])\n')
def test_all_annotations_are_found_where_they_are(text: str) -> None:
    found = [(one.name, one.start) for part in sections(text) for one in part.extents]
    assert sorted(found, key=lambda one: one[1]) == sorted(slowly(text), key=lambda one: one[1])


@given(st.integers(0, 1 << 32).map(written))
def test_a_name_is_found_at_its_place(text: str) -> None:
    page = Page(text)
    for name in page.names:
        there = page.name_at(name.start)
        assert there is not None
        assert there.start <= name.start <= there.end
        if name.is_definition:
            known = (
                page.parameters() if name.sort.value == "parameter" else page.streams(name.section)
            )
            assert name in known


@given(st.integers(0, 1 << 32).map(written))
def test_what_can_be_folded_is_several_lines_of_the_page(text: str) -> None:
    assert all(0 <= one.first < one.last <= text.count("\n") for one in folds(Page(text)))
