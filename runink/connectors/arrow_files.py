"""Parquet and Arrow files in, in constant memory whatever the size of their row groups or batches.

Parquet is read from its end, so it must be a file.  An Arrow file is a stream with eight bytes in front and an index behind, so both kinds
are read as streams, from a pipe and decompressed as well; a local file is mapped, because its batches may be huge.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from runink.connectors.csv_header import check_against
from runink.connectors.inputs import Input
from runink.connectors.plain import BATCH_BYTES, BATCH_ROWS_MAX, plain_schema, plain_type
from runink.errors import Invalid

PAGES_BYTES: Final = (
    1 << 20
)  # read ahead in each column: without it a whole row group's column is read at once
_MAGIC: Final = b"ARROW1\0\0"


class OneSchema:
    """Reads files of one source and brings them to the first one's schema, which what is behind has begun with."""

    def __init__(self, read: Callable[[Input], Iterator[pa.Table]]) -> None:
        self._read = read
        self._schema: pa.Schema | None = None
        self._first = ""

    def read(self, source: Input) -> Iterator[pa.Table]:
        """Yield the file's rows. Raises Refused, Invalid or Unavailable."""
        for table in self._read(source):
            if self._schema is None:
                self._schema, self._first = plain_schema(table.schema), source.origin
            yield table if source.origin == self._first else self._fitted(table, source.origin)

    def _fitted(self, table: pa.Table, origin: str) -> pa.Table:
        assert self._schema is not None, "the first file gave it"
        if plain_schema(table.schema).equals(self._schema):
            return table
        check_against(
            table.column_names,
            self._schema.names,
            origin,
            first=self._first,
            allows_more=False,
        )
        columns = [self._cast(table.column(field.name), field, origin) for field in self._schema]
        return pa.table(columns, schema=self._schema)

    def _cast(self, column: pa.ChunkedArray, field: pa.Field, origin: str) -> pa.ChunkedArray:
        kind = plain_type(column.type)
        if kind != field.type and (pa.types.is_string(kind) or pa.types.is_string(field.type)):
            raise self._changed(column, field, origin, "")
        try:
            return column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self._changed(column, field, origin, f": {error}") from error

    def _changed(self, column: pa.ChunkedArray, field: pa.Field, origin: str, why: str) -> Invalid:
        return Invalid(
            f"{origin}: column {field.name!r} is {column.type}; in {self._first} it is {field.type}{why}",
            code="source_type_changed",
            hint="files of one source have the same types; read those that differ by a source of their own",
        )


def parquet_tables(source: Input) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file, at least one table. Raises Refused, Invalid or Unavailable."""
    with ExitStack() as stack:
        file = stack.enter_context(source.open_random("Parquet"))
        if file.size() == 0:
            raise _empty(source, "Parquet")
        try:
            parquet = stack.enter_context(
                pq.ParquetFile(file, buffer_size=PAGES_BYTES, pre_buffer=False)
            )
            yield parquet.schema_arrow.empty_table()
            for batch in parquet.iter_batches(_batch_rows(parquet.metadata), use_threads=False):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise _damaged(source, "Parquet", error) from error


def _batch_rows(metadata: Any) -> int:
    size = sum(
        metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups)
    )
    return max(1, min(BATCH_ROWS_MAX, BATCH_BYTES * int(metadata.num_rows) // max(1, int(size))))


def arrow_tables(source: Input) -> Iterator[pa.Table]:
    """Yield the batches of an Arrow file or stream, at least one table. Raises Refused, Invalid or Unavailable."""
    with ExitStack() as stack:
        file = stack.enter_context(_arrow_file(source))
        try:
            reader = stack.enter_context(pa.ipc.open_stream(file))
            yield reader.schema.empty_table()
            for batch in reader:
                # Offsets of a damaged file would be followed into foreign memory.
                batch.validate(full=True)
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _damaged(source, "Arrow", error) from error


def _arrow_file(source: Input) -> Any:
    """Open the file at the beginning of its stream."""
    if source.once or source.is_remote or source.compression is not None:
        opened = source.open()
        file = io.BufferedReader(_Raw(source, opened), BATCH_BYTES)
        head = file.peek(len(_MAGIC))[: len(_MAGIC)]
        if not head:
            file.close()
            raise _empty(source, "Arrow")
        if head == _MAGIC:
            file.read(len(_MAGIC))
        return file
    source.open_random("Arrow").close()  # tells what is wrong with it
    mapped = pa.memory_map(source.location)
    if mapped.size() == 0:
        raise _empty(source, "Arrow")
    if mapped.read(len(_MAGIC)) != _MAGIC:
        mapped.seek(0)
    return mapped


class _Raw(io.RawIOBase):
    """A source's bytes for Python's buffered reader, which fills whole reads as Arrow needs them."""

    def __init__(self, source: Input, file: Any) -> None:
        self._source = source
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.read_into(self._file, memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _empty(source: Input, what: str) -> Invalid:
    return Invalid(
        f"{source.origin} is empty: it is no {what} file",
        code="source_empty",
        hint="did what writes it fail? a file without rows still has its schema",
    )


def _damaged(source: Input, what: str, error: Exception) -> Invalid:
    return Invalid(
        f"{source.origin} cannot be read as {what}: {error}",
        code="source_damaged",
        hint="the file is cut, damaged, or not what its URI says; fetch or write it again",
    )
