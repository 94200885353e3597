"""Conditions over batches, with SQL's three-valued logic."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.expressions import Binary, Expression, Index, Items, Literal, Name, Not, Operator
from runink.expressions.batches import evaluated, kept
from runink.expressions.parsing import parse

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


@pytest.mark.parametrize(
    "lists",
    [
        pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.int64())),
        pa.array([[1, 2], None, [3, None], [4, 5]], pa.large_list(pa.int64())),
        pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.int64(), 2)),
        pa.array([[0], [1, 2], None, [3, None], [4, 5]], pa.list_(pa.int64())).slice(1),
    ],
)
def test_lists_of_every_layout_are_looked_into(lists: pa.Array) -> None:
    batch = pa.record_batch([lists, pa.array([2, 2, 2, 5])], names=["l", "n"])
    assert evaluated(batch, Binary(Operator.IN, Name("n"), Name("l"))).to_pylist() == [
        True,
        None,
        None,
        True,
    ]
    assert evaluated(batch, Index(Name("l"), 1)).to_pylist() == [2, None, None, 5]
    assert evaluated(batch, Index(Name("l"), 2)).to_pylist() == [None] * 4


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["UA", None, "b"], pa.large_string()),
        pa.array(["UA", None, "b"], pa.string_view()),
        pa.array(["UA", None, "b"]).dictionary_encode(),
    ],
)
def test_text_of_every_layout_is_text(column: pa.Array) -> None:
    batch = pa.record_batch([column], names=["s"])
    for text, expected in [
        ("s == 'UA'", [True, None, False]),
        ("s in ['UA', 'x']", [True, None, False]),
        ("s.startsWith('U')", [True, None, False]),
        ("s.matches('^[A-Z]+$')", [True, None, False]),
        ("size(s)", [2, None, 1]),
        ("s + '!'", ["UA!", None, "b!"]),
        ("s.upper()", ["UA", None, "B"]),
        ("coalesce(s, '?')", ["UA", "?", "b"]),
    ]:
        expression = parse(text).expression
        assert expression is not None
        assert evaluated(batch, expression).to_pylist() == expected, text


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("s"),
        pa.timestamp("ms", "Europe/Berlin"),
        pa.timestamp("ns", "UTC"),
        pa.date64(),
    ],
)
def test_times_of_every_unit_and_zone_are_instants(kind: pa.DataType) -> None:
    at = pa.array([date(2013, 1, 31), None, date(1969, 12, 31)]).cast(pa.timestamp("ms"))
    column = pa.array(at.cast(pa.int64()), pa.int64())
    per_ms = {"s": 0.001, "ns": 1_000_000}.get(getattr(kind, "unit", "ms"), 1)
    ticks = [None if one is None else int(one * per_ms) for one in column.to_pylist()]
    batch = pa.record_batch([pa.array(ticks, pa.int64()).cast(kind)], names=["at"])
    for text, expected in [
        ("at == '2013-01-31'", [True, None, False]),
        ("at in ['2013-01-31T00:00:00Z']", [True, None, False]),
        ("at.getFullYear()", [2013, None, 1969]),
        ("at.getDayOfYear()", [30, None, 364]),
        ("at - timestamp('2013-01-31') == duration('0s')", [True, None, False]),
        ("int(at)", [1359590400, None, -86400]),
    ]:
        expression = parse(text).expression
        assert expression is not None
        assert evaluated(batch, expression).to_pylist() == expected, text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("size(n) > 1", r"size\(\) does not take int8"),
        ("n.startsWith('a')", r"startsWith\(\) does not take int8"),
        ("carrier[0] == 'a'", "carrier is string, which has no items"),
        ("carrier.x == 'a'", "carrier is string, which has no fields"),
        ("n in carrier", "carrier is string, not a list"),
        ("(late ? n : carrier) == 1", "int8 and string cannot stand for each other"),
        ("carrier % 2 == 0", "carrier is string and 2 is int64"),
        ("x % 2 == 0", "x is double and 2 is int64"),
        ("at + 1 > at", "at is timestamp"),
        ("tags in ['a']", "cannot be in a list"),
        ("timestamp(carrier) > at", "takes a plain text"),
    ],
)
def test_what_a_contract_would_have_told_before_is_refused_by_the_columns(
    text: str, told: str
) -> None:
    parsed = parse(text)
    assert parsed.expression is not None
    with pytest.raises(Refused, match=told) as caught:
        kept(BATCH, parsed.expression)
    assert caught.value.code == "expression_failed"


def test_a_list_that_holds_several_kinds_is_refused() -> None:
    with pytest.raises(Refused, match="several kinds"):
        kept(BATCH, op("n", "in", [1, "a"]))


def test_a_decimal_is_the_double_next_to_it() -> None:
    for kind, written in (
        (pa.decimal128(10, 2), ["0.10", "56834724.12", "-0.07", None]),
        (pa.decimal128(38, 30), ["0.1", "3e-30", "0.123456789012345678901234567890", None]),
        (pa.decimal256(40, 2), ["0.10", "56834724.12", "-0.07", None]),
    ):
        numbers = [None if one is None else Decimal(one) for one in written]
        batch = pa.record_batch({"amount": pa.array([None, *numbers], kind)}).slice(1)
        for number in numbers[:-1]:
            found = kept(batch, op(Name("amount"), "==", float(number)))
            assert found.column(0).to_pylist() == [number]
            assert kept(batch, op(Name("amount"), "in", [float(number)])).num_rows == 1
        assert kept(batch.slice(0, 0), op(Name("amount"), ">", 1)).num_rows == 0


def test_what_stands_below_a_list_that_is_nothing_is_no_item() -> None:
    hidden = pa.array([True, False, False])
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 4, 5]), pa.array([1, 2, 3, 4, 1]), mask=hidden)
    batch = pa.record_batch({"tags": lists})
    assert evaluated(batch, op(1, "in", Name("tags"))).to_pylist() == [None, False, True]
    assert evaluated(batch, Index(Name("tags"), 1)).to_pylist() == [None, 4, None]


def test_a_whole_number_of_more_than_64_bits_is_nothing() -> None:
    batch = pa.record_batch({"n": pa.array([2**64 - 1, 2**63 - 1, None], pa.uint64())})
    assert evaluated(batch, op("n", ">", 1)).to_pylist() == [None, True, None]
