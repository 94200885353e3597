"""Pages, cursors and positions: what an editor needs to know of a text that is half written."""

from __future__ import annotations

import pytest
from lsprotocol.types import Position, PositionEncodingKind
from runink.dsl import vocabulary
from runink.lsp.cursor import Kind, at_cursor
from runink.lsp.page import Page, Sort
from runink.lsp.positions import Positions
from runink.lsp.python_files import contracts_of, steps_of
from runink.lsp.symbols import symbols
from runink.lsp.vocabulary import ANNOTATIONS, PARAMETERS, about

BUILT = [kind for kind in vocabulary.ANNOTATIONS.values() if not kind.later]


def cursor(text: str) -> tuple[Kind, str, str, str]:
    at = text.index("|")
    found = at_cursor(Page(text.replace("|", "", 1)), at)
    return found.kind, found.prefix, found.annotation, found.parameter


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("|", (Kind.LINE, "", "", "")),
        ("  Sc|", (Kind.LINE, "Sc", "", "")),
        ("@so|", (Kind.ANNOTATION, "@so", "", "")),
        ('@module(layer="b") @so|', (Kind.ANNOTATION, "@so", "", "")),
        ('@source("u", @win|', (Kind.ANNOTATION, "@win", "", "")),
        ("@source(|", (Kind.ARGUMENT, "", "source", "")),
        ("@source(|)", (Kind.ARGUMENT, "", "source", "")),
        ('@source("a", a|', (Kind.ARGUMENT, "a", "source", "")),
        ('@source("a", as=|', (Kind.VALUE, "", "source", "as")),
        ('@source("a", as=| x)', (Kind.VALUE, "", "source", "as")),
        ('@source("a", as=pl|)', (Kind.VALUE, "pl", "source", "as")),
        ('@source("csv|"', (Kind.VALUE, "csv", "source", "uri")),
        ('@golden("x", key=["a", "b|', (Kind.VALUE, "b", "golden", "key")),
        ('@golden("x", key=["a", |])', (Kind.VALUE, "", "golden", "key")),
        ('@sink("a", when "x > 1 && ca|")', (Kind.CONDITION, "ca", "sink", "when")),
        ('@assert("rec|', (Kind.CONDITION, "rec", "assert", "condition")),
        ('@sink("a-${d|.csv")', (Kind.HOLE, "d", "", "")),
        ('@sink("a-$${d|.csv")', (Kind.VALUE, "a-$${d", "sink", "uri")),
        ('@step(sql="SEL|ECT")', (Kind.NOTHING, "", "step", "sql")),
        ("Feature: x|", (Kind.NOTHING, "", "", "")),
        ("# @so|", (Kind.NOTHING, "", "", "")),
    ],
)
def test_a_place_says_what_may_be_written_there(
    text: str, found: tuple[Kind, str, str, str]
) -> None:
    assert cursor(text) == found


def test_what_stands_above_the_first_scenario_is_its_own() -> None:
    page = Page('@herd("a")\nFeature: x\n@source("u", as=s)\nScenario: y\n@sink("v", from=s)\n')
    assert [one.name for one in page.sections[0].extents] == ["herd"]
    assert [one.name for one in page.sections[2].extents] == ["source", "sink"]
    definition, use = page.names
    assert definition.is_same(use)


def test_a_scenario_of_the_outline_holds_what_stands_above_its_header() -> None:
    (one,) = symbols(Page("@source(\nScenario: y\n"))
    assert (one.start, one.children[0].start) == (0, 0)


def test_streams_are_known_in_their_scenario_and_parameters_everywhere() -> None:
    page = Page(
        '@param("day")\nFeature: x\nScenario: a\n@source("u-${day}", as=s)\n'
        'Scenario: b\n@step("f", from=[s, "t"])\n'
    )
    told = [(one.sort, one.text, one.section) for one in page.names]
    assert told == [
        (Sort.PARAMETER, "day", 0),
        (Sort.PARAMETER, "day", 0),
        (Sort.STREAM, "s", 2),
        (Sort.STREAM, "s", 3),
        (Sort.STREAM, "t", 3),
    ]


@pytest.mark.parametrize(
    ("encoding", "character"),
    [
        (PositionEncodingKind.Utf16, 4),
        (PositionEncodingKind.Utf32, 3),
        (PositionEncodingKind.Utf8, 7),
    ],
)
def test_a_column_counts_units_of_the_encoding(
    encoding: PositionEncodingKind, character: int
) -> None:
    positions = Positions("x\ré🐎a\r\nb", encoding)
    assert positions.position(5) == Position(1, character)
    assert positions.offset(Position(1, character)) == 5


@pytest.mark.parametrize("encoding", list(PositionEncodingKind))
@pytest.mark.parametrize("text", ["", "a", "é🐎\n\r\n\r🐎é\u2028x\x0cy", "\n\n"])
def test_every_place_is_found_again(text: str, encoding: PositionEncodingKind) -> None:
    positions = Positions(text, encoding)
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":
            assert positions.offset(positions.position(offset)) == offset
    assert positions.offset(Position(0, 999)) <= len(text)
    assert positions.offset(Position(999, 0)) == len(text)


@pytest.mark.parametrize("kind", BUILT, ids=[kind.name for kind in BUILT])
def test_an_editor_can_say_what_an_annotation_and_its_parameters_are(
    kind: vocabulary.AnnotationKind,
) -> None:
    assert kind.name in ANNOTATIONS
    silent = [one for one in (*kind.parameters, *kind.clauses) if not about(kind.name, one)]
    assert not silent


def test_nothing_is_said_about_what_there_is_not() -> None:
    known = {one for kind in BUILT for one in (*kind.parameters, *kind.clauses)}
    assert {name.rpartition(".")[2] for name in PARAMETERS} <= known
    assert ANNOTATIONS.keys() == {kind.name for kind in BUILT}


def test_steps_are_found_with_their_words_and_a_broken_file_has_none() -> None:
    text = 'import runink\n@runink.step(each="batch")\ndef f(a, *, b: int = 1):\n    """Do."""\n'
    (found,) = steps_of(text, "steps/x.py")
    assert (found.name, found.line, found.signature, found.doc) == (
        "f",
        3,
        "def f(a, *, b: int=1)",
        "Do.",
    )
    assert text.split("\n")[2][found.column :].startswith("f(")
    assert steps_of("def f(:", "steps/x.py") == ()


def test_contracts_are_found_with_the_lines_of_their_fields() -> None:
    text = "class A(Contract):\n    '''One.'''\n    x: int\nclass B(A):\n    y: int\nclass C: ...\n"
    first, second = contracts_of(text, "contracts/x.py")
    assert (first.name, first.doc, first.fields) == ("A", "One.", {"x": 3})
    assert second.fields == {"x": 3, "y": 5}
    assert contracts_of("class A(:", "x.py") == ()
