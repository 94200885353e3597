"""One row as a Python object, and rows back to columns: what `each="record"` is made of.

A record is a window on a batch: it turns a column to Python values when the first record of the batch is asked for it, so a
function that reads four of nineteen columns pays for four.  (`RecordBatch.to_pylist` makes a dict of every row: ten times
slower, measured.)  It is read only; a step returns it, a dict or nothing.

Numbers come back as int64 and float64, whatever width they had: Python's have none, and a width guessed from the first batch would
fail on a later one.  The contract behind the step makes them as narrow as it allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.errors import Refused

_CODES: Final[dict[pa.DataType, Any]] = {  # Arrow's primitive types as memoryview knows them
    pa.int8(): "b",
    pa.int16(): "h",
    pa.int32(): "i",
    pa.int64(): "q",
    pa.uint8(): "B",
    pa.uint16(): "H",
    pa.uint32(): "I",
    pa.uint64(): "Q",
    pa.float32(): "f",
    pa.float64(): "d",
}
_MICROSECONDS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
SCHEMAS_KEPT_MAX: Final = 64  # classes of records are kept for as many schemas: a slice has a few
DECIMAL_DIGITS: Final = (
    38  # the most that decimal128 holds, so that a longer number later on still fits
)


def values_of(column: pa.Array) -> list[Any]:
    """Return the column as Python values, nothing as None."""
    code = _CODES.get(column.type)
    if len(column) == 0:
        return []
    if code is not None:
        return _with_nulls(_primitives(column, code), column)
    if pa.types.is_boolean(column.type):
        return _with_nulls([bool(bit) for bit in _primitives(column.cast(pa.uint8()), "B")], column)
    if pa.types.is_string(column.type):
        return _with_nulls(_texts(column), column)
    if pa.types.is_timestamp(column.type) and column.type.tz in {None, "UTC"}:
        factor = _MICROSECONDS.get(column.type.unit)
        if factor is not None:
            return _with_nulls(_instants(column, factor), column)
    values: list[Any] = column.to_pylist()
    return values


def _instants(column: pa.Array, factor: int) -> list[Any]:
    """Four times as fast as Arrow's own way."""
    epoch = datetime(1970, 1, 1, tzinfo=None if column.type.tz is None else UTC)
    counts = _primitives(column.fill_null(0).cast(pa.int64()), "q")
    return [epoch + timedelta(microseconds=count * factor) for count in counts]


def _primitives(column: pa.Array, code: Any) -> list[Any]:
    data = memoryview(column.buffers()[1]).cast("B").cast(code)
    values: list[Any] = data[column.offset : column.offset + len(column)].tolist()
    return values


def _texts(column: pa.Array) -> list[Any]:
    """Decode the whole column once where it is ASCII (a character is a byte), else value by value."""
    _, offsets_buffer, data_buffer = column.buffers()
    offsets = memoryview(offsets_buffer).cast("B").cast("i")
    ends = offsets[column.offset : column.offset + len(column) + 1].tolist()
    start = ends[0]
    data = bytes(memoryview(data_buffer)[start : ends[-1]]) if data_buffer is not None else b""
    if data.isascii():
        text = data.decode("ascii")
        return [text[a - start : b - start] for a, b in pairwise(ends)]
    return [data[a - start : b - start].decode() for a, b in pairwise(ends)]


def _with_nulls(values: list[Any], column: pa.Array) -> list[Any]:
    if column.null_count:
        for place in _primitives(pc.indices_nonzero(column.is_null()), "Q"):
            values[place] = None
    return values


class Columns(dict[str, list[Any]]):
    """The columns of a batch as Python values, each made when it is first asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        super().__init__()
        self.batch = batch
        self.names: tuple[str, ...] = tuple(batch.schema.names)

    def __missing__(self, name: str) -> list[Any]:
        place = self.batch.schema.get_field_index(name)
        if place < 0:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.names)}")
        values = self[name] = values_of(self.batch.column(place))
        return values


class Record(Mapping[str, Any]):
    """One row, read only: `flight.month` or `flight["month"]`, `dict(flight)`, `{**flight, "late": True}`.

    A column whose name is a method of mappings (`keys`, `values`, `items`, `get`) is reached by `[…]`.
    """

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: Columns, row: int) -> None:
        self._columns = columns
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._row]

    def __getattr__(self, name: str) -> Any:
        """Called only for what is no attribute: a column whose name is no identifier, or a mistake."""
        try:
            return self._columns[name][self._row]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)

    def __contains__(self, name: object) -> bool:
        return name in self._columns.names

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def is_of(self, columns: Columns) -> bool:
        """Say whether it is a row of this very batch."""
        return self._columns is columns

    def row_number(self) -> int:
        """Return its place in the batch, from 0."""
        return self._row


@lru_cache(maxsize=SCHEMAS_KEPT_MAX)
def _record_class(names: tuple[str, ...]) -> type[Record]:
    """Make a class with a property for each column: four times as fast as `__getattr__`."""

    def reader(name: str) -> Callable[[Record], Any]:
        return lambda record: record._columns[name][record._row]  # noqa: SLF001 - it is a method

    members: dict[str, Any] = {
        name: property(reader(name))
        for name in names
        if name.isidentifier() and not hasattr(Record, name)
    }
    return type("Record", (Record,), {"__slots__": (), **members})


def dicts_of(columns: Columns) -> list[dict[str, Any]]:
    """Return the rows as dicts, for a function that says it wants such: all columns are turned to Python values."""
    values = [columns[name] for name in columns.names]
    return [dict(zip(columns.names, row, strict=True)) for row in zip(*values, strict=True)]


def records_of(columns: Columns) -> list[Record]:
    kind = _record_class(columns.names)
    return [kind(columns, row) for row in range(columns.batch.num_rows)]


def _widened(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of `kind` come back from Python."""
    types = pa.types
    if types.is_integer(kind):
        return kind if types.is_uint64(kind) else pa.int64()
    if types.is_floating(kind):
        return pa.float64()
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if types.is_decimal(kind):
        return pa.decimal128(DECIMAL_DIGITS, kind.scale)
    return kind


def rows_taken(batch: pa.RecordBatch, rows: Sequence[int]) -> pa.RecordBatch:
    """Return these rows of the batch, in the types that rows made in Python would have."""
    schema = pa.schema([pa.field(field.name, _widened(field.type)) for field in batch.schema])
    kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows, pa.int64()))
    columns = [column.cast(field.type) for column, field in zip(kept.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def batch_of_rows(
    rows: Sequence[Mapping[str, Any]], *, like: pa.Schema, what: str
) -> pa.RecordBatch:
    """Make a batch of the rows; columns in the order in which they first appear, a missing value is nothing.

    `like` is the input's schema: a column of the same name keeps its kind of time, decimal or text. Raises Refused.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return batch_of_columns(
        {name: [row.get(name) for row in rows] for name in names}, like=like, what=what
    )


def batch_of_columns(
    columns: Mapping[str, Iterable[Any]], *, like: pa.Schema, what: str
) -> pa.RecordBatch:
    """Make a batch of columns of Python values (or Arrow arrays) of one length. Raises Refused."""
    arrays = []
    for name, values in columns.items():
        if not isinstance(name, str):
            raise Refused(
                f"{what}: a column's name is {name!r}, not text",
                code="step_returned",
                hint="names of columns are strings",
            )
        place = like.get_field_index(name)
        hint = _widened(like.field(place).type) if place >= 0 else None
        arrays.append(_array(name, values, hint=hint, what=what))
    lengths = {name: len(array) for name, array in zip(columns, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise Refused(
            f"{what}: columns of different lengths ({told})",
            code="step_returned",
            hint="every column holds one value for each row",
        )
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _array(name: str, values: Iterable[Any], *, hint: pa.DataType | None, what: str) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    values = list(values)
    if hint is not None:
        try:
            return pa.array(values, type=hint)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass  # The step made something else of the column; what, is found below.
    try:
        inferred = pa.array(values)
        return inferred.cast(_widened(inferred.type))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        first_line = str(error).partition("\n")[0]
        raise Refused(
            f"{what}: column {name!r} cannot be made of these values: {first_line}",
            code="step_returned",
            hint="a column holds values of one type (numbers, text, dates …) or None",
        ) from error
