"""Contracts of any kind and batches for them: good, odd and wrong values, as text and typed, flat and nested, under every policy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time

import contract_oracle
import msgspec
import pyarrow as pa
from hypothesis import strategies as st
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.physical import physical_type

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
            "-1,234,567",
            "1,00",
            "1,234.75",
            "-12.9",
            "0.5e1",
            "1e400",
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
            "0.3",
            "0.30000000000000004",
            "-1.05",
            "1e15",
            "1234567890123456.7",
            "9007199254740993",
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
FORMATTED = st.one_of(
    st.ip_addresses().map(str),
    st.uuids().map(str),
    st.dates().map(str),
    st.sampled_from(
        [
            "256.1.1.1",
            "01.2.3.4",
            "1.2.3",
            "::",
            "1::2::3",
            "::1.2.3.4",
            "1:2:3:4:5:6:7:8:9",
            "2013-02-29",
            "2012-02-29",
            "1900-02-29",
            "0000-01-01",
        ]
    ),
)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-200, 200), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3), st.sampled_from(["12", "AB"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["p", "q", "r"]), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
JSON_TEXTS = st.one_of(
    JSON_VALUES.map(json.dumps),
    st.sampled_from(
        ["", "{", "[1,", "nul", '{"p": 1e2, "q":"12"}', ' [ 1 , "2" ] ', "[NaN]", "{}", "[]", "x"]
    ),
)
TEXTS = {
    Kind.RECORD: JSON_TEXTS,
    Kind.LIST: JSON_TEXTS,
    Kind.INT: padded(st.one_of(INT_TEXTS, CHARACTERS)),
    Kind.FLOAT: padded(st.one_of(FLOAT_TEXTS, CHARACTERS)),
    Kind.BOOL: padded(st.sampled_from(["true", "T", "YES", "y", "on", "1", "false", "F", "No", "n", "OFF", "0", "2", "", "ja", "1.0"])),
    Kind.STR: st.one_of(st.text(max_size=5), st.sampled_from(["AB", "ABC", "abc", "A\n", "\u00e4\u00f6", "", "12", "\u0663", " \v", "\u2003", "AB\n", "x ABC", "\u00e4ABC", "\u00c4B", "\u017f"]), FORMATTED),
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


def multiples(*steps):
    return st.sampled_from([{"multiple_of": step} for step in steps])


LENGTHS = st.fixed_dictionaries(
    {}, optional={"min_length": st.integers(0, 3), "max_length": st.integers(2, 4)}
)
CONSTRAINTS = {
    Kind.INT: st.one_of(
        bounds(st.integers(-200, 200)),
        bounds(st.integers(-(2**63), 2**63 - 1)),
        st.lists(st.integers(-5, 300), min_size=1, max_size=4).map(lambda values: {"choices": tuple(values)}),
        multiples(1, 3, 5, 1000, 2**40),
    ),
    Kind.FLOAT: st.builds(
        lambda bound, allowed, more: bound | {"allow_inf_nan": allowed} | more,
        bounds(st.floats(-100, 100)), st.booleans(), st.one_of(st.just({}), multiples(0.1, 0.05, 1.0, 2.5, 1e-7, 3e20, 0.30000000000000004)),
    ),
    Kind.BOOL: st.just({}),
    Kind.STR: st.one_of(
        LENGTHS,
        st.builds(lambda lengths, pattern: lengths | {"pattern": pattern}, LENGTHS, st.sampled_from(list(contract_oracle.PATTERNS))),
        st.sampled_from([{"format": name} for name in contract_oracle.FORMATS]),
        st.just({"choices": ("AB", "abc")}),
    ),
    Kind.BYTES: LENGTHS,
    Kind.DATE: st.one_of(bounds(st.dates().map(str)), st.just({"choices": ("2013-01-31", "2012-02-29")})),
    Kind.DATETIME: bounds(st.datetimes(timezones=st.just(UTC)).map(lambda d: d.isoformat(timespec="microseconds"))),
    Kind.TIME: bounds(st.times().map(lambda t: t.isoformat(timespec="microseconds"))),
    Kind.DECIMAL: st.one_of(
        st.just({}),
        bounds(st.integers(-500, 500)).map(lambda bound: {name: str(value) for name, value in bound.items()}),
        st.sampled_from([{"digits": 5, "scale": 2}, {"digits": 4, "scale": 4}, {"digits": 10, "scale": 0}, {"digits": 38, "scale": 38}, {"digits": 38, "scale": 0}]),
        st.just({"digits": 6, "scale": 1, "ge": "-1.255", "le": "3.14159"}),
        st.sampled_from([{"multiple_of": "0.05"}, {"multiple_of": "3"}, {"digits": 5, "scale": 2, "multiple_of": "0.025"}, {"digits": 3, "scale": 1, "multiple_of": "12345.6"}]),
        st.just({"digits": 5, "scale": 2, "choices": ("1.25", "-0.25", "100")}),
    ),
    Kind.RECORD: st.just({}),
    Kind.LIST: LENGTHS,
}  # fmt: skip
DEFAULTS = {
    Kind.INT: 1, Kind.FLOAT: 0.5, Kind.BOOL: True, Kind.STR: "AB", Kind.BYTES: "\xff", Kind.DATE: "2013-01-31",
    Kind.DATETIME: "2013-01-31T10:00:00+00:00", Kind.TIME: "10:00:00", Kind.DECIMAL: "0",
}  # fmt: skip


# A plan refuses a default that breaks its own pattern.
FITTING = {
    pattern: next(text for text in ("AB", "ABC", "", "1") if fits(text))
    for pattern, fits in contract_oracle.PATTERNS.items()
}
PLAIN_KINDS = [kind for kind in Kind if kind not in (Kind.RECORD, Kind.LIST)]
POLICIES = st.sampled_from([None, None, *Coercion])


@st.composite
def fields(draw, name, levels=2, *, in_list=False):
    kind = draw(st.sampled_from(list(Kind) if levels else PLAIN_KINDS))
    rules = dict(draw(CONSTRAINTS[kind])) | {"coercion": draw(POLICIES)}
    nullable = draw(st.booleans())
    if kind is Kind.RECORD:
        names = ["p", "q", "r"][: draw(st.integers(1, 3))]
        inner = tuple(draw(fields(one, levels - 1, in_list=in_list)) for one in names)
        return FieldSpec(name, kind, nullable=nullable, fields=inner, **rules)
    if kind is Kind.LIST:
        items = draw(fields("item", levels - 1, in_list=True))
        items = msgspec.structs.replace(items, has_default=False, default=None)
        return FieldSpec(name, kind, nullable=nullable, items=items, **rules)
    if not in_list and draw(st.integers(0, 4)) == 0:
        rules["unique"] = True
    default = draw(st.sampled_from(["none", "null", "value"]))
    if default == "value" and name != "item":
        given = "AB" if rules.get("pattern") is None else FITTING[rules["pattern"]]
        rules |= {"has_default": True, "default": given if kind is Kind.STR else DEFAULTS[kind]}
    elif default == "null" and nullable:
        rules |= {"has_default": True}
    return FieldSpec(name, kind, nullable=nullable, **rules)


def nested_types(field):
    """Arrow types that come in for a record or a list: of the right shape, with strange and missing parts."""
    if field.kind is Kind.RECORD:
        parts = [st.tuples(st.just(inner.name), nested_types(inner)) for inner in field.fields]
        some = st.tuples(*parts).flatmap(
            lambda whole: st.sampled_from([list(whole), [*whole, ("extra", pa.int8())], list(whole)[1:] or [("z", pa.int8())], list(whole)[::-1]])
        )  # fmt: skip
        return some.map(pa.struct)
    if field.kind is Kind.LIST:
        layouts = st.sampled_from(
            [pa.list_, pa.list_, pa.large_list, pa.list_view, lambda kind: pa.list_(kind, 2)]
        )
        return st.builds(lambda layout, kind: layout(kind), layouts, nested_types(field.items))
    own = physical_type(field)
    typed = [kind for kind in TYPED if not pa.types.is_nested(kind)]
    return st.sampled_from([pa.string(), *([own] * 3 if own in TYPED else []), *typed])


def values_of(kind, field):
    """Values for an Arrow type, by the field that they are for."""
    if kind in TYPED:
        return TYPED[kind]
    if pa.types.is_struct(kind):
        inner = {one.name: one for one in field.fields} if field is not None else {}
        parts = {
            part.name: st.one_of(st.none(), values_of(part.type, inner.get(part.name)))
            for part in kind
        }
        return st.fixed_dictionaries(parts)
    if pa.types.is_nested(kind):
        size = (
            {"min_size": 2, "max_size": 2} if pa.types.is_fixed_size_list(kind) else {"max_size": 4}
        )
        items = values_of(kind.value_type, field.items if field is not None else None)
        return st.lists(st.one_of(st.none(), items, items), **size)
    if pa.types.is_string(kind):
        return TEXTS[field.kind] if field is not None else st.text(max_size=3)
    return st.integers(0, 100)


@st.composite
def columns(draw, field, rows):
    as_text = draw(st.booleans())
    own = [kind for kind in TYPED if kind == physical_type(field)]
    kind = pa.string() if as_text else draw(st.sampled_from([*TYPED, *own * 10]))
    if field.kind in (Kind.RECORD, Kind.LIST) and draw(st.integers(0, 3)):
        as_text, kind = False, draw(nested_types(field))
    values = TEXTS[field.kind] if as_text else values_of(kind, field)
    if draw(st.booleans()) and (as_text or field.unique):
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
    policy = draw(st.sampled_from([Coercion.SAFE, *Coercion]))
    spec = ContractSpec("T", "1.0.0", tuple(draw(fields(name)) for name in names), coercion=policy)
    rows = draw(st.integers(0, ROWS_MAX))
    batch = pa.record_batch([draw(columns(field, rows)) for field in spec.fields], names=names)
    if draw(st.booleans()) and rows > 2:
        batch = batch.slice(1, rows - 2)
    return spec, batch
