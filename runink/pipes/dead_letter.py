"""The dead letter: rows that broke a contract, as they came, with everything needed to mend and replay them.

    columns          type                                           what
    the row's own    string (binary and nested ones stay)           the values as they came, under their own names
    dead_reasons     list<struct<field, rule, message: string>>     all reasons, in the order of the contract's fields
    dead_contract    string                                         the contract's name
    dead_version     string                                         and its version
    dead_run         string                                         the run's id
    dead_step        string                                         the check's id in the pipeline
    dead_origin      string                                         the file or step that the row comes from
    dead_row         int64                                          its number there, from 0

Values are text because one file has one schema, whatever type a reader took a column for from one batch to the next, and because a contract takes
text for any kind: a dead letter is replayed by making it a source of the same contract, which drops the columns that it does not
name.  A row that is rejected again carries its latest reasons only.
"""

from __future__ import annotations

from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.fields import ContractSpec
from runink.contracts.reasons import REASONS, Rejected
from runink.pipes.batch import Batch

COLUMNS: Final = pa.schema(
    [
        ("dead_reasons", REASONS),
        ("dead_contract", pa.string()),
        ("dead_version", pa.string()),
        ("dead_run", pa.string()),
        ("dead_step", pa.string()),
        ("dead_origin", pa.string()),
        ("dead_row", pa.int64()),
    ]
)


class CheckedBy(Protocol):
    """The check that rejected: a `Check` of the pipeline, of which this floor does not know."""

    @property
    def id(self) -> str: ...
    @property
    def contract(self) -> ContractSpec: ...


class WrittenBy(Protocol):
    """Whose rows these are: a slice's `Ticket`."""

    @property
    def run(self) -> str: ...


def dead_batch(rejected: Rejected, *, batch: Batch, check: CheckedBy, ticket: WrittenBy) -> Batch:
    """Return the rejected rows of `batch` as the dead letter holds them."""
    own = [
        (name, _text(column))
        for name, column in zip(
            rejected.original.schema.names, rejected.original.columns, strict=True
        )
        if name not in COLUMNS.names
    ]
    rows = len(rejected.rows)
    said = (
        check.contract.name,
        check.contract.version,
        ticket.run,
        check.id,
        batch.origin,
    )
    columns = [
        *(column for _, column in own),
        rejected.reasons,
        *(pa.repeat(pa.scalar(text, pa.string()), rows) for text in said),
        pc.add(rejected.rows, pa.scalar(batch.row, pa.int64())),
    ]
    fields = [*(pa.field(name, column.type) for name, column in own), *COLUMNS]
    return Batch(
        pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)), batch.origin, batch.row
    )


def _text(column: pa.Array) -> pa.Array:
    """Return a column as text where it can be told in text."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return _text(column.dictionary_decode())
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column
