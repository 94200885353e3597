"""Rules over several fields, checked for all rows at once on the values that the fields were taken for.

A row is kept where a rule is true or nothing.  Where a field has a reason of its own its value is nothing here, so that a row that is garbage in one
field does not break every rule that names it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.fields import ContractSpec, FieldSpec, RuleSpec
from runink.contracts.reasons import BrokenRule
from runink.errors import Refused
from runink.expressions import names_in
from runink.expressions.batches import evaluated

FIELDS_SHOWN_MAX = 4  # of a rule in a message; who wants to see more reads the row


@dataclass(frozen=True, slots=True)
class RowRule:
    """One rule, and the fields that its messages show: their places among the columns, and whether they are hidden."""

    rule: RuleSpec
    columns: tuple[tuple[FieldSpec, int], ...]

    def check(self, batch: pa.RecordBatch) -> BrokenRule | None:
        """Return where the rule is broken, if it is. Raises Refused if the values cannot be reckoned with (a sum beyond 64 bits)."""
        try:
            truth = evaluated(batch, self.rule.expression)
        except Refused as error:
            text = f"rule {self.rule.name!r} ({self.rule.text}) cannot be reckoned: {error.text}"
            raise Refused(text, code=error.code, hint=error.hint) from None
        if isinstance(truth, pa.Scalar):
            truth = pa.repeat(truth, batch.num_rows)
        if truth.true_count + truth.null_count == len(truth):
            return None
        mask = pc.fill_null(pc.invert(truth), False)
        fields = [
            (field.name, None if is_hidden(field) else batch.column(place))
            for field, place in self.columns[:FIELDS_SHOWN_MAX]
        ]
        return BrokenRule(self.rule, mask, fields)


def is_hidden(field: FieldSpec) -> bool:
    """Say whether the field, or something inside it, is personal data."""
    inner = (*field.fields, *((field.items,) if field.items else ()))
    return field.is_marked or any(is_hidden(one) for one in inner)


def row_rules(spec: ContractSpec) -> tuple[RowRule, ...]:
    """Return the contract's rules, ready to check."""
    found = []
    for rule in spec.rules:
        names = names_in(rule.expression)
        columns = [(field, at) for at, field in enumerate(spec.fields) if field.name in names]
        found.append(RowRule(rule, tuple(columns)))
    return tuple(found)
