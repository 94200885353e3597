"""A value that one version of a contract takes and another rejects: what makes a breaking change believable.

Values near all that either field says of itself are tried, in the form in which the first version gives them out, by the check that runs.  So a witness is never wrong; there is
none where nothing was found. Of a rule a few values of each field that it names are tried together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any, Final

import pyarrow as pa
from msgspec.structs import replace

from runink.contracts.changes import Change, Sort
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.contracts.values import comparable
from runink.errors import Refused
from runink.expressions import names_in

RULE_FIELDS_MAX: Final = 3  # of a rule that is tried, with so many values each
RULE_VALUES_MAX: Final = 16
RULE_ROWS_MAX: Final = 5_000
_STEPS: Final = re.compile(r"[^.\[\]]+|\[\]")  # of a path: lines[].price
_FREE: Final = {"ge": None, "gt": None, "le": None, "lt": None, "pattern": None, "format": "", "choices": (), "min_length": None, "max_length": None, "multiple_of": None}  # fmt: skip
_TEXTS: Final = ("", "a", "A", "0", "a b", "ä")
_FLAT: Final = frozenset(set(Kind) - {Kind.RECORD, Kind.LIST})


@dataclass(frozen=True, slots=True)
class Witness:
    """A row, as far as it matters, and why the reading version rejects it. Of a column that is missing there is nothing to show: `row` is empty then."""

    row: dict[str, Any]
    reasons: tuple[str, ...]


def witness(change: Change, writer: ContractSpec, reader: ContractSpec) -> Witness | None:
    """Return a row that was written under one version and that the other rejects because of this change, if one is found."""
    if change.sort is Sort.RULE:
        return _of_rule(change, writer, reader)
    steps = _STEPS.findall(change.path)
    fields = [next((one for one in spec.fields if steps and one.name == steps[0]), None) for spec in (writer, reader)]  # fmt: skip
    theirs, ours = fields
    if ours is None:
        return None
    if len(steps) == 1 and (theirs is None or (change.sort is Sort.OPTIONALITY and theirs.has_default)):  # fmt: skip
        found = _missing(ours)
        if found is not None or theirs is None:
            return found
    if theirs is None:
        return None
    narrowed = _narrowed(theirs, ours, steps[1:])
    if narrowed is None:
        return None
    # Another field's rules are not what is looked for, and a rule may name fields that are not here.
    one, other = (
        replace(spec, fields=(field,), key=(), rules=())
        for spec, field in ((writer, narrowed.theirs), (reader, narrowed.ours))
    )
    return _tried(one, other, {one.fields[0].name: narrowed.values})


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """Two versions of a field with nothing in it but the way to what has changed, and values to try."""

    theirs: FieldSpec
    ours: FieldSpec
    values: list[Any]


def _narrowed(theirs: FieldSpec, ours: FieldSpec, steps: list[str]) -> _Narrowed | None:
    """Follow a path into records and lists; nothing if it leads nowhere in one of the two."""
    if not steps:
        is_flat = theirs.kind in _FLAT
        return _Narrowed(theirs, ours, list(_values(theirs, ours))) if is_flat else None
    if steps[0] == "[]":
        if theirs.items is None or ours.items is None:
            return None
        inner = _narrowed(theirs.items, ours.items, steps[1:])
        if inner is None:
            return None
        bare = {"min_length": None, "max_length": None}
        return _Narrowed(
            replace(theirs, items=inner.theirs, **bare),
            replace(ours, items=inner.ours, **bare),
            [[value] for value in inner.values],
        )
    pair = [next((one for one in field.fields if one.name == steps[0]), None) for field in (theirs, ours)]  # fmt: skip
    if pair[0] is None or pair[1] is None:
        return None
    inner = _narrowed(pair[0], pair[1], steps[1:])
    if inner is None:
        return None
    return _Narrowed(
        replace(theirs, fields=(inner.theirs,)),
        replace(ours, fields=(inner.ours,)),
        [{steps[0]: value} for value in inner.values],
    )


def _of_rule(change: Change, writer: ContractSpec, reader: ContractSpec) -> Witness | None:
    """Try rows of the fields that the reader's rule names, in all combinations of a few values."""
    rule = next((one for one in reader.rules if one.name == change.what), None)
    if rule is None:
        return None
    names = sorted({name.partition(".")[0] for name in names_in(rule.expression)})
    pairs = {
        one.name: (one, other)
        for one in writer.fields
        for other in reader.fields
        if one.name == other.name and one.name in names
    }
    if len(pairs) != len(names) or not 0 < len(names) <= RULE_FIELDS_MAX:
        return None
    if any(field.kind not in _FLAT for pair in pairs.values() for field in pair):
        return None
    rules = tuple(one for one in writer.rules if names_in(one.expression) <= set(names))
    rows = list(
        islice(
            product(*(list(_values(*pair))[:RULE_VALUES_MAX] for pair in pairs.values())),
            RULE_ROWS_MAX,
        )
    )
    columns = dict(zip(pairs, ([row[at] for row in rows] for at in range(len(pairs))), strict=True))
    one = replace(writer, fields=tuple(pair[0] for pair in pairs.values()), key=(), rules=rules)
    bare = [replace(pair[1], **_FREE) for pair in pairs.values()]
    other = replace(reader, fields=tuple(bare), key=(), rules=(rule,))
    return _tried(one, other, columns)


def _missing(field: FieldSpec) -> Witness | None:
    """A row without the column is refused where the field has no default."""
    return None if field.has_default else Witness({}, (f"{field.name} is not there",))


def _tried(
    writer: ContractSpec, reader: ContractSpec, values: dict[str, list[Any]]
) -> Witness | None:
    columns = [_column(values[field.name], field) for field in writer.fields]
    batch = pa.record_batch(columns, names=[field.name for field in writer.fields])
    if not batch.num_rows:
        return None
    try:
        taken = compile_plan(writer).check(batch).good
        rejected = compile_plan(reader).check(taken).rejected
    except Refused as error:
        return Witness({}, (error.text,))
    if rejected is None:
        return None
    row = taken.slice(rejected.rows[0].as_py(), 1).to_pylist()[0]
    reasons = rejected.reasons[0].as_py()
    return Witness(row, tuple(reason["message"] for reason in reasons))


def _column(values: list[Any], field: FieldSpec) -> pa.Array:
    """Return the values in the field's type; nothing stands in for one that it does not hold."""
    kind = physical_type(field)
    fitting = []
    for value in values:
        try:
            fitting.append(pa.scalar(value, kind).as_py())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError, ValueError):
            fitting.append(None)  # another kind's bound, or one beyond what this type holds
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
