"""Golden files: the rows that a sink must give, read and written whole, in a form that people can read and version.

    suffix             form                                                      nothing is
    .csv               header, comma, UTF-8; every column has the output's type  an empty field without quotes
    .jsonl, .ndjson    an object a line; a missing name is nothing               null
    .parquet           types as written                                          null

CSV and JSON lines do not know Arrow's types, so a column takes the type of the output's column of that name; one that the output does not
have stays what it looks like, and so does one with a value that does not fit: the comparison tells which.  A golden is written beside its place and renamed: it is whole or as it was.

One that is written anew stays as like the old one as can be, so that its change in version control is that of its rows: columns keep their
order, CSV without quotes stays without, and rows are sorted: by their key, then by all other columns.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from runink.contracts.expected import GOLDEN_ENDINGS
from runink.contracts.golden import has_nanoseconds, text_kind
from runink.errors import Invalid, NotFound, Refused
from runink.pipes.plain import plain
from runink.steps.records import values_of

GOLDEN_BYTES_MAX: Final = (
    64 << 20
)  # it is held whole, twice, and people have to read its differences
HEAD_BYTES_MAX: Final = 1 << 20  # of a first line
SUFFIXES: Final = GOLDEN_ENDINGS
_SPECIAL: Final = re.compile(r'[",\r\n]|^\s|\s$')
MAKE_IT: Final = "runi test --update writes it from this output; look at it before you commit it"


def read_golden(path: Path, *, shown: str, like: pa.Schema) -> pa.Table:
    """Return the file's rows in the types of `like`. Raises NotFound without the file, Invalid where it cannot be read.

    `shown` is how messages call it.
    """
    suffix = check_suffix(shown)
    body = _bytes(path, shown)
    try:
        match suffix:
            case ".csv":
                return _from_csv(body, shown, like)
            case ".parquet":
                return _plain(pa_parquet.read_table(pa.BufferReader(body)))
            case _:
                return _from_jsonl(body, shown, like)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(shown, str(error)) from None


def write_golden(
    path: Path, table: pa.Table, *, shown: str, key: Sequence[str], is_ordered: bool = False
) -> None:
    """Write the rows; sorted, unless their order counts.

    Raises Refused where the form does not know a column's type, and OSError.
    """
    suffix = check_suffix(shown)
    before = _head(path, suffix)
    known = [name for name in before.names if name in table.schema.names]
    table = table.select([*known, *(name for name in table.schema.names if name not in known)])
    try:
        ordered = table if is_ordered else _sorted(table, key)
        body = _bare_csv(ordered) if before.is_bare else _encoded(ordered, suffix)
    except (pa.ArrowException, TypeError) as error:
        raise Refused(
            f"{shown} cannot hold this output: {error}",
            code="golden_format",
            hint="call it .parquet, which knows every type, or .jsonl for lists and structs",
        ) from error
    if len(body) > GOLDEN_BYTES_MAX:
        raise _too_large(shown, len(body))
    _replace(path, body)


def check_suffix(shown: str) -> str:
    """Return the suffix that says the form. Raises Invalid for one that says none."""
    suffix = Path(shown).suffix.lower()
    if suffix not in SUFFIXES:
        raise Invalid(
            f"golden file {shown}: its name does not say what it is",
            code="golden_format",
            hint=f"let it end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
        )
    return suffix


# Reading.


def _bytes(path: Path, shown: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > GOLDEN_BYTES_MAX:
            raise _too_large(shown, size)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no golden file {shown}", code="golden_missing", hint=MAKE_IT
        ) from None
    except OSError as error:
        raise _unreadable(shown, error.strerror or str(error)) from None


def _from_csv(body: bytes, shown: str, like: pa.Schema) -> pa.Table:
    """Read everything as text first: a cast by column can name the column that will not."""
    if not body.strip():
        raise _unreadable(shown, "it is empty, without a header")
    names = pa_csv.read_csv(
        io.BytesIO(body), parse_options=_PARSE, convert_options=_texts(())
    ).column_names
    # In one column an empty line is a row of nothing.
    parse = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1)
    table = pa_csv.read_csv(io.BytesIO(body), parse_options=parse, convert_options=_texts(names))
    columns = [
        _cast(column, _type_of(name, like))
        for name, column in zip(names, table.columns, strict=True)
    ]
    return pa.table(columns, names=names)


_PARSE: Final = pa_csv.ParseOptions(newlines_in_values=True)


def _texts(names: Iterable[str]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _from_jsonl(body: bytes, shown: str, like: pa.Schema) -> pa.Table:
    try:
        rows = msgspec.json.Decoder(dict[str, Any]).decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(shown, str(error)) from None
    names = dict.fromkeys(name for row in rows for name in row) or dict.fromkeys(like.names)
    columns = [_typed([row.get(name) for row in rows], _type_of(name, like)) for name in names]
    return pa.table(columns, names=list(names))


def _typed(values: list[Any], kind: pa.DataType | None) -> pa.ChunkedArray:
    """Make a column of JSON's values; what Arrow does not take as it is (times, decimals) it takes as its text."""
    try:
        return pa.chunked_array([pa.array(values, kind)])
    except (pa.ArrowException, TypeError, ValueError):
        if kind is not None and pa.types.is_nested(kind):
            try:
                return pa.chunked_array([_nested(values, kind)])
            except (pa.ArrowException, AttributeError, TypeError, ValueError):
                pass  # of another shape, which the comparison tells
        texts = [
            value if value is None or isinstance(value, str) else str(value) for value in values
        ]
        return _cast(pa.chunked_array([pa.array(texts, pa.string())]), kind)


def _nested(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Make an array part by part, so that times and decimals within records and lists may stand as text."""
    there = [value for value in values if value is not None]
    mask = pa.array([value is None for value in values], pa.bool_())
    if pa.types.is_struct(kind):
        parts = [
            _nested([None if value is None else value.get(one.name) for value in values], one.type)
            for one in kind
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    if pa.types.is_list(kind):
        ends = accumulate((len(value or ()) for value in values), initial=0)
        items = _nested([item for value in there for item in value], kind.value_type)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items, type=kind, mask=mask)
    is_plain = kind == text_kind(kind) or not all(isinstance(value, str) for value in there)
    return pa.array(values, kind) if is_plain else pa.array(values, pa.string()).cast(kind)


def _type_of(name: str, like: pa.Schema) -> pa.DataType | None:
    place = like.get_field_index(name)
    return None if place < 0 else like.field(place).type


def _cast(column: pa.ChunkedArray, kind: pa.DataType | None) -> pa.ChunkedArray:
    """Bring the column to the output's type; where a value does not fit it stays text, and the comparison tells which."""
    if kind is None or column.type.equals(kind):
        return column
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _plain(table: pa.Table) -> pa.Table:
    batches = [plain(batch) for batch in table.to_batches()]
    return pa.Table.from_batches(batches) if batches else table


# Writing.


def _encoded(table: pa.Table, suffix: str) -> bytes:
    file = io.BytesIO()
    match suffix:
        case ".csv":
            pa_csv.write_csv(table, file)
        case ".parquet":
            pa_parquet.write_table(table, file)
        case _:
            encoder = msgspec.json.Encoder()
            for batch in table.to_batches():
                columns = [_listed(column) for column in batch.columns]
                rows = zip(*columns, strict=True)
                file.write(
                    encoder.encode_lines(
                        [dict(zip(table.schema.names, row, strict=True)) for row in rows]
                    )
                )
    return file.getvalue()


def _listed(column: pa.Array) -> list[Any]:
    """Return the values, with text for times of which Python has none: nanoseconds, years beyond 9999."""
    if not has_nanoseconds(column.type):
        try:
            return values_of(column)
        except (ValueError, OverflowError):
            pass
    return values_of(column.cast(text_kind(column.type)))


@dataclass(frozen=True, slots=True)
class _Head:
    """How a golden was written before: its columns, and whether it is CSV that quotes only what it must."""

    names: tuple[str, ...] = ()
    is_bare: bool = False


def _head(path: Path, suffix: str) -> _Head:
    """Return how the file that is to be replaced is written; nothing of one that is not there or cannot be read."""
    try:
        with path.open("rb") as file:
            match suffix:
                case ".parquet":
                    return _Head(tuple(pa_parquet.read_schema(file).names))
                case ".csv":
                    line = file.readline(HEAD_BYTES_MAX).decode()
                    names = next(csv.reader([line]), [])
                    return _Head(tuple(names), is_bare=bool(names) and not line.startswith('"'))
                case _:
                    return _Head(
                        tuple(msgspec.json.decode(file.readline(HEAD_BYTES_MAX), type=dict))
                    )
    except (OSError, ValueError, pa.ArrowException, csv.Error):
        return _Head()


def _sorted(table: pa.Table, key: Sequence[str]) -> pa.Table:
    """Sort by the key, then by all other columns, so that equal outputs give equal files; nested values by their JSON."""
    names = dict.fromkeys(
        [*(name for name in key if name in table.schema.names), *table.schema.names]
    )
    if not names:
        return table
    columns = [_sortable(table.column(name)) for name in names]
    places = [str(place) for place in range(len(columns))]
    keys = [(place, "ascending") for place in places]
    return table.take(pc.sort_indices(pa.table(columns, names=places), sort_keys=keys))


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_nested(column.type):
        return column
    values = column.cast(text_kind(column.type)).to_pylist()  # Python has no nanoseconds
    texts = [msgspec.json.encode(value, enc_hook=str).decode() for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _bare_csv(table: pa.Table) -> bytes:
    """Write CSV with quotes only where they are needed: an empty text has them, because an empty field is nothing."""
    columns = [
        [
            "" if text is None else _bare(text) if pa.types.is_string(column.type) else text
            for text in column.cast(pa.string()).to_pylist()
        ]
        for column in table.columns
    ]
    rows = [map(_bare, table.schema.names), *zip(*columns, strict=True)]
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _bare(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if not text or _SPECIAL.search(text) else text


def _replace(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    try:
        with aside.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _too_large(shown: str, size: int) -> Refused:
    return Refused(
        f"golden file {shown} has {size:,} bytes, more than {GOLDEN_BYTES_MAX:,}",
        code="golden_too_large",
        hint="compare fewer rows: let the scenario read a smaller input in its test",
    )


def _unreadable(shown: str, why: str) -> Invalid:
    return Invalid(
        f"golden file {shown} cannot be read: {why}",
        code="golden_unreadable",
        hint="mend it, or " + MAKE_IT,
    )
