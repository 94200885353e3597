"""A contract as JSON Schema (draft 2020-12), for whoever checks rows as JSON.

    field              schema
    int                integer, with the bounds of 64 bits where it has none of its own
    float              number
    decimal            number, or its text; under the policy `strict` its text only
    bool               boolean
    str, bytes         string; the lengths of bytes count something else and are left away
    date               string of format date          (and a pattern: in this draft a format alone is only a comment)
    datetime           string of format date-time, with a zone
    time               string; the format `time` of JSON Schema has a zone, ours has none
    record, list       object, array

A field that has a default may be missing. What JSON Schema has no words for (bounds of dates, digits, units, personal data, keys, rules over a row) stands
below `x-runink`, which validators leave alone.  Patterns are searched for, so ours get `^` and `$`.  A row that is valid here is taken by the contract, if
what `x-runink` says holds as well; the contract takes more, by coercion: `"12"` for 12.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.searching import searched
from runink.contracts.values import DIGITS_MAX, INT64_MAX, INT64_MIN, SCALE_DEFAULT

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
OURS: Final = "x-runink"
# The formats that JSON Schema has a name for; ours are the same forms.
STANDARD: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
_TYPES: Final = {
    Kind.INT: "integer",
    Kind.FLOAT: "number",
    Kind.DECIMAL: "number",
    Kind.BOOL: "boolean",
    Kind.RECORD: "object",
    Kind.LIST: "array",
}  # and all others are strings
_KEYWORDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
_NUMBERS: Final = frozenset({Kind.INT, Kind.FLOAT, Kind.DECIMAL})
_FORMS: Final = {Kind.DATE: "date", Kind.DATETIME: "date-time"}
_CLOCK: Final = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?$"
# What the standard's own keywords never say.
_BESIDE: Final = ("unit", "pii", "tags", "unique", "coercion", "access", "mask", "lineage")


def json_schema(spec: ContractSpec) -> dict[str, Any]:
    """Return the schema of one row."""
    beside = {
        "contract": spec.name,
        "version": spec.version,
        "hash": spec.hash,
        "coercion": spec.coercion.value,
        "key": list(spec.key),
        "tags": spec.tags,
        "rules": [
            {"name": rule.name, "expression": rule.text, "description": rule.description}
            for rule in spec.rules
        ],
    }
    return {
        "$schema": DRAFT,
        "title": spec.name,
        **_some({"description": spec.description}),
        **_object(spec.fields, spec.coercion),
        OURS: _some(beside),
    }


def _object(fields: tuple[FieldSpec, ...], policy: Coercion) -> dict[str, Any]:
    needed = [field.name for field in fields if not field.has_default]
    return {
        "type": "object",
        "properties": {field.name: field_schema(field, policy) for field in fields},
        **({"required": needed} if needed else {}),
    }


def field_schema(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    """Return the schema of a field's value; `policy` holds where the field has none of its own."""
    policy = field.coercion or policy
    takes_null = field.nullable or field.default is not None
    schema = _value(field, policy)
    if takes_null:
        listed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*listed, "null"]
    if field.choices:
        schema["enum"] = [_plain(field.kind, one) for one in field.choices]
        schema["enum"] += [None] if takes_null else []
    if field.has_default:
        schema["default"] = None if field.default is None else _plain(field.kind, field.default)
    if field.description:
        schema["description"] = field.description
    beside = _beside(field)
    return schema | ({OURS: beside} if beside else {})


def _value(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    match field.kind:
        case Kind.RECORD:
            return _object(field.fields, policy)
        case Kind.LIST:
            items = {"items": field_schema(field.items, policy)} if field.items is not None else {}
            return {"type": "array", **items, **_lengths(field, "Items")}
        case Kind.INT | Kind.FLOAT | Kind.DECIMAL:
            return _number(field, policy)
        case Kind.STR:
            return {"type": "string", **_lengths(field, "Length"), **_patterns(field)}
        case Kind.DATE | Kind.DATETIME:
            form = _FORMS[field.kind]
            return {"type": "string", "format": form, "pattern": f"^(?:{FORMATS[form]})$"}
        case Kind.TIME:
            return {"type": "string", "pattern": _CLOCK}
        case _:
            return {"type": _TYPES.get(field.kind, "string")}


def _number(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[field.kind]}
    for ours, theirs in _KEYWORDS.items():
        value = getattr(field, ours)
        if value is not None:
            schema[theirs] = _plain(field.kind, value)
    low = field.ge is None and field.gt is None
    high = field.le is None and field.lt is None
    if field.kind is Kind.INT and not field.choices:
        schema |= {"minimum": INT64_MIN} if low else {}
        schema |= {"maximum": INT64_MAX} if high else {}
    if field.kind is Kind.DECIMAL:
        digits = DIGITS_MAX if field.digits is None else field.digits
        scale = SCALE_DEFAULT if field.scale is None else field.scale
        schema["type"] = ["string"] if policy is Coercion.STRICT else ["number", "string"]
        schema["pattern"] = (
            rf"^-?[0-9]{{1,{max(1, digits - scale)}}}(?:\.[0-9]{{1,{max(1, scale)}}})?$"
        )
    return schema


def _lengths(field: FieldSpec, unit: str) -> dict[str, int]:
    ends = {f"min{unit}": field.min_length, f"max{unit}": field.max_length}
    return {name: value for name, value in ends.items() if value is not None}


def _patterns(field: FieldSpec) -> dict[str, Any]:
    own = [searched(field.pattern)] if field.pattern is not None else []
    form = [f"^(?:{FORMATS[field.format]})$"] if field.format else []
    named = {"format": field.format} if field.format in STANDARD else {}
    match [*own, *form]:
        case []:
            return {}
        case [pattern]:
            return {**named, "pattern": pattern}
        case several:
            return {**named, "allOf": [{"pattern": pattern} for pattern in several]}


def _plain(kind: Kind, value: Scalar) -> Any:
    """Return a bound, a choice or a default as JSON has it: a decimal is a number, everything else as specs keep it."""
    if kind is not Kind.DECIMAL:
        return value
    number = Decimal(str(value))
    return int(number) if number == number.to_integral_value() else float(number)


def _beside(field: FieldSpec) -> dict[str, Any]:
    names = [*_BESIDE]
    if field.kind not in _NUMBERS:
        names += _KEYWORDS
    if field.kind is Kind.BYTES:
        names += ["min_length", "max_length"]
    if field.kind is Kind.DECIMAL:
        names += ["digits", "scale"]
    said = {name: msgspec.to_builtins(getattr(field, name)) for name in names}
    needs_kind = field.kind in (Kind.BYTES, Kind.TIME, Kind.DECIMAL)
    return _some({"kind": field.kind.value if needs_kind else "", **said})


def _some(said: dict[str, Any]) -> dict[str, Any]:
    """Return what says something."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in said.items()
        if value is not None and value not in ("", {}, [], (), False)
    }
