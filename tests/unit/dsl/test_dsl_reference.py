"""The reference's EBNF is the parser's grammar, and every example in it is an example of its rule."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from lark import Lark
from runink.dsl.annotations import Brackets
from runink.dsl.diagnostics import Findings, rendered
from runink.dsl.parser import parsed

GRAMMAR = files("runink.dsl").joinpath("grammar.lark").read_text()
PAGE = (Path(__file__).parents[3] / "docs/reference/dsl.md").read_text()
SECTION = PAGE.partition("\n## Grammar\n")[2].partition("\n## ")[0]
RULES = re.findall(r"^(_?[a-z]\w*): (.+)$", GRAMMAR, re.MULTILINE)
TERMINALS = re.findall(r"^(_?[A-Z]\w*)(?:\.\d+)?: (.*?)(?:\s{3,}//.*)?$", GRAMMAR, re.MULTILINE)
EXAMPLES = dict(
    re.findall(r"```ebnf\n(\w+) ::= [^\n]*\n```\n````text\n(.*?)\n````", SECTION, re.DOTALL)
)
NAMES = {name.lstrip("_"): name for name, _ in RULES}


def plain(right: str) -> str:
    """Take away the underscores that tell lark what to leave out of its trees."""
    return re.sub(r"(?<!\w)_(?=[a-zA-Z])", "", right)


@pytest.fixture(scope="module")
def parser() -> Lark:
    starts = list(NAMES.values())
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", start=starts, postlex=Brackets())


def test_every_rule_of_the_grammar_stands_in_the_reference_and_the_other_way_round() -> None:
    told = re.findall(r"^(\w+) ::= (.*)$", SECTION, re.MULTILINE)
    wanted = [(name.lstrip("_"), plain(right)) for name, right in RULES]
    wanted += [(name.lstrip("_"), right) for name, right in TERMINALS]
    assert told == wanted


def test_every_rule_has_an_example() -> None:
    assert list(EXAMPLES) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_one_of_its_rule(name: str, parser: Lark) -> None:
    text = EXAMPLES[name]
    is_line = bool(
        re.search(
            r"\bNL\b|row\*|loose\*|cut\*", SECTION.partition(f"\n{name} ::=")[2].partition("\n")[0]
        )
    )
    parser.parse(text + "\n" if is_line or name in {"section", "item"} else text, start=NAMES[name])


@pytest.mark.parametrize(
    "name", ["file", "section", "feature", "background", "rule", "scenario", "loose", "annotation"]
)
def test_an_example_that_may_stand_alone_is_read_without_mistakes(name: str) -> None:
    findings = Findings("x.dsl", EXAMPLES[name])
    parsed(EXAMPLES[name], findings)
    assert not findings.told(), rendered(findings.told())
