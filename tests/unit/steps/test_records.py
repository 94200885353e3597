"""Records: a window on a batch, and rows back to columns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.steps.records import (
    Columns,
    batch_of_columns,
    batch_of_rows,
    records_of,
    rows_taken,
    values_of,
)

EVERY_KIND = pa.record_batch(
    {
        "small": pa.array([1, None, -3], pa.int8()),
        "big": pa.array([2**63, None, 0], pa.uint64()),
        "real": pa.array([0.5, None, -1.0], pa.float32()),
        "flag": pa.array([True, None, False]),
        "text": pa.array(["a", None, "zürich"]),
        "second": pa.array([0, None, -1], pa.timestamp("s", "UTC")),
        "local": pa.array([7, None, -7], pa.timestamp("us")),
        "fine": pa.array([0, None, 1000], pa.timestamp("ns")),
        "day": pa.array([date(2013, 1, 1), None, None]),
        "money": pa.array([Decimal("1.50"), None, None], pa.decimal128(5, 2)),
        "list": pa.array([[1], None, []]),
        "none": pa.nulls(3),
    }
)


@pytest.mark.parametrize("rows", [slice(0, 3), slice(1, 3), slice(2, 3), slice(0, 0)])
def test_values_are_arrows_own_also_of_a_cut_batch(rows: slice) -> None:
    for column in EVERY_KIND.slice(rows.start, rows.stop - rows.start).columns:
        assert values_of(column) == column.to_pylist()


def test_a_record_reads_by_attribute_and_by_name() -> None:
    batch = pa.record_batch({"month": [1, 2], "keys": ["a", "b"], "dep time": [3, 4]})
    second = records_of(Columns(batch))[1]
    assert (second.month, second["month"], second["keys"], second["dep time"]) == (2, 2, "b", 4)
    assert dict(second) == {"month": 2, "keys": "b", "dep time": 4}
    assert {**second, "month": 9}["month"] == 9
    assert "month" in second
    assert len(second) == 3
    assert repr(second) == "Record(month=2, keys='b', dep time=4)"


def test_a_record_is_read_only_and_names_what_there_is() -> None:
    record = records_of(Columns(pa.record_batch({"month": [1]})))[0]
    with pytest.raises(AttributeError):
        record.month = 2
    with pytest.raises(AttributeError, match="no column 'mnth'; there are month"):
        _ = record.mnth
    with pytest.raises(KeyError, match="no column 'mnth'"):
        _ = record["mnth"]
    assert record.get("mnth", 5) == 5


def test_only_columns_that_are_asked_for_are_converted() -> None:
    columns = Columns(EVERY_KIND)
    assert [record.small for record in records_of(columns)] == [1, None, -3]
    assert list(columns) == ["small"]


def test_rows_become_columns_in_the_order_of_their_first_appearance() -> None:
    batch = batch_of_rows([{"b": 1}, {"a": "x", "b": None}], like=pa.schema([]), what="step s")
    assert batch.schema.names == ["b", "a"]
    assert batch.to_pydict() == {"b": [1, None], "a": [None, "x"]}


def test_numbers_are_widened_and_times_keep_their_zone() -> None:
    like = pa.schema(
        [("n", pa.int8()), ("t", pa.timestamp("s", "UTC")), ("d", pa.decimal128(4, 2))]
    )
    instant = datetime(2013, 1, 1, tzinfo=UTC)
    rows = [{"n": 300, "t": instant, "d": Decimal("12345.67"), "f": 0.5}]
    batch = batch_of_rows(rows, like=like, what="step s")
    assert batch.schema.types == [
        pa.int64(),
        pa.timestamp("us", "UTC"),
        pa.decimal128(38, 2),
        pa.float64(),
    ]
    assert batch.to_pylist() == rows


def test_rows_that_are_taken_have_the_types_of_rows_that_are_made() -> None:
    batch = EVERY_KIND.select(["small", "real", "second", "money", "text"])
    made = batch_of_rows(batch.to_pylist(), like=batch.schema, what="step s")
    assert rows_taken(batch, [0, 1, 2]).equals(made)
    assert rows_taken(batch, [2]).equals(made.slice(2, 1))


def test_a_column_of_mixed_values_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="step s: column 'a' cannot be made"):
        batch_of_columns({"a": [1, "x"]}, like=pa.schema([]), what="step s")


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(Refused, match=r"different lengths \(a 1, b 2\)"):
        batch_of_columns({"a": [1], "b": [1, 2]}, like=pa.schema([]), what="step s")


def test_a_column_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(Refused, match="name is 7"):
        batch_of_columns({7: [1]}, like=pa.schema([]), what="step s")
