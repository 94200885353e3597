"""Values that break one rule of a field, and which rule that is: candidates near everything that the field says are put to the contract's own check.

    candidate                                        for
    nothing                                          missing
    a word, a day that there is not, 25 o'clock      type
    one beyond each bound, the bound where it is open    ge, gt, le, lt
    a number with more digits, or more behind the point  overflow, digits, scale
    half of what it must be a multiple of            multiple_of
    nan, inf                                         finite
    a text one too short, one too long               min_length, max_length
    a text of the pattern with something in it       pattern, format
    what is not among the choices                    choices
    a record or a list with one such value in it     the same, of `address.zip` or `items[].price`

They are checked in the form in which they will be read: as text where the output is CSV, as values where it has types.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa

from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.contracts.synthesis_texts import Make
from runink.contracts.text_patterns import Chance
from runink.contracts.values import comparable, digits_of

VALUES_MAX: Final = 20  # that break one rule, used in turn
SAMPLES: Final = 5  # ordinary values that candidates are made from
LENGTH_MAX: Final = 100_000  # of a text that is too long


class Form(Enum):
    """How rows will be read: TEXT has no types, VALUES has JSON's, TYPED one type a column."""

    TEXT = "text"
    VALUES = "values"
    TYPED = "typed"

    def holds(self, value: Any, nulls: frozenset[str]) -> bool:
        """Say whether the value is read back as what it is: an empty text is nothing in a file of texts, like those in `nulls`, and JSON has no nan."""
        match self:
            case Form.TEXT if not isinstance(value, dict | list):
                return value is None or text_of(value) not in {"", *nulls}
            case Form.TEXT | Form.VALUES:  # records and lists stand in a file of texts as JSON
                return _is_json(value)
            case _:
                return True


def _is_json(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_json, value.values()))
        case list():
            return all(map(_is_json, value))
        case _:
            return True


class Reading(Protocol):
    """How rows will be read: a part of what is wished for."""

    @property
    def form(self) -> Form: ...
    @property
    def nulls(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Broken:
    """One rule and what breaks it: values of its field, or whole rows where the rule is over several. `column` is the field's."""

    field: str
    rule: str
    column: str = ""
    values: tuple[pa.Array, ...] = ()
    rows: tuple[pa.RecordBatch, ...] = ()

    def row(self, ordinary: pa.RecordBatch, turn: int) -> pa.RecordBatch:
        """Return a row that breaks the rule, as like the ordinary one as can be. `turn` chooses among several ways."""
        if self.rows:
            return self.rows[turn % len(self.rows)]
        value = self.values[turn % len(self.values)]
        place = ordinary.schema.get_field_index(self.column)
        return ordinary.set_column(place, self.column, value)


def mistakes_of(
    spec: ContractSpec, field: FieldSpec, make: Make, reading: Reading, chance: Chance
) -> list[Broken]:
    """Return one way for each rule of the field that can be broken; values that break nothing else where there are some."""
    plan = compile_plan(msgspec.structs.replace(spec, fields=(field,), key=(), rules=()))
    samples = [one for one in make(SAMPLES * 4, chance) if one is not None][:SAMPLES]
    alone: dict[tuple[str, str], list[pa.Array]] = {}
    beside: dict[tuple[str, str], list[pa.Array]] = {}
    for value in candidates_of(field, samples):
        column = _column(field, value, reading)
        if column is None:
            continue
        rejected = plan.check(pa.record_batch([column], names=[field.name])).rejected
        reasons = rejected.reasons.to_pylist()[0] if rejected is not None else []
        for reason in reasons:
            found = (alone if len(reasons) == 1 else beside).setdefault(
                (reason["field"], reason["rule"]), []
            )
            if len(found) < VALUES_MAX:
                found.append(column)
    return [
        Broken(path, rule, field.name, values=tuple(values))
        for (path, rule), values in sorted((beside | alone).items())
    ]


def _column(field: FieldSpec, value: Any, reading: Reading) -> pa.Array | None:
    """Return the value as a column of one row, as it will be read; nothing where the form cannot hold it."""
    form = reading.form
    if not form.holds(value, reading.nulls):
        return None
    kind = pa.int64() if field.kind is Kind.INT else physical_type(field)
    is_nested = field.kind in (Kind.RECORD, Kind.LIST)
    if form is Form.TEXT:
        if is_nested and value is not None:
            return None
        return pa.array([None if value is None else text_of(value)], pa.string())
    try:
        return pa.array([value], kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if form is Form.TYPED:
            return None
    try:
        return pa.array([value])
    except (pa.ArrowException, OverflowError):
        return None


def text_of(value: Any) -> str:
    """Return a value as its text in a file."""
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.decode("latin-1")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


# Candidates.


def candidates_of(field: FieldSpec, samples: Sequence[Any]) -> Iterator[Any]:
    """Yield values that may break a rule of the field. `samples` are some that do not."""
    yield None
    match field.kind:
        case Kind.RECORD:
            yield from _record_candidates(field, samples)
            return
        case Kind.LIST:
            yield from _list_candidates(field, samples)
            return
        case Kind.STR | Kind.BYTES:
            yield from _text_candidates(field, samples)
        case Kind.BOOL:
            yield "maybe"
        case Kind.DATE | Kind.DATETIME | Kind.TIME:
            yield from ("soon", "2024-02-30", "25:61:00")
        case _:
            yield from ("many", "1.2.3", "9" * 25)
    for name in ("ge", "gt", "le", "lt"):
        bound = getattr(field, name)
        if bound is not None:
            yield from _beyond(comparable(field.kind, bound), 1 if name.startswith("l") else -1)
    yield from _number_candidates(field, samples)
    if field.choices:
        choices = [comparable(field.kind, one) for one in field.choices]
        yield from (after for one in choices for after in _beyond(one, 1))


def _beyond(bound: Any, sign: int) -> Iterator[Any]:
    """Yield the bound, and values behind it."""
    yield bound
    try:
        match bound:
            case bool():
                return
            case int():
                yield from (bound + sign, bound + 10 * sign)
            case float():
                yield from (bound + sign, bound + 0.5 * sign)
            case Decimal():
                yield from (bound + sign, bound + Decimal("0.5") * sign)
            case datetime():
                yield from (bound + timedelta(seconds=sign), bound + timedelta(days=400 * sign))
            case date():
                yield from (bound + timedelta(days=sign), bound + timedelta(days=400 * sign))
            case time():
                moved = datetime.combine(date(2000, 1, 2), bound) + timedelta(seconds=sign)
                yield from (moved.time(),)
            case str():
                yield f"{bound}?"
    except OverflowError:
        return  # the calendar ends there


def _number_candidates(field: FieldSpec, samples: Sequence[Any]) -> Iterator[Any]:
    match field.kind:
        case Kind.FLOAT:
            yield from (math.nan, math.inf)
        case Kind.DECIMAL:
            digits, scale = digits_of(field)
            yield Decimal(10) ** max(digits - scale, 0)
            yield Decimal((0, (1,), -(scale + 1)))
            yield from (one + Decimal((0, (5,), -(scale + 1))) for one in samples)
    if field.multiple_of is not None:
        step = Fraction(str(field.multiple_of))
        for one in samples:
            match field.kind:
                case Kind.INT:
                    yield one + 1
                case Kind.FLOAT:
                    yield one + float(step / 2)
                case _:
                    yield one + Decimal((0, (1,), -digits_of(field)[1]))


def _text_candidates(field: FieldSpec, samples: Sequence[Any]) -> Iterator[Any]:
    filler: Any = b"x" if field.kind is Kind.BYTES else "x"
    usual = samples[0] if samples else filler
    for length in (field.min_length, field.max_length):
        if length is not None and 0 < length < LENGTH_MAX:
            stretched = usual * (length // max(len(usual), 1) + 2)
            yield from (stretched[: length - 1], stretched[: length + 1])
            yield from (filler * (length - 1), filler * (length + 1))
    if field.kind is Kind.STR:
        for one in samples:
            yield from (
                f"{one}?",
                f"\u00a7{one}",
                one[:-1],
                one.swapcase(),
                one[::-1],
                f"{one} {one}",
            )
        yield from ("?", "x", "not so")


def _record_candidates(field: FieldSpec, samples: Sequence[Any]) -> Iterator[Any]:
    for sample in samples[:1]:
        for inner in field.fields:
            own = sample[inner.name]
            for bad in candidates_of(inner, [] if own is None else [own]):
                yield {**sample, inner.name: bad}


def _list_candidates(field: FieldSpec, samples: Sequence[Any]) -> Iterator[Any]:
    longest: list[Any] = max(samples, key=len, default=[])
    if field.min_length:
        yield longest[: field.min_length - 1]
    if field.max_length is not None and longest and field.max_length < LENGTH_MAX:
        yield (longest * (field.max_length + 1))[: field.max_length + 1]
    if field.items is not None and longest:
        own = [one for one in longest if one is not None]
        yield from ([bad, *longest[1:]] for bad in candidates_of(field.items, own))
