"""A field's value in the keywords of JSON Schema, as far as there are some: `json_schema` writes them, and readers hold what they read against them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from runink.contracts.fields import Coercion, FieldSpec, Kind, Scalar
from runink.contracts.formats import FORMATS
from runink.contracts.json_schema_words import BOUNDS, CLOCK, FORMS, LENGTHS, STANDARD, STEP, TYPES
from runink.contracts.searching import searched
from runink.contracts.values import DIGITS_MAX, INT64_MAX, INT64_MIN, SCALE_DEFAULT

# How a form of ours stands as a pattern, and which form a pattern is.
FORM_PATTERNS: Final = {form: f"^(?:{pattern})$" for form, pattern in FORMATS.items()}
NUMBERS: Final = frozenset({Kind.INT, Kind.FLOAT, Kind.DECIMAL})


def keywords_of(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    """Return the keywords of a field's value, without those of what is in it. `policy` is the field's own, or its contract's."""
    takes_null = field.nullable or field.default is not None
    schema = _value(field, policy)
    if takes_null:
        listed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*listed, "null"]
    if field.choices:
        schema["enum"] = [_plain(field.kind, one) for one in field.choices]
        schema["enum"] += [None] if takes_null else []
    if field.has_default:
        default = None if field.default is None else _plain(field.kind, field.default)
        if default is not None or field.default is None:
            schema["default"] = default
    if field.description:
        schema["description"] = field.description
    return schema


def _value(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    match field.kind:
        case Kind.INT | Kind.FLOAT | Kind.DECIMAL:
            return _number(field, policy)
        case Kind.STR:
            return {"type": "string", **_lengths(field), **_patterns(field)}
        case Kind.LIST:
            return {"type": "array", **_lengths(field)}
        case Kind.DATE | Kind.DATETIME:
            form = FORMS[field.kind]
            return {"type": "string", "format": form, "pattern": FORM_PATTERNS[form]}
        case Kind.TIME:
            return {"type": "string", "pattern": CLOCK}
        case _:
            return {"type": TYPES.get(field.kind, "string")}


def _number(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": TYPES[field.kind]}
    for ours, theirs in (*BOUNDS.items(), ("multiple_of", STEP)):
        value = getattr(field, ours)
        plain = None if value is None else _plain(field.kind, value)
        if plain is not None:
            schema[theirs] = plain
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


def _lengths(field: FieldSpec) -> dict[str, int]:
    unit = LENGTHS[field.kind]
    ends = {f"min{unit}": field.min_length, f"max{unit}": field.max_length}
    return {name: value for name, value in ends.items() if value is not None}


def _patterns(field: FieldSpec) -> dict[str, Any]:
    own = [searched(field.pattern)] if field.pattern is not None else []
    form = [FORM_PATTERNS[field.format]] if field.format else []
    named = {"format": field.format} if field.format in STANDARD else {}
    match [*own, *form]:
        case []:
            return {}
        case [pattern]:
            return {**named, "pattern": pattern}
        case several:
            return {**named, "allOf": [{"pattern": pattern} for pattern in several]}


def _plain(kind: Kind, value: Scalar) -> Any:
    """Return a bound, a choice or a default as JSON has it: a decimal is a number, everything else as specs keep it; nothing where JSON has no such number."""
    if kind is Kind.DECIMAL:
        number = Decimal(str(value))
        is_whole = number.adjusted() < DIGITS_MAX and number == number.to_integral_value()
        value = int(number) if is_whole else float(number)
    return None if isinstance(value, float) and value - value != 0 else value
