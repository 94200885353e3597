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
below `x-runink`, which validators leave alone: all that a reader of the keywords would get wrong, so that what is written here is read back as it was
(`json_schema_reading`).  Patterns are searched for, so ours get `^` and `$`.  A row that is valid here is taken by the contract, if
what `x-runink` says holds as well; the contract takes more, by coercion: `"12"` for 12.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.json_schema_keywords import keywords_of
from runink.contracts.json_schema_plain import plain_of
from runink.contracts.json_schema_words import ATTRIBUTES, DRAFT, OURS

__all__ = ["DRAFT", "field_schema", "json_schema"]


def json_schema(spec: ContractSpec) -> dict[str, Any]:
    """Return the schema of one row."""
    drift = spec.on_drift.value if spec.on_drift is not OnDrift.NOTE else ""
    beside = {
        "contract": spec.name,
        "version": spec.version,
        "hash": spec.hash,
        "coercion": spec.coercion.value,
        "on_drift": drift,
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
        **({"description": spec.description} if spec.description else {}),
        "type": "object",
        **_properties(spec.fields, spec.coercion),
        OURS: {name: value for name, value in beside.items() if value},
    }


def _properties(fields: tuple[FieldSpec, ...], policy: Coercion) -> dict[str, Any]:
    needed = [field.name for field in fields if not field.has_default]
    return {
        "properties": {field.name: field_schema(field, policy) for field in fields},
        **({"required": needed} if needed else {}),
    }


def field_schema(field: FieldSpec, policy: Coercion) -> dict[str, Any]:
    """Return the schema of a field's value; `policy` holds where the field has none of its own."""
    policy = field.coercion or policy
    keywords = keywords_of(field, policy)
    inner: dict[str, Any] = {}
    if field.kind is Kind.RECORD:
        inner = _properties(field.fields, policy)
    elif field.kind is Kind.LIST and field.items is not None:
        inner = {"items": field_schema(field.items, policy)}
    beside = _beside(field, keywords)
    return {"type": keywords["type"], **inner, **keywords, **({OURS: beside} if beside else {})}


def _beside(field: FieldSpec, keywords: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader of the keywords would get wrong, by attribute."""
    said: dict[str, Any] = {}
    plain = plain_of(keywords, field.name, is_required=not field.has_default)
    if plain is None or plain.kind is not field.kind:
        said["kind"] = field.kind.value
        plain = plain_of(keywords, field.name, is_required=not field.has_default, kind=field.kind)
        assert plain is not None, "with its kind, what is written can be read"
    for name in ATTRIBUTES:
        value = getattr(field, name)
        if getattr(plain, name) != value:
            said[name] = _in_json(value)
    return said


def _in_json(value: Any) -> Any:
    """Return an attribute as JSON has it; infinite numbers are text."""
    match msgspec.to_builtins(value):
        case float() as number if number - number != 0:
            return str(number)
        case tuple() | list() as several:
            return [_in_json(one) for one in several]
        case plain:
            return plain
