"""Golden tables: equal is equal, and a difference says where it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from runink.contracts.golden import CANDIDATES_MAX, LINES_MAX, compare

KEYS = [("k",), ()]


def table(**columns):
    return pa.table(columns)


ACTUAL = table(k=["a", "b", "c"], x=[1.0, 2.0, float("nan")], n=pa.array([1, None, 3], pa.int16()))


@pytest.mark.parametrize("key", KEYS)
def test_a_table_equals_itself_in_any_order_of_rows_and_columns(key):
    other = ACTUAL.take([2, 0, 1]).select(["n", "k", "x"])
    assert compare(other, ACTUAL, key=key, tolerance=0.0).lines == ()


@pytest.mark.parametrize("key", KEYS)
def test_expected_values_may_come_as_text(key):
    text = table(k=["a", "b", "c"], x=["1", "2.0", "nan"], n=["1", None, "3"])
    assert compare(text, ACTUAL, key=key, tolerance=0.0).lines == ()
    stamps = table(t=pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")))
    assert compare(table(t=["2013-01-01T00:00:00Z"]), stamps, key=(), tolerance=0.0).lines == ()


@pytest.mark.parametrize("key", KEYS)
def test_floats_are_equal_within_the_tolerance_only(key):
    near = table(k=["a", "b", "c"], x=[1.0 + 1e-7, 2.0, float("nan")], n=[1, None, 3])
    assert compare(near, ACTUAL, key=key, tolerance=1e-6).lines == ()
    assert compare(near, ACTUAL, key=key, tolerance=1e-8).lines != ()


def test_with_a_key_a_difference_names_row_column_and_both_values():
    expected = table(k=["a", "c", "d"], x=[1.5, float("nan"), 0.0], n=[1, 4, None])
    found = compare(expected, ACTUAL, key=("k",), tolerance=0.0)
    assert found.lines == (
        "missing: k='d' x=0.0 n=nothing",
        "unexpected: k='b' x=2.0 n=nothing",
        "different: k='a': x is 1.0, expected 1.5 (off by 0.5)",
        "different: k='c': n is 3, expected 4",
    )
    assert (found.missing, found.unexpected, found.different) == (1, 1, 2)


def test_without_a_key_a_difference_is_one_row_missing_and_one_unexpected():
    expected = table(k=["a", "b", "c"], x=[1.5, 2.0, float("nan")], n=[1, None, 3])
    assert compare(expected, ACTUAL, key=(), tolerance=0.0).lines == (
        "missing: k='a' x=1.5 n=1",
        "unexpected: k='a' x=1.0 n=1",
    )


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_stand_twice_must_stand_twice(key):
    twice = pa.concat_tables([ACTUAL, ACTUAL.slice(0, 1)])
    assert compare(twice, ACTUAL, key=key, tolerance=0.0).missing == 1
    assert compare(ACTUAL, twice, key=key, tolerance=0.0).unexpected == 1
    assert compare(twice, twice, key=key, tolerance=0.0).lines == ()


def test_columns_of_one_side_are_told():
    expected = table(k=["a", "b", "c"], y=[1, 2, 3])
    lines = compare(expected, ACTUAL, key=("k",), tolerance=0.0).lines
    assert lines == ("column y is missing", "column x is unexpected", "column n is unexpected")


def test_a_key_that_is_no_column_is_told():
    assert compare(ACTUAL, ACTUAL, key=("kk",), tolerance=0.0).lines == (
        "key kk is no column of either",
    )


def test_tables_without_a_common_column_differ_in_rows():
    lines = compare(pa.table({}), pa.table({"a": [1]}), key=(), tolerance=0.0).lines
    assert lines == ("column a is unexpected", "1 rows, not 0")
    assert compare(pa.table({}), pa.table({}), key=(), tolerance=0.0).lines == ()


def test_what_cannot_be_of_the_actual_type_differs_as_it_stands():
    expected = table(k=["a", "b", "c"], x=[1.0, 2.0, float("nan")], n=["1", None, "three"])
    lines = compare(expected, ACTUAL, key=("k",), tolerance=0.0).lines
    assert lines == ("different: k='c': n is 3, expected 'three'",)


def test_a_true_is_no_one_and_nothing_is_no_text():
    flags = table(f=pa.array([True]))
    assert compare(table(f=["true"]), flags, key=(), tolerance=0.0).lines == ()
    assert compare(
        table(f=[""]), table(f=pa.array([None], pa.string())), key=(), tolerance=0.0
    ).lines


def test_many_differences_are_counted_not_listed():
    expected = table(k=list(range(LINES_MAX + 5)))
    found = compare(expected, table(k=pa.array([], pa.int64())), key=("k",), tolerance=0.0)
    assert len(found.lines) == LINES_MAX + 1
    assert found.lines[-1] == "missing: and 5 more rows"
    assert found.missing == LINES_MAX + 5


def test_nested_values_and_floats_in_them_are_compared():
    one = table(v=[[1.0, 2.0]], s=[{"a": 1.0}])
    other = table(v=[[1.0, 2.0 + 1e-9]], s=[{"a": 1.0}])
    assert compare(one, other, key=(), tolerance=1e-6).lines == ()
    assert compare(one, other, key=(), tolerance=0.0).lines != ()


def test_many_rows_that_differ_in_floats_only_are_paired():
    count = CANDIDATES_MAX * 2
    values = [float(number) for number in range(count)]
    near = table(x=[value + 1e-9 for value in reversed(values)])
    assert compare(table(x=values), near, key=(), tolerance=1e-6).lines == ()
