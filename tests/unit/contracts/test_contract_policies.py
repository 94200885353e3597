"""What a value may go through to become one of its field's kind: strict, safe, lenient; by contract, by field, and inside of records."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from contract_checking import outcomes, told
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.plan import compile_plan

TYPE, PRECISION = ("type",), ("precision",)
STRICT, SAFE, LENIENT = Coercion.STRICT, Coercion.SAFE, Coercion.LENIENT


def by_policy(column, kind, **rules):
    return [outcomes(column, kind, coercion=policy, **rules) for policy in Coercion]


def test_booleans():
    assert outcomes(["true", " TRUE ", "False", "fAlSe"], Kind.BOOL) == [True, True, False, False]
    texts = ["T", " yes ", "on", "1", "y", "f", "n", "NO", "0", "off", "2", "", "1.0"]
    assert outcomes(texts, Kind.BOOL) == [TYPE] * len(texts)
    assert outcomes(pa.array([0, 1, 2]), Kind.BOOL) == [TYPE] * 3
    words = outcomes(texts, Kind.BOOL, coercion=LENIENT)
    assert words == [True] * 5 + [False] * 5 + [TYPE] * 3
    assert outcomes(pa.array([0, 1, 2]), Kind.BOOL, coercion=LENIENT) == [False, True, TYPE]
    assert outcomes(pa.array([0.0, 1.0, 0.5]), Kind.BOOL, coercion=LENIENT) == [False, True, TYPE]


@pytest.mark.parametrize(
    ("kind", "text", "strict", "safe", "lenient"),
    [
        (Kind.INT, "12", 12, 12, 12),
        (Kind.INT, " 12", TYPE, 12, 12),
        (Kind.INT, "+12", TYPE, 12, 12),
        (Kind.INT, "007", TYPE, 7, 7),
        (Kind.INT, "-0", TYPE, 0, 0),
        (Kind.INT, "12.0", TYPE, 12, 12),
        (Kind.INT, "12.7", TYPE, TYPE, 12),
        (Kind.INT, "-12.7", TYPE, TYPE, -12),
        (Kind.INT, "1e3", TYPE, TYPE, 1000),
        (Kind.INT, "1,234,567", TYPE, TYPE, 1_234_567),
        (Kind.INT, "1,23", TYPE, TYPE, TYPE),
        (Kind.INT, "1e99", TYPE, TYPE, ("overflow",)),
        (Kind.INT, "1e-999999999", TYPE, TYPE, 0),
        (Kind.FLOAT, "1.5", 1.5, 1.5, 1.5),
        (Kind.FLOAT, ".5", TYPE, 0.5, 0.5),
        (Kind.FLOAT, "1e3", 1000.0, 1000.0, 1000.0),
        (Kind.FLOAT, "1,234.5", TYPE, TYPE, 1234.5),
        (Kind.BOOL, "TRUE", TYPE, True, True),
        (Kind.BOOL, "yes", TYPE, TYPE, True),
        (Kind.DATE, "2013-01-31", date(2013, 1, 31), date(2013, 1, 31), date(2013, 1, 31)),
        (Kind.DATE, "2013-01-31T00:00", TYPE, date(2013, 1, 31), date(2013, 1, 31)),
        (Kind.DATE, "2013-01-31T10:00Z", TYPE, TYPE, date(2013, 1, 31)),
        (Kind.DATETIME, "2013-01-31", TYPE, datetime(2013, 1, 31, tzinfo=UTC), datetime(2013, 1, 31, tzinfo=UTC)),
        (Kind.DATETIME, "2013-01-31T10:00:00.1234567Z", TYPE, PRECISION, datetime(2013, 1, 31, 10, 0, 0, 123456, UTC)),
        (Kind.TIME, "10:00", TYPE, time(10), time(10)),
        (Kind.TIME, "10:00:30.1234567", TYPE, PRECISION, time(10, 0, 30, 123456)),
        (Kind.DECIMAL, "1.50", Decimal("1.5"), Decimal("1.5"), Decimal("1.5")),
        (Kind.DECIMAL, "15e-1", TYPE, Decimal("1.5"), Decimal("1.5")),
        (Kind.DECIMAL, "0.0000000025", ("scale",), ("scale",), Decimal("2E-9")),
        (Kind.DECIMAL, "1,234.5", TYPE, TYPE, Decimal("1234.5")),
        (Kind.STR, " a ", " a ", " a ", " a "),
        (Kind.BYTES, "ä", "ä".encode(), "ä".encode(), "ä".encode()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], ["garbage"]])
def test_text_by_policy(kind, text, strict, safe, lenient, beside):
    found = by_policy([text, *beside], kind)
    assert [one[0] for one in found] == [strict, safe, lenient]


NOON = datetime(2013, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "column", "strict", "safe", "lenient"),
    [
        (Kind.INT, pa.array([7], pa.uint8()), 7, 7, 7),
        (Kind.INT, pa.array([7.0]), TYPE, 7, 7),
        (Kind.INT, pa.array([-7.9]), TYPE, TYPE, -7),
        (Kind.INT, pa.array([float("nan")]), TYPE, TYPE, TYPE),
        (Kind.INT, pa.array([True]), TYPE, TYPE, 1),
        (Kind.FLOAT, pa.array([1], pa.int64()), TYPE, 1.0, 1.0),
        (Kind.FLOAT, pa.array([2**53 + 1]), TYPE, PRECISION, 2.0**53),
        (Kind.FLOAT, pa.array([1.5], pa.float32()), 1.5, 1.5, 1.5),
        (Kind.FLOAT, pa.array([True]), TYPE, TYPE, 1.0),
        (Kind.STR, pa.array([b"a"]), TYPE, "a", "a"),
        (Kind.STR, pa.array([12]), TYPE, TYPE, "12"),
        (Kind.STR, pa.array([1.5]), TYPE, TYPE, "1.5"),
        (Kind.STR, pa.array([True]), TYPE, TYPE, "true"),
        (Kind.STR, pa.array([Decimal("1.50")]), TYPE, TYPE, "1.50"),
        (Kind.STR, pa.array([date(2013, 1, 31)]), TYPE, TYPE, "2013-01-31"),
        (Kind.STR, pa.array([NOON]), TYPE, TYPE, "2013-01-31T12:00:00Z"),
        (Kind.STR, pa.array([time(10)]), TYPE, TYPE, "10:00:00"),
        (Kind.STR, pa.array([[1]]), TYPE, TYPE, TYPE),
        (Kind.BYTES, pa.array([b"a"]), b"a", b"a", b"a"),
        (Kind.DATE, pa.array([NOON.replace(hour=0)]), TYPE, date(2013, 1, 31), date(2013, 1, 31)),
        (Kind.DATE, pa.array([NOON]), TYPE, TYPE, date(2013, 1, 31)),
        (Kind.DATE, pa.array([-1], pa.timestamp("s")), TYPE, TYPE, date(1969, 12, 31)),
        (Kind.DATETIME, pa.array([NOON]), NOON, NOON, NOON),
        (Kind.DATETIME, pa.array([NOON.replace(tzinfo=None)]), TYPE, NOON, NOON),
        (Kind.DATETIME, pa.array([-1], pa.timestamp("ns", "UTC")), PRECISION, PRECISION, datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
        (Kind.TIME, pa.array([1], pa.time64("ns")), PRECISION, PRECISION, time(0)),
        (Kind.DECIMAL, pa.array([1]), TYPE, Decimal(1), Decimal(1)),
        (Kind.DECIMAL, pa.array([Decimal("0.0000000025")]), ("scale",), ("scale",), Decimal("2E-9")),
        (Kind.DECIMAL, pa.array([True]), TYPE, TYPE, Decimal(1)),
    ],
)  # fmt: skip
def test_typed_values_by_policy(kind, column, strict, safe, lenient):
    assert [one[0] for one in by_policy(column, kind)] == [strict, safe, lenient]


def test_a_decimal_that_is_rounded_may_not_fit_any_more():
    rules = {"digits": 3, "scale": 1, "coercion": LENIENT}
    assert outcomes(["99.94", "99.96", "0.05", "0.15"], Kind.DECIMAL, **rules) == [
        Decimal("99.9"), ("digits",), Decimal("0.0"), Decimal("0.2"),
    ]  # fmt: skip


def test_a_field_s_policy_counts_more_than_the_contracts_and_holds_inside_of_it():
    inner = (FieldSpec("a", Kind.INT), FieldSpec("b", Kind.INT, coercion=SAFE))
    spec = ContractSpec(
        "T",
        "1.0.0",
        (
            FieldSpec("x", Kind.INT),
            FieldSpec("y", Kind.INT, coercion=STRICT),
            FieldSpec("r", Kind.RECORD, fields=inner, coercion=STRICT),
            FieldSpec("l", Kind.LIST, items=FieldSpec("item", Kind.INT)),
        ),
        coercion=LENIENT,
    )
    row = {"x": ["7.5"], "y": [" 7"], "r": [{"a": "07", "b": "07"}], "l": [["1.5"]]}
    assert told(compile_plan(spec).check(pa.record_batch(row))) == {
        0: [("y", "type"), ("r.a", "type")]
    }
