"""One schema for a whole stream.

One stream has one schema, the first batch's, because a Parquet file or a table downstream has begun with it.  A later batch is cast to
it where no value changes, otherwise the step is told what it changed.  A column with nothing in it has no type yet: the first batch
is held back for one batch where it has such a column, and takes its type from the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from runink.errors import Refused

_NULL: Final = pa.null()


def check_names(names: Iterable[str], what: str) -> None:
    """Raise Refused if a name stands twice: rows are addressed by name from here on."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Refused(
                f"{what} gave two columns called {name!r}",
                code="step_columns",
                hint="give one of them another name",
            )
        seen.add(name)


def one_schema(output: Iterable[pa.RecordBatch], what: str) -> Iterator[pa.RecordBatch]:
    """Bring a stream to the schema of its first batch, leaving out batches without rows where there are others. Raises Refused."""
    schema = OneSchema(what)
    for batch in output:
        yield from schema.fit(batch)
    yield from schema.finish()


class OneSchema:
    """Brings the batches of one stream to the schema of its first. `what` names the step in messages."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._held: pa.RecordBatch | None = None
        self._schema: pa.Schema | None = None

    def fit(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Return what may go on now: nothing, one batch, or the held one and this one. Raises Refused.

        A batch without rows goes on only if its stream has none with rows (by `finish`): it is there for its schema.
        """
        if self._schema is not None:
            return [self._cast(batch, self._schema)] if batch.num_rows else []
        if self._held is not None and self._held.num_rows:
            return self._second(self._held, batch)
        check_names(batch.schema.names, self._what)
        if batch.num_rows and _NULL not in batch.schema.types:
            self._schema, self._held = batch.schema, None
            return [batch]
        if batch.num_rows or self._held is None:
            self._held = batch
        return []

    def _second(self, first: pa.RecordBatch, second: pa.RecordBatch) -> list[pa.RecordBatch]:
        if not second.num_rows:
            return []
        self._held = None
        self._schema = self._typed(first, second)
        return [self._cast(first, self._schema), self._cast(second, self._schema)]

    def finish(self) -> list[pa.RecordBatch]:
        """Return the batch that is still held, if any: the only one of its stream, perhaps without rows."""
        return [] if self._held is None else [self._held]

    def _typed(self, first: pa.RecordBatch, second: pa.RecordBatch) -> pa.Schema:
        """Give each column of the first batch that has no type the second's."""
        fields = []
        for field in first.schema:
            place = second.schema.get_field_index(field.name)
            untyped = pa.types.is_null(field.type) and place >= 0
            fields.append(second.schema.field(place) if untyped else field)
        return pa.schema(fields)

    def _cast(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        if batch.schema.equals(schema):
            return batch
        if set(batch.schema.names) != set(schema.names) or len(batch.schema) != len(schema):
            raise self._changed_columns(batch.schema.names, schema.names)
        columns = [self._cast_column(batch.column(field.name), field) for field in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _cast_column(self, column: pa.Array, field: pa.Field) -> pa.Array:
        if column.type.equals(field.type):
            return column
        try:
            if _same_kind(column.type, field.type):
                return column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # A value does not fit; the error below says what to do.
        if pa.types.is_null(field.type):
            came = f"held nothing at first and now holds {column.type}"
        else:
            came = f"was {field.type} at first and now is {column.type}"
        raise Refused(
            f"{self._what}: column {field.name!r} {came}",
            code="step_schema_changed",
            hint="one stream has one schema: give the column its type from the first row on (polars: pl.col(…).cast(…), Python: float(…), SQL: CAST)",
        )

    def _changed_columns(self, names: list[str], first: list[str]) -> Refused:
        check_names(names, self._what)
        missing = [name for name in first if name not in names]
        added = [name for name in names if name not in first]
        parts = [f"without {', '.join(missing)}"] if missing else []
        parts += [f"with the new {', '.join(added)}"] if added else []
        return Refused(
            f"{self._what} gave a batch {' and '.join(parts)}; its first batch had {', '.join(first)}",
            code="step_schema_changed",
            hint="return the same columns for every batch, empty (None) where there is nothing",
        )


def _same_kind(came: pa.DataType, first: pa.DataType) -> bool:
    """Say whether a value of one may stand for a value of the other; Arrow would also make text of numbers, and numbers of text."""
    types = pa.types
    if types.is_null(came):
        return True
    if types.is_timestamp(came) and types.is_timestamp(first):
        return (came.tz is None) == (first.tz is None)
    kinds = (_is_number, types.is_time, types.is_duration, types.is_nested)
    return any(kind(came) and kind(first) for kind in kinds)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
