"""A contract compiled to one plan over pyarrow.compute: batches go in, rows that keep it come out, the others with all their reasons.

The rules for whole columns, decided once:

- Columns are found by name. Those that the contract does not name are dropped; the order is the contract's.
- A missing column of a field with a default is filled with it. Without one the batch is refused: every one of its rows would be rejected for the
  same reason, which is a mistake about the input and not about rows. (An empty batch without columns is an empty batch.)
- What a field takes for its values, and what of nothing, is in `columns.py`, `nested.py` and `scalars.py`: text and typed input go by the same rules.
- Rules over several fields look at what the fields were taken for; unique fields come last, because only good rows claim their values.
- A row with a reason is rejected whole and kept as it came.

A plan has no state: batches may be checked in any order. What unique fields have held is kept by who checks a whole run (`Plan.seen`). Figures on one core stand in `bench/contracts.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import without_nulls
from runink.contracts.columns import Column, filled
from runink.contracts.compiling import column_of, uniques
from runink.contracts.fields import ContractSpec
from runink.contracts.physical import column_types, may_hold_hexadecimal, physical_schema
from runink.contracts.reasons import Broken, Reason, Rejected, bad_rows, rejected
from runink.contracts.row_checks import row_rules
from runink.contracts.spots import Spot
from runink.contracts.uniqueness import Seen
from runink.errors import Invalid, Refused
from runink.expressions.patterns import PatternError
from runink.suggestions import nearest

__all__ = ["Checked", "Plan", "Rejected", "column_types", "compile_plan", "may_hold_hexadecimal"]

COLUMNS_SHOWN_MAX: Final = 20  # of an input that lacks some: a longer list is not read


@dataclass(frozen=True, slots=True)
class Checked:
    """`good` has the plan's schema; `rejected` is nothing where every row is good."""

    good: pa.RecordBatch
    rejected: Rejected | None


class Plan:
    """Checks batches against one contract. `schema` is what comes out, `fingerprint` names the contract on a pipe."""

    def __init__(self, spec: ContractSpec, columns: tuple[Column, ...]) -> None:
        self.spec = spec
        self.schema: pa.Schema = physical_schema(spec)
        self.fingerprint: str = spec.hash
        self._columns = columns
        self._spots = [Spot.column(column.field.name) for column in columns]
        self._row_rules = row_rules(spec)
        self._unique = uniques(spec.fields)

    def seen(self) -> Seen | None:
        """Return the memory of one run's check, nothing if the contract has no unique field: `check` of each of its batches is given it."""
        return Seen([one.spot.path for one in self._unique]) if self._unique else None

    def check(self, batch: pa.RecordBatch, seen: Seen | None = None) -> Checked:
        """Return the good rows and the rejected ones; without `seen`, unique fields are unique within the batch.

        Raises Refused if the batch lacks a column or has one twice, and for what rules and unique fields cannot do.
        """
        values: list[pa.Array] = []
        broken: list[Reason] = []
        sources = self._sources(batch)
        for column, source, spot in zip(self._columns, sources, self._spots, strict=True):
            checked, reasons = column.check(source, spot)
            values.append(checked)
            broken += reasons
        good = pa.RecordBatch.from_arrays(values, schema=self.schema)
        broken += [one for rule in self._row_rules if (one := rule.check(good)) is not None]
        if self._unique:
            broken += self._repeats(good, broken, seen)
        if not broken:
            return Checked(good, None)
        bad = bad_rows(broken, batch.num_rows)
        return Checked(self._kept(good, bad), rejected(batch, broken, bad))

    def _kept(self, values: pa.RecordBatch, bad: pa.Array) -> pa.RecordBatch:
        """Return the good rows. What must be there is there in each of them, so its nulls are all among the others: without them a column is gone through at once."""
        is_good = pc.invert(bad)
        kept = [
            (found if column.field.nullable else without_nulls(found)).filter(is_good)
            for column, found in zip(self._columns, values.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(kept, schema=self.schema)

    def _repeats(
        self, good: pa.RecordBatch, broken: list[Reason], seen: Seen | None
    ) -> list[Reason]:
        bad = bad_rows(broken, good.num_rows) if broken else None
        memory = self.seen() if seen is None else seen
        assert memory is not None, "there are unique fields"
        columns = [one.column(good) for one in self._unique]
        return [
            Broken(one.field, "unique", mask, column, column, one.spot, one.hides)
            for one, column, mask in zip(
                self._unique, columns, memory.repeats(columns, bad), strict=True
            )
            if mask is not None
        ]

    def _sources(self, batch: pa.RecordBatch) -> list[pa.Array]:
        places = [batch.schema.get_field_index(column.field.name) for column in self._columns]
        if min(places, default=0) >= 0:
            return [batch.column(place) for place in places]
        self._check_columns(batch)
        return [
            batch.column(place) if place >= 0 else filled(column, batch.num_rows)
            for column, place in zip(self._columns, places, strict=True)
        ]

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
        found = nearest(lacking[0], strays)
        hint = f"is {found!r} meant for {lacking[0]!r}? " if found else ""
        return Refused(
            f"the input of {whose} lacks {names}; it has {has}",
            code="contract_columns",
            hint=f"{hint}a field with a default (= None, say) may be missing from the input",
        )


def compile_plan(spec: ContractSpec) -> Plan:
    """Return the plan of a contract. Raises Invalid if a pattern is not RE2, or a default breaks one: only Arrow can tell for sure."""
    columns = []
    for field in spec.fields:
        try:
            columns.append(column_of(field, spec.coercion))
        except PatternError as error:
            raise Invalid(
                f"contract {spec.name}: {error}",
                code="contract_invalid",
                hint="patterns are RE2's: no look-arounds, no references back",
            ) from None
    return Plan(spec, tuple(columns))
