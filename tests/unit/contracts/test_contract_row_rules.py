"""What looks beyond one value: steps and forms, rules over a row, and fields that are unique in a run."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from contract_checking import checked, messages, outcomes, told
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.plan import compile_plan
from runink.contracts.scopes import rule
from runink.contracts.uniqueness import Seen
from runink.errors import Invalid, Refused

OFF = ("multiple_of",)
DEP, ARR = FieldSpec("dep", Kind.INT, nullable=True, ge=0), FieldSpec("arr", Kind.INT, nullable=True)  # fmt: skip


def ruled(text, *fields, name="arrives after it leaves"):
    found = rule(text, fields, whose="Flight")
    assert found.expression is not None, found.mistakes
    return RuleSpec(name, text, found.expression)


def test_multiples_of_whole_numbers():
    assert outcomes(["10", "-15", "0", "7"], Kind.INT, multiple_of=5) == [10, -15, 0, OFF]
    assert outcomes(pa.array([-(2**63), 2**63 - 1]), Kind.INT, multiple_of=2) == [-(2**63), OFF]
    assert outcomes(pa.array([-128, 127], pa.int8()), Kind.INT, multiple_of=1000, ge=-128, le=127) == [OFF, OFF]  # fmt: skip


def test_multiples_of_decimals():
    assert outcomes(["1.05", "1.07"], Kind.DECIMAL, multiple_of="0.05") == [Decimal("1.05"), OFF]
    whole = {"digits": 5, "scale": 2}
    assert outcomes(["0.01", "0.05"], Kind.DECIMAL, multiple_of="0.025", **whole) == [OFF, Decimal("0.05")]  # fmt: skip
    assert outcomes(["0", "999"], Kind.DECIMAL, multiple_of="1e9", **whole) == [0, OFF]


def test_a_float_is_the_number_that_its_shortest_text_says():
    tenth = {"multiple_of": 0.1, "allow_inf_nan": True}
    values = [0.3, 0.1 + 0.2, 1e15, 123456789.1, 0.05, float("inf"), None, -0.7]
    assert outcomes(pa.array(values), Kind.FLOAT, **tenth) == [0.3, OFF, 1e15, 123456789.1, OFF, OFF, None, -0.7]  # fmt: skip
    assert outcomes(pa.array([float("nan"), 1e300]), Kind.FLOAT, **tenth) == [OFF, 1e300]
    assert outcomes(pa.array([2e-7, 1.5e-7]), Kind.FLOAT, multiple_of=1e-7) == [2e-7, OFF]
    assert outcomes(pa.array([6e20, 1.0]), Kind.FLOAT, multiple_of=3e20) == [6e20, OFF]


def test_forms_and_patterns_are_two_reasons():
    texts = ["ann@example.com", "ann"]
    assert outcomes(texts, Kind.STR, format="email", pattern="a.*m") == ["ann@example.com", ("pattern", "format")]  # fmt: skip
    result = checked({"m": ["x"]}, FieldSpec("m", Kind.STR, format="uuid"))
    assert messages(result) == ["m is 'x', not a uuid"]


def test_choices_of_any_kind():
    assert outcomes(["1.50", "2"], Kind.DECIMAL, choices=("1.5",)) == [Decimal("1.5"), ("choices",)]
    assert outcomes(["2013-01-01", "2013-01-02"], Kind.DATE, choices=("2013-01-02",))[0] == ("choices",)  # fmt: skip


def test_a_rule_keeps_rows_where_it_is_true_or_nothing():
    rules = (ruled("arr > dep", DEP, ARR),)
    batch = {"dep": [1, 5, None, 5], "arr": ["2", "5", "1", None]}
    result = checked(batch, DEP, ARR, rules=rules)
    assert told(result) == {1: [("", "rule:arrives after it leaves")]}
    assert messages(result) == [
        "the row breaks 'arrives after it leaves' (arr > dep): dep is 5, arr is 5"
    ]  # fmt: skip
    assert result.good.num_rows == 3


def test_a_field_that_is_garbage_breaks_no_rule_over_it():
    result = checked({"dep": ["x", "9"], "arr": ["1", "1"]}, DEP, ARR, rules=(ruled("arr > dep", DEP, ARR),))  # fmt: skip
    assert told(result) == {0: [("dep", "type")], 1: [("", "rule:arrives after it leaves")]}


def test_all_rules_of_a_row_are_told_behind_its_fields():
    rules = (ruled("arr > dep", DEP, ARR, name="one"), ruled("arr != 1", ARR, name="two"))
    result = checked({"dep": [-1], "arr": [1]}, DEP, ARR, rules=rules)
    assert told(result) == {0: [("dep", "ge"), ("", "rule:two")]}
    assert told(checked({"dep": [1], "arr": [1]}, DEP, ARR, rules=rules)) == {
        0: [("", "rule:one"), ("", "rule:two")]
    }


def test_a_rule_looks_into_records():
    zip_code = FieldSpec("zip", Kind.STR)
    address = FieldSpec("a", Kind.RECORD, nullable=True, fields=(zip_code,))
    rules = (ruled("size(a.zip) == 5", address, name="five"),)
    result = checked({"a": [{"zip": "12345"}, {"zip": "1"}, None]}, address, rules=rules)
    assert told(result) == {1: [("", "rule:five")]}


def test_a_rule_shows_no_personal_data():
    ssn = FieldSpec("ssn", Kind.INT, pii="ssn")
    inside = FieldSpec("r", Kind.RECORD, fields=(ssn,))
    rules = (ruled("ssn < 5 || r.ssn < 5 || dep < 5", ssn, inside, DEP, name="small"),)
    result = checked({"ssn": [4711], "r": [{"ssn": 4711}], "dep": [7]}, ssn, inside, DEP, rules=rules)  # fmt: skip
    (message,) = messages(result)
    assert "4711" not in message
    assert message.endswith("ssn is a value, r is a value, dep is 7")


def test_what_cannot_be_reckoned_is_nothing_and_keeps_its_row():
    rules = (ruled("dep * dep > 0", DEP),)
    assert told(checked({"dep": [2**62], "arr": [1]}, DEP, ARR, rules=rules)) == {}


ID = FieldSpec("id", Kind.INT, unique=True)
MAIL = FieldSpec("mail", Kind.STR, nullable=True, unique=True, max_length=200)


def run(spec, *batches):
    plan = compile_plan(spec)
    seen = plan.seen()
    return [told(plan.check(pa.record_batch(batch), seen)) for batch in batches]


def test_the_later_row_of_two_is_rejected_in_a_batch_and_across_batches():
    spec = ContractSpec("T", "1.0.0", (ID,))
    repeat = [("id", "unique")]
    batches = [{"id": [1, 2, 1]}, {"id": ["3", "2"]}, {"id": [4]}, {"id": [4, 4]}]
    assert run(spec, *batches) == [{2: repeat}, {1: repeat}, {}, {0: repeat, 1: repeat}]


def test_each_run_has_a_memory_of_its_own():
    plan = compile_plan(ContractSpec("T", "1.0.0", (ID,)))
    batch = pa.record_batch({"id": [1]})
    assert plan.check(batch).rejected is plan.check(batch).rejected is None
    assert compile_plan(ContractSpec("T", "1.0.0", (DEP,))).seen() is None


def test_nothing_is_no_value_and_nan_is_one():
    nan = float("nan")
    spec = ContractSpec("T", "1.0.0", (FieldSpec("x", Kind.FLOAT, nullable=True, unique=True, allow_inf_nan=True),))  # fmt: skip
    batch = {"x": pa.array([None, nan, None, nan, 0.0, -0.0])}
    assert run(spec, batch) == [{3: [("x", "unique")], 5: [("x", "unique")]}]


def test_a_row_that_is_rejected_claims_nothing():
    spec = ContractSpec("T", "1.0.0", (ID, FieldSpec("n", Kind.INT, ge=0), MAIL))
    batch = {"id": [1, 1, 1], "n": [-1, 1, -1], "mail": ["a", "a", None]}
    assert run(spec, batch) == [{0: [("n", "ge")], 2: [("n", "ge"), ("id", "unique")]}]
    batch = {"id": [1, 1, 2], "n": [1, 1, 1], "mail": ["a", "b", "b"]}
    assert run(spec, batch) == [{1: [("id", "unique")]}], "its mail is free for the next"


def test_a_value_that_failed_is_not_its_default():
    spec = ContractSpec("T", "1.0.0", (FieldSpec("x", Kind.INT, unique=True, has_default=True, default=7),))  # fmt: skip
    assert run(spec, {"x": ["x", "7", None, "x"]}) == [
        {0: [("x", "type")], 2: [("x", "unique")], 3: [("x", "type")]}
    ]


def test_a_field_of_a_record_may_be_unique():
    spec = ContractSpec("T", "1.0.0", (FieldSpec("r", Kind.RECORD, nullable=True, fields=(ID,)),))
    assert run(spec, {"r": [{"id": 1}, None, {"id": 1}]}) == [{2: [("r.id", "unique")]}]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Kind.STR, ["a", "b" * 63, "b" * 300, "b" * 301]),
        (Kind.BYTES, ["a", "é" * 60]),
        (Kind.DATE, ["2013-01-01", "2013-01-02"]),
        (Kind.DATETIME, ["2013-01-01", "2013-01-01T00:00:00.000001Z"]),
        (Kind.TIME, ["10:00", "10:01"]),
        (Kind.DECIMAL, ["1.5", "1.50000001"]),
        (Kind.BOOL, ["true", "false"]),
    ],
)
def test_values_of_every_kind_are_told_apart(kind, values):
    spec = ContractSpec("T", "1.0.0", (FieldSpec("x", kind, unique=True),))
    batch = {"x": values}
    repeats = {row: [("x", "unique")] for row in range(len(values))}
    assert run(spec, batch, batch) == [{}, repeats]


def test_more_values_than_a_check_keeps_are_refused():
    seen = Seen(["id"], values_max=3)
    seen.repeats([pa.array([1, 2, 3])], None)
    with pytest.raises(Refused, match="more than 3 different values") as caught:
        seen.repeats([pa.array([4])], None)
    assert caught.value.code == "contract_unique_limit"


def test_a_default_that_only_re2_can_hold_against_its_pattern_is_held_when_the_plan_is_made():
    field = FieldSpec("x", Kind.STR, pattern=r"\p{Greek}+", has_default=True, default="abc")
    with pytest.raises(Invalid, match="breaks its own pattern"):
        compile_plan(ContractSpec("T", "1.0.0", (field,)))
