"""What a table looks like, as a contract that each of its rows keeps: profile in, `ContractSpec` out, with what a person should look at beside it.

Types and whether a value may be missing are taken from the rows.  Everything that a sample cannot prove (bounds, choices, lengths, keys, personal data) is a hint: text
for people, which does not reject a row that nobody has seen yet.  `tight=True` takes choices and bounds as they were seen.

Columns of text are tried from the narrowest kind to the widest, by the plan that will check them later: so what is inferred is what is enforced.

    text               becomes
    12, -3             int, unless one begins with 0 or +: numbers of zip codes, accounts and telephones are text
    12.5, 1e-3         float; decimal for names of money with the same places behind each point
    true, false        bool
    2013-01-31         date; datetime with a time of day; time without a day
    NA, null, -        nothing, where all others of the column are of such a kind
    anything else      str, with a format where each value has it: uuid, email, ipv4, ipv6
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.formats import FORMATS
from runink.contracts.hints import choices_of, hints_of
from runink.contracts.plan import compile_plan

# Texts that stand for nothing in other people's files. The empty text is the source's own.
NOTHING: Final = ("NA", "N/A", "n/a", "NULL", "null", "None", "nan", "NaN", "-", "?", "\\N")
_CALENDAR: Final = (Kind.DATE, Kind.DATETIME, Kind.TIME)
_TRIED: Final = (Kind.INT, Kind.FLOAT, Kind.BOOL, *_CALENDAR)
_LOOKS_LIKE: Final = {
    # What a value has to look like besides being taken for the kind: a plan takes more than a person would guess.
    Kind.INT: r"^\s*(?:0|-?[1-9][0-9]*)(?:\.0*)?\s*$",
    Kind.FLOAT: r"^\s*(?:-?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?inf)\s*$",
    Kind.BOOL: r"^(?i:true|false)$",
    Kind.DATE: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    Kind.DATETIME: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*$",
    Kind.TIME: r"^[0-9]{2}:[0-9]{2}(?::.*)?$",
}
_FORMATS: Final = ("uuid", "email", "ipv4", "ipv6")
_FORMED_MIN: Final = 3  # different values: two that look alike prove nothing
_MONEY: Final = re.compile(
    r"price|amount|cost|fee|total|balance|salary|revenue|payment|tax|fare", re.IGNORECASE
)
_FIXED: Final = re.compile(r"-?[0-9]+\.([0-9]+)")
_MONEY_DIGITS: Final = 18  # as databases have it for money, wherever the point stands
_MONEY_PLACES_MAX: Final = 6
_LOOKED_AT: Final = 1_000  # values that a kind is tried on before it is tried on all


@dataclass(frozen=True, slots=True)
class Inferred:
    """A contract, hints by column, and the texts that stand for nothing (to be named at the source as `nulls`)."""

    spec: ContractSpec
    hints: dict[str, tuple[str, ...]]
    nulls: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class _Guess:
    kind: Kind
    said: dict[str, Any] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()


def infer(table: pa.Table, name: str, *, is_text: bool, tight: bool = False) -> Inferred:
    """Return the contract of a table. `is_text` says that its columns come from a format that has text only (CSV)."""
    columns = {one: _whole(table.column(one)) for one in table.column_names if one}
    guesses = {one: _guess(values, one, is_text=is_text) for one, values in columns.items()}
    # What stands for nothing is said once for a whole source, so it holds for columns of text as well.
    nulls = tuple(sorted({word for guess in guesses.values() if guess for word in guess.nulls}))
    fields: list[FieldSpec] = []
    hints: dict[str, tuple[str, ...]] = {}
    left_out = ["a column without a name is left out"] if "" in table.column_names else []
    for column, guess in guesses.items():
        values = columns[column]
        if nulls and pa.types.is_string(values.type):
            values = _without(values, nulls)
        spec = None if guess is None else _field(column, guess, values)
        if spec is None:
            left_out.append(
                f"{column} is left out: no contract holds {columns[column].type} like this"
            )
            continue
        if tight:
            spec = msgspec.structs.replace(spec, choices=choices_of(spec, values))
        fields.append(spec)
        hints[column] = hints_of(spec, values)
    return Inferred(ContractSpec(name, "1.0.0", tuple(fields)), hints, nulls, tuple(left_out))


def _field(name: str, guess: _Guess, values: pa.Array) -> FieldSpec | None:
    return _kept(FieldSpec(name, guess.kind, nullable=values.null_count > 0, **guess.said), values)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, of a plain type."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _guess(values: pa.Array, name: str, *, is_text: bool) -> _Guess | None:
    """Return what the values are, or nothing for what no contract holds."""
    types, kind = pa.types, values.type
    if types.is_string(kind):
        return _text(values, name, is_text=is_text)
    if types.is_null(kind):
        return _Guess(Kind.STR)
    if types.is_struct(kind):
        return _record(values, is_text=is_text)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list(values, name, is_text=is_text)
    if types.is_decimal(kind):
        return _decimal(kind)
    if types.is_floating(kind):
        finite = pc.all(pc.is_finite(values.cast(pa.float64()))).as_py()
        return _Guess(Kind.FLOAT, {} if finite in (True, None) else {"allow_inf_nan": True})
    for is_of, found in (
        (types.is_boolean, Kind.BOOL),
        (types.is_integer, Kind.INT),
        (types.is_date, Kind.DATE),
        (types.is_timestamp, Kind.DATETIME),
        (types.is_time, Kind.TIME),
        (types.is_binary, Kind.BYTES),
        (types.is_large_binary, Kind.BYTES),
        (types.is_fixed_size_binary, Kind.BYTES),
    ):
        if is_of(kind):
            return _Guess(found)
    return None


def _record(values: pa.Array, *, is_text: bool) -> _Guess | None:
    there = values.drop_null()
    found: list[FieldSpec] = []
    for place, inner in enumerate(values.type):
        column = there.field(place) if len(there) else pa.nulls(0, inner.type)
        guess = _guess(column, inner.name, is_text=is_text)
        if guess is None:
            return None
        nullable = column.null_count > 0 or not len(there)
        spec = _kept(FieldSpec(inner.name, guess.kind, nullable=nullable, **guess.said), column)
        if spec is None:
            return None
        found.append(spec)
    return _Guess(Kind.RECORD, {"fields": tuple(found)}) if found else None


def _list(values: pa.Array, name: str, *, is_text: bool) -> _Guess | None:
    items = pc.list_flatten(values)
    guess = _guess(items, name, is_text=is_text)
    if guess is None:
        return None
    spec = _field("item", guess, items)
    return None if spec is None else _Guess(Kind.LIST, {"items": spec})


def _decimal(kind: pa.DataType) -> _Guess | None:
    if kind.precision > 38 or not 0 <= kind.scale <= kind.precision:  # decimal128 holds 38 digits
        return _Guess(Kind.FLOAT)
    return _Guess(Kind.DECIMAL, {"digits": kind.precision, "scale": kind.scale})


def _text(values: pa.Array, name: str, *, is_text: bool) -> _Guess:
    """Return what a column of text holds; text of a format that has numbers is no number."""
    there = values.drop_null()
    if not len(there):
        return _Guess(Kind.STR)
    distinct = pc.unique(there)
    words = pc.is_in(distinct, pa.array(NOTHING if is_text else (), pa.string()))
    rest = distinct.filter(pc.invert(words))
    if len(rest):
        for kind in _TRIED if is_text else _CALENDAR:
            if _are(rest, kind):
                nulls = tuple(distinct.filter(words).to_pylist())
                return _number(rest, name, _Guess(kind, nulls=nulls))
    return _formed(distinct)


def _are(values: pa.Array, kind: Kind) -> bool:
    """Say whether all values are of the kind."""
    for some in (values.slice(0, _LOOKED_AT), values):
        if not pc.all(pc.match_substring_regex(some, _LOOKS_LIKE[kind])).as_py():
            return False
        if not _keeps(FieldSpec("x", kind, allow_inf_nan=kind is Kind.FLOAT), some):
            return False
    return True


def _keeps(spec: FieldSpec, values: pa.Array) -> bool:
    plan = compile_plan(ContractSpec("Inferred", "1.0.0", (spec,)))
    return plan.check(pa.record_batch([values], [spec.name])).rejected is None


def _number(values: pa.Array, name: str, guess: _Guess) -> _Guess:
    """Return a decimal for what is written as money is."""
    if guess.kind is not Kind.FLOAT:
        return guess
    texts = values.to_pylist()
    if any("inf" in text for text in texts):
        guess.said["allow_inf_nan"] = True
        return guess
    places = {len(match[1]) if (match := _FIXED.fullmatch(text)) else 0 for text in texts}
    if _MONEY.search(name) and len(places) == 1 and 0 < max(places) <= _MONEY_PLACES_MAX:
        said: dict[str, Any] = {"digits": _MONEY_DIGITS, "scale": max(places)}
        if _keeps(FieldSpec("x", Kind.DECIMAL, **said), values):
            return _Guess(Kind.DECIMAL, said, guess.nulls)
    return guess


def _formed(distinct: pa.Array) -> _Guess:
    if len(distinct) >= _FORMED_MIN:
        for form in _FORMATS:
            if _keeps(FieldSpec("x", Kind.STR, pattern=FORMATS[form]), distinct):
                return _Guess(Kind.STR, {"format": form})
    return _Guess(Kind.STR)


def _without(values: pa.Array, nulls: tuple[str, ...]) -> pa.Array:
    """Return the values with nothing where one of these texts stands."""
    return pc.if_else(pc.is_in(values, pa.array(nulls)), pa.scalar(None, values.type), values)


def _kept(spec: FieldSpec, values: pa.Array) -> FieldSpec | None:
    """Return the field if its own rows keep it, else one that takes more, or nothing if none does."""
    wider = (
        spec,
        FieldSpec(spec.name, Kind.DECIMAL, nullable=spec.nullable, digits=20, scale=0),  # uint64
        FieldSpec(spec.name, Kind.STR, nullable=spec.nullable),
    )
    return next((one for one in wider if _keeps(one, values)), None)
