"""What a JSON Schema of ours says, field by field."""

from __future__ import annotations

import jsonschema
import pytest
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.json_schema import DRAFT, json_schema
from runink.expressions import Literal


def schema_of(field: FieldSpec) -> dict[str, object]:
    found = json_schema(ContractSpec("T", "1.0.0", (field,)))["properties"][field.name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (
            FieldSpec("x", Kind.INT, ge=1, lt=9, multiple_of=2),
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
        ),
        (
            FieldSpec("x", Kind.INT, choices=(1, 2), nullable=True),
            {"type": ["integer", "null"], "enum": [1, 2, None]},
        ),
        (
            FieldSpec("x", Kind.FLOAT, nullable=True, gt=0.5),
            {"type": ["number", "null"], "exclusiveMinimum": 0.5},
        ),
        (
            FieldSpec("x", Kind.BOOL, has_default=True, default=True),
            {
                "type": ["boolean", "null"],
                "default": True,
                "x-runink": {"nullable": False},
            },
        ),
        (
            FieldSpec("x", Kind.STR, pattern="a|b", max_length=3),
            {"type": "string", "maxLength": 3, "pattern": "^(?:a|b)$"},
        ),
        (
            FieldSpec("x", Kind.LIST, items=FieldSpec("item", Kind.BOOL), min_length=1),
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1},
        ),
        (
            FieldSpec("x", Kind.STR, unit="m", pii="email", access=("a",)),
            {"type": "string", "x-runink": {"unit": "m", "pii": "email", "access": ["a"]}},
        ),
        (
            FieldSpec("x", Kind.BYTES, min_length=2),
            {"type": "string", "x-runink": {"kind": "bytes", "min_length": 2}},
        ),
    ],
)
def test_a_field_is_said_in_the_words_of_json_schema(field: FieldSpec, expected: dict[str, object]):
    assert schema_of(field) == expected


def test_a_format_is_a_pattern_too_because_a_format_alone_checks_nothing():
    found = schema_of(FieldSpec("x", Kind.STR, format="email"))
    assert found["format"] == "email"
    checker = jsonschema.Draft202012Validator(found)
    assert checker.is_valid("ann@example.com")
    assert not checker.is_valid("ann")


def test_a_format_and_a_pattern_both_hold():
    checker = jsonschema.Draft202012Validator(
        schema_of(FieldSpec("x", Kind.STR, format="email", pattern="a.*"))
    )
    assert [checker.is_valid(text) for text in ("ann@example.com", "bob@example.com", "a")] == [
        True,
        False,
        False,
    ]


def test_a_strict_decimal_is_text_and_another_may_be_a_number():
    field = FieldSpec("x", Kind.DECIMAL, digits=5, scale=2)
    assert schema_of(field)["type"] == ["number", "string"]
    strict = json_schema(ContractSpec("T", "1.0.0", (field,), coercion=Coercion.STRICT))
    assert strict["properties"]["x"]["type"] == ["string"]


def test_what_is_about_the_whole_stands_beside_it():
    rule = RuleSpec("r", "x > 0", Literal(True))
    field = FieldSpec("x", Kind.INT)
    optional = FieldSpec("y", Kind.INT, nullable=True, has_default=True)
    spec = ContractSpec("T", "1.2.0", (field, optional), ("x",), "Text.", rules=(rule,))
    found = json_schema(spec)
    assert (found["$schema"], found["title"], found["description"]) == (DRAFT, "T", "Text.")
    assert found["required"] == ["x"]
    assert found["x-runink"] == {
        "contract": "T",
        "version": "1.2.0",
        "hash": spec.hash,
        "coercion": "safe",
        "key": ["x"],
        "rules": [{"name": "r", "expression": "x > 0", "description": ""}],
    }
