"""What a node's rows hold in a field, counted batch by batch."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from runink.errors import Refused
from runink.jobs import FieldFacts, Watched
from runink.steps import field_figures
from runink.steps.field_figures import FieldFigures


def counted(watched: Watched, *columns: pa.Array) -> FieldFacts:
    figures = FieldFigures(watched)
    for column in columns:
        figures.take(pa.record_batch([column], names=["x"]))
    figures.end()
    return figures.facts()


@pytest.mark.parametrize(
    ("columns", "rows", "nulls", "distinct"),
    [
        ([pa.array([1, 2, 2, None])], 4, 1, 2),
        ([pa.array(["a", "b"]), pa.array(["b", None, "c"])], 5, 1, 3),
        ([pa.array(["a", None, "a"]).dictionary_encode()], 3, 1, 1),
        ([pa.array([0.0, -0.0, float("nan"), 1.5])], 4, 1, 2),
        ([pa.nulls(3)], 3, 3, 0),
        ([pa.array([], pa.string())], 0, 0, 0),
        ([pa.array([True, False, True])], 3, 0, 2),
        ([pa.array([date(2013, 1, 1), date(2013, 1, 1)])], 2, 0, 1),
        ([], 0, 0, 0),
    ],
)
def test_values_that_differ_are_counted_once_and_nothing_is_no_value(
    columns: list[pa.Array], rows: int, nulls: int, distinct: int
) -> None:
    found = counted(Watched("x", distinct=True), *columns)
    assert (found.rows, found.nulls, found.distinct) == (rows, nulls, distinct)


def test_the_count_is_exact_across_many_batches() -> None:
    columns = [
        pa.array([n * 7 % 90_001 for n in range(at, at + 9_000)]) for at in range(0, 270_000, 4_500)
    ]
    expected = len({value for column in columns for value in column.to_pylist()})
    assert counted(Watched("x", distinct=True), *columns).distinct == expected


def test_where_more_values_differ_than_are_counted_the_figure_is_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(field_figures, "DISTINCT_MAX", 10)
    assert counted(Watched("x", distinct=True), pa.array(range(10))).distinct == 10
    found = counted(Watched("x", distinct=True), pa.array(range(11)), pa.array([1]))
    assert (found.rows, found.distinct) == (12, None)


def test_the_newest_is_the_latest_instant() -> None:
    at = [datetime(2013, 1, 31, 6, tzinfo=UTC), None, datetime(2013, 1, 31, 7, tzinfo=UTC)]
    columns = [pa.array(at, pa.timestamp("ns", "UTC")), pa.array([None], pa.timestamp("ns", "UTC"))]
    newest_us = counted(Watched("x", newest=True), *columns).newest_us
    assert newest_us == int(at[2].timestamp()) * 1_000_000  # type: ignore[union-attr] - it is one
    assert (
        counted(Watched("x", newest=True), pa.array([date(1970, 1, 2)])).newest_us == 86_400_000_000
    )
    assert counted(Watched("x", newest=True), pa.nulls(2)).newest_us is None


@pytest.mark.parametrize(
    ("watched", "column", "told"),
    [
        (Watched("y"), pa.array([1]), "there is no column 'y'; there are x"),
        (Watched("x", newest=True), pa.array(["2013"]), "it is string, which is no time"),
        (Watched("x", distinct=True), pa.array([[1]]), "values are not told apart"),
    ],
)
def test_what_cannot_be_asked_is_told(watched: Watched, column: pa.Array, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        counted(watched, column)
    assert caught.value.code == "assertion_failed"


def test_a_column_that_changes_its_type_cannot_be_counted() -> None:
    with pytest.raises(Refused, match="it was int64 before, and is string now"):
        counted(Watched("x", distinct=True), pa.array([1]), pa.array(["a"]))
