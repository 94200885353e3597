"""What each word of a page is, and what can be folded."""

from __future__ import annotations

import pytest
from lsprotocol.types import PositionEncodingKind
from runink.lsp.folds import Fold, folds
from runink.lsp.legend import MODIFIERS, TYPES, changes
from runink.lsp.page import Page
from runink.lsp.tokens import Colours

UTF_16 = PositionEncodingKind.Utf16


def words(text: str) -> list[tuple[str, str]]:
    """Return the coloured words of a text, with their modifiers behind a dot."""
    found = Colours(UTF_16).coloured(Page(text))
    lines = [line.encode("utf-16-le") for line in text.split("\n")]
    told, line, column = [], 0, 0
    for at in range(0, len(found), 5):
        down, right, length, kind, bits = found[at : at + 5]
        line, column = line + down, right + (0 if down else column)
        word = lines[line][column * 2 : (column + length) * 2].decode("utf-16-le")
        marks = [one for place, one in enumerate(MODIFIERS) if bits & 1 << place]
        told.append((word, ".".join([TYPES[kind], *marks])))
    return told


def kinds(text: str) -> dict[str, str]:
    """Return what each word of a scenario's line is, quotes and signs left out."""
    found = words(f"Scenario: x\n  {text}\n")[1:]
    return {word: kind for word, kind in found if word not in {'"', "="}}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('@step("clean", as=s)', {"@step": "decorator", "clean": "function", "as": "parameter", "s": "variable.definition"}),
        ('@step(name="clean")', {"@step": "decorator", "name": "parameter", "clean": "function"}),
        ('@contract("c.py:C", on=s)', {"@contract": "decorator", "c.py:C": "class", "on": "parameter", "s": "variable"}),
        ("@step(x, from=[a, b])", {"@step": "decorator", "x": "enumMember", "from": "parameter", "a": "variable", "b": "variable"}),
        ('@sink("csv://x", mode=append)', {"@sink": "decorator", "csv://x": "string", "mode": "parameter", "append": "enumMember"}),
        ('@sink("u", when "f(a, b) > 1")', {"@sink": "decorator", "u": "string", "when": "keyword", "f": "variable", "a": "variable", "b": "variable", ">": "operator", "1": "number"}),
        ('@sink("u", when "size(a) > 1", from=s)', {"@sink": "decorator", "u": "string", "when": "keyword", "size": "function", "a": "variable", ">": "operator", "1": "number", "from": "parameter", "s": "variable"}),
        ('@source("csv://${day}.csv")', {"@source": "decorator", "csv://": "string", "${day}": "variable", ".csv": "string"}),
        ("@requires(memory=512Mi, cpu=2)", {"@requires": "decorator", "memory": "parameter", "512Mi": "number", "cpu": "parameter", "2": "number"}),
        ('@step(sql="SELECT a, f(b, 1) FROM input", as=s)', {"@step": "decorator", "sql": "parameter", "SELECT": "keyword", "1": "number", "FROM": "keyword", "input": "keyword", "as": "parameter", "s": "variable.definition"}),
        ("@nothing(a=1)", {"a": "parameter", "1": "number"}),
        ("# a note", {"# a note": "comment"}),
        ("Given what people say", {"Given": "keyword", "what people say": "comment.documentation"}),
        ("- what people say", {"what people say": "comment.documentation"}),
        ("words of people", {"words of people": "comment.documentation"}),
        ("Then records must be at least 100", {"Then": "keyword"}),
        ('And "late" (sink: csv://late.csv)', {"And": "keyword", '"late"': "string"}),
        ("Metadata:\n    owner: me\n    - one", {"Metadata": "keyword", "owner": "property"}),
    ],
)  # fmt: skip
def test_a_word_is_what_its_place_makes_it(line: str, found: dict[str, str]) -> None:
    assert kinds(line) == found


def test_a_text_of_several_lines_is_a_word_on_each() -> None:
    text = 'Scenario: x\n@step(sql="""SELECT 1\n\n  FROM input""", as=s)\nScenario: y\n@step("f")\n'
    assert ("FROM", "keyword") in words(text)
    assert ("f", "function") in words(text)


def test_a_header_in_a_text_begins_nothing() -> None:
    text = 'Scenario: x\n  Given y\n  """\n  Scenario: none\n  @step("f")\n  """\n  @step("g")\n'
    assert ('  @step("f")', "string") in words(text)
    assert ("g", "function") in words(text)


def test_what_is_never_closed_ends_with_its_section() -> None:
    assert ("f", "function") in words('Scenario: x\n@source("u"\nScenario: y\n@step("f")\n')


def test_columns_are_the_encodings() -> None:
    assert ("é🐎", "string") in words('Scenario: x\n@source("🐎", as=s) @source("é🐎")\n')
    text = 'Scenario: x\n@source("🐎", as=s)\n'
    by_bytes = Colours(PositionEncodingKind.Utf8).coloured(Page(text))
    assert 4 in by_bytes[2::5]


def test_what_is_asked_for_a_part_is_that_of_the_whole() -> None:
    text = "".join(f'Scenario: {n}\n  @step("f{n}")\n' for n in range(9))
    page = Page(text)
    whole = Colours(UTF_16).coloured(page)
    at = text.index("f4")
    part = Colours(UTF_16).coloured(page, at, at + 2)
    assert part[0] == 4 * 2
    assert part[5:] in [whole[start : start + len(part) - 5] for start in range(0, len(whole), 5)]
    assert len(part) == len(whole) // 9


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3], [1, 9, 3], (1, 1, [9])),
        ([1, 1], [1, 1, 1], (2, 0, [1])),
        ([], [1], (0, 0, [1])),
        ([1, 2], [], (0, 2, [])),
    ],
)
def test_a_change_is_what_lies_between_what_is_the_same(
    old: list[int], new: list[int], found: tuple[int, int, list[int]] | None
) -> None:
    assert changes(old, new) == found


def test_headers_annotations_and_notes_of_several_lines_can_be_folded() -> None:
    text = 'Feature: x\n\n# one\n# two\nScenario: y\n  @step("f",\n    as=s)\n\n\nScenario: z\n'
    assert folds(Page(text)) == [
        Fold(0, 3),
        Fold(2, 3, is_note=True),
        Fold(4, 6),
        Fold(5, 6),
    ]
