"""How rows become bytes: an encoder for each format, given batches and a file.

    csv      a header, then a line a row
    jsonl    an object a line
    json     one array, an object a line
    parquet  row groups of ROW_GROUP_ROWS_MAX rows, compressed by zstd inside
    arrow    a file with an index (a stream where it goes to standard output), batches of BATCH_ROWS rows

Parquet and Arrow have one schema for all rows: the first batch's; a later batch of another type is cast where nothing is lost.
Rows are put together anew, so the bytes do not depend on how they came, only on the rows and their order.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, assert_never

import pyarrow as pa
import pyarrow.parquet as pq

from runink.connectors.csv_text import header_of, lines_of
from runink.connectors.json_text import objects_of
from runink.dag import Format
from runink.errors import Refused
from runink.pipes.plain import plain_schema

ROW_GROUP_ROWS_MAX: Final = 131_072  # 8 to 20 MB of usual rows: held until they are written
BATCH_ROWS: Final = 65_536
GROUP_BYTES_MAX: Final = (
    16 << 20
)  # of wide rows: fewer of them make a group; it is held twice while it is written
TEXT_BYTES_MAX: Final = (
    32 << 20
)  # of a batch that becomes text at once: Arrow's strings end at 2 GiB
ZSTD_LEVEL: Final = 1  # as fast as snappy, and a third smaller


class File(Protocol):
    def write(self, data: Any, /) -> Any: ...


class Encoder(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...
    def finish(self) -> None:
        """Write what is left. Without it the bytes are no whole file."""


def encoder_of(kind: Format, file: File, *, uri: str, to_stdout: bool = False) -> Encoder:
    """Return the encoder of a format that writes to the file. `uri` is for messages."""
    match kind:
        case Format.CSV:
            return _Csv(file, uri)
        case Format.JSONL:
            return _JsonLines(file)
        case Format.JSON:
            return _Json(file)
        case Format.PARQUET:
            return _Regrouped(_Parquet(file, uri), ROW_GROUP_ROWS_MAX, uri)
        case Format.ARROW:
            return _Regrouped(_Arrow(file, is_stream=to_stdout), BATCH_ROWS, uri)
        case _:
            assert_never(kind)


def _write_texts(file: File, texts: pa.Array) -> None:
    """Write all strings of a freshly made array, one behind the other: they stand so in its buffer."""
    if len(texts):
        _, offsets, data = texts.buffers()
        first = texts.offset
        with memoryview(offsets) as raw, raw.cast("i") as ends, memoryview(data) as view:
            file.write(view[ends[first] : ends[first + len(texts)]])


def _slices(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Cut a batch so that each piece becomes text of a bounded size."""
    pieces = 1 + batch.nbytes // TEXT_BYTES_MAX
    rows = max(1, -(-batch.num_rows // pieces))
    return [batch.slice(start, rows) for start in range(0, batch.num_rows, rows)]


class _Csv:
    def __init__(self, file: File, uri: str) -> None:
        self._file = file
        self._uri = uri
        self._names: list[str] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        if self._names is None:
            self._names = names
            self._file.write(header_of(names))
        if names != self._names:
            if sorted(names) != sorted(self._names):
                raise _other_columns(self._uri, names, self._names)
            batch = batch.select(self._names)
        for piece in _slices(batch):
            _write_texts(self._file, lines_of(piece))

    def finish(self) -> None:
        """Nothing is left: without a batch the columns are unknown, and the file empty."""


class _JsonLines:
    def __init__(self, file: File) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        for piece in _slices(batch):
            _write_texts(self._file, objects_of(piece, behind="\n"))

    def finish(self) -> None:
        """Nothing is left."""


class _Json:
    def __init__(self, file: File) -> None:
        self._file = file
        self._begun = False

    def write(self, batch: pa.RecordBatch) -> None:
        for piece in _slices(batch):
            rows = piece
            if not self._begun:
                self._begun = True
                _write_texts(self._file, objects_of(rows.slice(0, 1), before="[\n"))
                rows = rows.slice(1)
            _write_texts(self._file, objects_of(rows, before=",\n"))

    def finish(self) -> None:
        self._file.write(b"\n]\n" if self._begun else b"[]\n")


class _Groups(Protocol):
    def begin(self, schema: pa.Schema) -> None: ...
    def write(self, table: pa.Table) -> None: ...
    def finish(self) -> None: ...


class _Regrouped:
    """Gives another writer tables of always as many rows, however they come."""

    def __init__(self, groups: _Groups, rows_max: int, uri: str) -> None:
        self._groups = groups
        self._rows_max = rows_max
        self._uri = uri
        self._schema: pa.Schema | None = None
        self._held: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if self._schema is None:
            self._schema = plain_schema(batch.schema)
            self._groups.begin(self._schema)
        batch = _fitted(batch, self._schema, self._uri)
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, self._rows_max - self._rows)
            start += piece.num_rows
            self._held.append(piece)
            self._rows += piece.num_rows
            self._bytes += piece.nbytes
            if self._rows == self._rows_max or self._bytes >= GROUP_BYTES_MAX:
                self._flush(self._schema)

    def _flush(self, schema: pa.Schema) -> None:
        if self._rows:
            self._groups.write(pa.Table.from_batches(self._held, schema).combine_chunks())
        self._held, self._rows, self._bytes = [], 0, 0

    def finish(self) -> None:
        if self._schema is None:
            self._schema = pa.schema([])
            self._groups.begin(self._schema)
        self._flush(self._schema)
        self._groups.finish()


class _Parquet:
    def __init__(self, file: File, uri: str) -> None:
        self._file = file
        self._uri = uri
        self._writer: pq.ParquetWriter | None = None

    def begin(self, schema: pa.Schema) -> None:
        try:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._file, mode="w"),
                schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
            )
        except pa.ArrowNotImplementedError as error:
            raise Refused(
                f"{self._uri}: Parquet cannot hold this: {error}",
                code="sink_type",
                hint="leave the column out, or write Arrow or JSON lines",
            ) from error

    def write(self, table: pa.Table) -> None:
        assert self._writer is not None, "the schema comes first"
        self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self) -> None:
        assert self._writer is not None, "the schema comes first"
        self._writer.close()


class _Arrow:
    def __init__(self, file: File, *, is_stream: bool) -> None:
        self._file = file
        self._new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
        self._writer: Any = None

    def begin(self, schema: pa.Schema) -> None:
        self._writer = self._new(pa.PythonFile(self._file, mode="w"), schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def finish(self) -> None:
        self._writer.close()


def _fitted(batch: pa.RecordBatch, schema: pa.Schema, uri: str) -> pa.RecordBatch:
    """Return the batch with the columns of the first one. Raises Refused."""
    if batch.schema.equals(schema):
        return batch
    if sorted(batch.schema.names) != sorted(schema.names):
        raise _other_columns(uri, batch.schema.names, schema.names)
    columns = []
    for field in schema:
        column = batch.column(field.name)
        try:
            columns.append(column if column.type == field.type else column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Refused(
                f"{uri}: column {field.name!r} was {field.type} at first and is {column.type} now: {error}",
                code="sink_schema_changed",
                hint="one file has one schema: give the column its type by a contract, or write JSON lines",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _other_columns(uri: str, names: list[str], first: list[str]) -> Refused:
    return Refused(
        f"{uri}: rows came with the columns {', '.join(names)}; the first ones had {', '.join(first)}",
        code="sink_schema_changed",
        hint="one file has one set of columns: return the same ones for all rows, or write JSON lines",
    )
