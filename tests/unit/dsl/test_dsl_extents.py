"""Where annotations and their arguments stand, also in what is not finished yet."""

from __future__ import annotations

import pytest
from runink.dsl.edits import Edit, Offsets, edited
from runink.dsl.extents import Extent, extents
from runink.errors import Span


def told(text: str, extent: Extent) -> list[tuple[str, str]]:
    return [(part.name, part.value(text)) for part in extent.arguments]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("@step", []),
        ("@step()", []),
        ('@source("csv://x.csv")', [("", '"csv://x.csv"')]),
        ('@source("a", as = planes, nulls=["NA", ""])', [("", '"a"'), ("as", "planes"), ("nulls", '["NA", ""]')]),
        ('@sink("a", when "x > 1", mode=append)', [("", '"a"'), ("when", '"x > 1"'), ("mode", "append")]),
        ('@sink("a" with "role=ops")', [("", '"a"'), ("with", '"role=ops"')]),
        ("@requires(cpu=250m, memory=512Mi,)", [("cpu", "250m"), ("memory", "512Mi")]),
        ("@module(domain=, layer: bronze)", [("domain", ""), ("layer", "bronze")]),
        ('@step(sql="""\n  SELECT 1, "a"\n""", as=x)', [("sql", '"""\n  SELECT 1, "a"\n"""'), ("as", "x")]),
        ("@step(a, # a note, with a comma\n  b)", [("", "a"), ("", "b")]),
        ("@source(csv://x.csv)", [("", "csv://x.csv")]),
    ],
)  # fmt: skip
def test_an_argument_has_its_name_and_its_value(text: str, parts: list[tuple[str, str]]) -> None:
    (extent,) = extents(text, 0)
    assert extent.is_whole
    assert text[extent.start : extent.end] == text
    assert told(text, extent) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("@source(", []),
        ('@source("csv://x', [("", '"csv://x')]),
        ('@source("a", ', [("", '"a"')]),
        ('@source("a", nulls=["NA", ', [("", '"a"'), ("nulls", '["NA",')]),
        ('@source("a", as=', [("", '"a"'), ("as", "")]),
        ('@source("a", as=pl\n  Scenario: next', [("", '"a"'), ("as", "pl")]),
        ('@source("a", as=pl\n  @sink("b")', [("", '"a"'), ("as", "pl")]),
        ('@step(sql="""SELECT 1', [("sql", '"""SELECT 1')]),
        ("@", []),
    ],
)
def test_what_is_not_finished_ends_where_the_next_statement_begins(
    text: str, parts: list[tuple[str, str]]
) -> None:
    (extent,) = extents(text, 0)
    assert extent.is_whole is not ("(" in text)
    assert [(name, value.rstrip()) for name, value in told(text, extent)] == parts


def test_an_annotation_within_another_is_an_argument_of_it() -> None:
    text = '@source("u" @window(sliding:10m, every:2m), as=x) @meta(a=1)'
    source, window, meta = extents(text, 0)
    assert told(text, source) == [
        ("", '"u"'),
        ("", "@window(sliding:10m, every:2m)"),
        ("as", "x"),
    ]
    assert source.arguments[1].nested is window
    assert told(text, window) == [("sliding", "10m"), ("every", "2m")]
    assert text[meta.start : meta.end] == "@meta(a=1)"


def test_a_place_is_in_the_argument_that_surrounds_it() -> None:
    text = '@sink("a", mode=append)'
    (extent,) = extents(text, 0)
    assert extent.at(text.index("append") + 3) is extent.part("mode")
    assert extent.at(text.index('"a"')) is extent.arguments[0]
    assert extent.at(text.index(" mode")) is None


def test_places_and_offsets_are_two_names_of_one_thing() -> None:
    text = "ab\n\ncdé🐎f\r\n"
    offsets = Offsets(text)
    for offset in range(len(text) + 1):
        line, column = offsets.place(offset)
        assert offsets.of(Span("x", line, column)) == offset
    assert offsets.range(Span("x", 3, 2, 100)) == (5, len(text))
    assert offsets.of(Span("x", 9, 1)) == len(text)
    assert offsets.line_range(1) == (0, 3)


def test_edits_are_done_together_and_the_first_wins() -> None:
    edits = [Edit(3, 4, "X"), Edit(0, 1, ""), Edit(3, 4, "X"), Edit(2, 4, "Y"), Edit(5, 5, "Z")]
    assert edited("abcdef", edits) == "bYeZf"
