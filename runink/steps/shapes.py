"""What a function is given and may return, by its annotation: Arrow to frames and back.

    annotation                          given as
    (none), pa.RecordBatch              Arrow record batch             what batches and streams are by default
    pa.Table                            Arrow table                    what inputs and side inputs are by default
    pl.DataFrame, pl.LazyFrame          Polars frame                   side inputs too, where the first argument is one
    dict, dict[str, list]               columns: name to values
    list, list[dict]                    records

    annotation, by each="record"        given as
    dict, dict[str, Any]                a dict of its own, which it may change
    (none), Mapping, any other          a record (`records.py`): read only, and a column costs nothing before it is asked for

Annotations are read by their text, because a file with `from __future__ import annotations` has nothing else and may import its types
for the type checker only.  Polars is imported when the first function wants it, and never before: it starts threads.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import FunctionType
from typing import Any, Final

import pyarrow as pa

from runink.errors import Refused
from runink.pipes.plain import BATCH_ROWS_MAX, pieces
from runink.steps.records import Columns, batch_of_columns, batch_of_rows, records_of
from runink.steps.schemas import check_names

_ITERATORS: Final = re.compile(
    r"^(?:[\w.]*\.)?(?:Iterator|Iterable|Generator)\[(?P<item>[^,]+).*\]$"
)
MAY_BE: Final = (
    "polars.DataFrame, polars.LazyFrame, pyarrow.RecordBatch, pyarrow.Table, dict or list"
)
MAY_RETURN: Final = "return a polars.DataFrame, a pyarrow.RecordBatch or Table, a dict of columns or a list of records"


TABULAR: Final = (pa.RecordBatch, pa.Table)


class Shape(Enum):
    """What Arrow data is turned into for a function."""

    RECORD_BATCH = "pyarrow.RecordBatch"
    TABLE = "pyarrow.Table"
    POLARS = "polars.DataFrame"
    LAZY = "polars.LazyFrame"
    COLUMNS = "dict"
    RECORDS = "list"


_SHAPES: Final = {  # by the last part of the name
    "RecordBatch": Shape.RECORD_BATCH,
    "Table": Shape.TABLE,
    "DataFrame": Shape.POLARS,
    "LazyFrame": Shape.LAZY,
    "dict": Shape.COLUMNS,
    "Dict": Shape.COLUMNS,
    "Mapping": Shape.COLUMNS,
    "list": Shape.RECORDS,
    "List": Shape.RECORDS,
}


def annotations_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the text of each parameter's annotation, in order; an empty text where there is none."""
    if type(function) is FunctionType and not function.__dict__:
        # As inspect would find them, which every slice had 50 pages copied for.
        told = function.__annotations__
        return {name: _text_of(told.get(name, "")) for name in _parameters_of(function)}
    return {
        name: "" if parameter.annotation is parameter.empty else _text_of(parameter.annotation)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def _text_of(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _parameters_of(function: FunctionType) -> tuple[str, ...]:
    """Return the names of its parameters in the order in which they stand in its head."""
    code = function.__code__
    named = code.co_argcount
    by_name = named + code.co_kwonlyargcount
    rest = by_name + bool(code.co_flags & inspect.CO_VARARGS)
    every = rest + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    names = code.co_varnames  # those that gather what is left stand behind the others there
    return names[:named] + names[by_name:rest] + names[named:by_name] + names[rest:every]


def shape_of(annotation: str, *, default: Shape, stream: bool = False, what: str = "") -> Shape:
    """Return the shape that an annotation asks for; of a `stream`, the shape of its items. Raises Refused."""
    text = annotation.strip().strip("'\"")
    if stream:
        match = _ITERATORS.match(text)
        if match is None and text.rpartition(".")[2] not in {"", "Any", "Iterator", "Iterable"}:
            raise Refused(
                f"{what} is given an iterator of batches, its annotation says {annotation}",
                code="step_annotation",
                hint="annotate it as Iterator[…] of what a batch shall be, or say each='batch'",
            )
        text = match["item"].strip() if match else ""
    if text in {"", "Any", "typing.Any", "object"}:
        return default
    bare = text.partition("[")[0]
    shape = _SHAPES.get(bare.rpartition(".")[2])
    if shape is None or bare.startswith(("pd.", "pandas.")):
        raise Refused(
            f"{what} asks for {annotation}, which a step cannot be given",
            code="step_annotation",
            hint=f"annotate it as {MAY_BE}",
        )
    return shape


def record_shape(annotation: str, *, what: str) -> Shape:
    """Return COLUMNS where one record is wanted as a dict, else RECORDS: what is unknown here may be a class that describes it. Raises Refused."""
    bare = annotation.strip().strip("'\"").partition("[")[0].rpartition(".")[2]
    match _SHAPES.get(bare):
        case None:
            return Shape.RECORDS
        case Shape.COLUMNS:
            return Shape.RECORDS if bare == "Mapping" else Shape.COLUMNS
        case _:
            raise Refused(
                f"{what} is given one record at a time, its annotation says {annotation}",
                code="step_annotation",
                hint="annotate it as dict, or say each='batch'",
            )


def side_default(main: Shape) -> Shape:
    """Side inputs without an annotation follow the first argument's library."""
    return Shape.POLARS if main in {Shape.POLARS, Shape.LAZY} else Shape.TABLE


def given(data: pa.RecordBatch | pa.Table, shape: Shape) -> Any:
    """Turn Arrow data into what the function wants."""
    match shape:
        case Shape.TABLE:
            return pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
        case Shape.RECORD_BATCH:
            return _one_batch(data)
        case Shape.POLARS:
            return _polars(data)
        case Shape.LAZY:
            return _polars(data).lazy()
        case Shape.COLUMNS:
            columns = Columns(_one_batch(data))
            return {name: columns[name] for name in columns.names}
        case Shape.RECORDS:
            return list(records_of(Columns(_one_batch(data))))


def _one_batch(data: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
    if isinstance(data, pa.RecordBatch):
        return data
    columns = [column.combine_chunks() for column in data.columns]
    return pa.RecordBatch.from_arrays(columns, schema=data.schema)


def _polars(data: pa.RecordBatch | pa.Table) -> Any:
    import polars as pl  # noqa: PLC0415 - only for a function that wants it

    return pl.from_arrow(data) if data.num_columns else pl.DataFrame()


def taken(value: Any, *, like: pa.Schema, what: str) -> Iterator[pa.RecordBatch]:
    """Turn what a function returned into plain batches of bounded size. Raises Refused where it is nothing of the kind."""
    if isinstance(value, TABULAR):
        check_names(value.schema.names, what)
        yield from pieces(value)
    elif _library(value) == "polars":
        yield from _from_polars(value, what)
    elif isinstance(value, Mapping):
        yield from pieces(batch_of_columns(value, like=like, what=what))
    elif isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        yield from pieces(batch_of_rows(value, like=like, what=what))
    else:
        raise unusable(value, what)


def unusable(value: Any, what: str, *, hint: str = MAY_RETURN) -> Refused:
    """The error for a value that is no data; `hint` says what would be."""
    came = "nothing (None)" if value is None else f"a {type(value).__module__}.{_name(value)}"
    if _library(value) == "pandas":
        hint = "pandas is not supported: return polars.from_pandas(frame) or pyarrow.Table.from_pandas(frame)"
    return Refused(
        f"{what} returned {came.replace('builtins.', '')}", code="step_returned", hint=hint
    )


def _name(value: Any) -> str:
    return type(value).__qualname__


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _from_polars(value: Any, what: str) -> Iterator[pa.RecordBatch]:
    import polars as pl  # noqa: PLC0415 - whoever returns a Polars frame has imported it

    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if not isinstance(value, pl.DataFrame):
        raise unusable(value, what)
    # Cut in Polars: a slice of one large Arrow string column would carry all of its bytes along.
    for cut in value.iter_slices(BATCH_ROWS_MAX) if value.height else [value]:
        yield from pieces(cut.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks())
