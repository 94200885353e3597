"""How a batch's shape departs from its contract, and what each policy makes of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from runink import Contract
from runink.contracts.contract import spec_of
from runink.contracts.drift import (
    OWN,
    Departure,
    Extras,
    acted_upon,
    as_text,
    drift_of,
    set_aside,
)
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.leeway import enforced, parsed_by
from runink.contracts.plan import compile_plan
from runink.errors import Invalid, Refused
from runink.pipes.dead_letter import COLUMNS

SPEC = ContractSpec(
    "Ticket",
    "1.0.0",
    (
        FieldSpec("n", Kind.INT),
        FieldSpec("seat", Kind.STR, nullable=True),
        FieldSpec("price", Kind.FLOAT, has_default=True, default=0.5),
    ),
)
WHOLE = pa.schema([("n", pa.int64()), ("seat", pa.string()), ("price", pa.float64())])


def found(schema, policy=OnDrift.NOTE, *, is_typed=True):
    return [
        (one.column, one.departure.value, one.is_allowed)
        for one in drift_of(SPEC, schema, policy, is_typed=is_typed)
    ]


def test_what_is_as_the_contract_says_is_no_drift():
    assert found(WHOLE) == []
    assert found(pa.schema([])) == []


def test_a_column_that_nobody_knows_leaves_the_contract():
    schema = WHOLE.append(pa.field("gate", pa.string()))
    assert found(schema) == [("gate", "unknown", False)]
    assert found(schema, OnDrift.EVOLVE) == [("gate", "unknown", True)]


def test_a_column_that_is_needed_and_does_not_come_leaves_it():
    assert found(WHOLE.remove(0)) == [("n", "missing", False)]
    assert found(WHOLE.remove(0), OnDrift.EVOLVE) == [("n", "missing", False)]
    assert found(WHOLE.remove(1)) == [("seat", "missing", False)]
    assert found(WHOLE.remove(1), OnDrift.EVOLVE) == [("seat", "missing", True)]


def test_what_the_contract_does_without_is_told_only():
    assert found(WHOLE.remove(2)) == [("price", "absent", True)]
    assert found(pa.schema([WHOLE.field(1), WHOLE.field(0), WHOLE.field(2)])) == [("", "order", True)]  # fmt: skip


@pytest.mark.parametrize(
    ("came", "is_drift"),
    [
        (pa.int8(), False),
        (pa.float64(), True),
        (pa.bool_(), True),
        (pa.string(), True),
        (pa.large_string(), True),
        (pa.dictionary(pa.int8(), pa.string()), True),
        (pa.null(), False),
        (pa.decimal128(5, 0), True),
        (pa.list_(pa.int64()), True),
        (pa.struct([("a", pa.int64())]), True),
    ],
)
def test_a_type_whose_values_are_not_the_fields_leaves_it(came, is_drift):
    schema = WHOLE.set(0, pa.field("n", came))
    assert bool(found(schema)) is is_drift


def test_whole_numbers_are_a_floats():
    assert found(WHOLE.set(2, pa.field("price", pa.int32()))) == []


def test_text_is_no_drift_where_there_is_nothing_else():
    text = pa.schema([(name, pa.string()) for name in WHOLE.names])
    assert found(text, is_typed=False) == []
    assert [one[:2] for one in found(text)] == [("n", "type"), ("price", "type")]


def test_the_columns_of_a_dead_letter_are_known():
    """A dead letter is replayed as a source of its contract."""
    assert frozenset(COLUMNS.names) == OWN
    assert found(pa.schema([*WHOLE, *COLUMNS])) == []


def test_the_message_names_the_contract():
    schema = pa.schema([("n", pa.string()), ("gate", pa.int64())])
    texts = [one.text for one in drift_of(SPEC, schema, OnDrift.FAIL, is_typed=True)]
    assert texts == [
        "gate is no column of Ticket 1.0.0",
        "n is string, not int",
        "seat does not come",
        "price does not come: 0.5 stands in",
    ]


def test_rows_that_are_set_aside_have_every_reason():
    batch = pa.record_batch({"n": ["1", "2"], "gate": [1, 2]})
    drifts = drift_of(SPEC, batch.schema, OnDrift.DEAD_LETTER, is_typed=True)
    rejected = set_aside(batch, drifts)
    rejected.reasons.validate(full=True)
    assert rejected.rows.to_pylist() == [0, 1]
    assert rejected.original.to_pylist() == batch.to_pylist()
    assert [[(one["field"], one["rule"]) for one in row] for row in rejected.reasons.to_pylist()] == [
        [("gate", "drift"), ("n", "drift"), ("seat", "drift")]
    ] * 2  # fmt: skip
    assert rejected.counts == {("gate", "drift"): 2, ("n", "drift"): 2, ("seat", "drift"): 2}
    assert {one.departure for one in acted_upon(drifts)} == {
        Departure.UNKNOWN,
        Departure.TYPE,
        Departure.MISSING,
    }


def test_what_may_hold_nothing_may_be_missing_where_the_contract_evolves():
    batch = pa.record_batch({"n": [1]})
    with pytest.raises(Refused, match="lacks seat"):
        compile_plan(enforced(SPEC, OnDrift.NOTE)).check(batch)
    good = compile_plan(enforced(SPEC, OnDrift.EVOLVE)).check(batch).good
    assert good.to_pylist() == [{"n": 1, "seat": None, "price": 0.5}]
    assert [field.has_default for field in parsed_by(SPEC, OnDrift.DEAD_LETTER).fields] == [
        True
    ] * 3


def test_of_a_field_that_is_to_be_hidden_no_message_shows_a_value():
    spec = ContractSpec("X", "1.0.0", (FieldSpec("a", Kind.INT), FieldSpec("b", Kind.INT)))
    batch = pa.RecordBatch.from_pydict({"a": ["4711x"], "b": ["4711x"]})
    rejected = compile_plan(enforced(spec, OnDrift.NOTE, ("b",))).check(batch).rejected
    assert rejected is not None
    (reasons,) = rejected.reasons.to_pylist()
    assert [one["message"] for one in reasons] == ["a is '4711x', not an int", "b is a value, not an int"]  # fmt: skip


def test_further_columns_go_on_as_text_behind_the_contracts_own():
    extras, plan = Extras(SPEC), compile_plan(enforced(SPEC, OnDrift.EVOLVE))

    def given(**columns):
        batch = pa.record_batch(columns)
        checked = plan.check(batch)
        return extras.extended(checked.good, batch, checked.rejected)

    first = given(gate=[7, 8, 9], n=["1", "x", "3"], day=[date(2013, 1, 1)] * 3)
    assert first.schema.names == ["n", "seat", "price", "gate", "day"]
    assert first.schema.field("gate").type == pa.string()
    assert first.to_pylist() == [
        {"n": 1, "seat": None, "price": 0.5, "gate": "7", "day": "2013-01-01"},
        {"n": 3, "seat": None, "price": 0.5, "gate": "9", "day": "2013-01-01"},
    ]
    second = given(n=["4"], gate=["B"], late=["x"])
    assert second.schema == first.schema
    assert second.to_pylist() == [{"n": 4, "seat": None, "price": 0.5, "gate": "B", "day": None}]


def test_a_batch_without_rows_does_not_decide_which_columns_go_on():
    extras, plan = Extras(SPEC), compile_plan(enforced(SPEC, OnDrift.EVOLVE))
    for rows, names in (([], ["n"]), ([1], ["n", "gate"])):
        batch = pa.record_batch({name: pa.array(rows, pa.int64()) for name in names})
        good = extras.extended(plan.check(batch).good, batch, None)
    assert good.schema.names[-1] == "gate"


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([1.5, None]), ["1.5", None]),
        (pa.array([True]), ["true"]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([b"ab", b"\xff"]), ["ab", None]),
        (pa.array([[1, 2], None]), ["[1, 2]", None]),
        (pa.array([{"a": "ä", "d": date(2013, 1, 1)}]), ['{"a": "ä", "d": "2013-01-01"}']),
        (pa.array(["x"]).dictionary_encode(), ["x"]),
    ],
)
def test_any_column_has_a_text(column, text):
    assert as_text(column).to_pylist() == text


def test_a_class_says_what_becomes_of_drift_and_those_below_it_inherit():
    class Base(Contract, on_drift="fail"):
        n: int

    class Below(Base):
        m: int

    class Other(Base, on_drift=OnDrift.EVOLVE):
        m: int

    assert [spec_of(one).on_drift for one in (Base, Below, Other)] == [
        OnDrift.FAIL,
        OnDrift.FAIL,
        OnDrift.EVOLVE,
    ]
    with pytest.raises(Invalid) as caught:
        type("C", (Contract,), {"__annotations__": {"n": int}}, on_drift="fial")
    assert [(one.code, one.hint) for one in caught.value.findings] == [
        ("C021", "did you mean fail?")
    ]
