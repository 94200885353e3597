"""A plan's decisions, one by one: columns, nulls, defaults, messages, and what each kind takes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow as pa
import pytest
from contract_checking import checked
from contract_checking import outcomes as values
from msgspec.structs import replace
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan
from runink.errors import Invalid, Refused


def spec_with(*fields):
    return ContractSpec("Flight", "1.0.0", fields)


def messages(column, field):
    rejected = checked({field.name: column}, field).rejected
    return [[reason["message"] for reason in reasons] for reasons in rejected.reasons.to_pylist()]


def test_a_choice_of_zero_takes_its_negative():
    field = FieldSpec("x", Kind.FLOAT, choices=(0.0, 1.0))
    assert checked({"x": [0.0, -0.0, 1.0, None]}, replace(field, nullable=True)).rejected is None
    assert checked({"x": ["-0.0"]}, replace(field, choices=(-0.0,))).rejected is None


TYPE = ("type",)
PRECISION = ("precision",)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("12", 12),
        (" 12\t", 12),
        ("+12", 12),
        ("-0012", -12),
        ("12.0", 12),
        ("12.", 12),
        ("12.5", TYPE),
        ("1e3", TYPE),
        ("0x1F", TYPE),
        ("0XFF", TYPE),
        ("1,000", TYPE),
        ("1_000", TYPE),
        ("", TYPE),
        (" ", TYPE),
        ("true", TYPE),
        ("nan", TYPE),
        ("\u0663", TYPE),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", ("overflow",)),
        ("9" * 5000, ("overflow",)),
        ("0" * 5000 + "1", 1),
    ],
)
@pytest.mark.parametrize("beside", [[], ["garbage"], ["7"]])
def test_whole_numbers_from_text(text, taken, beside):
    assert values([text, *beside], Kind.INT)[0] == taken


@pytest.mark.parametrize(
    ("column", "taken"),
    [
        (pa.array([1, None, 300], pa.int16()), [1, None, 300]),
        (pa.array([1, 2**63], pa.uint64()), [1, ("overflow",)]),
        (pa.array([1.0, 1.5, float("nan"), float("inf"), 1e30]), [1, TYPE, TYPE, TYPE, ("overflow",)]),
        (pa.array([-(2.0**63), 2.0**63]), [-(2**63), ("overflow",)]),
        (pa.array([1.0, 1.5], pa.float16()), [1, TYPE]),
        (pa.array([Decimal("1.00"), Decimal("1.50")]), [1, TYPE]),
        (pa.array([True, None]), [TYPE, None]),
        (pa.array([date(2013, 1, 1)]), [TYPE]),
        (pa.array([b"1"]), [TYPE]),
        (pa.array([[1], None]), [TYPE, None]),
        (pa.array([{"a": 1}]), [TYPE]),
        (pa.nulls(2), [None, None]),
        (pa.array(["1", "x", "1"]).dictionary_encode(), [1, TYPE, 1]),
    ],
)  # fmt: skip
def test_whole_numbers_from_typed_input(column, taken):
    assert values(column, Kind.INT) == taken


def test_numbers_with_a_point():
    texts = ["1.5", " 1 ", ".5", "1e3", "nan", "-Infinity", "1e400", "x", "0x1p3", ""]
    lenient = [1.5, 1.0, 0.5, 1000.0, "nan", float("-inf"), float("inf"), TYPE, TYPE, TYPE]
    found = values(texts, Kind.FLOAT, allow_inf_nan=True)
    assert [str(v) if v != v else v for v in found] == lenient  # noqa: PLR0124 - nan
    strict = values(texts, Kind.FLOAT)
    assert strict[4:7] == [("finite",)] * 3
    assert values(pa.array([1, 2**60, 2**60 + 1]), Kind.FLOAT) == [1.0, float(2**60), PRECISION]
    assert values(pa.array([2**53, 2**63 - 1]), Kind.FLOAT) == [2.0**53, PRECISION]
    assert values(pa.array([0, 2**64 - 1], pa.uint64()), Kind.FLOAT) == [0.0, PRECISION]
    assert values(pa.array([True]), Kind.FLOAT) == [TYPE]
    assert values(pa.array([1e308, 1e308]), Kind.FLOAT) == [1e308, 1e308]


def test_nan_is_in_no_range():
    assert values(
        pa.array([float("nan"), 1.0]), Kind.FLOAT, allow_inf_nan=True, ge=0.0, le=2.0
    ) == [
        ("ge", "le"),
        1.0,
    ]


def test_text_is_kept_as_it_is_and_nothing_else_is_text():
    assert values([" a ", ""], Kind.STR) == [" a ", ""]
    assert values(pa.array([b"a", b"\xff"]), Kind.STR) == ["a", TYPE]
    assert values(pa.array([1]), Kind.STR) == [TYPE]
    assert values(["\u00e4"], Kind.BYTES) == ["\u00e4".encode()]
    assert values(pa.array([b"ab"], pa.binary(2)), Kind.BYTES) == [b"ab"]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("2013-01-31T10:00:00Z", datetime(2013, 1, 31, 10, tzinfo=UTC)),
        ("2013-01-31 10:00", datetime(2013, 1, 31, 10, tzinfo=UTC)),
        ("2013-01-31", datetime(2013, 1, 31, tzinfo=UTC)),
        (" 2013-01-31T10:00:00+02:00 ", datetime(2013, 1, 31, 8, tzinfo=UTC)),
        ("2013-01-31T10:00:00.123456000Z", datetime(2013, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2013-01-31T10:00:00.123456789Z", PRECISION),
        ("2013-02-30T10:00:00Z", TYPE),
        ("0000-01-01T10:00:00Z", TYPE),
        ("9999-12-31T23:59:59-01:00", TYPE),
        ("1700000000", TYPE),
        ("31.1.2013", TYPE),
    ],
)
@pytest.mark.parametrize("beside", [[], ["garbage"], ["2013-01-01"], ["2013-01-01T00:00:00Z"]])
def test_instants_from_text(text, taken, beside):
    assert values([text, *beside], Kind.DATETIME)[0] == taken


def test_instants_from_typed_input():
    noon = datetime(2013, 1, 1, 12, tzinfo=UTC)
    naive = noon.replace(tzinfo=None)
    assert values(pa.array([naive]), Kind.DATETIME) == [noon]
    assert values(pa.array([noon], pa.timestamp("s", "America/New_York")), Kind.DATETIME) == [noon]
    assert values(pa.array([date(2013, 1, 1)]), Kind.DATETIME) == [datetime(2013, 1, 1, tzinfo=UTC)]
    before_1970 = pa.array([-1], pa.timestamp("ns"))
    assert values(before_1970, Kind.DATETIME) == [PRECISION]
    assert values(before_1970, Kind.DATETIME, coercion=Coercion.LENIENT) == [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    ]
    assert values(pa.array([2**60, 0], pa.timestamp("s")), Kind.DATETIME)[0] == TYPE
    assert values(pa.array([2**62], pa.timestamp("us", "UTC")), Kind.DATETIME) == [TYPE]
    assert values(pa.array([1700000000]), Kind.DATETIME) == [TYPE]


def test_days_and_times_of_day():
    day = date(2013, 1, 31)
    texts = [
        "2013-01-31",
        "2013-01-31T00:00:00Z",
        "2013-01-31 10:00",
        "2013-01-31T02:00+02:00",
        "2013-02-30",
    ]
    assert values(texts, Kind.DATE) == [day, day, TYPE, day, TYPE]
    stamps = pa.array([datetime(2013, 1, 31), datetime(2013, 1, 31, 10)])  # noqa: DTZ001 - naive input
    assert values(stamps, Kind.DATE) == [day, TYPE]
    assert values(pa.array([day], pa.date64()), Kind.DATE) == [day]
    assert values(pa.array([2**31 - 1], pa.date32()), Kind.DATE) == [TYPE]
    assert values(["10:00", "24:00", "10"], Kind.TIME) == [time(10), TYPE, TYPE]
    assert values(pa.array([time(10)], pa.time32("s")), Kind.TIME) == [time(10)]


def test_decimals():
    texts = [
        "1.25",
        "1.255",
        "1.2500",
        "+1",
        "1E2",
        "1234.5",
        "nan",
        " .5 ",
        "1e999999999",
        "1e-999999999",
        "0e999",
    ]
    scale, digits = ("scale",), ("digits",)
    assert values(texts, Kind.DECIMAL, digits=5, scale=2) == [
        Decimal("1.25"), scale, Decimal("1.25"), 1, 100, digits, TYPE, Decimal("0.5"), digits, scale, 0,
    ]  # fmt: skip
    assert values(["1e99999999999999999999"], Kind.DECIMAL) == [digits]
    assert values(pa.array([0.1, 1e10, float("nan")]), Kind.DECIMAL, digits=5, scale=2) == [
        Decimal("0.1"),
        digits,
        TYPE,
    ]
    assert values(pa.array([7, 0, None]), Kind.DECIMAL, digits=38, scale=38) == [digits, 0, None]
    assert values(pa.array([1, 2**63], pa.uint64()), Kind.DECIMAL) == [1, 2**63]
    assert values(pa.array([Decimal("1.250")]), Kind.DECIMAL, digits=5, scale=2) == [
        Decimal("1.25")
    ]


def test_a_failed_cast_is_a_reason_even_where_nothing_may_stand():
    assert values(["garbage", None, "5"], Kind.INT, nullable=True) == [TYPE, None, 5]


def test_all_reasons_of_a_row_are_told_in_the_order_of_the_fields():
    result = checked(
        {"b": ["", "AB", "ABCD"], "a": ["0", "x", None], "c": pa.array([1, 1, 1])},
        FieldSpec("a", Kind.INT, ge=1),
        FieldSpec("b", Kind.STR, pattern="[A-Z]+", min_length=1, max_length=3),
        FieldSpec("c", Kind.INT, ge=1),
    )
    assert result.good.num_rows == 0
    rejected = result.rejected
    told = [[(r["field"], r["rule"]) for r in reasons] for reasons in rejected.reasons.to_pylist()]
    assert told == [
        [("a", "ge"), ("b", "min_length"), ("b", "pattern")],
        [("a", "type")],
        [("a", "missing"), ("b", "max_length")],
    ]
    assert rejected.counts == {
        ("a", "missing"): 1, ("a", "type"): 1, ("a", "ge"): 1,
        ("b", "min_length"): 1, ("b", "max_length"): 1, ("b", "pattern"): 1,
    }  # fmt: skip
    assert rejected.rows.type == pa.int64()
    assert rejected.original.schema.names == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("column", "field", "message"),
    [
        ([None], FieldSpec("dep_time", Kind.INT), "dep_time is missing"),
        (["13"], FieldSpec("month", Kind.INT, le=12), "month is 13, not at most 12"),
        (["0"], FieldSpec("month", Kind.INT, ge=1), "month is 0, not at least 1"),
        ([0], FieldSpec("distance", Kind.INT, gt=0), "distance is 0, not more than 0"),
        ([1.5], FieldSpec("share", Kind.FLOAT, lt=1.0), "share is 1.5, not less than 1.0"),
        (["abc"], FieldSpec("dep_delay", Kind.INT), "dep_delay is 'abc', not an int"),
        ([12.5], FieldSpec("dep_delay", Kind.INT), "dep_delay is 12.5, not an int"),
        ([True], FieldSpec("n", Kind.INT), "n is true, not an int"),
        ([[1]], FieldSpec("n", Kind.INT), "n is of type list<item: int64>, not an int"),
        ([b"\xff"], FieldSpec("n", Kind.STR), "n is of type binary, not a str"),
        (["9" * 20], FieldSpec("n", Kind.INT), "n is '99999999999999999999', not within 64 bits"),
        (["nan"], FieldSpec("x", Kind.FLOAT), "x is nan, not a finite number"),
        (["XXX"], FieldSpec("origin", Kind.STR, choices=("EWR", "JFK", "LGA")), "origin is 'XXX', not one of EWR, JFK, LGA"),
        ([0], FieldSpec("n", Kind.INT, choices=tuple(range(1, 13))), "n is 0, not one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"),
        (["u"], FieldSpec("carrier", Kind.STR, pattern="[A-Z]{2}"), "carrier is 'u', not of the form [A-Z]{2}"),
        (["NY"], FieldSpec("dest", Kind.STR, min_length=3), "dest is 'NY', not at least 3 characters long"),
        ([b"abc"], FieldSpec("hash", Kind.BYTES, max_length=2), "hash is 'abc', not at most 2 bytes long"),
        (["1.255"], FieldSpec("price", Kind.DECIMAL, digits=5, scale=2), "price is '1.255', not of at most 2 decimal places"),
        (["2013-02-30"], FieldSpec("day", Kind.DATE), "day is '2013-02-30', not a date"),
        (["2012-12-31"], FieldSpec("day", Kind.DATE, ge="2013-01-01"), "day is 2012-12-31, not at least 2013-01-01"),
        (["a\nb"], FieldSpec("n", Kind.INT), "n is 'a b', not an int"),
        (["\u00e4" * 100], FieldSpec("n", Kind.INT), "n is '" + "\u00e4" * 40 + "\u2026', not an int"),
    ],
)  # fmt: skip
def test_messages_say_what_came_and_what_was_wanted(column, field, message):
    assert messages(pa.array(column), field) == [[message]]


@pytest.mark.parametrize(
    ("column", "rules"),
    [(["4711x"], {}), (["4711"], {"le": 5}), ([4711.5], {})],
)
@pytest.mark.parametrize("mark", [{"pii": "ssn"}, {"access": ("finance",)}])
def test_no_message_shows_what_is_not_for_everybody(column, rules, mark):
    ((message,),) = messages(pa.array(column), FieldSpec("ssn", Kind.INT, **mark, **rules))
    assert "4711" not in message
    assert message.startswith("ssn is a value, not ")


def test_columns_are_found_by_name_and_others_dropped():
    result = checked(
        {"extra": [1], "b": ["x"], "a": [1]}, FieldSpec("a", Kind.INT), FieldSpec("b", Kind.STR)
    )
    assert result.good.to_pylist() == [{"a": 1, "b": "x"}]
    assert result.rejected is None


def test_a_missing_column_with_a_default_is_filled():
    result = checked(
        {"a": [1, 2]},
        FieldSpec("a", Kind.INT),
        FieldSpec("b", Kind.STR, nullable=True, has_default=True),
        FieldSpec("c", Kind.DATE, has_default=True, default="2013-01-31"),
        FieldSpec("d", Kind.BYTES, has_default=True, default="\xff"),
        FieldSpec("e", Kind.INT, nullable=True, has_default=True, default=7),
    )
    row = {"b": None, "c": date(2013, 1, 31), "d": b"\xff", "e": 7}
    assert result.good.to_pylist() == [{"a": 1} | row, {"a": 2} | row]


def test_a_null_becomes_the_default_unless_the_field_may_hold_nothing():
    result = checked(
        {"a": [None, 1], "b": [None, 1]},
        FieldSpec("a", Kind.INT, has_default=True, default=7),
        FieldSpec("b", Kind.INT, nullable=True, has_default=True, default=7),
    )
    assert result.good.to_pylist() == [{"a": 7, "b": None}, {"a": 1, "b": 1}]


def test_a_missing_column_without_a_default_is_refused_with_a_suggestion():
    with pytest.raises(Refused) as caught:
        checked({"dep_tme": [1]}, FieldSpec("dep_time", Kind.INT), FieldSpec("month", Kind.INT))
    error = caught.value
    assert error.code == "contract_columns"
    assert error.text == "the input of Flight 1.0.0 lacks dep_time, month; it has dep_tme"
    assert "is 'dep_tme' meant for 'dep_time'?" in error.hint


def test_a_column_that_stands_twice_is_refused():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(Refused, match="two columns called 'a'"):
        compile_plan(spec_with(FieldSpec("a", Kind.INT))).check(batch)


def test_an_empty_batch_has_the_schema():
    plan = compile_plan(
        spec_with(FieldSpec("a", Kind.INT, ge=1, le=12), FieldSpec("b", Kind.FLOAT))
    )
    for batch in (
        pa.record_batch({"a": pa.array([], pa.string()), "b": pa.array([], pa.string())}),
        pa.RecordBatch.from_arrays([], names=[]),
    ):
        result = plan.check(batch)
        assert (result.good.schema, result.good.num_rows) == (plan.schema, 0)
        assert result.rejected is None


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.RECORD, Kind.LIST)])
def test_input_that_fits_is_not_copied(kind):
    """By the address of its values, and of the whole column: it is handed on."""
    field = FieldSpec("a", kind, nullable=True)
    column = pa.array([None, None], physical_type(field))
    good = checked({"a": column}, field).good.column(0)
    addresses = [[buffer and buffer.address for buffer in one.buffers()] for one in (good, column)]
    assert addresses[0] == addresses[1]


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        ({"ge": 1, "le": 12}, pa.int8()),
        ({"ge": -129, "le": 1}, pa.int16()),
        ({"gt": 0, "lt": 40_000}, pa.int32()),
        ({"ge": 0, "le": 2**31}, pa.int64()),
        ({"ge": 1}, pa.int64()),
        ({"choices": (1, 300)}, pa.int16()),
    ],
)
def test_whole_numbers_are_as_narrow_as_their_bounds(rules, kind):
    assert physical_type(FieldSpec("x", Kind.INT, **rules)) == kind


def test_a_value_beyond_a_narrow_type_breaks_the_bound_and_not_the_type():
    assert values(["300", "12", "-129"], Kind.INT, ge=1, le=12) == [("le",), 12, ("ge",)]
    assert values(pa.array([300, 12]), Kind.INT, ge=1, le=12) == [("le",), 12]


def test_the_plan_carries_the_contracts_fingerprint():
    spec = spec_with(FieldSpec("a", Kind.INT))
    assert compile_plan(spec).fingerprint == spec.hash


def test_a_pattern_that_only_arrow_cannot_read_is_told_when_compiled():
    spec = spec_with(FieldSpec("a", Kind.STR, pattern=r"\Za"))
    with pytest.raises(Invalid, match="pattern") as caught:
        compile_plan(spec)
    assert caught.value.code == "contract_invalid"


def test_a_pattern_matches_the_whole_value_whatever_it_holds():
    assert values(["ab", "ab\n", "xab", "a"], Kind.STR, pattern="ab|a") == [
        "ab", ("pattern",), ("pattern",), "a",
    ]  # fmt: skip
