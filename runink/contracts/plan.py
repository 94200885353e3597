"""A contract compiled to one plan over pyarrow.compute: batches go in, rows that keep it come out, the others with all their reasons.

The rules for whole columns, decided once:

- Columns are found by name. Those that the contract does not name are dropped; the order is the contract's.
- A missing column of a field with a default is filled with it. Without one the batch is refused: every one of its rows would be rejected for the
  same reason, which is a mistake about the input and not about rows. (An empty batch without columns is an empty batch.)
- A null is `missing`, unless the field may hold nothing (it stays null) or has a default (it becomes that).
- What a value is taken for is in `scalars.py`: text and typed input go by the same rules. A value of the wrong type has that one reason; a
  value of the right type has one for each rule that it breaks.
- A row with a reason is rejected whole and kept as it came.

A plan has no state: batches may be checked in any order. Figures on one core stand in `bench/contracts.py`.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from functools import reduce
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import plain
from runink.contracts.coercion import coerce
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.contracts.physical import column_types, may_hold_hexadecimal, physical_schema
from runink.contracts.reasons import Broken, Rejected, rejected
from runink.contracts.rules import Rule, rules_of
from runink.contracts.values import comparable
from runink.errors import Invalid, Refused

__all__ = ["Checked", "Plan", "Rejected", "column_types", "compile_plan", "may_hold_hexadecimal"]

COLUMNS_SHOWN_MAX: Final = 20  # of an input that lacks some: a longer list is not read


@dataclass(frozen=True, slots=True)
class Checked:
    """`good` has the plan's schema; `rejected` is nothing where every row is good."""

    good: pa.RecordBatch
    rejected: Rejected | None


@dataclass(frozen=True, slots=True)
class Column:
    """One field, ready to check: `default` is what stands in for a null or a missing column, if anything does."""

    field: FieldSpec
    type: pa.DataType
    default: pa.Scalar | None
    rules: tuple[Rule, ...]

    def check(self, source: pa.Array) -> tuple[pa.Array, list[Broken]]:
        """Return the column in its type (of use where no reason is) and what is broken in it."""
        source = plain(source)
        coerced = coerce(source, self.field.kind, self.type)
        values = coerced.values
        failures = [*self._missing(source), *((one.rule, one.mask) for one in coerced.failures)]
        failures += [(one.rule, one.mask) for rule in self.rules for one in rule(values)]
        broken = [Broken(self.field, rule, mask, source, values) for rule, mask in failures]
        if source.null_count and self.default is not None and not self.field.nullable:
            values = pc.fill_null(values, self.default)
        # Whole numbers that do not fit are in rows that are rejected: nothing is lost by cutting them.
        return (values if values.type == self.type else values.cast(self.type, safe=False)), broken

    def _missing(self, source: pa.Array) -> list[tuple[str, pa.Array]]:
        """Say where nothing stands and something must."""
        if self.field.nullable or self.default is not None or not source.null_count:
            return []
        return [("missing", source.is_null())]


class Plan:
    """Checks batches against one contract. `schema` is what comes out, `fingerprint` names the contract on a pipe."""

    def __init__(self, spec: ContractSpec, columns: tuple[Column, ...]) -> None:
        self.spec = spec
        self.schema: pa.Schema = physical_schema(spec)
        self.fingerprint: str = spec.hash
        self._columns = columns

    def check(self, batch: pa.RecordBatch) -> Checked:
        """Return the good rows and the rejected ones. Raises Refused if the batch lacks a column or has one twice."""
        values: list[pa.Array] = []
        broken: list[Broken] = []
        for column, source in zip(self._columns, self._sources(batch), strict=True):
            checked, reasons = column.check(source)
            values.append(checked)
            broken += reasons
        good = pa.RecordBatch.from_arrays(values, schema=self.schema)
        if not broken:
            return Checked(good, None)
        bad = reduce(pc.or_, (one.mask for one in broken))
        return Checked(good.filter(pc.invert(bad)), rejected(batch, broken))

    def _sources(self, batch: pa.RecordBatch) -> list[pa.Array]:
        places = [batch.schema.get_field_index(column.field.name) for column in self._columns]
        if min(places, default=0) >= 0:
            return [batch.column(place) for place in places]
        self._check_columns(batch)
        return [
            batch.column(place) if place >= 0 else self._filled(column, batch.num_rows)
            for column, place in zip(self._columns, places, strict=True)
        ]

    def _filled(self, column: Column, rows: int) -> pa.Array:
        default = pa.scalar(None, column.type) if column.default is None else column.default
        return pa.repeat(default, rows)

    def _check_columns(self, batch: pa.RecordBatch) -> None:
        if not batch.num_columns and not batch.num_rows:
            return
        came = batch.schema.names
        whose = f"{self.spec.name} {self.spec.version}"
        counts = Counter(came)
        twice = [column.field.name for column in self._columns if counts[column.field.name] > 1]
        if twice:
            raise Refused(
                f"the input of {whose} has two columns called {twice[0]!r}",
                code="contract_columns",
                hint="give one of them another name",
            )
        lacking = [
            column.field.name
            for column in self._columns
            if column.field.name not in counts and not column.field.has_default
        ]
        if lacking:
            raise self._lacks(lacking, came, whose)

    def _lacks(self, lacking: list[str], came: list[str], whose: str) -> Refused:
        names = ", ".join(lacking[:COLUMNS_SHOWN_MAX])
        has = ", ".join(came[:COLUMNS_SHOWN_MAX]) + (" …" if len(came) > COLUMNS_SHOWN_MAX else "")
        strays = [name for name in came if name not in self.schema.names]
        near = difflib.get_close_matches(lacking[0], strays, n=1)
        hint = f"is {near[0]!r} meant for {lacking[0]!r}? " if near else ""
        return Refused(
            f"the input of {whose} lacks {names}; it has {has}",
            code="contract_columns",
            hint=f"{hint}a field with a default (= None, say) may be missing from the input",
        )


def compile_plan(spec: ContractSpec) -> Plan:
    """Return the plan of a contract. Raises Invalid if a pattern is not RE2, which only Arrow can tell."""
    columns = []
    for field, kind in zip(spec.fields, physical_schema(spec).types, strict=True):
        try:
            columns.append(Column(field, kind, _default(field, kind), rules_of(field)))
        except pa.ArrowInvalid as error:
            raise Invalid(
                f"contract {spec.name}: pattern {field.pattern!r} of {field.name} cannot be read: {error}",
                code="contract_invalid",
                hint="patterns are RE2's: no look-arounds, no references back",
            ) from None
    return Plan(spec, tuple(columns))


def _default(field: FieldSpec, kind: pa.DataType) -> pa.Scalar | None:
    if field.default is None:
        return None
    return pa.scalar(comparable(field.kind, field.default), kind)
