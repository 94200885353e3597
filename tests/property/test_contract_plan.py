"""The plan finds exactly the rows and the reasons that a plain loop over values finds, on contracts and batches of any kind."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time

import contract_oracle
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type
from runink.contracts.plan import compile_plan

ROWS_MAX = 12
BLANKS = st.sampled_from(["", "", "", " ", "\t", "  ", "\n"])
CHARACTERS = st.text("0123456789+-.:eETZxan\u00e4 _", max_size=14)


def padded(texts):
    return st.builds(lambda a, text, b: a + text + b, BLANKS, texts, BLANKS)


INT_TEXTS = st.one_of(
    st.integers(-130, 130).map(str),
    st.integers(-(2**66), 2**66).map(str),
    st.sampled_from(
        [
            "+5",
            "007",
            "-0",
            "1.0",
            "1.",
            "1.5",
            "1e3",
            "0x1F",
            "0XFF",
            "-0x1",
            "",
            " ",
            "1_000",
            "1,000",
            "\u0663",
            "--1",
            "9" * 4000,
        ]
    ),
    st.sampled_from([str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), "0" * 30 + "7"]),
)
FLOAT_TEXTS = st.one_of(
    st.floats().map(repr),
    st.integers(-100, 100).map(str),
    st.sampled_from(
        [
            "nan",
            "NaN",
            "-nan",
            "inf",
            "-Infinity",
            "1e400",
            "1e-400",
            ".5",
            "5.",
            ".",
            "1.5.",
            "1e",
            "+.5e+3",
            "0x1p3",
            "1d5",
            "1_0",
        ]
    ),
)
INSTANT_TEXTS = st.one_of(
    st.datetimes().map(lambda d: d.isoformat()),
    st.datetimes().map(lambda d: d.isoformat(" ") + "Z"),
    st.datetimes(timezones=st.sampled_from([UTC])).map(lambda d: d.isoformat()),
    st.dates().map(str),
    st.sampled_from(
        ["2013-02-29", "2012-02-29T00:00Z", "2013-13-01", "2013-1-1", "0000-01-01", "0000-01-01T00:00:00Z", "20130101",
         "2013-01-01T10", "2013-01-01T10Z", "2013-01-01T10:00:00+0200", "2013-01-01T10:00:00-02", "2013-01-01T10:00:00+25:00",
         "2013-01-01T10:00:00+02:60", "2013-01-01T10:00:60Z", "2013-01-01T24:00:00Z", "2013-01-01t10:00:00z", "2013-01-01Z",
         "2013-01-01T00:00:00", "2013-01-01 00:00:00.000Z", "2013-01-01T02:00:00+02:00", "9999-12-31T23:59:59-01:00",
         "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.999999Z", "2013-01-01T10:00:00.123456789Z", "2013-01-01T10:00:00.", "1700000000"]
    ),
)  # fmt: skip
TIME_TEXTS = st.one_of(
    st.times().map(str),
    st.sampled_from(["10:00", "24:00", "10", "10:60", "10:00:00.1234567", "1:00", "10:00Z"]),
)
TEXTS = {
    Kind.INT: padded(st.one_of(INT_TEXTS, CHARACTERS)),
    Kind.FLOAT: padded(st.one_of(FLOAT_TEXTS, CHARACTERS)),
    Kind.BOOL: padded(st.sampled_from(["true", "T", "YES", "y", "on", "1", "false", "F", "No", "n", "OFF", "0", "2", "", "ja", "1.0"])),
    Kind.STR: st.one_of(st.text(max_size=5), st.sampled_from(["AB", "ABC", "abc", "A\n", "\u00e4\u00f6", ""])),
    Kind.BYTES: st.text(max_size=5),
    Kind.DATE: padded(st.one_of(INSTANT_TEXTS, CHARACTERS)),
    Kind.DATETIME: padded(st.one_of(INSTANT_TEXTS, CHARACTERS)),
    Kind.TIME: padded(st.one_of(TIME_TEXTS, CHARACTERS)),
    Kind.DECIMAL: padded(st.one_of(INT_TEXTS.filter(lambda t: len(t) < 100), FLOAT_TEXTS, st.sampled_from(["1e-99999", "1e99999", "0e9", "0.00", ".5", "-.25", "00001", "1e2", "1.10e1"]), st.decimals(-1000, 1000, places=3).map(str), CHARACTERS)),
}  # fmt: skip
CENTURY = (datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2000-01-01"))
CENTURIES = (datetime.fromisoformat("1700-01-01"), datetime.fromisoformat("2200-01-01"))
TYPED = {
    pa.int8(): st.integers(-128, 127),
    pa.int16(): st.integers(-200, 200),
    pa.int64(): st.one_of(st.integers(-130, 130), st.integers(-(2**63), 2**63 - 1)),
    pa.uint64(): st.one_of(st.integers(0, 130), st.integers(0, 2**64 - 1)),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.one_of(st.floats(), st.integers(-130, 130).map(float), st.just(2.0**63)),
    pa.bool_(): st.booleans(),
    pa.binary(): st.one_of(st.binary(max_size=4), st.sampled_from([b"ABC", b"\xff"])),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.timestamp("us"): st.one_of(st.datetimes(), st.dates().map(lambda d: datetime.combine(d, time()))),
    pa.timestamp("s", "UTC"): st.datetimes(timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=0)),
    pa.timestamp("ms", "Europe/Berlin"): st.datetimes(CENTURY[0], CENTURY[1], timezones=st.just(UTC)).map(lambda d: d.replace(microsecond=1000)),
    pa.timestamp("ns"): st.datetimes(*CENTURIES),
    pa.time32("s"): st.times().map(lambda t: t.replace(microsecond=0)),
    pa.time64("us"): st.times(),
    pa.decimal128(20, 3): st.decimals(-(10**15), 10**15, places=3),
    pa.list_(pa.int64()): st.lists(st.integers(0, 3), max_size=2),
    pa.null(): st.none(),
}  # fmt: skip


def bounds(values):
    """Strategies for ge, gt, le, lt that do not contradict each other."""
    return st.tuples(
        values, values, st.sampled_from(["ge", "gt", ""]), st.sampled_from(["le", "lt", ""])
    ).map(
        lambda t: {
            name: bound
            for name, bound in ((t[2], min(t[0], t[1])), (t[3], max(t[0], t[1])))
            if name
        }
    )


LENGTHS = st.fixed_dictionaries(
    {}, optional={"min_length": st.integers(0, 3), "max_length": st.integers(2, 4)}
)
CONSTRAINTS = {
    Kind.INT: st.one_of(
        bounds(st.integers(-200, 200)),
        bounds(st.integers(-(2**63), 2**63 - 1)),
        st.lists(st.integers(-5, 300), min_size=1, max_size=4).map(lambda values: {"choices": tuple(values)}),
    ),
    Kind.FLOAT: st.builds(
        lambda bound, allowed: bound | {"allow_inf_nan": allowed}, bounds(st.floats(-100, 100)), st.booleans()
    ),
    Kind.BOOL: st.just({}),
    Kind.STR: st.one_of(
        LENGTHS,
        st.builds(lambda lengths, pattern: lengths | {"pattern": pattern}, LENGTHS, st.sampled_from(["[A-Z]+", "a|ABC", ".*", "[^a]?"])),
        st.just({"choices": ("AB", "abc")}),
    ),
    Kind.BYTES: LENGTHS,
    Kind.DATE: bounds(st.dates().map(str)),
    Kind.DATETIME: bounds(st.datetimes(timezones=st.just(UTC)).map(lambda d: d.isoformat(timespec="microseconds"))),
    Kind.TIME: bounds(st.times().map(lambda t: t.isoformat(timespec="microseconds"))),
    Kind.DECIMAL: st.one_of(
        st.just({}),
        bounds(st.integers(-500, 500)).map(lambda bound: {name: str(value) for name, value in bound.items()}),
        st.sampled_from([{"digits": 5, "scale": 2}, {"digits": 4, "scale": 4}, {"digits": 10, "scale": 0}, {"digits": 38, "scale": 38}, {"digits": 38, "scale": 0}]),
        st.just({"digits": 6, "scale": 1, "ge": "-1.255", "le": "3.14159"}),
    ),
}  # fmt: skip
DEFAULTS = {
    Kind.INT: 1, Kind.FLOAT: 0.5, Kind.BOOL: True, Kind.STR: "AB", Kind.BYTES: "\xff", Kind.DATE: "2013-01-31",
    Kind.DATETIME: "2013-01-31T10:00:00+00:00", Kind.TIME: "10:00:00", Kind.DECIMAL: "0",
}  # fmt: skip


@st.composite
def fields(draw, name):
    kind = draw(st.sampled_from(list(Kind)))
    rules = dict(draw(CONSTRAINTS[kind]))
    nullable = draw(st.booleans())
    default = draw(st.sampled_from(["none", "null", "value"]))
    if default == "value":
        rules |= {"has_default": True, "default": DEFAULTS[kind]}
    elif default == "null" and nullable:
        rules |= {"has_default": True}
    return FieldSpec(name, kind, nullable=nullable, **rules)


@st.composite
def columns(draw, field, rows):
    as_text = draw(st.booleans())
    own = [kind for kind in TYPED if kind == physical_type(field)]
    kind = pa.string() if as_text else draw(st.sampled_from([*TYPED, *own * 10]))
    values = TEXTS[field.kind] if as_text else TYPED[kind]
    if as_text and draw(st.booleans()):
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=3)))
    column = pa.array(
        draw(st.lists(st.one_of(values, values, values, st.none()), min_size=rows, max_size=rows)),
        kind,
    )
    form = draw(st.sampled_from(["plain", "dictionary", "large", "view"])) if as_text else "plain"
    match form:
        case "dictionary":
            return column.dictionary_encode()
        case "large":
            return column.cast(pa.large_string())
        case "view":
            return column.cast(pa.string_view())
        case _:
            return column


@st.composite
def cases(draw):
    """A contract and a batch for it, perhaps cut out of a longer one."""
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    spec = ContractSpec("T", "1.0.0", tuple(draw(fields(name)) for name in names))
    rows = draw(st.integers(0, ROWS_MAX))
    batch = pa.record_batch([draw(columns(field, rows)) for field in spec.fields], names=names)
    if draw(st.booleans()) and rows > 2:
        batch = batch.slice(1, rows - 2)
    return spec, batch


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other
    return type(one) is type(other) and one == other


@settings(max_examples=600, deadline=None)
@given(cases())
def test_the_plan_finds_what_a_loop_over_values_finds(case):
    spec, batch = case
    checked = compile_plan(spec).check(batch)
    good, bad = contract_oracle.judged(batch.to_pylist(), spec)
    found = []
    if checked.rejected is not None:
        reasons = checked.rejected.reasons.to_pylist()
        found = [
            (place, [(reason["field"], reason["rule"]) for reason in listed])
            for place, listed in zip(checked.rejected.rows.to_pylist(), reasons, strict=True)
        ]
        originals = [batch.to_pylist()[place] for place, _ in found]
        assert str(checked.rejected.original.to_pylist()) == str(originals)
        assert sum(checked.rejected.counts.values()) == sum(len(listed) for listed in reasons)
        checked.rejected.reasons.validate(full=True)
    assert found == bad
    checked.good.validate(full=True)
    assert checked.good.schema == compile_plan(spec).schema
    came = checked.good.to_pylist()
    assert len(came) == len(good)
    for one, other in zip(came, good, strict=True):
        assert all(same(one[name], other[name]) for name in one), (one, other)


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(20, 200))
def test_a_long_batch_is_judged_as_its_pieces_are(case, times):
    """Long columns go other ways (tried by their first rows, each value once, few picked out of many), which a dozen rows do not."""
    spec, batch = case
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


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.STR, Kind.BYTES)])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_plan_gave_it_takes_again_unchanged(kind, data):
    field = FieldSpec("a", kind, nullable=True, **data.draw(CONSTRAINTS[kind]))
    plan = compile_plan(ContractSpec("T", "1.0.0", (field,)))
    column = pa.array(data.draw(st.lists(TEXTS[kind], max_size=ROWS_MAX)), pa.string())
    good = plan.check(pa.record_batch([column], names=["a"])).good
    again = plan.check(good)
    assert again.rejected is None
    assert again.good.equals(good) or "nan" in str(good.to_pylist())
