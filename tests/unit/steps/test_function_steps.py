"""Functions, by each of the four ways in which they may be called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from runink.dag import Each, Function
from runink.errors import Refused
from runink.pipes.batch import Batch
from runink.steps.function import bind, run_function

FLIGHTS = [
    {"month": month, "carrier": carrier} for month, carrier in [(1, "UA"), (2, "DL"), (3, "UA")]
]
AIRLINES = pa.table({"carrier": ["UA", "DL"], "airline": ["United", "Delta"]})


def batches(rows: list[dict[str, Any]], size: int) -> list[Batch]:
    table = pa.Table.from_pylist(rows)
    return [
        Batch(batch, "data/flights.csv", number * size)
        for number, batch in enumerate(table.to_batches(max_chunksize=size))
    ]


def run(function, each: Each, *, stream=None, takes_input=True, **sides: pa.Table) -> list[Batch]:
    spec = Function("steps/flights.py", "f", each, tuple(sides), takes_input)
    call = bind(function, spec, sides=sides, what="step f")
    if takes_input and stream is None:
        stream = batches(FLIGHTS, 2)
    return list(run_function(call, stream, origin="silver.f"))


def rows(output: list[Batch]) -> list[dict[str, Any]]:
    return [row for batch in output for row in batch.data.to_pylist()]


def test_record_gives_a_dict_nothing_or_several() -> None:
    def twice(flight):
        match flight.month:
            case 1:
                return {"month": flight.month, "n": 1}
            case 2:
                return None
            case _:
                return ({"month": flight["month"], "n": n} for n in range(2))

    assert rows(run(twice, Each.RECORD)) == [
        {"month": 1, "n": 1},
        {"month": 3, "n": 0},
        {"month": 3, "n": 1},
    ]


@pytest.mark.parametrize("annotation", ["dict", "dict[str, Any]"])
def test_a_record_that_is_annotated_as_a_dict_is_one(annotation) -> None:
    def late(flight):
        assert type(flight) is dict
        flight["late"] = True
        return flight | {"carrier": flight.pop("carrier").lower()}

    late.__annotations__["flight"] = annotation
    assert rows(run(late, Each.RECORD))[0] == {"month": 1, "late": True, "carrier": "ua"}


def test_a_record_step_that_asks_for_a_batch_is_told_so() -> None:
    def wrong(flight: pl.DataFrame): ...

    with pytest.raises(Refused, match="is given one record at a time") as caught:
        run(wrong, Each.RECORD)
    assert "each='batch'" in caught.value.hint


def test_record_as_a_filter_hands_records_on() -> None:
    assert rows(run(lambda flight: flight if flight.carrier == "UA" else None, Each.RECORD)) == [
        FLIGHTS[0],
        FLIGHTS[2],
    ]


def test_record_that_drops_all_still_tells_its_columns() -> None:
    (only,) = run(lambda _: None, Each.RECORD)
    assert only.data.num_rows == 0
    assert only.data.schema.names == ["month", "carrier"]


def test_record_steps_get_side_inputs_whole() -> None:
    def named(flight, airlines: dict):
        place = airlines["carrier"].index(flight.carrier)
        return {"airline": airlines["airline"][place]}

    output = run(named, Each.RECORD, airlines=AIRLINES)
    assert [row["airline"] for row in rows(output)] == ["United", "Delta", "United"]


@pytest.mark.parametrize("garbage", [7, "text", [1], b"x"])
def test_record_that_returns_garbage_is_told_what_it_may_return(garbage) -> None:
    with pytest.raises(Refused, match=r"^step f.* returned a ") as caught:
        run(lambda _: garbage, Each.RECORD)
    assert caught.value.code == "step_returned"
    assert "dict" in caught.value.hint


def test_a_batch_comes_as_its_annotation_says() -> None:
    seen: list[type] = []

    def plain(batch):
        seen.append(type(batch))
        return batch

    def table(batch: pa.Table):
        seen.append(type(batch))
        return batch

    def frame(batch: pl.DataFrame):
        seen.append(type(batch))
        return batch

    def lazy(batch: pl.LazyFrame):
        seen.append(type(batch))
        return batch

    def columns(batch: dict[str, list[Any]]):
        seen.append(type(batch))
        return batch

    def records(batch: list[dict[str, Any]]):
        seen.append(type(batch))
        return [dict(record) for record in batch]

    for function in (plain, table, frame, lazy, columns, records):
        assert rows(run(function, Each.BATCH)) == FLIGHTS
    assert seen[::2] == [pa.RecordBatch, pa.Table, pl.DataFrame, pl.LazyFrame, dict, list]


def test_polars_joins_batches_with_side_inputs() -> None:
    def joined(flights: pl.DataFrame, airlines) -> pl.DataFrame:
        assert isinstance(airlines, pl.DataFrame)
        return flights.join(airlines, on="carrier", how="left", maintain_order="left")

    output = run(joined, Each.BATCH, airlines=AIRLINES)
    assert [row["airline"] for row in rows(output)] == ["United", "Delta", "United"]
    assert output[0].data.schema.types == [pa.int64(), pa.string(), pa.string()]


def test_output_is_numbered_as_rows_of_the_step() -> None:
    output = run(lambda batch: batch, Each.BATCH)
    assert [(batch.origin, batch.row) for batch in output] == [("silver.f", 0), ("silver.f", 2)]


def test_a_large_result_is_cut() -> None:
    def many(_: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"n": range(100_000)})

    output = run(many, Each.BATCH, stream=batches(FLIGHTS, 3))
    assert [batch.data.num_rows for batch in output] == [65_536, 34_464]


def test_batch_may_yield_several() -> None:
    def cut(batch):
        for row in range(batch.num_rows):
            yield batch.slice(row, 1)

    assert len(run(cut, Each.BATCH)) == 3


@pytest.mark.parametrize("garbage", [None, 7, "text", [1], pl.Series("a", [1])])
def test_batch_that_returns_garbage_is_told_what_it_may_return(garbage) -> None:
    with pytest.raises(Refused, match=r"^step f returned") as caught:
        run(lambda _: garbage, Each.BATCH)
    assert "polars.DataFrame" in caught.value.hint


def test_an_empty_stream_still_tells_its_columns() -> None:
    empty = Batch(pa.record_batch({"month": pa.array([], pa.int8())}), "data/flights.csv", 0)

    def late(flights: pl.DataFrame) -> pl.DataFrame:
        return flights.with_columns(late=pl.col("month") > 6)

    (only,) = run(late, Each.BATCH, stream=[empty, empty])
    assert only.data.schema.names == ["month", "late"]


def test_stream_reads_batches_and_yields_batches() -> None:
    def running(flights: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        total = 0
        for frame in flights:
            yield frame.select((pl.col("month").cum_sum() + total).alias("sum"))
            total += frame["month"].sum()

    assert [row["sum"] for row in rows(run(running, Each.STREAM))] == [1, 3, 6]


def test_stream_is_lazy_and_may_stop_early() -> None:
    pulled: list[int] = []

    def source():
        for batch in batches(FLIGHTS, 1):
            pulled.append(batch.row)
            yield batch

    def head(flights):
        yield next(flights)

    assert len(rows(run(head, Each.STREAM, stream=source()))) == 1
    assert pulled == [0]


def test_stream_that_returns_one_frame_is_told_to_yield() -> None:
    for value in (pa.table({"a": [1]}), pl.DataFrame({"a": [1]}), None, {"a": [1]}):
        with pytest.raises(Refused) as caught:
            run(lambda _, value=value: value, Each.STREAM)
        assert "yield" in caught.value.hint


def test_stream_annotated_as_one_batch_is_told_so() -> None:
    def wrong(flights: pl.DataFrame): ...

    with pytest.raises(Refused, match="is given an iterator of batches"):
        run(wrong, Each.STREAM)


def test_input_comes_whole() -> None:
    def counted(flights: pl.DataFrame) -> pl.DataFrame:
        return flights.group_by("carrier").len("n").sort("carrier")

    assert rows(run(counted, Each.INPUT)) == [{"carrier": "DL", "n": 1}, {"carrier": "UA", "n": 2}]


def test_input_without_annotation_is_an_arrow_table() -> None:
    assert rows(run(lambda flights: flights.slice(1, 1), Each.INPUT)) == [FLIGHTS[1]]


def test_a_step_without_input_is_called_once() -> None:
    def months():
        return {"month": [1, 2]}

    def streamed():
        yield pl.DataFrame({"month": [1]})
        yield pl.DataFrame({"month": [2]})

    def recorded():
        yield {"month": 1}
        yield {"month": 2}

    for function, each in ((months, Each.INPUT), (streamed, Each.STREAM), (recorded, Each.RECORD)):
        assert [r["month"] for r in rows(run(function, each, takes_input=False))] == [1, 2]


def test_annotations_may_be_text_of_names_that_are_not_imported() -> None:
    namespace: dict[str, Any] = {}
    exec(
        "from __future__ import annotations\ndef f(x: polars.DataFrame): return x.head(1)",
        namespace,
    )
    assert rows(run(namespace["f"], Each.BATCH, stream=batches(FLIGHTS, 3))) == FLIGHTS[:1]


def test_what_a_step_cannot_be_given_is_refused() -> None:
    def wants_pandas(x: pandas.DataFrame): ...  # noqa: F821 - only its text is read

    with pytest.raises(Refused, match=r"asks for pandas\.DataFrame"):
        run(wants_pandas, Each.BATCH)


def test_side_inputs_that_do_not_fit_the_arguments_are_refused() -> None:
    with pytest.raises(Refused, match="has no argument airlines"):
        run(lambda batch: batch, Each.BATCH, airlines=AIRLINES)
    spec = Function("steps/flights.py", "f", Each.BATCH, ("planes",))
    with pytest.raises(Refused, match="wants planes; its side inputs are none"):
        bind(lambda batch, planes: batch, spec, sides={}, what="step f")


def test_a_schema_that_changes_within_the_stream_is_refused() -> None:
    def fickle(batch: pl.DataFrame) -> pl.DataFrame:
        return batch if batch["month"][0] == 1 else batch.select(pl.col("month") / 2, "carrier")

    with pytest.raises(Refused) as caught:
        run(fickle, Each.BATCH)
    assert caught.value.code == "step_schema_changed"
