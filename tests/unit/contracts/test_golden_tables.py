"""Golden tables: equal is equal, and a difference says where it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from runink.contracts.differences import VALUE_CHARACTERS_MAX, told
from runink.contracts.golden import (
    ALIGNED_ROWS_MAX,
    CANDIDATES_MAX,
    LINES_MAX,
    Comparison,
    compare,
)

KEYS = [("k",), ()]


def table(**columns):
    return pa.table(columns)


ACTUAL = table(k=["a", "b", "c"], x=[1.0, 2.0, float("nan")], n=pa.array([1, None, 3], pa.int16()))


@pytest.mark.parametrize("key", KEYS)
def test_a_table_equals_itself_in_any_order_of_rows_and_columns(key):
    other = ACTUAL.take([2, 0, 1]).select(["n", "k", "x"])
    assert compare(other, ACTUAL, Comparison(key=key, tolerance=0.0)).lines == ()


@pytest.mark.parametrize("key", KEYS)
def test_expected_values_may_come_as_text(key):
    text = table(k=["a", "b", "c"], x=["1", "2.0", "nan"], n=["1", None, "3"])
    assert compare(text, ACTUAL, Comparison(key=key, tolerance=0.0)).lines == ()
    stamps = table(t=pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")))
    assert (
        compare(table(t=["2013-01-01T00:00:00Z"]), stamps, Comparison(key=(), tolerance=0.0)).lines
        == ()
    )


@pytest.mark.parametrize("key", KEYS)
def test_floats_are_equal_within_the_tolerance_only(key):
    near = table(k=["a", "b", "c"], x=[1.0 + 1e-7, 2.0, float("nan")], n=[1, None, 3])
    assert compare(near, ACTUAL, Comparison(key=key, tolerance=1e-6)).lines == ()
    assert compare(near, ACTUAL, Comparison(key=key, tolerance=1e-8)).lines != ()


def test_with_a_key_a_difference_names_row_column_and_both_values():
    expected = table(k=["a", "c", "d"], x=[1.5, float("nan"), 0.0], n=[1, 4, None])
    found = compare(expected, ACTUAL, Comparison(key=("k",), tolerance=0.0))
    assert found.lines == (
        "missing: k='d' x=0.0 n=nothing",
        "unexpected: k='b' x=2.0 n=nothing",
        "different: k='a': x is 1.0, expected 1.5 (off by 0.5)",
        "different: k='c': n is 3, expected 4",
    )
    assert (found.missing, found.unexpected, found.different) == (1, 1, 2)


def test_without_a_key_a_difference_is_one_row_missing_and_one_unexpected():
    expected = table(k=["a", "b", "c"], x=[1.5, 2.0, float("nan")], n=[1, None, 3])
    assert compare(expected, ACTUAL, Comparison(key=(), tolerance=0.0)).lines == (
        "missing: k='a' x=1.5 n=1",
        "unexpected: k='a' x=1.0 n=1",
    )


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_stand_twice_must_stand_twice(key):
    twice = pa.concat_tables([ACTUAL, ACTUAL.slice(0, 1)])
    assert compare(twice, ACTUAL, Comparison(key=key, tolerance=0.0)).missing == 1
    assert compare(ACTUAL, twice, Comparison(key=key, tolerance=0.0)).unexpected == 1
    assert compare(twice, twice, Comparison(key=key, tolerance=0.0)).lines == ()


def test_columns_of_one_side_are_told():
    expected = table(k=["a", "b", "c"], y=[1, 2, 3])
    lines = compare(expected, ACTUAL, Comparison(key=("k",), tolerance=0.0)).lines
    assert lines == ("column y is missing", "column x is unexpected", "column n is unexpected")


def test_a_key_that_is_no_column_is_told():
    assert compare(ACTUAL, ACTUAL, Comparison(key=("kk",), tolerance=0.0)).lines == (
        "key kk is no column of either",
    )


def test_tables_without_a_common_column_differ_in_rows():
    lines = compare(pa.table({}), pa.table({"a": [1]}), Comparison(key=(), tolerance=0.0)).lines
    assert lines == ("column a is unexpected", "1 rows, not 0")
    assert compare(pa.table({}), pa.table({}), Comparison(key=(), tolerance=0.0)).lines == ()


def test_what_cannot_be_of_the_actual_type_differs_as_it_stands():
    expected = table(k=["a", "b", "c"], x=[1.0, 2.0, float("nan")], n=["1", None, "three"])
    lines = compare(expected, ACTUAL, Comparison(key=("k",), tolerance=0.0)).lines
    assert lines == ("different: k='c': n is 3, expected 'three'",)


def test_a_true_is_no_one_and_nothing_is_no_text():
    flags = table(f=pa.array([True]))
    assert compare(table(f=["true"]), flags, Comparison(key=(), tolerance=0.0)).lines == ()
    assert compare(
        table(f=[""]), table(f=pa.array([None], pa.string())), Comparison(key=(), tolerance=0.0)
    ).lines


def test_many_differences_are_counted_not_listed():
    expected = table(k=list(range(LINES_MAX + 5)))
    found = compare(
        expected, table(k=pa.array([], pa.int64())), Comparison(key=("k",), tolerance=0.0)
    )
    assert len(found.lines) == LINES_MAX + 1
    assert found.lines[-1] == "missing: and 5 more rows"
    assert found.missing == LINES_MAX + 5


def test_nested_values_and_floats_in_them_are_compared():
    one = table(v=[[1.0, 2.0]], s=[{"a": 1.0}])
    other = table(v=[[1.0, 2.0 + 1e-9]], s=[{"a": 1.0}])
    assert compare(one, other, Comparison(key=(), tolerance=1e-6)).lines == ()
    assert compare(one, other, Comparison(key=(), tolerance=0.0)).lines != ()


def test_many_rows_that_differ_in_floats_only_are_paired():
    count = CANDIDATES_MAX * 2
    values = [float(number) for number in range(count)]
    near = table(x=[value + 1e-9 for value in reversed(values)])
    assert compare(table(x=values), near, Comparison(key=(), tolerance=1e-6)).lines == ()


def test_a_relative_tolerance_is_a_part_of_the_larger_of_both():
    near = Comparison(relative=0.01)
    assert not compare(table(x=[1e9, -100.0, 0.0]), table(x=[1.005e9, -101.0, 0.0]), near)
    assert compare(table(x=[100.0]), table(x=[102.0]), near)
    assert compare(table(x=[0.0]), table(x=[1e-12]), near), "nothing is near to 0 but 0"
    either = Comparison(relative=0.01, tolerance=1e-9)
    assert not compare(table(x=[0.0]), table(x=[1e-12]), either)


def test_no_number_is_near_to_infinity():
    near = Comparison(relative=1.0, tolerance=1e300)
    assert compare(table(x=[1.0]), table(x=[float("inf")]), near)
    assert not compare(table(x=[float("inf")]), table(x=[float("inf")]), near)


@pytest.mark.parametrize("key", KEYS)
def test_fields_that_are_ignored_may_differ_or_be_missing(key):
    other = table(k=["a", "b", "c"], x=[1.0, 2.0, float("nan")], at=[1, 2, 3])
    assert compare(other, ACTUAL, Comparison(key=key, ignore=("n", "at"))).lines == ()
    assert compare(ACTUAL, other, Comparison(key=key, ignore=("n",))).notes == (
        "column at is unexpected",
    )


def test_where_the_order_counts_a_row_that_moved_is_told():
    ordered = Comparison(ordered=True)
    assert compare(table(a=[1, 2, 3]), table(a=[1, 2, 3]), ordered).lines == ()
    found = compare(table(a=[1, 2, 3]), table(a=[2, 3, 1]), ordered)
    assert found.lines == ("missing: a=1", "unexpected: a=1")


def test_where_the_order_counts_rows_between_two_matches_are_paired():
    expected = table(a=["x", "b", "y", "z"], n=[1, 2, 3, 4])
    actual = table(a=["x", "c", "y", "z", "more"], n=[1, 2, 3, 4, 5])
    found = compare(expected, actual, Comparison(ordered=True))
    assert found.lines == ("unexpected: a='more' n=5", "different: row=2: a is 'c', expected 'b'")


def test_where_the_order_counts_floats_are_still_near():
    ordered = Comparison(ordered=True, tolerance=0.1)
    assert not compare(table(x=[1.0, 2.0, 3.0]), table(x=[1.05, 2.0, 2.95]), ordered)
    found = compare(table(x=[0.0, 1.0, 2.0]), table(x=[5.0, 1.05, 6.0]), ordered)
    assert [row.values for row in found.rows] == [(("row", 1),), (("row", 3),)]


def test_many_ordered_rows_are_compared_by_their_places():
    count = ALIGNED_ROWS_MAX + 10
    expected, actual = list(range(count)), list(range(1, count + 1))
    found = compare(table(a=expected), table(a=actual), Comparison(ordered=True))
    assert (found.different, found.missing, found.unexpected) == (count, 0, 0)


def test_with_a_key_the_order_is_told_beside_the_differences():
    expected = table(k=["a", "b", "c"], n=[1, 2, 3])
    actual = table(k=["b", "a", "c"], n=[2, 1, 4])
    found = compare(expected, actual, Comparison(key=("k",), ordered=True))
    assert found.lines == (
        "order: k='b' comes before k='a', not behind it",
        "different: k='c': n is 4, expected 3",
    )


def test_what_is_shown_of_a_value_is_bounded_and_json_can_hold_it():
    expected = table(k=["a"], f=[1.0], t=["x" * 500], n=pa.array([2**63 - 1], pa.uint64()))
    actual = table(k=["a"], f=[float("inf")], t=[None], n=pa.array([2**64 - 1], pa.uint64()))
    [row] = compare(expected, actual, Comparison(key=("k",))).rows
    shown = {cell.field: (cell.expected, cell.actual, cell.off_by) for cell in row.cells}
    assert shown == {
        "f": (1.0, "inf", None),
        "t": ("x" * VALUE_CHARACTERS_MAX + "…", None, None),
        "n": (2**63 - 1, str(2**64 - 1), None),
    }


def test_a_colour_is_put_on_what_was_expected_and_on_what_came():
    found = compare(table(k=[1], n=[1]), table(k=[1], n=[2]), Comparison(key=("k",)))
    painted = told(found, lambda part, text: f"<{part} {text}>")
    assert list(painted) == ["<different different>: k=1: n is <actual 2>, expected <expected 1>"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.timestamp("ns"), [1, 2]),
        (pa.timestamp("us"), [1 << 62, 5]),
        (pa.timestamp("ns", "UTC"), [1, 2]),
        (pa.duration("ns"), [1, 2]),
        (pa.duration("s"), [1 << 60, 1]),
        (pa.time64("ns"), [1, 2]),
        (pa.date32(), [1 << 30, 1]),
        (pa.list_(pa.timestamp("ns")), [[1], [2]]),
        (pa.struct({"a": pa.timestamp("ns")}), [{"a": 1}, {"a": 2}]),
    ],
)
@pytest.mark.parametrize("key", [(), ("k",)])
def test_times_that_python_does_not_hold_are_compared_all_the_same(kind, values, key):
    expected = pa.table({"k": [1, 2], "x": pa.array(values, kind)})
    actual = pa.table({"k": [1, 2], "x": pa.array([values[0], values[0]], kind)})
    assert compare(expected, expected, Comparison(key=key)).rows == ()
    found = compare(expected, actual, Comparison(key=key))
    assert (found.missing, found.unexpected, found.different) == ((0, 0, 1) if key else (1, 1, 0))


def test_a_golden_text_is_read_as_nanoseconds():
    actual = pa.table({"x": pa.array([1_000_000_001], pa.timestamp("ns"))})
    same, other = (
        pa.table({"x": [text]}) for text in ("1970-01-01T00:00:01.000000001", "1970-01-01T00:00:01")
    )
    assert compare(same, actual, Comparison()).rows == ()
    assert compare(other, actual, Comparison()).missing == 1
