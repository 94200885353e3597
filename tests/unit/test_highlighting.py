"""The Pygments lexer: every part of a pipeline has its colour, what is in order has no error, and editors are told the same words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    String,
    Text,
    _TokenType,
)
from runink.dsl import statements
from runink.dsl.vocabulary import ANNOTATIONS
from runink.expressions.functions import BY_NAME
from runink.expressions.tree import Measure
from runink.highlighting import CLAUSES, FUNCTIONS, RuninkLexer
from runink.keywords import BLOCKS, HEADERS, STEPS

ROOT = Path(__file__).parents[2]
VSCODE = ROOT / "editors/vscode"
FORMS = VSCODE / "test/scopes/forms.dsl"
BLOCKS_OF_DOCS = [
    pytest.param(block, id=f"{page.stem}-{place}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for place, block in enumerate(re.findall(r"```dsl\n(.*?)```", page.read_text(), re.DOTALL))
]
EXAMPLES = [
    pytest.param(path.read_text(), id=path.stem)
    for path in (*sorted((ROOT / "examples").glob("*/features/*.dsl")), FORMS)
]


def tokens(text: str) -> list[tuple[_TokenType, str]]:
    found = [(kind, piece) for _, kind, piece in RuninkLexer().get_tokens_unprocessed(text)]
    assert "".join(piece for _, piece in found) == text
    return found


def kind_of(text: str, piece: str) -> _TokenType:
    return next(kind for kind, found in tokens(text) if found.strip() == piece)


@pytest.mark.parametrize("text", [*EXAMPLES, *BLOCKS_OF_DOCS])
def test_what_is_in_order_has_no_error(text: str) -> None:
    assert [piece for kind, piece in tokens(text) if kind is Error] == []


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        ("Scenario Outline", Keyword.Namespace),
        ("Take in <venue>", Name.Class),
        ("Metadata", Keyword.Namespace),
        ("purpose", Name.Attribute),
        ("@source", Name.Decorator),
        ("@window", Name.Decorator),
        ("isolate", Name.Attribute),
        ("clean", Name),
        ("512Mi", Number),
        ("20%", Number),
        ("1e-9", Number),
        ("SELECT", Keyword),
        ("-- a comment of SQL's", Comment.Single),
        ("${day}", String.Interpol),
        ("$${", String.Interpol),
        ("when", Keyword),
        ("&&", Operator),
        ("record", Name.Variable),
        ("'X'", String.Single),
        ("null_ratio", Name.Function),
        ("rejected", Name.Variable),
        ("# a note behind it", Comment.Single),
        ("// Another note.", Comment.Single),
        ("<venue>", Name.Variable),
        ('"trades"', String),
        ("Then", Keyword.Namespace),
        ("several lines. Given nothing", String.Doc),
    ],
)
def test_a_part_has_its_colour(piece: str, kind: _TokenType) -> None:
    assert kind_of(FORMS.read_text(), piece) is kind


def test_a_keyword_within_a_sentence_is_prose() -> None:
    assert kind_of("Given Then When is said", "Then When is said") is Text


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ('@source("csv://x', '"csv://x'),
        ("@param('day')", "'"),
        ("@param(“day”)", "“"),
        ('@step(sql="SELECT 1', '"SELECT 1'),
        ('@sink("x", when "a', '"a'),
        ("@", "@"),
        ("@source([)", ")"),
    ],
)
def test_what_can_stand_nowhere_is_an_error(text: str, piece: str) -> None:
    assert kind_of(text, piece) is Error


def test_pygments_finds_it_by_name_and_by_file() -> None:
    assert isinstance(get_lexer_by_name("runink"), RuninkLexer)
    assert isinstance(get_lexer_for_filename("features/flights.dsl"), RuninkLexer)


def test_a_page_can_be_made_of_it() -> None:
    page = highlight('@source("csv://x.csv")\n', RuninkLexer(), HtmlFormatter())
    assert '<span class="nd">@source</span>' in page


def grammar() -> dict[str, object]:
    found = json.loads((VSCODE / "syntaxes/runink.tmLanguage.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("word", [*HEADERS, *BLOCKS, *STEPS, *CLAUSES, *FUNCTIONS])
def test_editors_know_the_words_that_pygments_knows(word: str) -> None:
    patterns = " ".join(re.findall(r'"(?:match|begin)": "(.*)"', json.dumps(grammar(), indent=1)))
    optional = {"Scenario": "Scenarios?", "Example": "Examples?", "properties": "[Pp]roperties"}
    written = optional.get(word.removesuffix("s"), optional.get(word.lower(), word))
    assert re.search(rf"[|(:]{re.escape(written)}[|)]", patterns), word


def test_the_words_are_those_of_the_language() -> None:
    assert {*(f"{one}:" for one in (*HEADERS, *BLOCKS)), *STEPS} == set(statements.KEYWORDS)
    assert set(FUNCTIONS) <= {*BY_NAME, *(one.value for one in Measure)}


def test_what_the_grammar_includes_is_in_it() -> None:
    text = json.dumps(grammar())
    repository = grammar()["repository"]
    assert isinstance(repository, dict)
    included = set(re.findall(r'"include": "#(\w+)"', text))
    assert included == repository.keys()


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_every_annotation_has_the_colour_of_one(name: str) -> None:
    assert kind_of(ANNOTATIONS[name].example, f"@{name}") is Name.Decorator
