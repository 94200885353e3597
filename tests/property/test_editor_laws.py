"""Laws of what editors are answered: any text at any place has an answer, and what is offered replaces what stands around the place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import PositionEncodingKind
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.edits import edited
from runink.dsl.extents import extents
from runink.errors import Refused
from runink.lsp.actions import actions_at, every_fix
from runink.lsp.analysis import Reader, analysed
from runink.lsp.completion import completions
from runink.lsp.contract_reader import Answer
from runink.lsp.definition import origins
from runink.lsp.hover import told_at
from runink.lsp.naming import renamed, same
from runink.lsp.page import Page
from runink.lsp.positions import Positions
from runink.lsp.project import Offers
from runink.lsp.symbols import Symbol, symbols

SPEC = ContractSpec("X", "1.0.0", (FieldSpec("delay", Kind.INT, ge=0), FieldSpec("name", Kind.STR)))
ANSWERS = {"contracts/x.py:X": Answer("contracts/x.py:X", SPEC)}
OFFERS = Offers(Path("/nowhere/at/all"), ANSWERS)
PIECES = st.sampled_from(
    [
        *("@source(", '@sink("out/x", ', "@step(", "@golden(", "@", ")", "]", "[", ",", "=", " "),
        *('"', '"""', "as=a", "from=[a, ", "when ", "delay", "&& ", "${day}", "${", "\n", "\r\n"),
        *('@param("day")', "Feature: x", "\nScenario: y\n", '@contract("contracts/x.py:X")', "# "),
        *('sql="SELECT a FROM a"', "@assert(", "records", "key=[", "Given a", "🐎", "“", "\u2028"),
        *("@window(5m)", "@module(domain=)", "Examples:", "| a |", "isolate=false", "csv:./x"),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=15).map("".join), st.text(max_size=80))


@st.composite
def places(draw: st.DrawFn) -> tuple[str, int]:
    text = draw(TEXTS)
    return text, draw(st.integers(0, len(text)))


@given(places())
def test_any_place_of_any_text_has_an_answer(place: tuple[str, int]) -> None:
    text, offset = place
    page = Page(text)
    for offer in completions(page, offset, OFFERS):
        assert 0 <= offer.start <= offset <= offer.end <= len(text)
    told = told_at(page, offset, OFFERS)
    assert told is None or 0 <= told.start <= told.end <= len(text)
    origins(page, offset, OFFERS)
    for name in same(page, offset):
        assert text[name.start : name.end] == name.text
    try:
        edits = renamed(page, offset, "other", OFFERS)
    except Refused as error:
        assert error.text  # noqa: PT017 - most places are no names
    else:
        assert edited(text, edits) != text or "other" in text


@given(TEXTS)
def test_the_outline_lies_in_the_text_and_a_child_within_its_parent(text: str) -> None:
    def check(one: Symbol) -> None:
        assert 0 <= one.start <= one.name_start <= one.name_end <= one.end <= len(text)
        for child in one.children:
            assert one.start <= child.start <= child.end <= one.end
            check(child)

    for one in symbols(Page(text)):
        check(one)


@given(places(), st.sampled_from(list(PositionEncodingKind)))
def test_a_place_said_to_an_editor_comes_back(
    place: tuple[str, int], encoding: PositionEncodingKind
) -> None:
    text, offset = place
    if text[offset - 1 : offset + 1] == "\r\n":
        return
    positions = Positions(text, encoding)
    assert positions.offset(positions.position(offset)) == offset


@given(places())
def test_what_is_found_can_be_mended_wherever_it_is(place: tuple[str, int]) -> None:
    text, offset = place
    reading = Reader(Path("/nowhere/at/all/features/x.dsl")).read(text)
    analysis = analysed(reading, Offers(Path("/nowhere/at/all"), ANSWERS))
    page = Page(text)
    found = analysis.told_of(analysis.file)
    for action in actions_at(page, found, offset, offset):
        assert all(0 <= edit.start <= edit.end <= len(text) for edit in action.edits)
    fixes = every_fix(found)
    assert all(first.end <= second.start for first, second in pairwise(fixes))


@given(places())
def test_arguments_lie_in_their_annotation_in_order(place: tuple[str, int]) -> None:
    text, start = place
    for extent in extents(text, start):
        assert start <= extent.start <= extent.end <= len(text)
        ends = [extent.start]
        for part in extent.arguments:
            assert ends[-1] <= part.start <= part.value_start <= part.end <= extent.end
            ends.append(part.end)
