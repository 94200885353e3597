"""Conditions: text and value are two forms of one thing, and a value that is accepted can be evaluated."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dsl.diagnostics import Findings
from runink.dsl.expressions import UNKNOWN, Scope, condition
from runink.dsl.syntax import Place, Text
from runink.errors import Span
from runink.expressions import (
    Binary,
    Expression,
    Items,
    Literal,
    Name,
    Not,
    Operator,
    evaluate,
    said,
)
from runink.expressions.parsing import DEPTH_MAX
from runink.expressions.typing import Sort

SCOPE = Scope({"a": Sort.NUMBER, "b": Sort.NUMBER, "s": Sort.TEXT, "t": Sort.BOOLEAN})
COMPARE = [Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE]
numbers_plain = st.one_of(
    st.integers(0, 2**63 - 1),
    st.floats(0, 1e300, allow_nan=False, allow_infinity=False),
)
# A list with a fraction in it is one of fractions.
number_lists = st.one_of(
    st.lists(st.integers(0, 2**63 - 1), max_size=4),
    st.lists(numbers_plain.map(float), max_size=4),
)
texts_plain = st.text(max_size=8)
numbers = st.recursive(
    st.one_of(numbers_plain.map(Literal), st.sampled_from([Name("a"), Name("b")])),
    lambda inner: st.builds(
        Binary,
        st.sampled_from([Operator.ADD, Operator.SUB, Operator.MUL, Operator.DIV]),
        inner,
        inner,
    ),
    max_leaves=6,
)
texts = st.one_of(texts_plain.map(Literal), st.just(Name("s")))
comparisons = st.one_of(
    st.builds(Binary, st.sampled_from(COMPARE), numbers, numbers),
    st.builds(Binary, st.sampled_from(COMPARE), texts, texts),
    st.builds(
        Binary,
        st.just(Operator.IN),
        numbers,
        number_lists.map(tuple).map(Items),
    ),
    st.builds(
        Binary, st.just(Operator.IN), texts, st.lists(texts_plain, max_size=4).map(tuple).map(Items)
    ),
    st.just(Name("t")),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Binary, st.sampled_from([Operator.AND, Operator.OR]), inner, inner),
    ),
    max_leaves=8,
)


def parse(source: str, scope: Scope = UNKNOWN) -> tuple[Expression | None, Findings]:
    findings = Findings("x.dsl", source)
    text = Text(source, Span("x.dsl", 1, 1), (Place(0, 1, 1),))
    return condition(text, scope, findings), findings


@given(conditions)
def test_a_condition_said_and_read_again_is_the_same(expression: Expression) -> None:
    found, findings = parse(said(expression), SCOPE)
    assert not findings.told()
    assert found == expression


@given(conditions)
def test_what_is_accepted_can_be_evaluated(expression: Expression) -> None:
    found, _ = parse(said(expression), SCOPE)
    assert found is not None
    values = {"a": 3, "b": 0.5, "s": "x", "t": None}
    with suppress(OverflowError):  # floats beyond their range
        assert evaluate(found, values) in {True, False, None}


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "b",
                "s",
                "1",
                "2.5",
                "'x'",
                '"',
                "'",
                "(",
                ")",
                "[",
                "]",
                ",",
                "in",
                "&&",
                "||",
                "!",
                "==",
                "=",
                "<",
                "<=",
                "-",
                "+",
                "*",
                "/",
                ".",
                "true",
                "null",
                "and",
                "%",
                "\\",
                "?",
                "x.y",
                "record.a",
                "1e999",
                "é",
            ]
        ),
        max_size=25,
    )
)
def test_any_tokens_give_a_condition_or_findings_within_the_text(tokens: list[str]) -> None:
    source = " ".join(tokens)
    found, findings = parse(source, SCOPE)
    told = findings.told()
    assert (found is None) == bool(told)
    for finding in told:
        assert finding.span is not None
        assert 1 <= finding.span.column <= len(source) + 1


def test_depth_is_bounded_however_it_is_made() -> None:
    for source in (
        "(" * 500 + "a" + ")" * 500,
        "!" * 900 + "t",
        "-" * 900 + "a > 1",
        " + ".join("a" * 400) + " > 1",
        " && ".join(["t"] * 300),
    ):
        found, findings = parse(source, SCOPE)
        assert found is None
        assert str(DEPTH_MAX) in findings.told()[0].text
