"""Fields made into columns that check: the tree of a contract's fields, with the policy and the privacy that each has from what is around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.columns import Column, Plain
from runink.contracts.fields import Coercion, FieldSpec, Kind
from runink.contracts.nested import List, Record
from runink.contracts.physical import physical_type
from runink.contracts.rules import Rule, rules_of
from runink.contracts.spots import Spot
from runink.contracts.values import comparable
from runink.expressions.patterns import PatternError


def column_of(field: FieldSpec, around: Coercion, *, hides: bool = False) -> Column:
    """Return the column of a field; `around` is the policy where it states none, `hides` if it is inside of what is not for everybody.

    Raises PatternError if a pattern is not RE2, or if the default breaks it.
    """
    policy = around if field.coercion is None else field.coercion
    hides = hides or field.is_marked
    kind = physical_type(field)
    match field.kind:
        case Kind.RECORD:
            columns = tuple(column_of(inner, policy, hides=hides) for inner in field.fields)
            return Record(field, kind, None, columns, hides)
        case Kind.LIST:
            assert field.items is not None, "a list says what it holds"
            items = column_of(field.items, policy, hides=hides)
            return List(field, kind, None, items, _rules(field), hides)
        case _:
            column = Plain(field, kind, _default(field, kind), _rules(field), policy, hides)
            _check_default(column)
            return column


def _rules(field: FieldSpec) -> tuple[Rule, ...]:
    try:
        return rules_of(field)
    except pa.ArrowInvalid as error:
        text = f"pattern {field.pattern!r} of {field.name} cannot be read: {error}"
        raise PatternError(text, 0) from None


def _default(field: FieldSpec, kind: pa.DataType) -> pa.Scalar | None:
    if field.default is None:
        return None
    return pa.scalar(comparable(field.kind, field.default), kind)


def _check_default(column: Plain) -> None:
    """Look at what only RE2 can tell for sure: whether the default matches the pattern. All else was looked at when the class was made."""
    field = column.field
    if column.default is None or field.pattern is None:
        return
    (matches,) = rules_of(FieldSpec(field.name, field.kind, pattern=field.pattern))
    if matches(pa.array([field.default], column.type)):
        text = f"the default {field.default!r} of {field.name} breaks its own pattern"
        raise PatternError(text, 0)


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique field, and the way to it through records."""

    field: FieldSpec
    spot: Spot
    way: tuple[str, ...]
    hides: bool

    def column(self, batch: pa.RecordBatch) -> pa.Array:
        first, *rest = self.way
        column = batch.column(first)
        return pc.struct_field(column, rest) if rest else column


def uniques(fields: Iterable[FieldSpec]) -> tuple[Unique, ...]:
    """Return the unique fields, those inside records as well."""
    return tuple(_uniques(fields, None, (), hides=False))


def _uniques(
    fields: Iterable[FieldSpec], around: Spot | None, way: tuple[str, ...], *, hides: bool
) -> Iterable[Unique]:
    for field in fields:
        spot = Spot.column(field.name) if around is None else around.member(field.name)
        here, hidden = (*way, field.name), hides or field.is_marked
        if field.unique:
            yield Unique(field, spot, here, hidden)
        yield from _uniques(field.fields, spot, here, hides=hidden)
