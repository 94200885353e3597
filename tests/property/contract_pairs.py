"""Two versions of a contract, the second made from the first by a few changes, and batches of rows for either of them.

A flat field comes in its type or as text, a record and a list in their types or as JSON; what may be missing is sometimes left out, inside records as well.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st
from msgspec.structs import replace
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.physical import physical_type
from runink.contracts.values import broken_rule
from runink.expressions.parsing import parse

ROWS_MAX = 12
KINDS = [kind for kind in Kind if kind not in (Kind.RECORD, Kind.LIST)]
BOUNDED = {
    Kind.INT: st.one_of(st.integers(-20, 20), st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1])),
    Kind.FLOAT: st.one_of(st.integers(-20, 20).map(float), st.sampled_from([0.5, 2.0**53, 1e300])),
    Kind.DECIMAL: st.integers(-2000, 2000).map(lambda n: str(n / 100)),
    Kind.DATE: st.integers(1, 28).map(lambda day: f"2013-02-{day:02}"),
    Kind.DATETIME: st.integers(1, 28).map(lambda day: f"2013-02-{day:02}T00:00:00+00:00"),
    Kind.TIME: st.integers(0, 23).map(lambda hour: f"{hour:02}:00:00"),
}  # fmt: skip
CHOICES = {
    Kind.INT: st.lists(st.integers(-3, 3), min_size=1, max_size=4, unique=True),
    Kind.STR: st.lists(
        st.sampled_from(["", "A", "AB", "ABC", "b", "äö"]), min_size=1, max_size=4, unique=True
    ),
}
PATTERNS = ["[A-Z]+", "[A-Z]*", "AB?", ".*"]
DEFAULTS = {
    Kind.INT: 1, Kind.FLOAT: 0.5, Kind.BOOL: True, Kind.STR: "AB", Kind.BYTES: "AB", Kind.DATE: "2013-02-10",
    Kind.DATETIME: "2013-02-10T10:00:00+00:00", Kind.TIME: "10:00:00", Kind.DECIMAL: "1",
}  # fmt: skip
TEXTS = {
    Kind.INT: st.one_of(st.integers(-25, 25).map(str), st.sampled_from(["1.0", " 7 ", str(2**53), str(2**53 + 1), str(2**63 - 1), "x", ""])),
    Kind.FLOAT: st.one_of(st.integers(-50, 50).map(lambda n: str(n / 2)), st.sampled_from(["nan", "inf", "1e400", "9007199254740992", "x"])),
    Kind.BOOL: st.sampled_from(["true", "no", "1", "x"]),
    Kind.STR: st.sampled_from(["", "A", "AB", "ABC", "b", "äö", "ABCD", "A\n", "DE", "2013-02-10"]),
    Kind.BYTES: st.sampled_from(["", "A", "AB", "äö", "ABCD"]),
    Kind.DATE: st.one_of(st.integers(1, 30).map(lambda day: f"2013-02-{day:02}"), st.sampled_from(["2013-02-10T00:00:00Z", "2013-02-10T10:00:00Z", "0000-01-01"])),
    Kind.DATETIME: st.one_of(st.integers(1, 28).map(lambda day: f"2013-02-{day:02}T00:00:00Z"), st.sampled_from(["2013-02-10", "2013-02-10T10:00:00.5Z"])),
    Kind.TIME: st.sampled_from(["00:00", "10:00:00", "23:59:59.5", "x"]),
    Kind.DECIMAL: st.one_of(st.integers(-3000, 3000).map(lambda n: str(n / 100)), st.sampled_from(["123456", "0.125", "1e3", "x"])),
}  # fmt: skip
LENGTHS = st.fixed_dictionaries(
    {},
    optional={"min_length": st.integers(0, 2), "max_length": st.integers(2, 4)},
)
YEAR = (datetime.fromisoformat("2013-01-01"), datetime.fromisoformat("2013-03-01"))
TYPED = {
    pa.int8(): st.integers(-25, 25),
    pa.int16(): st.integers(-25, 25),
    pa.int32(): st.integers(-25, 25),
    pa.int64(): st.one_of(st.integers(-25, 25), st.sampled_from([2**53, 2**53 + 1, 2**63 - 1])),
    pa.float64(): st.one_of(st.integers(-50, 50).map(lambda n: n / 2), st.sampled_from([float("nan"), float("inf"), 2.0**53])),
    pa.bool_(): st.booleans(),
    pa.string(): TEXTS[Kind.STR],
    pa.binary(): st.sampled_from([b"", b"A", b"\xff", b"ABCD"]),
    pa.date32(): st.dates(YEAR[0].date(), YEAR[1].date()),
    pa.timestamp("us", "UTC"): st.datetimes(*YEAR, timezones=st.just(UTC)),
    pa.time64("us"): st.times(),
}  # fmt: skip


@st.composite
def constraints(draw, kind):
    """Constraints that a field of the kind may have, those of a field's own checks included."""
    said = {}
    if kind in BOUNDED:
        low, high = sorted(
            draw(st.tuples(BOUNDED[kind], BOUNDED[kind])), key=lambda one: _sortable(kind, one)
        )
        lower, upper = (
            draw(st.sampled_from(["ge", "gt", ""])),
            draw(st.sampled_from(["le", "lt", ""])),
        )
        said |= {name: bound for name, bound in ((lower, low), (upper, high)) if name}
    if kind in CHOICES and draw(st.integers(0, 2)) == 0:
        said["choices"] = tuple(draw(CHOICES[kind]))
    if kind in (Kind.STR, Kind.BYTES) and draw(st.booleans()):
        said["min_length"] = draw(st.integers(0, 2))
        said["max_length"] = draw(st.sampled_from([None, 2, 3, 4, 12]))
    if kind is Kind.STR and draw(st.integers(0, 2)) == 0:
        said["pattern"] = draw(st.sampled_from(PATTERNS))
    if kind is Kind.STR and draw(st.integers(0, 5)) == 0:
        said["format"] = draw(st.sampled_from(["iso-country", "date"]))
    if kind in (Kind.INT, Kind.DECIMAL) and draw(st.integers(0, 3)) == 0:
        step = draw(st.sampled_from([1, 2, 3, 4, 6]))
        said["multiple_of"] = step if kind is Kind.INT else str(step / 4)
    if kind in (Kind.INT, Kind.STR) and draw(st.integers(0, 5)) == 0:
        said["unique"] = True
    if draw(st.integers(0, 5)) == 0:
        said["coercion"] = draw(st.sampled_from(Coercion))
    if kind is Kind.FLOAT:
        said["allow_inf_nan"] = draw(st.booleans())
    if kind is Kind.DECIMAL and draw(st.booleans()):
        said["digits"], said["scale"] = draw(st.sampled_from([(5, 2), (6, 2), (5, 3), (38, 9), (6, 0), (20, 0), (19, 0)]))  # fmt: skip
    return said


def _sortable(kind, bound):
    return float(bound) if kind is Kind.DECIMAL else bound


def fields(name):
    """Any field: most are flat, some have fields or items."""
    flat = flat_fields(name)
    return st.one_of(flat, flat, flat, records(name), lists(name))


@st.composite
def records(draw, name):
    inner = tuple(draw(flat_fields(one)) for one in ("x", "y")[: draw(st.integers(1, 2))])
    policy = draw(st.sampled_from([None, None, None, *Coercion]))
    return _optional(draw, FieldSpec(name, Kind.RECORD, fields=inner, coercion=policy))


@st.composite
def lists(draw, name):
    item = draw(st.one_of(flat_fields(""), records("")))
    item = replace(item, has_default=False, default=None, unique=False)
    field = FieldSpec(name, Kind.LIST, items=item, **draw(LENGTHS))
    return _optional(draw, field)


@st.composite
def flat_fields(draw, name, kinds=KINDS):
    kind = draw(st.sampled_from(kinds))
    said = draw(constraints(kind))
    return sound(_optional(draw, FieldSpec(name, kind, **said)))


def sound(field):
    """Return the field without a default that breaks its own rules, which no contract has."""
    if field.default is None or broken_rule(field, field.default) is None:
        return field
    return replace(field, has_default=False, default=None)


def _optional(draw, field):
    nullable = draw(st.booleans())
    match draw(st.sampled_from(["none", "null", "value"])):
        case "value" if field.kind in DEFAULTS:
            return replace(field, nullable=nullable, has_default=True, default=DEFAULTS[field.kind])
        case "null" if nullable:
            return replace(field, nullable=True, has_default=True, default=None)
        case _:
            return replace(field, nullable=nullable, has_default=False, default=None)


WIDER = {
    Kind.INT: [Kind.INT, Kind.FLOAT, Kind.DECIMAL],
    Kind.DATE: [Kind.DATE, Kind.DATETIME],
    Kind.STR: [Kind.STR, Kind.BYTES],
}


@st.composite
def changed(draw, field):
    """Return the field with some of what is said of it said anew."""
    if field.kind is Kind.LIST:
        items = replace(draw(changed(field.items)), has_default=False, default=None, unique=False)
        field = replace(field, items=items, **draw(LENGTHS))
        return _optional(draw, field) if draw(st.booleans()) else field
    if field.kind is Kind.RECORD:
        inner = [draw(changed(one)) for one in field.fields]
        if len(inner) > 1 and draw(st.integers(0, 3)) == 0:
            del inner[0]
        if draw(st.integers(0, 3)) == 0:
            inner.append(draw(flat_fields("z")))
        field = replace(field, fields=tuple(inner))
        if draw(st.integers(0, 5)) == 0:
            field = replace(field, coercion=draw(st.sampled_from([None, *Coercion])))
        return _optional(draw, field) if draw(st.booleans()) else field
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["constraints", "one", "optional", "kind"])):
            case "constraints":
                field = FieldSpec(
                    field.name, field.kind, field.nullable, field.has_default, field.default,
                    **draw(constraints(field.kind)),
                )  # fmt: skip
            case "one":
                said = draw(constraints(field.kind))
                name = draw(st.sampled_from(sorted(said))) if said else "nullable"
                pair = {"digits", "scale"} if name in ("digits", "scale") else {name}
                field = replace(field, **{one: said.get(one, False) for one in pair})
            case "optional":
                field = _optional(draw, field)
            case _:
                kind = draw(st.sampled_from(WIDER.get(field.kind, KINDS)))
                made = FieldSpec(field.name, kind, **draw(constraints(kind)))
                field = _optional(draw, made)
    return sound(field)


@st.composite
def common_rules(draw, old, new):
    """Return a rule over a field of both versions, or none."""
    kinds = {field.name: {field.kind} for field in old}
    for field in new:
        kinds.setdefault(field.name, set()).add(field.kind)
    kept = [field.name for field in old if field.name in {one.name for one in new}]
    if not kept or draw(st.booleans()):
        return ()
    name = draw(st.sampled_from(kept))
    texts = [f"has({name})"]
    if kinds[name] <= {Kind.INT, Kind.FLOAT, Kind.DECIMAL}:
        texts += [f"{name} > 0", f"{name} * {name} < 100", f"{name} == 9007199254740993"]
    text = draw(st.sampled_from(texts))
    return (RuleSpec("common", text, parse(text).expression),)


@st.composite
def pairs(draw):
    """Return two versions of a contract."""
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    coercions = st.sampled_from([Coercion.SAFE, Coercion.SAFE, Coercion.STRICT, Coercion.LENIENT])
    coercion = draw(coercions)
    old = [draw(fields(name)) for name in names]
    new = [draw(changed(field)) for field in old]
    if draw(st.integers(0, 3)) == 0 and len(new) > 1:
        del new[0]
    if draw(st.integers(0, 3)) == 0:
        new.append(draw(fields("d")))
    if draw(st.booleans()):
        new.reverse()
    rules = draw(common_rules(old, new))
    versions = (
        ContractSpec("T", "1.0.0", tuple(old), coercion=coercion, rules=rules),
        ContractSpec("T", "1.1.0", tuple(new), coercion=draw(st.one_of(st.just(coercion), coercions)), rules=rules),
    )  # fmt: skip
    return versions if draw(st.booleans()) else versions[::-1]


@st.composite
def written(draw, spec):
    """Return rows that may have been written for a contract: its columns, some of those with a default left out, in their types or as text."""
    rows = draw(st.integers(1, ROWS_MAX))
    columns = {}
    for field in spec.fields:
        if field.has_default and draw(st.integers(0, 3)) == 0:
            continue
        columns[field.name] = draw(_column(field, rows))
    columns = columns or {"": pa.nulls(rows)}
    return pa.record_batch(list(columns.values()), names=list(columns))


@st.composite
def _column(draw, field, rows):
    if draw(st.booleans()):
        if field.kind in TEXTS:
            values, kind = TEXTS[field.kind], pa.string()
        else:
            values, kind = (
                values_of(field).map(lambda one: json.dumps(one, default=str)),
                pa.string(),
            )
    else:
        shape = draw(shapes(field))
        values, kind = values_of(shape), physical_type(shape)
    chance = st.one_of(values, values, values, st.none())
    return pa.array(draw(st.lists(chance, min_size=rows, max_size=rows)), kind)


@st.composite
def shapes(draw, field):
    """Return a field whose type the data may have: records lack some of what they may lack."""
    if field.kind is Kind.LIST:
        return replace(field, items=draw(shapes(field.items)))
    if field.kind is Kind.RECORD:
        kept = [
            one
            for one in field.fields
            if not (one.nullable or one.default is not None) or draw(st.integers(0, 3))
        ]
        return replace(field, fields=tuple(kept)) if kept else field
    return field


def values_of(field):
    """Values that the field's type holds, whether or not the field takes them."""
    if field.kind is Kind.LIST:
        inner = values_of(field.items)
        return st.lists(st.one_of(inner, inner, inner, st.none()), max_size=4)
    if field.kind is Kind.RECORD:
        inside = {}
        for one in field.fields:
            inner = values_of(one)
            inside[one.name] = st.one_of(inner, inner, inner, st.none())
        return st.fixed_dictionaries(inside)
    if field.kind is Kind.DECIMAL:
        kind = physical_type(field)
        largest = min(10 ** (kind.precision - kind.scale) - 1, 50)
        return st.decimals(-largest, largest, places=min(kind.scale, 2)).map(Decimal)
    return TYPED[physical_type(field)]
