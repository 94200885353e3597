"""What an editor is told of a page: at once what the parser says, with what is known of the lines that stay, and then all."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types as lsp
from runink.lsp.analysis import Analysis, Reader, analysed, early
from runink.lsp.open_page import OpenPage
from runink.lsp.project import Offers, Superseded
from runink.lsp.telling import Board, told_of

TEXT = """Feature: x
Scenario: y
  @source("csv://a.csv")
  @stp("clean")
  @sink("csv://b.csv", mode=appendd)
"""
CONTRACT = """apiVersion: v3.0.2
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
  - name: Flight
    logicalType: object
    properties:
      - name: carrier
        logicalType: string
        required: true
"""


def looked(text: str, root: Path) -> Analysis:
    page = root / "features/x.dsl"
    return analysed(Reader(page).read(text), Offers.of(page, {}))


def places(analysis: Analysis) -> list[tuple[str, int]]:
    return [(one.finding.code, one.finding.span.line) for one in analysis.found if one.finding.span]


def test_a_line_above_moves_what_is_known_of_those_below(tmp_path: Path) -> None:
    last = looked(TEXT, tmp_path)
    assert places(last) == [("D010", 4), ("D015", 5)]
    text = TEXT.replace("  @source", "  # one more\n  @source")
    soon = early(Reader(tmp_path / "features/x.dsl").read(text), last)
    assert places(soon) == places(looked(text, tmp_path)) == [("D010", 5), ("D015", 6)]


def test_what_is_known_of_a_line_that_changed_is_forgotten_and_the_parser_is_heard(
    tmp_path: Path,
) -> None:
    last = looked(TEXT, tmp_path)
    text = TEXT.replace('@stp("clean")', '@step("clean')
    soon = early(Reader(tmp_path / "features/x.dsl").read(text), last)
    assert places(soon) == [("D004", 4), ("D015", 5)]


def test_what_the_parser_has_said_before_is_not_said_twice(tmp_path: Path) -> None:
    text = TEXT.replace('@stp("clean")', '@step("clean')
    reader = Reader(tmp_path / "features/x.dsl")
    last = analysed(reader.read(text), Offers.of(tmp_path / "features/x.dsl", {}))
    soon = early(reader.read(f"{text}# more\n"), last)
    assert sorted(places(soon)) == sorted(places(last))


def test_a_contract_of_odcs_is_read_as_a_text(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/flights.odcs.yaml").write_text(CONTRACT)
    text = TEXT.replace('@stp("clean")', '@contract("contracts/flights.odcs.yaml")').replace(
        "dd", "d"
    )
    found = looked(text, tmp_path)
    assert not found.missing
    assert not [one for one in found.found if one.finding.code.startswith("D")]
    offers = Offers.of(tmp_path / "features/x.dsl", {})
    spec = offers.spec("contracts/flights.odcs.yaml")
    assert spec is not None
    assert spec.fields[0].name == "carrier"
    assert offers.spec("contracts/none.yaml") is None


def test_a_compiler_that_nobody_waits_for_stops_where_it_asks_for_something(tmp_path: Path) -> None:
    page = tmp_path / "features/x.dsl"
    reading = Reader(page).read(TEXT)
    with pytest.raises(Superseded):
        analysed(reading, Offers(tmp_path, {}, lambda: True))


def test_a_text_that_is_too_large_for_a_pipeline_is_told_and_not_read(tmp_path: Path) -> None:
    found = looked("@source(\n" * 200_000, tmp_path)
    assert [one.finding.code for one in found.found] == ["D005"]


def test_a_project_that_begins_later_gives_a_page_its_path(tmp_path: Path) -> None:
    page = tmp_path / "a/features/x.dsl"
    page.parent.mkdir(parents=True)
    reader = Reader(page)
    assert reader.read(TEXT).source.path == "features/x.dsl"
    (tmp_path / "runink.toml").write_text("")
    reading = reader.read("@source(")
    assert reading.source.path == "a/features/x.dsl"
    assert {one.span.file for one in reading.mistakes if one.span} == {"a/features/x.dsl"}


def diagnostic(text: str) -> lsp.Diagnostic:
    return lsp.Diagnostic(lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1)), text)


def test_a_file_that_two_pages_speak_of_has_what_both_say_until_none_does() -> None:
    board = Board()
    both, own = diagnostic("both"), diagnostic("own")
    assert board.put("a", {"a": [], "s": [both]}) == {"a": [], "s": [both]}
    assert board.put("b", {"b": [], "s": [both, own]}) == {"b": [], "s": [both, own]}
    assert board.put("a", {"a": []}) == {"a": [], "s": [both, own]}
    assert board.put("a", {"a": [own]}) == {"a": [own]}
    assert board.take("b") == {"b": [], "s": []}


def test_a_place_in_another_file_is_said_in_the_editors_units(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps/x.py").write_text("x = '🐎🐎', def\n")
    page = OpenPage(
        (tmp_path / "features/x.dsl").as_uri(),
        TEXT.replace("@stp", "@step"),
        1,
        lsp.PositionEncodingKind.Utf16,
    )
    told = told_of(looked(page.text, tmp_path), page)
    (found,) = told[(tmp_path / "steps/x.py").as_uri()]
    assert (found.code, found.range.start.character) == ("D053", len("x = '") + 4 + len("', "))
