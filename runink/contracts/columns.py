"""One field of a contract, ready to check whole columns of it: plain values here, records and lists in `nested.py`.

A null is `missing`, unless the field may hold nothing (it stays null) or has a default (it becomes that).  A value of the wrong type has that one reason;
a value of the right type has one for each rule that it breaks.  A column that is of its type already is handed on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import plain
from runink.contracts.coercion import coerce
from runink.contracts.fields import Coercion, FieldSpec
from runink.contracts.reasons import Broken
from runink.contracts.rules import Rule
from runink.contracts.spots import Spot

Taken = tuple[pa.Array, list[Broken]]


class Column(Protocol):
    """A field's column: `default` is what stands in for a null or a missing column, if anything does."""

    @property
    def field(self) -> FieldSpec: ...
    @property
    def type(self) -> pa.DataType: ...
    @property
    def default(self) -> pa.Scalar | None: ...
    def check(self, source: pa.Array, spot: Spot, around: pa.Array | None = None) -> Taken:
        """Return the column in its type (of use where no reason is) and what is broken in it; `around` is where the record around it is there at all."""


def filled(column: Column, length: int) -> pa.Array:
    """Return what a missing column holds."""
    default = pa.scalar(None, column.type) if column.default is None else column.default
    return pa.repeat(default, length)


def missing(column: Column, source: pa.Array, around: pa.Array | None) -> pa.Array | None:
    """Say where nothing stands and something must."""
    if column.field.nullable or column.default is not None or not source.null_count:
        return None
    mask = source.is_null()
    if around is not None:
        mask = pc.and_(mask, around)
    return mask if mask.true_count else None


@dataclass(frozen=True, slots=True)
class Plain:
    """A field of plain values. `hides` if no message may show them."""

    field: FieldSpec
    type: pa.DataType
    default: pa.Scalar | None
    rules: tuple[Rule, ...]
    coercion: Coercion
    hides: bool

    def check(self, source: pa.Array, spot: Spot, around: pa.Array | None = None) -> Taken:
        source = plain(source)
        coerced = coerce(source, self.field.kind, self.type, self.coercion)
        values = coerced.values
        nothing = missing(self, source, around)
        failures = [] if nothing is None else [("missing", nothing)]
        failures += [(one.rule, one.mask) for one in coerced.failures]
        failures += [(one.rule, one.mask) for rule in self.rules for one in rule(values)]
        broken = [
            Broken(self.field, rule, mask, source, values, spot, self.hides)
            for rule, mask in failures
        ]
        if source.null_count and self.default is not None and not self.field.nullable:
            # What has failed stays nothing: it must not be taken for the default by a rule over the row.
            values = pc.if_else(source.is_null(), self.default, values)
        # Whole numbers that do not fit are in rows that are rejected: nothing is lost by cutting them.
        return (values if values.type == self.type else values.cast(self.type, safe=False)), broken
