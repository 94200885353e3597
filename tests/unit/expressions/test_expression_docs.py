"""What the reference of expressions says is so: its grammar, its functions and each example, in every engine."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError
from runink.expressions import evaluate
from runink.expressions.batches import evaluated
from runink.expressions.functions import SIGNATURES
from runink.expressions.parsing import DEPTH_MAX, LENGTH_MAX, parse
from runink.expressions.sql import as_sql
from runink.expressions.typing import ListOf, RecordOf, Scope, Sort

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/expressions.md").read_text()
GRAMMAR = (ROOT / "runink/expressions/grammar.lark").read_text()
RECORD: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
SCOPE = Scope(
    {
        "carrier": Sort.TEXT, "dep_delay": Sort.INT, "air_time": Sort.INT, "tail": Sort.TEXT, "tags": ListOf(Sort.TEXT),
        "user": RecordOf({"country": Sort.TEXT, "age": Sort.INT}),
    }
)  # fmt: skip
SCHEMA = pa.schema(
    {
        "carrier": pa.string(), "dep_delay": pa.int64(), "air_time": pa.int64(), "tail": pa.string(), "tags": pa.list_(pa.string()),
        "user": pa.struct({"country": pa.string(), "age": pa.int64()}),
    }
)  # fmt: skip
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
CALLS = re.findall(r"^\| `([^`]+)` \|.*\| `([^`]+)` → `([^`]+)` \|$", PAGE, re.MULTILINE)
EXAMPLES = [(text.replace("\\|", "|"), gives) for text, gives in ROWS] + [
    (text, gives) for _, text, gives in CALLS
]


def read(text: str) -> Any:
    parsed = parse(text, SCOPE)
    assert parsed.expression is not None, parsed.mistakes
    return parsed.expression


@pytest.mark.parametrize(("text", "gives"), EXAMPLES)
def test_an_example_gives_what_the_page_says_in_every_engine(text: str, gives: str) -> None:
    expected = evaluate(read(gives), {})
    expression = read(text)
    batch = pa.RecordBatch.from_pylist([RECORD], SCHEMA)
    by_batch = evaluated(batch, expression)
    one = by_batch if isinstance(by_batch, pa.Scalar) else by_batch[0]
    with duckdb.connect(":memory:") as connection:
        connection.register("rows", pa.table(batch))
        found = connection.execute(f"SELECT {as_sql(expression, SCOPE)} FROM rows").fetchall()
    assert [evaluate(expression, RECORD), one.as_py(), found[0][0]] == [expected] * 3


def test_every_function_is_on_the_page_with_an_example() -> None:
    shown = {re.search(r"(\w+)\(", call)[1] for call, _, _ in CALLS}  # type: ignore[index] - each is a call
    assert shown == {function.value for function in SIGNATURES}
    for call, text, _ in CALLS:
        assert re.search(r"(\w+)\(", call)[1] in text  # type: ignore[index] - as above


def test_the_limits_are_those_of_the_parser() -> None:
    assert f"{LENGTH_MAX:,} characters, and {DEPTH_MAX} operators" in PAGE


@cache
def parsers() -> tuple[Lark, Lark]:
    """Return the page's grammar and the real one, with the same words."""
    block = re.findall(r"```ebnf\n(.*?)```", PAGE, re.DOTALL)[0]
    rules = re.sub(r"\s*;\n", "\n", block).replace(" = ", ": ")
    words = re.split(r'("[^"]*")', rules)
    words[::2] = [
        part.replace("[", "(").replace("]", ")?").replace("{", "(").replace("}", ")*")
        for part in words[::2]
    ]
    terminals = re.findall(r"^(?:[A-Z]+[.\d]*:.*|%ignore.*)$", GRAMMAR, re.MULTILINE)
    page = "".join(words) + "\n" + "\n".join(terminals)
    return (
        Lark(page, parser="lalr", lexer="basic", start="expression"),
        Lark(GRAMMAR, parser="lalr", lexer="basic"),
    )


def takes(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except LarkError:
        return False
    return True


TOKENS = [
    "a",
    "b",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "?",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "<",
    "in",
    "&&",
    "||",
    "1",
    ".5",
    "'x'",
    "r'x'",
    "true",
    "null",
    "size(",
    "a.",
    "[1]",
    "a[0]",
]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=9).map(" ".join))
def test_the_grammar_of_the_page_is_the_parsers(text: str) -> None:
    page, real = parsers()
    assert takes(page, text) is takes(real, text)
