"""Parquet and Arrow files in, in constant memory whatever the size of their row groups or batches.

Parquet is read from its end, so it must be a file.  An Arrow file is a stream with eight bytes in front and an index behind, so both kinds
are read as streams, from a pipe and decompressed as well; a local file is mapped, because its batches may be huge.  One that ends without the
mark at its end was cut.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from runink.connectors.csv_header import check_against
from runink.connectors.inputs import Input
from runink.errors import Invalid
from runink.pipes.plain import BATCH_BYTES, BATCH_ROWS_MAX, plain_schema, plain_type

PAGES_BYTES: Final = (
    1 << 20
)  # read ahead in each column: without it a whole row group's column is read at once
_MAGIC: Final = b"ARROW1\0\0"
_END: Final = b"\xff\xff\xff\xff\0\0\0\0"  # the mark at the end of a stream


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
        stream = _arrow_stream(source, stack)
        try:
            reader = stack.enter_context(pa.ipc.open_stream(stream.file))
            yield reader.schema.empty_table()
            for batch in reader:
                # Offsets of a damaged file would be followed into foreign memory.
                batch.validate(full=True)
                yield pa.Table.from_batches([batch])
                stream.forget()
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _damaged(source, "Arrow", error) from error
        if stream.tail() != _END:
            raise _damaged(source, "Arrow", EOFError("it ends before its end mark"))


def _arrow_stream(source: Input, stack: ExitStack) -> _Piped | _Mapped:
    """Open the file at the beginning of its stream."""
    if source.once or source.is_remote or source.compression is not None:
        raw = io.BufferedReader(_Raw(source, source.open()), BATCH_BYTES)
        stack.callback(raw.close)
        stream: _Piped | _Mapped = _Piped(raw)
    else:
        source.open_random("Arrow").close()  # tells what is wrong with it
        stream = _Mapped(source)
    if not stream.begins:
        raise _empty(source, "Arrow")
    return stream


class _Piped:
    """A stream that is read once through. Keeps the last bytes read, because Arrow takes an end without its mark for one as well."""

    def __init__(self, raw: io.BufferedReader[_Raw]) -> None:
        self._raw = raw
        self._tail = b""
        self.closed = False
        head = raw.peek(len(_MAGIC))[: len(_MAGIC)]
        self.begins = bool(head)
        if head == _MAGIC:
            raw.read(len(_MAGIC))

    @property
    def file(self) -> _Piped:
        return self

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
        return data

    def tail(self) -> bytes:
        return self._tail

    def forget(self) -> None:
        """What was read is freed with its batch."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


class _Mapped:
    """A local file, mapped: a batch takes no memory of ours, however large it is."""

    def __init__(self, source: Input) -> None:
        with Path(source.location).open("rb") as file:
            self.begins = file.seek(0, io.SEEK_END) > 0
            if self.begins:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self.file = pa.BufferReader(pa.py_buffer(self._map))
                if self.file.read(len(_MAGIC)) != _MAGIC:
                    self.file.seek(0)

    def tail(self) -> bytes:
        end = self.file.tell()
        return self._map[max(0, end - len(_END)) : end]

    def forget(self) -> None:
        """Give the pages back that have been read; who still looks at them gets them from the file again."""
        pages = self.file.tell() // mmap.PAGESIZE * mmap.PAGESIZE
        if pages:
            self._map.madvise(mmap.MADV_DONTNEED, 0, pages)


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
