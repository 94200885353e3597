"""A plan rejects a row by its rules exactly where the expression, reckoned over that row alone, is false; and nothing is not false."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.plan import compile_plan
from runink.contracts.scopes import rule
from runink.expressions import evaluate

FIELDS = (
    FieldSpec("a", Kind.INT, nullable=True, ge=-5),
    FieldSpec("b", Kind.INT, nullable=True),
    FieldSpec("s", Kind.STR, nullable=True),
    FieldSpec("r", Kind.RECORD, nullable=True, fields=(FieldSpec("n", Kind.INT, nullable=True),)),
)
TEXTS = [
    *("a < b", "a + b > 3", "a * b != 6", "b / a > 1", "has(s)", "size(s) > 1 || a == 1", "!(a == b)"),
    *("s in ['x', 'yy']", "s.startsWith('x') && b > 0", "a == 1 ? b > 1 : b < 1", "r.n > a", "coalesce(a, 0) == 0", "a % 2 == 0"),
]  # fmt: skip
NUMBERS = st.none() | st.integers(-7, 7)
ROWS = st.fixed_dictionaries(
    {
        "a": NUMBERS,
        "b": NUMBERS,
        "s": st.none() | st.sampled_from(["", "x", "yy"]),
        "r": st.none() | st.fixed_dictionaries({"n": NUMBERS}),
    }
)
SCHEMA = pa.schema(
    [
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("s", pa.string()),
        ("r", pa.struct([("n", pa.int64())])),
    ]
)


def spec_of(text):
    found = rule(text, FIELDS, whose="T")
    assert found.expression is not None, (text, found.mistakes)
    return RuleSpec(text, text, found.expression)


@given(
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True),
    st.lists(ROWS, max_size=6),
)
@settings(max_examples=300)
def test_a_row_breaks_the_rules_that_are_false_of_it(texts, rows):
    rules = tuple(map(spec_of, texts))
    plan = compile_plan(ContractSpec("T", "1.0.0", FIELDS, rules=rules))
    result = plan.check(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    found = {}
    if result.rejected is not None:
        listed = result.rejected.reasons.to_pylist()
        for row, reasons in zip(result.rejected.rows.to_pylist(), listed, strict=True):
            found[row] = [one["rule"] for one in reasons]
    expected = {}
    for place, row in enumerate(rows):
        broken = ["ge"] if row["a"] is not None and row["a"] < -5 else []
        broken += [f"rule:{one.name}" for one in rules if evaluate(one.expression, row) is False]
        if broken:
            expected[place] = broken
    assert found == expected
