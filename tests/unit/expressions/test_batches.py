"""Conditions over batches, with SQL's three-valued logic."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.expressions import Binary, Expression, Items, Literal, Name, Not, Operator
from runink.expressions.batches import evaluated, kept

BATCH = pa.record_batch(
    {
        "n": pa.array([1, 2, None, 127], pa.int8()),
        "x": pa.array([0.5, 2.0, 3.0, None]),
        "carrier": pa.array(["UA", None, "DL", "B6"]),
        "coded": pa.array(["UA", None, "DL", "B6"]).dictionary_encode(),
        "late": pa.array([True, False, None, True]),
        "day": pa.array([date(2013, 1, 1), date(2013, 6, 1), None, date(2014, 1, 1)]),
        "at": pa.array([0, 1, None, 86_400], pa.timestamp("s", "UTC")),
        "tags": pa.array([["a"], [], None, ["b"]]),
    }
)


def op(left: object, operator: str, right: object) -> Binary:
    return Binary(Operator(operator), tree(left), tree(right))


def tree(value: object) -> Expression:
    if isinstance(value, Literal | Name | Items | Not | Binary):
        return value
    if isinstance(value, str) and value in BATCH.schema.names:
        return Name(value)
    return Items(tuple(value)) if isinstance(value, list) else Literal(value)


def values(expression: Expression) -> list[object]:
    value = evaluated(BATCH, expression)
    return value.to_pylist()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (op("n", "==", 1), [True, False, None, False]),
        (op("n", ">=", 2), [False, True, None, True]),
        (op("n", "<", 1.5), [True, False, None, False]),
        (op("n", "!=", "x"), [True, False, None, None]),
        (op("n", "<", 1_000), [True, True, None, True]),
        (op("carrier", "==", "UA"), [True, None, False, False]),
        (op("coded", "==", "UA"), [True, None, False, False]),
        (op("carrier", "==", None), [None] * 4),
        (op("day", "<", "2013-06-01"), [True, False, None, False]),
        (op("day", "==", "at"), [False, False, None, False]),
        (op("at", ">=", "1970-01-01T00:00:01Z"), [False, True, None, True]),
        (op("late", "==", True), [True, False, None, True]),
        (Not(Name("late")), [False, True, None, False]),
        (op("late", "&&", op("n", "==", 1)), [True, False, None, False]),
        (op("late", "||", op("n", "==", 2)), [True, True, None, True]),
        (op(op("n", "+", "n"), ">", 200), [False, False, None, True]),
        (op(op("n", "*", 2), "-", 1), [1, 3, None, 253]),
        (op("n", "/", 2), [0.5, 1.0, None, 63.5]),
        (op(op("n", "*", 2**62), ">", 0), [True, None, None, None]),
        (op("x", "/", op("n", "-", 1)), [None, 2.0, None, None]),
        (op("carrier", "in", ["UA", "B6"]), [True, None, False, True]),
        (op("carrier", "in", ["UA", None]), [True, None, None, None]),
        (op("n", "in", [1, 500]), [True, False, None, False]),
        (op("n", "in", [1.0]), [True, False, None, False]),
        (op("n", "in", []), [False, False, None, False]),
        (op("day", "in", ["2013-01-01"]), [True, False, None, False]),
    ],
)
def test_a_value_for_each_row(expression: Expression, expected: list[object]) -> None:
    assert values(expression) == expected


def test_a_filter_keeps_only_what_is_true() -> None:
    assert kept(BATCH, op("n", ">", 1)).column("n").to_pylist() == [2, 127]


def test_a_condition_without_columns_keeps_all_or_nothing() -> None:
    assert kept(BATCH, op(1, "<", 2)).num_rows == 4
    assert kept(BATCH, op(1, ">", 2)).num_rows == 0
    assert kept(BATCH, Literal(None)).num_rows == 0
    assert kept(BATCH, op("n", "==", None)).num_rows == 0


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (op("carrier", ">", 5), "carrier is string and 5 is int64"),
        (op("n", "==", "one"), "n is int8 and 'one' is string"),
        (op("carrier", "+", 1), "carrier is string"),
        (op("late", "==", 1), "late is bool and 1 is int64"),
        (op("tags", "==", "tags"), "tags is list"),
        (op("carrier", "in", [1]), r"carrier \(string\) cannot be in a list of int64"),
        (op("day", "<", "soon"), "'soon' is not a date"),
        (op("n", "&&", True), "n is int8, not true or false"),
        (Name("month"), "there is no column 'month'; there are n, x"),
        (Name("n"), "the whole condition is int8"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_sides(expression: Expression, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        kept(BATCH, expression)
    assert caught.value.code == "expression_failed"
