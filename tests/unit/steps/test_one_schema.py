"""Plain types, bounded batches, one schema a stream."""

from __future__ import annotations

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.pipes.plain import BATCH_ROWS_MAX, pieces, plain, plain_schema
from runink.steps.schemas import one_schema


def fitted(*batches: pa.RecordBatch) -> list[pa.RecordBatch]:
    return list(one_schema(batches, "step s"))


def test_engine_types_become_plain() -> None:
    batch = pa.record_batch(
        {
            "view": pa.array(["a"], pa.string_view()),
            "large": pa.array(["a"], pa.large_string()),
            "coded": pa.array(["a"], pa.large_string()).dictionary_encode(),
            "bytes": pa.array([b"a"], pa.binary_view()),
            "utc": pa.array([1], pa.timestamp("us", "Etc/UTC")),
            "list": pa.array([["a"]], pa.large_list(pa.large_string())),
            "struct": pa.array([{"a": "x"}], pa.struct([("a", pa.large_string())])),
        }
    )
    assert plain(batch).schema.types == [
        pa.string(),
        pa.string(),
        pa.string(),
        pa.binary(),
        pa.timestamp("us", "UTC"),
        pa.list_(pa.string()),
        pa.struct([("a", pa.string())]),
    ]


def test_a_plain_batch_is_not_touched() -> None:
    batch = pa.record_batch({"a": [1]})
    assert plain(batch) is batch


def test_large_data_is_cut() -> None:
    table = pa.table({"a": pa.array(range(2 * BATCH_ROWS_MAX + 5))})
    assert [piece.num_rows for piece in pieces(table)] == [BATCH_ROWS_MAX, BATCH_ROWS_MAX, 5]


def test_no_rows_are_one_batch_for_the_sake_of_the_columns() -> None:
    (only,) = pieces(pa.table({"a": pa.array([], pa.large_string())}))
    assert only.schema == pa.schema([("a", pa.string())])


def test_a_column_that_begins_empty_takes_its_type_from_the_second_batch() -> None:
    first, second = fitted(pa.record_batch({"a": pa.nulls(2)}), pa.record_batch({"a": [7]}))
    assert first.schema == second.schema == pa.schema([("a", pa.int64())])
    assert first.num_rows == 2


def test_a_column_that_is_empty_later_keeps_its_type() -> None:
    _, second = fitted(pa.record_batch({"a": [7]}), pa.record_batch({"a": pa.nulls(2)}))
    assert second.schema.types == [pa.int64()]


def test_a_column_that_is_always_empty_stays_without_type() -> None:
    assert [b.num_rows for b in fitted(pa.record_batch({"a": pa.nulls(2)}))] == [2]


def test_batches_without_rows_are_left_out_where_there_are_others() -> None:
    none = pa.record_batch({"x": pa.array([], pa.int8())})
    rows = pa.record_batch({"a": [7]})
    assert fitted(none, none, rows, none) == [rows]
    assert fitted(none, none) == [none]


def test_numbers_are_cast_where_no_value_changes() -> None:
    _, second = fitted(pa.record_batch({"a": [0.5]}), pa.record_batch({"a": [2]}))
    assert second.to_pydict() == {"a": [2.0]}


def test_columns_may_come_in_another_order() -> None:
    _, second = fitted(pa.record_batch({"a": [1], "b": [2]}), pa.record_batch({"b": [4], "a": [3]}))
    assert second.to_pydict() == {"a": [3], "b": [4]}


@pytest.mark.parametrize(
    ("first", "later"),
    [([1], [1.5]), ([1], ["1"]), (["a"], [1]), ([1], [True])],
)
def test_a_type_that_changes_is_refused_with_the_way_to_mend_it(first, later) -> None:
    with pytest.raises(Refused, match=r"step s: column 'a' was .* at first and now is") as caught:
        fitted(pa.record_batch({"a": first}), pa.record_batch({"a": later}))
    assert caught.value.code == "step_schema_changed"
    assert "CAST" in caught.value.hint


def test_columns_that_come_and_go_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="without b and with the new c; its first batch had a, b"):
        fitted(pa.record_batch({"a": [1], "b": [1]}), pa.record_batch({"a": [1], "c": [1]}))


def test_a_column_name_that_stands_twice_is_refused() -> None:
    twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(Refused, match="two columns called 'a'"):
        fitted(twice)


@pytest.mark.parametrize(
    ("field", "is_plain"),
    [
        (pa.field("n", pa.int64()), True),
        (pa.field("n", pa.int64(), nullable=False), False),
        (pa.field("n", pa.int64(), metadata={"engine": "x"}), False),
        (pa.field("n", pa.large_string()), False),
    ],
)
def test_a_batch_is_handed_on_as_it_is_only_where_its_schema_is_its_plain_one(
    field: pa.Field, *, is_plain: bool
) -> None:
    column = pa.array([1, 2]).cast(field.type)
    for metadata in ({}, {"engine": "x"}):
        batch = pa.RecordBatch.from_arrays([column], schema=pa.schema([field], metadata))
        assert (plain(batch) is batch) == (is_plain and not metadata)
        assert plain(batch).schema.equals(plain_schema(batch.schema), check_metadata=True)
