"""Contracts of every shape, for laws that must hold for all of them: fields of every kind with everything that one can say, and what can be said together."""

from __future__ import annotations

import string
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.values import scalar

# Making contracts of every shape takes longer on a busy machine than hypothesis allows a case; how many cases there are bounds it.
UNHURRIED = settings(max_examples=50)
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8).filter(
    lambda name: name.isidentifier() and not name.startswith("_")
)
PROSE = st.text(max_size=20).map(lambda text: " ".join(text.split()))
PATTERNS = st.sampled_from(
    [
        "[A-Z]{2}",
        "a|b",
        "x",
        "",
        "(?:a|b)",
        r"\$",
        r"a\\",
        "[|]x",
        "[]|]",
        "^a",
        "a$",
        "(a)|(b)",
        r"\|",
        "(?s:.*)x(?s:.*)",
    ]
)
FORMATS = st.sampled_from(["email", "uuid", "ipv4", "base64"])
ORDERED = (Kind.INT, Kind.FLOAT, Kind.DECIMAL, Kind.DATE, Kind.DATETIME, Kind.TIME)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.BOOL: st.booleans(),
    Kind.STR: st.text(max_size=8),
    Kind.BYTES: st.binary(max_size=8),
    Kind.DATE: st.dates(),
    Kind.DATETIME: st.datetimes(),
    Kind.TIME: st.times(),
    Kind.DECIMAL: st.decimals(
        allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=3
    ),
}


@st.composite
def field_specs(draw: st.DrawFn, name: str = "", depth: int = 2) -> FieldSpec:
    """A field that a contract's class could have."""
    kinds = list(VALUES) + ([Kind.RECORD, Kind.LIST] if depth else [])
    kind = draw(st.sampled_from(kinds))
    said: dict[str, Any] = {
        "nullable": draw(st.booleans()),
        "unit": draw(PROSE),
        "description": draw(PROSE),
        "pii": draw(st.sampled_from(["", "", "email", "personal"])),
        "tags": draw(
            st.dictionaries(
                st.sampled_from(
                    ["pii", "owner", "a=b", "classification", "criticalDataElement", "x"]
                ),
                PROSE,
                max_size=3,
            )
        ),
        "coercion": draw(st.sampled_from([None, None, *Coercion])),
        "access": tuple(draw(st.lists(NAMES, max_size=2, unique=True))),
        "mask": draw(st.sampled_from(["", "redact", "hash"])) if kind is Kind.STR else "",
        "lineage": draw(PROSE),
    }
    if kind is Kind.RECORD:
        said["fields"] = draw(fields_of_record(depth - 1))
    elif kind is Kind.LIST:
        items = draw(field_specs("item", depth - 1))
        said["items"] = msgspec.structs.replace(
            items, has_default=False, default=None, unique=False
        )
        said |= draw(lengths())
    else:
        said |= draw(constraints(kind))
    spec = FieldSpec(name or draw(NAMES), kind, **said)
    return draw(with_default(spec))


@st.composite
def constraints(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    said: dict[str, Any] = {}
    way = draw(st.sampled_from(["none", "bounds", "choices", "lengths", "other"]))
    if kind is Kind.DECIMAL and draw(st.booleans()):
        said |= {"digits": 38, "scale": draw(st.integers(3, 6))}
    if kind is Kind.FLOAT and draw(st.booleans()):
        said["allow_inf_nan"] = True
    if way == "bounds" and kind in ORDERED:
        low, high = sorted(draw(st.tuples(VALUES[kind], VALUES[kind])))
        names = draw(st.sampled_from([("ge", "le"), ("gt", "lt"), ("ge", ""), ("", "lt")]))
        ends = {
            name: scalar(kind, value)
            for name, value in zip(names, (low, high), strict=True)
            if name
        }
        said |= ends if low != high or names == ("ge", "le") else {}
    elif way == "choices" and kind in (Kind.STR, Kind.INT):
        said["choices"] = tuple(draw(st.lists(VALUES[kind], min_size=1, max_size=4, unique=True)))
    elif way == "lengths" and kind in (Kind.STR, Kind.BYTES):
        said |= draw(lengths())
    elif way == "other" and kind is Kind.STR:
        said |= {"pattern": draw(PATTERNS)} if draw(st.booleans()) else {"format": draw(FORMATS)}
    elif way == "other" and kind in (Kind.INT, Kind.DECIMAL):
        said["multiple_of"] = scalar(
            kind,
            draw(
                st.sampled_from([2, 5] if kind is Kind.INT else [Decimal("0.05"), Decimal("1E+1")])
            ),
        )
    if kind is not Kind.BOOL:
        said["unique"] = draw(st.booleans())
    return said


@st.composite
def lengths(draw: st.DrawFn) -> dict[str, int]:
    low, high = sorted(draw(st.tuples(st.integers(0, 5), st.integers(0, 50))))
    return {
        **({"min_length": low} if draw(st.booleans()) else {}),
        **({"max_length": high} if draw(st.booleans()) else {}),
    }


@st.composite
def with_default(draw: st.DrawFn, spec: FieldSpec) -> FieldSpec:
    """Give the field a default that it keeps, or none."""
    if spec.nullable and draw(st.booleans()):
        return msgspec.structs.replace(spec, has_default=True)
    if spec.kind in (Kind.RECORD, Kind.LIST) or draw(st.booleans()):
        return spec
    if spec.choices:
        value: Any = draw(st.sampled_from(spec.choices))
    elif any(getattr(spec, name) is not None for name in ("ge", "le")):
        value = spec.ge if spec.ge is not None else spec.le
    elif (
        any(
            getattr(spec, name) is not None
            for name in ("gt", "lt", "pattern", "min_length", "max_length", "multiple_of")
        )
        or spec.format
    ):
        return spec
    else:
        value = scalar(spec.kind, draw(VALUES[spec.kind]))
    return msgspec.structs.replace(spec, has_default=True, default=value)


@st.composite
def fields_of_record(draw: st.DrawFn, depth: int = 2) -> tuple[FieldSpec, ...]:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return tuple(draw(field_specs(name, depth)) for name in names)


@st.composite
def contract_specs(draw: st.DrawFn, depth: int = 2) -> ContractSpec:
    """A contract that a class could say, without rules over a row."""
    fields = draw(fields_of_record(depth))
    keyable = [
        field.name
        for field in fields
        if not field.nullable and field.kind not in (Kind.RECORD, Kind.LIST)
    ]
    key = draw(st.lists(st.sampled_from(keyable), unique=True, max_size=2)) if keyable else []
    return ContractSpec(
        draw(st.sampled_from(["Flight", "Trade", "T"])),
        draw(st.sampled_from(["1.0.0", "0.1.2", "10.2.3-rc.1"])),
        fields,
        tuple(key),
        draw(PROSE),
        coercion=draw(st.sampled_from(Coercion)),
        on_drift=draw(st.sampled_from(OnDrift)),
        tags=draw(
            st.dictionaries(st.sampled_from(["pii", "owner", "classification"]), PROSE, max_size=2)
        ),
    )
