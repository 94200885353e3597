"""Expressions over single values: what property tests against other engines do not say."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from runink.errors import Invalid
from runink.expressions import Binary, Expression, Literal, Name, Not, Operator, evaluate, names_in
from runink.expressions.parsing import parse

OLD = (
    b'{"type":"binary","operator":"&&","left":{"type":"not","operand":{"type":"name","name":"late"}},'
    b'"right":{"type":"binary","operator":"in","left":{"type":"name","name":"n"},"right":{"type":"items","values":[1,2.5,null]}}}'
)


def read(text: str) -> Expression:
    parsed = parse(text)
    assert parsed.expression is not None, parsed.mistakes
    return parsed.expression


def test_what_older_pipelines_carry_is_read_and_evaluated() -> None:
    expression = msgspec.json.decode(OLD, type=Expression)
    assert isinstance(expression, Binary)
    assert expression.left == Not(Name("late"))
    assert evaluate(expression, {"late": False, "n": 2.5}) is True
    assert evaluate(expression, {"late": False, "n": 3}) is None
    assert msgspec.json.decode(msgspec.json.encode(expression), type=Expression) == expression


def test_every_kind_of_node_travels() -> None:
    text = "has(a.b) ? size(l[0]) % 2 : coalesce(x, -1)"
    expression = read(text)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(expression), type=Expression) == expression
    assert names_in(expression) == {"a", "l", "x"}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("x == 1.5", {"x": Decimal("1.50")}, True),
        ("x > 1", {"x": Decimal("NaN")}, None),
        ("at == '2013-01-31'", {"at": datetime(2013, 1, 31)}, True),  # noqa: DTZ001 - without a zone it is UTC
        ("at + duration('1d')", {"at": datetime(9999, 12, 31, 12)}, None),  # noqa: DTZ001 - as above
        ("d + w", {"d": date(2013, 1, 31), "w": timedelta(days=4_000_000)}, None),
        ("w + w", {"w": timedelta(days=3_000_000)}, None),
        ("int(x)", {"x": 1e300}, None),
        ("int(x)", {"x": float("inf")}, None),
        ("-x", {"x": -(2**63)}, None),
        ("user.country", {"user": {}}, None),
        ("user.country", {"user": None}, None),
        ("tags[1]", {"tags": ["a"]}, None),
        ("x in l", {"x": 1, "l": [1.0]}, True),
    ],
)
def test_what_has_no_value_is_nothing(text: str, values: dict[str, Any], expected: object) -> None:
    assert evaluate(read(text), values) == expected


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        ("x > 1", {"x": "a"}, "x is text and 1 is a whole number"),
        ("x && true", {"x": 1}, "x is a whole number, not true or false"),
        ("x == true", {"x": 1}, "x is a whole number and true is true or false"),
        ("x + 'a'", {"x": 1}, "does not|is a whole number and 'a' is text"),
        ("x.y", {"x": "a"}, "x is text, which has no fields"),
        ("x[0]", {"x": "a"}, "x is text, which has no items"),
        ("1 in x", {"x": "a"}, "x is text, not a list"),
        ("size(x)", {"x": 1}, r"size\(\) does not take a whole number"),
        ("int(x)", {"x": True}, r"int\(\) does not take true or false"),
        ("x.lower()", {"x": {}}, r"lower\(\) does not take a record"),
        ("true ? x : y", {"x": 1, "y": "a"}, "a whole number and text cannot stand for each other"),
        ("x > 1", {"x": 2**70}, "more than 64 bits"),
        ("x > 1", {"x": object()}, "object is no value"),
        ("x > 1", {"y": 1, "z": 2}, "there is no figure 'x'"),
        ("at < 'soon'", {"at": date(2013, 1, 31)}, "'soon' is not a date"),
        ("x < y", {"x": date(2013, 1, 31), "y": "2013-01-31"}, "x is a date and y is text"),
    ],
)
def test_what_does_not_go_together_is_told(text: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        evaluate(read(text), values)


def test_a_list_by_itself_is_no_value() -> None:
    with pytest.raises(Invalid, match="right of `in`"):
        evaluate(msgspec.json.decode(b'{"type":"items","values":[1]}', type=Expression), {})


def test_a_pattern_that_nobody_has_checked_is_told() -> None:
    expression = msgspec.json.decode(
        b'{"type":"call","function":"matches","arguments":[{"type":"literal","value":"a"},{"type":"literal","value":"("}]}',
        type=Expression,
    )
    with pytest.raises(Invalid, match="never closed"):
        evaluate(expression, {})


def test_the_operators_of_numbers_stay_within_64_bits() -> None:
    for operator in (Operator.ADD, Operator.MUL):
        assert evaluate(Binary(operator, Literal(2**62), Literal(2**62)), {}) is None
