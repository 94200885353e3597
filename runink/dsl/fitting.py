"""Whether rows that keep one contract can pass another: what is known before any row is there.

    misfit    no row can pass, or a column is not there that must be: a mistake
    doubt     some rows may be rejected: worth a note

A misfit is only told where it is sure.  Rows of a contract hold its fields and no others, in its types; between them may be a file, and what a
file keeps of a type decides with the reader's coercion: CSV keeps text, JSON some types, Parquet and Arrow all.  What the writer's rules say of
several fields at once is not looked at, nor are patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.dag import Format
from runink.suggestions import near

DOUBTS_MAX: Final = 5  # in one note: more are not read
_NUMBERS: Final = frozenset({Kind.INT, Kind.FLOAT, Kind.DECIMAL})
_TEXT: Final = frozenset({Kind.STR, Kind.BYTES})

# Which kinds a value may have had to be taken as one of this kind: as Arrow, and by what its text is in a CSV file.
_TYPED: Final = {
    Kind.INT: _NUMBERS | {Kind.STR},
    Kind.FLOAT: _NUMBERS | {Kind.STR},
    Kind.DECIMAL: _NUMBERS | {Kind.STR},
    Kind.BOOL: frozenset({Kind.BOOL, Kind.STR}),
    Kind.STR: _TEXT,
    Kind.BYTES: _TEXT,
    Kind.DATE: frozenset({Kind.DATE, Kind.DATETIME, Kind.STR}),
    Kind.DATETIME: frozenset({Kind.DATE, Kind.DATETIME, Kind.STR}),
    Kind.TIME: frozenset({Kind.TIME, Kind.STR}),
    Kind.RECORD: _TEXT | {Kind.RECORD},
    Kind.LIST: _TEXT | {Kind.LIST},
}
_WRITTEN: Final = {
    Kind.INT: _NUMBERS | _TEXT,
    Kind.FLOAT: _NUMBERS | _TEXT,
    Kind.DECIMAL: _NUMBERS | _TEXT,
    Kind.BOOL: _TEXT | {Kind.BOOL},
    Kind.STR: frozenset(Kind) - {Kind.RECORD, Kind.LIST},
    Kind.BYTES: frozenset(Kind) - {Kind.RECORD, Kind.LIST},
    Kind.DATE: _TEXT | {Kind.DATE, Kind.DATETIME},
    Kind.DATETIME: _TEXT | {Kind.DATE, Kind.DATETIME},
    Kind.TIME: _TEXT | {Kind.TIME},
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why no row passes: which field, in words, and what to do."""

    field: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    misfits: tuple[Misfit, ...]
    doubts: tuple[str, ...]

    def doubted(self) -> str:
        """Return the doubts in one sentence's end; nothing where there are none."""
        left = len(self.doubts) - DOUBTS_MAX
        more = f", and {left} more" if left > 0 else ""
        return ", ".join(self.doubts[:DOUBTS_MAX]) + more


def fit(
    writer: ContractSpec,
    reader: ContractSpec,
    *,
    by: Format | None = None,
    on_drift: OnDrift = OnDrift.NOTE,
) -> Fit:
    """Say how rows that keep `writer` pass `reader`.

    `by` is the format of the file between them, nothing where they stay in memory. An edge that evolves does without fields that may hold nothing.
    """
    given = {field.name: field for field in writer.fields}
    misfits: list[Misfit] = []
    doubts: list[str] = []
    for wanted in reader.fields:
        field = given.get(wanted.name)
        if field is None:
            if not (wanted.has_default or (wanted.nullable and on_drift is OnDrift.EVOLVE)):
                text = f"{writer.name} has no field {wanted.name}"
                hint = near(wanted.name, given) or (
                    f"add it to {writer.name}, or give it a default in {reader.name}"
                )
                misfits.append(Misfit(wanted.name, text, hint))
            continue
        if by is not None and field.mask:
            continue  # a sink may write something else in its place
        policy = wanted.coercion or reader.coercion
        why = "" if policy is Coercion.LENIENT else _kinds(field, wanted, by)
        why = why or _values(field, wanted)
        is_optional = field.nullable or _may_vanish(field, by)
        if why and not (is_optional and (wanted.nullable or wanted.has_default)):
            misfits.append(Misfit(wanted.name, f"{wanted.name} is {why}"))
        elif why:
            doubts.append(f"{wanted.name} is {why}, so only rows without it pass")
        elif is_optional and not wanted.nullable and not wanted.has_default:
            doubts.append(f"{wanted.name} may be missing")
        elif doubt := _may_leave(field, wanted):
            doubts.append(f"{wanted.name} {doubt}")
    return Fit(tuple(misfits), tuple(doubts))


def _may_vanish(field: FieldSpec, by: Format | None) -> bool:
    """Say whether a value may be there before a file and nothing behind it: JSON has no word for nan and infinity."""
    return field.allow_inf_nan and by in {Format.JSON, Format.JSONL}


def _kinds(field: FieldSpec, wanted: FieldSpec, by: Format | None) -> str:
    """Say why no value of the field's kind is one of the wanted kind."""
    ours, theirs = field.kind, wanted.kind
    if ours is theirs or (by is not None and {ours, theirs} & {Kind.RECORD, Kind.LIST}):
        return ""
    taken = _TYPED.get(theirs, frozenset({theirs}))
    match by:
        case Format.CSV:
            taken = _WRITTEN.get(theirs, taken)
        case Format.JSON | Format.JSONL:  # some types stay, the others are text
            taken |= _WRITTEN.get(theirs, taken)
        case _:
            pass
    return "" if ours in taken else f"{_a(ours)} there and {_a(theirs)} here"


def _a(kind: Kind) -> str:
    return f"{'an' if kind.value[0] in 'aeiou' else 'a'} {kind.value}"


# What values may be.


@dataclass(frozen=True, slots=True)
class _Range:
    """Bounds of comparable values; nothing where there is none."""

    low: Any = None
    high: Any = None
    is_open_below: bool = False
    is_open_above: bool = False

    def holds(self, value: Any) -> bool:
        below = self.low is not None and (
            value < self.low or (self.is_open_below and value == self.low)
        )
        above = self.high is not None and (
            value > self.high or (self.is_open_above and value == self.high)
        )
        return not (below or above)

    def is_apart_from(self, other: _Range) -> bool:
        return _is_below(self, other) or _is_below(other, self)

    def leaves(self, other: _Range) -> bool:
        """Say whether it holds values that the other does not."""
        low = other.low is not None and (
            self.low is None
            or self.low < other.low
            or (self.low == other.low and other.is_open_below and not self.is_open_below)
        )
        high = other.high is not None and (
            self.high is None
            or self.high > other.high
            or (self.high == other.high and other.is_open_above and not self.is_open_above)
        )
        return low or high

    def __str__(self) -> str:
        below = (
            "" if self.low is None else f"{'above' if self.is_open_below else 'from'} {self.low}"
        )
        above = (
            "" if self.high is None else f"{'below' if self.is_open_above else 'up to'} {self.high}"
        )
        return " ".join(filter(None, (below, above))) or "anything"


def _is_below(one: _Range, other: _Range) -> bool:
    if one.high is None or other.low is None:
        return False
    is_open = one.is_open_above or other.is_open_below
    return bool(one.high < other.low or (is_open and one.high == other.low))


def _values(field: FieldSpec, wanted: FieldSpec) -> str:
    """Say why no value that the field may hold is one that is wanted."""
    if not _is_alike(field.kind, wanted.kind) or (field.allow_inf_nan and wanted.allow_inf_nan):
        return ""
    ours, theirs = _range(field), _range(wanted)
    said, asked = _choices(field), _choices(wanted)
    if said and asked:
        if not set(said) & set(asked):
            return f"one of {_told(said)} there and one of {_told(asked)} here"
    elif said and theirs is not None and not any(map(theirs.holds, said)):
        return f"one of {_told(said)} there and {theirs} here"
    elif asked and ours is not None and not any(map(ours.holds, asked)):
        return f"{ours} there and one of {_told(asked)} here"
    elif not said and not asked and ours and theirs and ours.is_apart_from(theirs):
        return f"{ours} there and {theirs} here"
    lengths, wished = _lengths(field), _lengths(wanted)
    if field.kind is wanted.kind and lengths.is_apart_from(wished):
        return f"of lengths {lengths} there and {wished} here"
    return ""


def _may_leave(field: FieldSpec, wanted: FieldSpec) -> str:
    """Say why some values of the field may not be wanted."""
    if not _is_alike(field.kind, wanted.kind):
        return f"is {_a(field.kind)} there and {_a(wanted.kind)} here"
    said, asked = _choices(field), _choices(wanted)
    if asked:
        others = [one for one in said if one not in asked]
        if others or not said:
            return f"may be {_told(others)}" if others else f"may be none of {_told(asked)}"
        return ""
    ours, theirs = _range(field), _range(wanted)
    if theirs is None or ours is None:
        return ""
    if said:
        others = [one for one in said if not theirs.holds(one)]
        return f"may be {_told(others)}" if others else ""
    if ours.leaves(theirs):
        return f"is {ours} there and {theirs} here"
    if field.kind is wanted.kind and not said and _lengths(field).leaves(_lengths(wanted)):
        return f"is of lengths {_lengths(field)} there and {_lengths(wanted)} here"
    return ""


def _is_alike(ours: Kind, theirs: Kind) -> bool:
    """Say whether values of both kinds are compared as they are."""
    return ours is theirs or {ours, theirs} <= {Kind.INT, Kind.DECIMAL}


def _range(field: FieldSpec) -> _Range | None:
    """Return the field's bounds as comparable values; nothing where they cannot be had."""
    low = field.ge if field.gt is None else field.gt
    high = field.le if field.lt is None else field.lt
    try:
        return _Range(
            None if low is None else _comparable(low, field.kind),
            None if high is None else _comparable(high, field.kind),
            field.gt is not None,
            field.lt is not None,
        )
    except (ValueError, InvalidOperation, TypeError):
        return None


def _comparable(value: Any, kind: Kind) -> Any:
    match kind:
        case Kind.INT | Kind.FLOAT | Kind.DECIMAL:
            return Decimal(str(value))
        case Kind.DATE:
            return date.fromisoformat(value)
        case Kind.DATETIME:
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found
        case Kind.TIME:
            return time.fromisoformat(value)
        case _:
            return value


def _choices(field: FieldSpec) -> tuple[Any, ...]:
    if field.kind in _NUMBERS:
        return tuple(Decimal(str(one)) for one in field.choices)
    return field.choices


def _lengths(field: FieldSpec) -> _Range:
    return _Range(field.min_length, field.max_length)


def _told(values: Iterable[Any]) -> str:
    listed = [str(one) for one in values]
    more = ", …" if len(listed) > DOUBTS_MAX else ""
    return ", ".join(listed[:DOUBTS_MAX]) + more
