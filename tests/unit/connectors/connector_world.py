"""Sources and sinks of a test: made from little, read and written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from runink.connectors.blocks import BLOCK_BYTES
from runink.connectors.csv_source import CsvSource
from runink.connectors.finding import inputs_of
from runink.connectors.json_source import JsonSource
from runink.connectors.publishing import publish
from runink.connectors.sinks import open_sink
from runink.connectors.sources import open_source
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Format, Mode, Sink, Source
from runink.errors import RuninkError
from runink.jobs import Prepared, Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch

RUN = RunId("01K9ZZZZZZ0000000000000000")
TICKET = Ticket(RUN, SliceId("bronze"), 1)
FLIGHT = ContractSpec(
    "Flight",
    "1.0.0",
    (
        FieldSpec("number", Kind.INT, ge=0, le=100),
        FieldSpec("carrier", Kind.STR),
        FieldSpec("note", Kind.STR, nullable=True, has_default=True),
    ),
)


def source(path: str, kind: Format = Format.CSV, **more: Any) -> Source:
    return Source("in", "bronze", f"{kind.value}://{path}", kind, path, **more)


def sink(path: str, kind: Format = Format.CSV, **more: Any) -> Sink:
    return Sink("out", "bronze", f"{kind.value}://{path}", kind, path, **more)


def batches(node: Source, root: Path, **more: Any) -> list[Batch]:
    given: dict[str, Any] = {"staged": (), "stdin_fd": None, **more}
    return list(open_source(node, root=root, **given).batches())


def table(node: Source, root: Path, **more: Any) -> pa.Table:
    return pa.Table.from_batches([batch.data for batch in batches(node, root, **more)])


def rows(node: Source, root: Path, **more: Any) -> list[dict[str, Any]]:
    return list(table(node, root, **more).to_pylist())


def in_blocks(node: Source, root: Path, block_bytes: int = BLOCK_BYTES) -> list[pa.Table]:
    """Read a text source in blocks of that size."""
    reader = (CsvSource if node.format is Format.CSV else JsonSource)(node, block_bytes=block_bytes)
    inputs = inputs_of(node, root=root, staged=(), stdin_fd=None)
    return [table for one in inputs for table in reader.read(one) if table.num_rows]


def error_of(node: Source, root: Path, **more: Any) -> RuninkError:
    """Return the error that reading it whole raises."""
    with pytest.raises(RuninkError) as caught:
        batches(node, root, **more)
    return caught.value


def batch(**columns: Any) -> Batch:
    return Batch(pa.record_batch(columns), "memory", 0)


def write(node: Sink, root: Path, *given: Batch, ticket: Ticket = TICKET) -> Prepared:
    """Write the batches aside and prepare them."""
    writer = open_sink(node, root=root, ticket=ticket, stdout_fd=None)
    for one in given:
        writer.write(one)
    return writer.prepare()


def write_and_publish(node: Sink, root: Path, *given: Batch, ticket: Ticket = TICKET) -> Prepared:
    prepared = write(node, root, *given, ticket=ticket)
    publish(prepared)
    return prepared


def names(folder: Path) -> list[str]:
    """Return all files below a folder, hidden ones as well."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


MODES = tuple(Mode)
