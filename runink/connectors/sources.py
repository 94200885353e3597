"""Where rows come from: `open_source` turns a source of a pipeline into batches that know their file and row.

Files are read one after the other, in the order of their paths, in constant memory.  A source without rows gives one batch
without rows, which brings its columns; otherwise every batch holds some.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import assert_never

import pyarrow as pa

from runink.connectors.arrow_files import OneSchema, arrow_tables, parquet_tables
from runink.connectors.csv_source import CsvSource
from runink.connectors.finding import inputs_of
from runink.connectors.inputs import Input
from runink.connectors.json_source import JsonSource
from runink.dag import Format, Source
from runink.pipes.batch import Batch
from runink.pipes.plain import pieces
from runink.stores import NO_STORES, Stores

Read = Callable[[Input], Iterator[pa.Table]]


def open_source(
    node: Source,
    *,
    root: Path,
    staged: tuple[str, ...],
    stdin_fd: int | None,
    stores: Stores = NO_STORES,
) -> Files:
    """Find the source's files. Raises NotFound, Refused or Invalid; what is wrong inside them is told while they are read."""
    inputs = inputs_of(node, root=root, staged=staged, stdin_fd=stdin_fd, stores=stores)
    return Files(inputs, _read(node))


def _read(node: Source) -> Read:
    match node.format:
        case Format.CSV:
            return CsvSource(node).read
        case Format.JSONL | Format.JSON:
            return JsonSource(node).read
        case Format.PARQUET:
            return OneSchema(parquet_tables).read
        case Format.ARROW:
            return OneSchema(arrow_tables).read
        case _:
            assert_never(node.format)


class Files:
    """The files of one source, read once."""

    def __init__(self, inputs: tuple[Input, ...], read: Read) -> None:
        self._inputs = inputs
        self._read = read
        self._stream: Generator[Batch, None, None] | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows. Raises Refused, Invalid or Unavailable, with the file and mostly the line."""
        assert self._stream is None, "a source is read once"
        self._stream = self._batches()
        return self._stream

    def close(self) -> None:
        """Close what is open; whoever reads must have stopped."""
        if self._stream is not None:
            self._stream.close()

    def _batches(self) -> Generator[Batch, None, None]:
        without_rows: Batch | None = None
        has_rows = False
        for source in self._inputs:
            row = 0
            with closing(_closable(self._read(source))) as tables:
                for table in tables:
                    for data in pieces(table):
                        if data.num_rows:
                            has_rows = True
                            yield Batch(data, source.origin, row)
                            row += data.num_rows
                        elif without_rows is None:
                            without_rows = Batch(data, source.origin, 0)
        if not has_rows and without_rows is not None:
            yield without_rows


def _closable(tables: Iterator[pa.Table]) -> Generator[pa.Table, None, None]:
    yield from tables
