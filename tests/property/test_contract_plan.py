"""The plan finds exactly the rows and the reasons that a plain loop over values finds, on contracts and batches of any kind."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime

import contract_oracle
import msgspec
import pyarrow as pa
import pytest
from contract_cases import CONSTRAINTS, PLAIN_KINDS, ROWS_MAX, TEXTS, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def ordered(spec, reasons):
    """Reasons stand in the order of the fields; those of a list rule by rule, which a loop over its items cannot know. Repeats come last."""
    is_flat = all(field.kind in PLAIN_KINDS for field in spec.fields)
    return reasons if is_flat else sorted(reasons)


@settings(max_examples=600)
@given(cases())
def test_the_plan_finds_what_a_loop_over_values_finds(case):
    spec, batch = case
    checked = compile_plan(spec).check(batch)
    good, bad = contract_oracle.judged(batch.to_pylist(), spec)
    found = []
    if checked.rejected is not None:
        reasons = checked.rejected.reasons.to_pylist()
        found = [
            (place, ordered(spec, [(reason["field"], reason["rule"]) for reason in listed]))
            for place, listed in zip(checked.rejected.rows.to_pylist(), reasons, strict=True)
        ]
        originals = [batch.to_pylist()[place] for place, _ in found]
        assert str(checked.rejected.original.to_pylist()) == str(originals)
        by_rule = Counter(
            key
            for listed in reasons
            for key in {(re.sub(r"\[\d+\]", "[]", one["field"]), one["rule"]) for one in listed}
        )
        assert checked.rejected.counts == by_rule
        told = {one["message"] for listed in reasons for one in listed}
        assert checked.rejected.examples.keys() == by_rule.keys()
        assert told.issuperset(one.message for one in checked.rejected.examples.values())
        checked.rejected.reasons.validate(full=True)
    assert found == [(place, ordered(spec, listed)) for place, listed in bad]
    checked.good.validate(full=True)
    assert checked.good.schema == compile_plan(spec).schema
    came = checked.good.to_pylist()
    assert len(came) == len(good)
    for one, other in zip(came, good, strict=True):
        assert all(same(one[name], other[name]) for name in one), (one, other)


@settings(max_examples=100)
@given(cases(), st.integers(20, 200))
def test_a_long_batch_is_judged_as_its_pieces_are(case, times):
    """Long columns go other ways (tried by their first rows, each value once, few picked out of many), which a dozen rows do not."""
    spec, batch = case
    spec = msgspec.structs.replace(spec, fields=tuple(map(not_unique, spec.fields)))
    plan = compile_plan(spec)
    one = plan.check(batch)
    long = plan.check(pa.concat_batches([batch] * times))
    assert str(long.good.to_pylist()) == str(one.good.to_pylist() * times)
    if one.rejected is None:
        assert long.rejected is None
        return
    assert long.rejected is not None
    assert long.rejected.reasons.to_pylist() == one.rejected.reasons.to_pylist() * times
    places = one.rejected.rows.to_pylist()
    rows = [place + turn * batch.num_rows for turn in range(times) for place in places]
    assert long.rejected.rows.to_pylist() == rows


def not_unique(field):
    inner = tuple(map(not_unique, field.fields))
    return msgspec.structs.replace(field, unique=False, fields=inner)


@pytest.mark.parametrize(
    "kind", [kind for kind in PLAIN_KINDS if kind not in (Kind.STR, Kind.BYTES)]
)
@given(data=st.data())
@settings(max_examples=60)
def test_what_a_plan_gave_it_takes_again_unchanged(kind, data):
    field = FieldSpec("a", kind, nullable=True, **data.draw(CONSTRAINTS[kind]))
    plan = compile_plan(ContractSpec("T", "1.0.0", (field,)))
    column = pa.array(data.draw(st.lists(TEXTS[kind], max_size=ROWS_MAX)), pa.string())
    good = plan.check(pa.record_batch([column], names=["a"])).good
    again = plan.check(good)
    assert again.rejected is None
    assert again.good.equals(good) or "nan" in str(good.to_pylist())
