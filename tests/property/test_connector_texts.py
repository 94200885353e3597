"""Laws of connectors: what is written is read back, whatever it is and however it is cut."""

from __future__ import annotations

import datetime as dt
import json
import string
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given, settings
from runink.connectors.csv_records import Records
from runink.connectors.csv_source import CsvSource
from runink.connectors.inputs import Input
from runink.connectors.json_source import JsonSource
from runink.connectors.publishing import publish
from runink.connectors.sinks import open_sink
from runink.connectors.sources import open_source
from runink.dag import Format, Sink, Source
from runink.errors import Invalid
from runink.jobs import Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch

TICKET = Ticket(RunId("01K9ZZZZZZ0000000000000000"), SliceId("s"), 1)
ENDINGS = ["", ".gz", ".zst"]

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
nothing = st.none()
# What the format itself can hold: text formats know strings, numbers and nothing; the schema comes from the file.
PLAIN: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "integer": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "truth": (pa.bool_(), st.booleans()),
    "words": (pa.string(), text.map(lambda value: f"w{value}")),
}
RICH: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    **PLAIN,
    "real": (pa.float64(), st.floats(allow_nan=False)),
    "bytes": (pa.binary(), st.binary(max_size=8)),
    "day": (pa.date32(), st.dates()),
    "instant": (
        pa.timestamp("us", "UTC"),
        st.datetimes(timezones=st.just(dt.UTC)),
    ),
    "small": (pa.int8(), st.integers(-128, 127)),
    "lists": (pa.list_(pa.string()), st.lists(text, max_size=3)),
    "structs": (
        pa.struct([("x", pa.int64()), ("y", pa.string())]),
        st.fixed_dictionaries({"x": st.integers(-9, 9), "y": text}),
    ),
}


def tables(columns: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]]) -> Any:
    """Tables of some of the columns; the first value of each is there, so that a reader sees its type."""

    @st.composite
    def draw_table(draw: st.DrawFn) -> pa.Table:
        names = draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, unique=True))
        rows = draw(st.integers(1, 6))
        arrays = []
        for name in names:
            kind, values = columns[name]
            rest = st.lists(st.one_of(nothing, values), min_size=rows - 1, max_size=rows - 1)
            arrays.append(pa.array([draw(values), *draw(rest)], kind))
        return pa.table(dict(zip(names, arrays, strict=True)))

    return draw_table()


def there_and_back(data: pa.Table, kind: Format, ending: str, cut: int) -> pa.Table:
    """Write, publish and read the rows, given in batches of that many."""
    name = f"a.{kind.value}{ending}"
    with tempfile.TemporaryDirectory() as folder:
        sink = Sink("out", "s", f"{kind.value}://{name}", kind, name)
        writer = open_sink(sink, root=Path(folder), ticket=TICKET, stdout_fd=None)
        for batch in data.to_batches(max_chunksize=cut):
            writer.write(Batch(batch, "memory", 0))
        publish(writer.prepare())
        source = Source("in", "s", sink.uri, kind, name)
        read = open_source(source, root=Path(folder), staged=(), stdin_fd=None)
        return pa.Table.from_batches([batch.data for batch in read.batches()])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", [Format.CSV, Format.JSONL, Format.JSON])
@given(data=tables(PLAIN), cut=st.integers(1, 6))
@settings(max_examples=30)
def test_rows_come_back_from_text(kind: Format, ending: str, data: pa.Table, cut: int) -> None:
    assert there_and_back(data, kind, ending, cut).equals(data)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(Format.PARQUET, ""), (Format.ARROW, ""), (Format.ARROW, ".gz"), (Format.ARROW, ".zst")],
)
@given(data=tables(RICH), cut=st.integers(1, 6))
@settings(max_examples=40)
def test_rows_and_types_come_back_from_columns(
    kind: Format, ending: str, data: pa.Table, cut: int
) -> None:
    found = there_and_back(data, kind, ending, cut)
    assert found.schema.types == data.schema.types
    assert found.to_pylist() == data.to_pylist()


@given(
    values=st.lists(
        st.fixed_dictionaries({"a": text, "b": st.one_of(nothing, st.integers(-5, 5))}),
        min_size=1,
        max_size=20,
    ),
    size=st.integers(1, 400),
    indent=st.sampled_from([None, 1]),
)
@settings(max_examples=60)
def test_a_json_array_is_the_same_in_blocks_of_any_size(
    values: list[dict[str, Any]], size: int, indent: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        values = [{"a": "x", "b": 1}, *values]
        path.write_text(json.dumps(values, indent=indent))
        node = Source("in", "s", "json://a.json", Format.JSON, "a.json")
        # The first block must hold the first row, or it says nothing of the types.
        reader = JsonSource(node, block_bytes=size + 40)
        found = [row for one in reader.read(Input("a.json", str(path))) for row in one.to_pylist()]
    assert found == values


csv_text = st.text(st.sampled_from(list(string.ascii_lowercase[:3] + '",\n\r ')), max_size=200)


@given(body=csv_text, size=st.integers(1, 64))
@settings(max_examples=300)
def test_csv_is_the_same_in_blocks_of_any_size(body: str, size: int) -> None:
    """Whatever the text is, it is read alike in one block and in many, or refused alike."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(b"k,l\n" + body.encode())
        node = Source("in", "s", "csv://a.csv", Format.CSV, "a.csv", nulls=("",))
        assert _read(node, path, size) == _read(node, path, 1 << 20)


def _read(node: Source, path: Path, block_bytes: int) -> Any:
    try:
        reader = CsvSource(node, block_bytes=block_bytes)
        return [row for one in reader.read(Input("a.csv", str(path))) for row in one.to_pylist()]
    except Invalid:
        return "refused"


@given(body=csv_text, end_bytes=st.integers(1, 40))
@settings(max_examples=300)
def test_a_cut_is_where_a_record_ends(body: str, end_bytes: int) -> None:
    """The cut found from the end is one that walking record by record finds, too."""
    records = Records(",", end_bytes=end_bytes)
    data = bytearray(body.encode())
    ends, place = {0}, 0
    while place < len(data):
        place = records.first_end(memoryview(data), place)
        if place < 0:
            break
        ends.add(place)
    cut = records.cut(data, len(data))
    assert cut in ends
    whole = {end for end in ends if end == 0 or data[end - 1 : end] == b"\n"}
    assert cut == max(whole)
