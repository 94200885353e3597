"""What tests of plans share: one field, one column, and what became of each value."""

from __future__ import annotations

import pyarrow as pa
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.contracts.plan import compile_plan


def checked(batch, *fields, rules=()):
    spec = ContractSpec("Flight", "1.0.0", fields, rules=rules)
    return compile_plan(spec).check(pa.record_batch(batch))


def outcomes(column, kind, **rules):
    """Return what becomes of a column: values where they are good, (rule, …) where they are not."""
    field = FieldSpec("x", kind, **({"nullable": True} | rules))
    result = checked({"x": column}, field)
    rejected = {row: tuple(rule for _, rule in listed) for row, listed in told(result).items()}
    good = iter(result.good.column(0).to_pylist())
    return [rejected[row] if row in rejected else next(good) for row in range(len(column))]


def told(result):
    """Return for each rejected row its (field, rule)s."""
    if result.rejected is None:
        return {}
    reasons = result.rejected.reasons.to_pylist()
    return {
        row: [(one["field"], one["rule"]) for one in listed]
        for row, listed in zip(result.rejected.rows.to_pylist(), reasons, strict=True)
    }


def messages(result):
    """Return every message, row after row."""
    return [one["message"] for listed in result.rejected.reasons.to_pylist() for one in listed]
