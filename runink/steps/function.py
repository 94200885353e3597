"""Steps that are Python functions: called a record, a batch, a stream or an input at a time.

    each      is given                            gives
    record    one record (a dict, if it says so)  a dict or record; None drops it; a list or generator of dicts gives several
    batch     one batch, no memory of others      a batch (or several from a generator)
    stream    an iterator of batches              an iterator of batches: it is a generator function, usually
    input     the whole input as one table        a table

Side inputs come whole, by name.  A step without an input is called once and gives a table (or, by `stream`, batches, by `record`, records).
Everything here is a generator over batches: nothing is read before the next batch is asked for.

The first batch that holds no rows is passed on only if no other comes, so that an empty input still has its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from runink.dag import Each, Function
from runink.errors import Refused
from runink.pipes.batch import Batch
from runink.pipes.plain import BATCH_ROWS_MAX
from runink.steps.records import Columns, Record, batch_of_rows, dicts_of, records_of, rows_taken
from runink.steps.schemas import one_schema
from runink.steps.shapes import (
    TABULAR,
    Shape,
    annotations_of,
    given,
    record_shape,
    shape_of,
    side_default,
    taken,
    unusable,
)

NOTHING: Final = pa.schema([])  # what a step without an input may compare its output to
_RECORD_HINT: Final = "return a dict (or the record), None to drop it, or a list of dicts"
_STREAM_HINT: Final = (
    "a step with each='stream' yields batches: for batch in batches: yield changed(batch)"
)


@dataclass(frozen=True, slots=True)
class Call:
    """A function bound to its side inputs, and what it wants for a first argument. `what` names it in messages."""

    function: Callable[..., Any]
    each: Each
    what: str
    shape: Shape
    sides: dict[str, Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments, **self.sides)


def bind(
    function: Callable[..., Any], spec: Function, *, sides: Mapping[str, pa.Table], what: str
) -> Call:
    """Return the function with its side inputs as its annotations ask for them. Raises Refused if it wants what there is not."""
    if not (spec.takes_input or spec.parameters or sides):
        return Call(function, spec.each, what, Shape.TABLE, {})  # it is given nothing of any shape
    annotations = annotations_of(function)
    names = list(annotations)
    first = annotations[names.pop(0)] if spec.takes_input and names else ""
    shape = _main_shape(first, spec.each, what)
    missing = [name for name in spec.parameters if name not in sides]
    unknown = [name for name in sides if name not in names]
    if missing or unknown:
        told = f"wants {', '.join(missing)}" if missing else f"has no argument {', '.join(unknown)}"
        raise Refused(
            f"{what} {told}; its side inputs are {', '.join(sides) or 'none'}",
            code="step_sides",
            hint="name each side input's source as the argument: @source(…, as=NAME)",
        )
    default = side_default(shape)
    wanted = {
        name: shape_of(annotations[name], default=default, what=f"{what}, argument {name},")
        for name in sides
    }
    return Call(
        function, spec.each, what, shape, {name: given(sides[name], wanted[name]) for name in sides}
    )


def _main_shape(annotation: str, each: Each, what: str) -> Shape:
    if each is Each.RECORD:
        return record_shape(annotation, what=what)
    default = Shape.TABLE if each is Each.INPUT else Shape.RECORD_BATCH
    return shape_of(annotation, default=default, stream=each is Each.STREAM, what=what)


def run_function(call: Call, stream: Iterable[Batch] | None, *, origin: str) -> Iterator[Batch]:
    """Run the function over the stream (nothing for a step without an input) and yield its output, numbered as rows of `origin`."""
    if stream is None:
        output = _generated(call)
    else:
        run = _RUNS[call.each]
        output = run(call, with_rows(stream))
    yield from numbered(one_schema(output, call.what), origin)


def with_rows(stream: Iterable[Batch]) -> Iterator[Batch]:
    """Leave out batches without rows; if there are no others, the first of them comes at the end."""
    empty: Batch | None = None
    seen = False
    for batch in stream:
        if batch.data.num_rows:
            seen = True
            yield batch
        elif empty is None:
            empty = batch
    if not seen and empty is not None:
        yield empty


def numbered(output: Iterable[pa.RecordBatch], origin: str) -> Iterator[Batch]:
    """Give batches their place in the output of `origin`: behind a step, rows are no longer rows of a file."""
    row = 0
    for data in output:
        yield Batch(data, origin, row)
        row += data.num_rows


def whole(stream: Iterable[Batch], *, what: str) -> pa.Table:
    """Read a stream to its end; one without any batch is a table without columns. Raises Refused if its schema changes."""
    batches = list(one_schema((batch.data for batch in stream), what))
    return pa.Table.from_batches(batches) if batches else pa.table({})


def _by_record(call: Call, stream: Iterator[Batch]) -> Iterator[pa.RecordBatch]:
    made: Callable[[Columns], Sequence[Any]]
    made = dicts_of if call.shape is Shape.COLUMNS else records_of
    for batch in stream:
        columns = Columns(batch.data)
        rows: list[Mapping[str, Any]] = []
        for record in made(columns):
            rows.extend(_rows_of(call(record), call.what))
            if len(rows) >= BATCH_ROWS_MAX:
                yield _packed(rows, columns, call.what)
                rows = []
        yield _packed(rows, columns, call.what)


def _rows_of(value: Any, what: str) -> Iterable[Mapping[str, Any]]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return (value,)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise unusable(value, what, hint=_RECORD_HINT)
    rows = list(value)
    for row in rows:
        if not isinstance(row, Mapping):
            raise unusable(row, f"{what}, among several records,", hint=_RECORD_HINT)
    return rows


def _packed(rows: list[Mapping[str, Any]], columns: Columns, what: str) -> pa.RecordBatch:
    """Make a batch; records handed on as they came are taken from their batch, without a detour through Python."""
    places = [row.row_number() for row in rows if isinstance(row, Record) and row.is_of(columns)]
    if len(places) == len(rows):
        return rows_taken(columns.batch, places)
    return batch_of_rows(rows, like=columns.batch.schema, what=what)


def _by_batch(call: Call, stream: Iterator[Batch]) -> Iterator[pa.RecordBatch]:
    for batch in stream:
        value = call(given(batch.data, call.shape))
        if isinstance(value, Iterator):
            for part in value:
                yield from taken(part, like=batch.data.schema, what=call.what)
        else:
            yield from taken(value, like=batch.data.schema, what=call.what)


def _by_stream(call: Call, stream: Iterator[Batch]) -> Iterator[pa.RecordBatch]:
    feed = _Feed(stream, call.shape)
    for part in _iterator(call(feed), call.what):
        yield from taken(part, like=feed.schema, what=call.what)


class _Feed(Iterator[Any]):
    """The iterator that a stream function reads. It is no generator, so a function that stops early cannot close what is behind."""

    def __init__(self, stream: Iterator[Batch], shape: Shape) -> None:
        self._stream = stream
        self._shape = shape
        self.schema = NOTHING

    def __next__(self) -> Any:
        batch = next(self._stream)
        self.schema = batch.data.schema
        return given(batch.data, self._shape)


def _iterator(value: Any, what: str) -> Iterator[Any]:
    if isinstance(value, str | bytes | Mapping | pa.Table | pa.RecordBatch):
        raise unusable(value, what, hint=_STREAM_HINT)
    if not isinstance(value, Iterable) or hasattr(value, "to_arrow"):
        raise unusable(value, what, hint=_STREAM_HINT)
    return iter(value)


def _by_input(call: Call, stream: Iterator[Batch]) -> Iterator[pa.RecordBatch]:
    table = whole(stream, what=f"the input of {call.what}")
    yield from taken(call(given(table, call.shape)), like=table.schema, what=call.what)


def _generated(call: Call) -> Iterator[pa.RecordBatch]:
    value = call()
    if call.each is Each.RECORD:
        if value is None or isinstance(value, Mapping):
            raise unusable(value, call.what, hint="yield dicts, or return a list of them")
        rows: list[Mapping[str, Any]] = []
        for item in _iterator(value, call.what):
            rows.extend(_rows_of(item, call.what))
            if len(rows) >= BATCH_ROWS_MAX:
                yield batch_of_rows(rows, like=NOTHING, what=call.what)
                rows = []
        yield batch_of_rows(rows, like=NOTHING, what=call.what)
    elif not isinstance(value, TABULAR) and isinstance(value, Iterator):
        for part in value:
            yield from taken(part, like=NOTHING, what=call.what)
    elif call.each is Each.STREAM:
        raise unusable(value, call.what, hint=_STREAM_HINT)
    else:
        yield from taken(value, like=NOTHING, what=call.what)


_RUNS: Final[dict[Each, Callable[[Call, Iterator[Batch]], Iterator[pa.RecordBatch]]]] = {
    Each.RECORD: _by_record,
    Each.BATCH: _by_batch,
    Each.STREAM: _by_stream,
    Each.INPUT: _by_input,
}
