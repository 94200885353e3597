"""Colours are those of the text, whatever was coloured before, and a change makes one answer of another."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import PositionEncodingKind
from runink.lsp.legend import TYPES, changes
from runink.lsp.page import Page
from runink.lsp.positions import units
from runink.lsp.tokens import Colours
from runink.testing.pipeline_texts import SPLINTERS, damaged_text, whole_text

NUMBERS = st.lists(st.integers(0, 2), max_size=12)


@given(st.integers(0, 1 << 32), st.sampled_from(list(PositionEncodingKind)))
def test_a_page_that_was_changed_is_coloured_as_one_that_is_new(
    seed: int, encoding: PositionEncodingKind
) -> None:
    chance = Random(seed)
    text = chance.choice((whole_text, damaged_text))(chance)
    colours = Colours(encoding)
    for _ in range(4):
        found = colours.coloured(Page(text))
        assert found == Colours(encoding).coloured(Page(text))
        check_places(text, found, encoding)
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        lines[at : at + chance.randint(0, 2)] = [lines[at] + chance.choice(SPLINTERS)]
        text = "\n".join(lines)


def check_places(text: str, found: list[int], encoding: PositionEncodingKind) -> None:
    """Every word is in its line, behind the one before."""
    lines = text.split("\n")
    line = column = least = 0
    for at in range(0, len(found), 5):
        down, right, length, kind, _ = found[at : at + 5]
        line, column = line + down, right + (0 if down else column)
        least = 0 if down else least
        assert column >= least
        assert length > 0
        least = column + length
        assert least <= units(lines[line], encoding)
        assert kind < len(TYPES)


@given(NUMBERS, NUMBERS)
def test_a_change_makes_the_old_answer_the_new_one(old: list[int], new: list[int]) -> None:
    change = changes(old, new)
    if change is None:
        assert old == new
        return
    start, count, put = change
    assert [*old[:start], *put, *old[start + count :]] == new
