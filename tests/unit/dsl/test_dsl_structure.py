"""The parts of a file, and what belongs to what."""

from __future__ import annotations

import pytest
from runink.dsl.diagnostics import Findings, rendered
from runink.dsl.outlines import expanded
from runink.dsl.parser import parsed
from runink.dsl.syntax import Annotation, Block, Document, Entry, Items, Text
from runink.errors import Finding, Span

FULL = '''@herd("a")
@feature(name="F", herd="x/y")
Feature: Whole
  What it is for,
  - in two lines.

  Background: Always
    @timeout(5m)
    Given a calendar

  @module(layer="bronze", domain="d",)
  Scenario: First
    Says little.
    @source("kafka:t" @window(sliding:10m, every:2m), @meta(region="us" , n=[1, a, "b"]))
    @sink("sf:x" when "a > 1" with "role=ops")
    Given these carriers
      | carrier | name     |
      | UA      | Unit\\|ed |
    And this
      """json
      {"a":
        1}
      """
    When events come
      - one (sink: target/x.csv)
      - name: id
    Then:
      - Decode

  ---

  @retry(3)
  Scenario Outline: For <who>
    @source("csv://<who>.csv")
    * it is <who>

    Examples: some
      | who |
      | a   |
      | b   |

  Rule: Late ones
    Background:
      And a rule

    Example: Late
      # a note
      @affinity(label="x")
      Metadata:
        purpose: "x: y"
        tags: [SOX, "PCI, DSS"]
        fields:
          - name: id
            type: int
          - plain
        last: 1
'''


def read(text: str) -> tuple[Document, tuple[Finding, ...]]:
    findings = Findings("x.dsl", text)
    return parsed(text, findings), findings.told()


def clean(text: str) -> Document:
    document, told = read(text)
    assert not told, rendered(told)
    return document


def names(annotations: list[Annotation]) -> list[str]:
    return [one.name for one in annotations]


def entry(one: Entry) -> object:
    value = one.value
    said = [getattr(x, "value", None) for x in value.values] if isinstance(value, Items) else value
    said = said.value if isinstance(said, Text) else said
    head = f"- {one.text.value}" if one.is_bullet else one.key
    return (head, said, [entry(below) for below in one.entries])


def test_every_part_of_the_language_has_its_place_in_the_tree() -> None:
    document = clean(FULL)
    assert names(document.annotations) == ["herd", "feature"]
    assert document.feature is not None
    assert [one.value for one in document.feature.description] == [
        "What it is for,",
        "- in two lines.",
    ]
    assert document.background is not None
    assert [type(one).__name__ for one in document.background.items] == ["Annotation", "Step"]
    first, outline, late = document.scenarios
    assert names(first.decorations) == ["module"]
    assert names(first.annotations) == ["module", "source", "sink"]
    assert names(outline.decorations) == ["retry"]
    assert outline.is_outline
    assert late.rule is document.rules[0]
    assert late.rule.header.title == "Late ones"
    assert late.header.keyword == "Example"


def test_what_hangs_below_a_step_is_the_steps() -> None:
    first = clean(FULL).scenarios[0]
    table, doc, bullets = first.steps
    assert table.table is not None
    assert [[cell.value for cell in row.cells] for row in table.table.rows] == [
        ["carrier", "name"],
        ["UA", "Unit|ed"],
    ]
    assert table.table.rows[1].cells[1].span == Span("x.dsl", 18, 19, 8)
    assert doc.doc is not None
    assert (doc.doc.media, doc.doc.text.value) == ("json", '{"a":\n  1}')
    assert doc.doc.text.at(doc.doc.text.value.index("1")) == Span("x.dsl", 22, 9)
    assert [entry(one) for one in bullets.bullets] == [
        ("- one (sink: target/x.csv)", None, []),
        ("- name: id", None, [("name", "id", [])]),
    ]
    block = first.items[-1]
    assert isinstance(block, Block)
    assert (block.keyword, entry(block.entries[0])) == ("Then", ("- Decode", None, []))


def test_a_blocks_lines_hang_below_each_other_by_their_indentation() -> None:
    block = clean(FULL).scenarios[2].blocks[0]
    assert [entry(one) for one in block.entries] == [
        ("purpose", "x: y", []),
        ("tags", ["SOX", "PCI, DSS"], []),
        (
            "fields",
            None,
            [
                ("- name: id", None, [("name", "id", []), ("type", "int", [])]),
                ("- plain", None, []),
            ],
        ),
        ("last", "1", []),
    ]
    tags = block.entries[1].value
    assert isinstance(tags, Items)
    assert tags.values[1].span == Span("x.dsl", 51, 21, 10)


def test_annotations_stand_within_annotations_with_a_comma_and_without() -> None:
    source, sink = clean(FULL).scenarios[0].annotations[1:]
    uri, window, meta = (one.value for one in source.arguments)
    assert isinstance(uri, Text)
    assert isinstance(window, Annotation)
    assert isinstance(meta, Annotation)
    assert [(one.name, one.value.value) for one in window.arguments] == [
        ("sliding", "10m"),
        ("every", "2m"),
    ]
    assert [one.name for one in meta.arguments] == ["region", "n"]
    assert [(one.name, one.is_clause) for one in sink.arguments] == [
        ("", False),
        ("when", True),
        ("with", True),
    ]


# Outlines and backgrounds.


def test_an_outline_is_a_scenario_for_each_row_and_points_to_where_its_values_went() -> None:
    findings = Findings("x.dsl", FULL)
    document = expanded(parsed(FULL, findings), findings)
    assert not findings.told()
    assert [one.header.title for one in document.scenarios] == ["First", "For a", "For b", "Late"]
    second = document.scenarios[2]
    assert second.header.keyword == "Scenario"
    assert names(second.annotations) == ["retry", "timeout", "source"]
    uri = second.annotations[2].arguments[0].value
    assert isinstance(uri, Text)
    assert uri.value == "csv://b.csv"
    assert uri.at(6) == Span("x.dsl", 34, 20)
    assert uri.at(7, 4) == Span("x.dsl", 34, 25, 4)
    assert [one.sentence for one in second.steps] == ["Given a calendar", "* it is b"]


def test_a_rules_background_stands_behind_the_files() -> None:
    findings = Findings("x.dsl", FULL)
    late = expanded(parsed(FULL, findings), findings).scenarios[-1]
    assert [one.sentence for one in late.steps] == ["Given a calendar", "And a rule"]


@pytest.mark.parametrize(
    ("lines", "code", "line"),
    [
        ("Given x", "D019", 1),
        ("Given <x>\nExamples:", "D019", 3),
        ("Given <x>\nExamples:\n| x |", "D019", 3),
        ("Given <y>\nExamples:\n| x |\n| 1 |", "D019", 2),
        ("Given <x> <x>\nExamples:\n| x | |\n| 1 | 2 |", "D019", 4),
        ("Given <x>\nExamples:\n| x | x |\n| 1 | 2 |", "D016", 4),
        ("Given <x>\nExamples:\n| x |\n| 1 |\nExamples:\n| y |\n| 1 |", "D019", 7),
    ],
)
def test_an_outline_and_its_examples_go_together(lines: str, code: str, line: int) -> None:
    text = f"Scenario Outline: o\n{lines}"
    findings = Findings("x.dsl", text)
    document = expanded(parsed(text, findings), findings)
    told = findings.told()
    assert code in {one.code for one in told}
    assert line in {one.span.line for one in told if one.span is not None and one.code == code}
    assert document.scenarios[0].is_broken


# Whose an annotation is.


@pytest.mark.parametrize(
    "text",
    [
        "@module\nScenario: B",
        "@module\n\n# note\n\nScenario: B",
        "@source\n@module\nScenario: B",
        "Scenario: A\n@x\n\n@module\n\nScenario: B",
        "Scenario: A\n  @x\n\n@retry\n@module\nScenario: B",
        "Scenario: A\n@x\n---\n@source\n\n@sink\nScenario: B",
    ],
)
def test_what_stands_above_a_header_and_can_only_mean_it_is_its_own(text: str) -> None:
    last = clean(text).scenarios[-1]
    assert last.decorations
    assert not last.items


@pytest.mark.parametrize(
    "text",
    [
        "Scenario: A\n@source\n\nScenario: B",
        "Scenario: A\n  @source\nScenario: B",
        "Scenario: A\n\n  @source\n  @sink\nScenario: B",
        "Scenario: A\n  @step\n  @retry\nScenario: B",
    ],
)
def test_what_stands_in_a_scenario_is_not_the_next_ones(text: str) -> None:
    first, last = clean(text).scenarios
    assert first.items
    assert not last.decorations


@pytest.mark.parametrize(
    "text",
    ["Scenario: A\n\n@source\nScenario: B", "Scenario: A\n@x\n\n@source\n@module\nScenario: B"],
)
def test_what_two_people_would_read_differently_is_a_mistake(text: str) -> None:
    assert [one.code for one in read(text)[1]] == ["D013"]


# Mistakes.


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("@module(domain=)", "D017", 1, 9),
        ("@module(domain=, x=1)", "D017", 1, 9),
        ("- x", "D013", 1, 1),
        ("Scenario: A\n@x\n- a\n- b", "D013", 3, 1),
        ("Scenario: A\n| a |\n| b |", "D013", 2, 1),
        ('Scenario: A\n"""\nx\n"""', "D013", 2, 1),
        ('Scenario: A\nGiven x\n"""\ny\n@z', "D003", 3, 1),
        ("Scenario: A\nGiven x\n| a | b |\n| c |", "D018", 4, 1),
        ("Scenario: A\nGiven x\n| a", "D002", 3, 3),
        ("Scenario: A\nGiven x\n|", "D002", 3, 1),
        ("Scenario: A\nGiven x\ny: z", "D001", 3, 1),
        ("Scenario: A\nScenaro: B", "D001", 2, 1),
        ('Scenario: A\nsource("x")', "D001", 2, 1),
        ("Scenario: A\nMetadata: x", "D002", 2, 11),
        ("Scenario: A\nMetadata:\nfree text", "D001", 3, 1),
        ("Scenario: A\nMetadata:\n  a: [b", "D003", 3, 6),
        ('Scenario: A\nMetadata:\n  a: "b', "D004", 3, 6),
        ("Scenario: A\nMetadata:\n  a: [b c, [d]]", "D002", 3, 11),
        ("Scenario: A\nMetadata:\n  -", "D002", 3, 3),
        ("Scenario: A\nExamples:\n| x |", "D013", 2, 1),
        ("Scenario: A\nBackground:", "D013", 2, 1),
        ("Background:\nBackground:\n", "D016", 2, 1),
        ("Rule: A\nFeature: B", "D013", 2, 1),
        ("Scenario: A\n---\nGiven x", "D013", 3, 1),
        ("Scenario: A\n---\n@x\n@y", "D013", 3, 1),
        ("Scenario: A\n---\nMetadata:", "D013", 3, 1),
    ],
)
def test_a_part_in_the_wrong_place_is_told_where_it_is(
    text: str, code: str, line: int, column: int
) -> None:
    _, told = read(text)
    assert [one.code for one in told] == [code]
    span = told[0].span
    assert span is not None
    assert (span.line, span.column) == (line, column)


@pytest.mark.parametrize("lines", ["      a:\n\t\tb: 1", "\ta:\n        b: 1", "  - a: b\n\tc: d"])
def test_tabs_and_blanks_that_do_not_say_how_deep_a_line_stands_are_a_mistake(lines: str) -> None:
    _, told = read(f"Scenario: A\nMetadata:\n{lines}\n")
    assert [one.code for one in told] == ["D013"]


def test_tabs_alone_and_blanks_behind_tabs_say_how_deep_a_line_stands() -> None:
    document, told = read("Scenario: A\nMetadata:\n\ta:\n\t  b: 1\n\t  c: 2\n\td: 3\n")
    assert not told
    assert [one.key for one in document.scenarios[0].blocks[0].entries] == ["a", "d"]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("metadata:", "purpose: x"),
        ("Assertion:", "- records > 1"),
        ("METADATA:", "layer: gold"),
        ("GoldenTests:", "output: g.csv"),
    ],
)
def test_a_misspelt_block_is_one_mistake_whatever_it_holds(head: str, line: str) -> None:
    document, told = read(f"Scenario: A\n{head}\n  {line}\n@x")
    assert [(one.code, one.span and one.span.line) for one in told] == [("D001", 2)]
    assert [one.name for one in document.scenarios[0].annotations] == ["x"]


@pytest.mark.parametrize("head", ["scenario outline: B", "Scenario outline: B", "Scenario : B"])
def test_a_header_of_two_words_that_is_misspelt_is_no_description(head: str) -> None:
    document, told = read(f"Feature: F\n{head}\n@x")
    assert [(one.code, one.span and one.span.line) for one in told] == [("D001", 2)]
    assert [one.name for one in document.scenarios[0].annotations] == ["x"]


def test_a_description_may_have_a_colon() -> None:
    document, told = read("Feature: F\nScenarios are: many\nIn short: few\n")
    assert not told
    assert document.feature is not None
    assert len(document.feature.description) == 2


def test_lines_within_lines_have_an_end() -> None:
    text = "Scenario: A\nMetadata:\n" + "\n".join(f"{' ' * depth}a:" for depth in range(100))
    document, told = read(text)
    assert {one.code for one in told} == {"D002"}
    assert document.scenarios[0].is_broken
