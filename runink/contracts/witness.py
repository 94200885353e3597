"""A value that one version of a contract takes and another rejects: what makes a breaking change believable.

Values near all that either field says of itself are tried, in the form in which the first version gives them out, by the check that runs.  So a witness is never wrong; there is
none where nothing was found, and of rules, which are about several fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from msgspec.structs import replace

from runink.contracts.changes import Change, Sort
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.contracts.values import comparable
from runink.errors import Refused

_TEXTS: Final = ("", "a", "A", "0", "a b", "ä")
_FLAT: Final = frozenset(set(Kind) - {Kind.RECORD, Kind.LIST})


@dataclass(frozen=True, slots=True)
class Witness:
    """A row, as far as it matters, and why the reading version rejects it. A column that is missing stands as nothing in no row: `row` is empty then."""

    row: dict[str, Any]
    reasons: tuple[str, ...]


def witness(change: Change, writer: ContractSpec, reader: ContractSpec) -> Witness | None:
    """Return a row that was written under one version and that the other rejects because of this change, if one is found."""
    name = change.path.partition(".")[0].partition("[")[0]
    fields = [next((one for one in spec.fields if one.name == name), None) for spec in (writer, reader)]  # fmt: skip
    theirs, ours = fields
    if not name or ours is None or change.sort in (Sort.KEY, Sort.RULE):
        return None
    if theirs is None or (change.sort is Sort.OPTIONALITY and theirs.has_default):
        found = _missing(ours)
        if found is not None or theirs is None:
            return found
    if theirs.kind not in _FLAT:
        return None
    # Another field's rules are not what is looked for, and a rule may name fields that are not here.
    one, other = (
        replace(spec, fields=(field,), key=(), rules=())
        for spec, field in ((writer, theirs), (reader, ours))
    )
    return _tried(one, other, list(_values(theirs, ours)))


def _missing(field: FieldSpec) -> Witness | None:
    """A row without the column is refused where the field has no default."""
    return None if field.has_default else Witness({}, (f"{field.name} is not there",))


def _tried(writer: ContractSpec, reader: ContractSpec, values: list[Any]) -> Witness | None:
    field = writer.fields[0]
    column = _column(values, field)
    taken = compile_plan(writer).check(pa.record_batch([column], names=[field.name])).good
    try:
        rejected = compile_plan(reader).check(taken).rejected
    except Refused as error:
        return Witness({}, (error.text,))
    if rejected is None:
        return None
    row = taken.slice(rejected.rows[0].as_py(), 1).to_pylist()[0]
    reasons = rejected.reasons[0].as_py()
    return Witness(row, tuple(reason["message"] for reason in reasons))


def _column(values: list[Any], field: FieldSpec) -> pa.Array:
    """Return those values that the field's type holds."""
    kind = physical_type(field)
    fitting = []
    for value in values:
        try:
            fitting.append(pa.scalar(value, kind).as_py())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError, ValueError):
            continue  # another kind's bound, or one beyond what this type holds
    return pa.array(fitting, kind)


def _values(*fields: FieldSpec) -> Iterator[Any]:
    """Yield values near what the fields say, the simplest first."""
    yield None
    yield from _simple(fields[0].kind)
    for field in fields:
        for name in ("ge", "gt", "le", "lt", "default", "multiple_of"):
            said = getattr(field, name)
            if said is not None:
                yield from _near(comparable(field.kind, said))
        yield from field.choices
        for length in {field.min_length, field.max_length} - {None}:
            yield from _of_length(fields[0].kind, length)
        if field.kind is Kind.DECIMAL:
            digits, scale = field.digits or 0, field.scale or 0
            yield from (Decimal(1).scaleb(-scale), Decimal(10) ** max(digits - scale - 1, 0))


def _simple(kind: Kind) -> Iterable[Any]:
    match kind:
        case Kind.INT:
            return (0, 1, -1, 2, 3, 1 << 40)
        case Kind.FLOAT:
            return (0.5, 1.0, -1.0, float("inf"), float("nan"))
        case Kind.BOOL:
            return (True, False)
        case Kind.STR:
            return _TEXTS
        case Kind.BYTES:
            return (b"", b"a", b"\xff")
        case Kind.DECIMAL:
            return (Decimal(1), Decimal("0.1"), Decimal("0.01"))
        case Kind.DATE:
            return (date(2000, 1, 1),)
        case Kind.DATETIME:
            return (datetime(2000, 1, 1, 12, 30),)  # noqa: DTZ001 - its column says that it is UTC
        case _:
            return (time(0), time(23, 59, 59))


def _near(value: Any) -> Iterator[Any]:
    yield value
    try:
        match value:
            case bool() | str() | bytes() | time():
                return
            case datetime():
                yield from (value - timedelta(microseconds=1), value + timedelta(microseconds=1))
            case date():
                yield from (value - timedelta(days=1), value + timedelta(days=1))
            case Decimal():
                yield from (value - 1, value + 1, value - Decimal("0.01"), value + Decimal("0.01"))
            case _:
                yield from (value - 1, value + 1)
    except OverflowError:
        return  # there is nothing beyond it


def _of_length(kind: Kind, length: int | None) -> Iterator[Any]:
    for count in ((length or 0) - 1, length or 0, (length or 0) + 1):
        if 0 <= count <= 1 << 16:
            yield b"a" * count if kind is Kind.BYTES else "a" * count
            yield b"A" * count if kind is Kind.BYTES else "A" * count
