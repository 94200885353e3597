"""Records of JSON looked at one by one: which fields do not fit their types, and the same records with those as text.

Slow (about 500,000 records a second), so it is done only with a block that Arrow has refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import pyarrow as pa

_WIDE: Final = re.compile(rb"[0-9]{17}")
_INTEGER: Final = re.compile(rb"-?[0-9]+")
_INT64: Final = range(-(1 << 63), 1 << 63)
_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that is not what its field holds, or (without a field) a record that is none. `place` is the record's in its block."""

    place: int
    field: str
    text: bytes
    why: str


def has_wide_integer(text: memoryview | bytes) -> bool:
    """Say whether there are numbers that a double may not hold exactly."""
    return _WIDE.search(text) is not None


def misfits(
    records: Iterable[tuple[int, bytes]], schema: pa.Schema, *, wide: Collection[str] = ()
) -> list[str]:
    """Return the fields that hold a value of another kind than their type, or than their first value if they have none. Raises ValueError for a record that is no object.

    In fields named by `wide`, integers that are no int64 do not fit either.
    """
    kinds = {field.name: _kind_of_type(field.type) for field in schema}
    found: dict[str, None] = {}
    for _, text in records:
        for name, raw in _fields(text):
            kind = _kind(raw)
            if kind == "null":
                continue
            expected = kinds.setdefault(name, _loose(kind))
            if not _fits(kind, raw, expected) or (name in wide and _is_wide(raw)):
                found[name] = None
    return list(found)


def first_misfit(
    records: Iterable[tuple[int, bytes]], schema: pa.Schema | None, *, allows_more: bool
) -> Misfit | None:
    """Return the first thing that does not fit, or nothing. Without a schema, the first value of each field says what fits."""
    types = {} if schema is None else {field.name: field.type for field in schema}
    kinds = {name: _kind_of_type(kind) for name, kind in types.items()}
    for place, text in records:
        try:
            fields = list(_fields(text))
        except ValueError as error:
            return Misfit(place, "", text, str(error))
        for name, raw in fields:
            kind = _kind(raw)
            if types and name not in types and not allows_more:
                return Misfit(place, name, raw, "the first rows had no such field")
            if kind == "null":
                continue
            expected = kinds.setdefault(name, _loose(kind))
            if expected != "string" and not _fits(kind, raw, expected):
                was = str(types[name]) if name in types else expected
                return Misfit(place, name, raw, f"in the rows before it was {was} throughout")
    return None


def as_text(
    records: Iterable[tuple[int, bytes]], schema: pa.Schema, *, nested: bool = False
) -> bytes:
    """Return the records as JSON lines, with what is text by the schema as strings that hold what stood there; `nested` makes strings of all lists and objects, too."""
    texts = {field.name for field in schema if pa.types.is_string(field.type)}
    lines: list[bytes] = []
    for _, text in records:
        pairs = []
        for name, raw in _fields(text):
            kind = _kind(raw)
            is_text = name in texts and kind not in ("string", "null")
            is_text = is_text or (nested and kind in ("object", "array"))
            value = msgspec.json.encode(raw.decode()) if is_text else raw
            pairs.append(msgspec.json.encode(name) + b":" + value)
        lines.append(b"{" + b",".join(pairs) + b"}")
    return b"\n".join(lines) + b"\n"


def _fields(text: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        for name, raw in _DECODER.decode(text).items():
            yield name, bytes(raw)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _kind(raw: bytes) -> str:
    match raw[:1]:
        case b'"':
            return "string"
        case b"{":
            return "object"
        case b"[":
            return "array"
        case b"t" | b"f":
            return "boolean"
        case b"n":
            return "null"
        case _:
            return "integer" if _INTEGER.fullmatch(raw) else "number"


def _loose(kind: str) -> str:
    """Return what fits a field whose type nobody has said."""
    return "number" if kind == "integer" else kind


def _kind_of_type(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind):
        return "number"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_struct(kind):
        return "object"
    return "array" if types.is_list(kind) else "string"


def _fits(kind: str, raw: bytes, expected: str) -> bool:
    if kind == "integer":
        return expected == "number" or (expected == "integer" and int(raw) in _INT64)
    return kind == expected


def _is_wide(raw: bytes) -> bool:
    return bool(_INTEGER.fullmatch(raw)) and int(raw) not in _INT64
