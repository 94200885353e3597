"""JSON Schemas as others write them: what becomes a field of ours, what is only told, and what hostile documents get."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from runink.contracts.document_text import document_names, read_document
from runink.contracts.documents import Read
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, OnDrift, RuleSpec
from runink.contracts.json_schema import json_schema
from runink.contracts.row_rules import Rule
from runink.contracts.rule_reading import read as read_rules
from runink.errors import Invalid, NotFound

FILE = "contracts/orders.schema.json"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def read(document: Any, name: str = "") -> Read:
    return read_document(json.dumps(document), file=FILE, name=name)


def of(value: Any, **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": value}, "required": ["x"], **others}


def field(value: Any, **others: Any) -> FieldSpec:
    return read(of(value, **others)).spec.fields[0]


def notes(value: Any, **others: Any) -> list[str]:
    return [one.text for one in read(of(value, **others)).notes]


def mistakes(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        read(document)
    return [(one.code, one.text) for one in caught.value.findings]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, FieldSpec("x", Kind.INT)),
        ({"type": "number"}, FieldSpec("x", Kind.FLOAT)),
        ({"type": ["integer", "number"]}, FieldSpec("x", Kind.FLOAT)),
        ({"type": "string"}, FieldSpec("x", Kind.STR)),
        ({"type": ["null", "boolean"]}, FieldSpec("x", Kind.BOOL, nullable=True)),
        ({"type": "string", "format": "date"}, FieldSpec("x", Kind.DATE)),
        ({"type": "string", "format": "date-time"}, FieldSpec("x", Kind.DATETIME)),
        ({"type": "string", "format": "time"}, FieldSpec("x", Kind.STR, format="time")),
        ({"type": "string", "format": "uuid"}, FieldSpec("x", Kind.STR, format="uuid")),
        ({"type": "string", "pattern": "^a|b$"}, FieldSpec("x", Kind.STR, pattern="(?s:.*)(?:^a|b$)(?s:.*)")),
        ({"type": "string", "minLength": 1, "maxLength": 2.0}, FieldSpec("x", Kind.STR, min_length=1, max_length=2)),
        ({"type": "integer", "minimum": 1.5, "exclusiveMaximum": 9}, FieldSpec("x", Kind.INT, ge=2, lt=9)),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": 3}, FieldSpec("x", Kind.INT, gt=3)),
        ({"type": "integer", "minimum": 4, "exclusiveMinimum": 3}, FieldSpec("x", Kind.INT, ge=4)),
        ({"type": "integer", "exclusiveMinimum": 0.5, "minimum": 2}, FieldSpec("x", Kind.INT, ge=2)),
        ({"type": "integer", "maximum": 2, "exclusiveMaximum": 9.5}, FieldSpec("x", Kind.INT, le=2)),
        ({"type": "integer", "minimum": -1e300, "maximum": 1e300}, FieldSpec("x", Kind.INT)),
        ({"type": "number", "maximum": 1, "multipleOf": 0.5}, FieldSpec("x", Kind.FLOAT, le=1.0, multiple_of=0.5)),
        ({"minimum": 1}, FieldSpec("x", Kind.FLOAT, ge=1.0)),
        ({"maxLength": 3}, FieldSpec("x", Kind.STR, max_length=3)),
        ({"enum": ["a", "b"]}, FieldSpec("x", Kind.STR, choices=("a", "b"))),
        ({"enum": [1, 2, None]}, FieldSpec("x", Kind.INT, nullable=True, choices=(1, 2))),
        ({"enum": [1, 2.5]}, FieldSpec("x", Kind.FLOAT, choices=(1.0, 2.5))),
        ({"type": ["string", "null"], "enum": ["a"]}, FieldSpec("x", Kind.STR, choices=("a",))),
        ({"const": 7}, FieldSpec("x", Kind.INT, choices=(7,))),
        ({"type": "boolean", "enum": [True, False]}, FieldSpec("x", Kind.BOOL)),
        ({"oneOf": [{"const": "a"}, {"const": "b"}, {"type": "null"}]}, FieldSpec("x", Kind.STR, nullable=True, choices=("a", "b"))),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, FieldSpec("x", Kind.INT, nullable=True, ge=1)),
        ({"oneOf": [{"type": "string"}]}, FieldSpec("x", Kind.STR)),
        ({"allOf": [{"type": "number", "minimum": 1}, {"type": "integer", "minimum": 2}]}, FieldSpec("x", Kind.INT, ge=2)),
        ({"allOf": [{"enum": ["a", "b", "c"]}, {"enum": ["c", "b"]}]}, FieldSpec("x", Kind.STR, choices=("b", "c"))),
        ({"type": "array", "items": {"type": ["integer", "null"]}, "minItems": 1}, FieldSpec("x", Kind.LIST, items=FieldSpec("item", Kind.INT, nullable=True), min_length=1)),
        ({"type": "string", "description": "d"}, FieldSpec("x", Kind.STR, description="d")),
        ({"properties": {"y": {"type": "integer"}}, "required": ["y"]}, FieldSpec("x", Kind.RECORD, fields=(FieldSpec("y", Kind.INT),))),
        ({"type": ["number", "string"], "minimum": 0.1, "x-runink": {"kind": "decimal", "digits": 5, "scale": 2}}, FieldSpec("x", Kind.DECIMAL, ge="0.1", digits=5, scale=2)),
        ({"type": "string", "x-runink": {"kind": "bytes", "max_length": 3, "unit": "b"}}, FieldSpec("x", Kind.BYTES, max_length=3, unit="b")),
        ({"type": "integer", "x-runink": {"tags": {"event_time": ""}, "pii": "id"}}, FieldSpec("x", Kind.INT, tags={"event_time": ""}, pii="id")),
    ],
)  # fmt: skip
def test_a_schema_becomes_a_field(schema: dict[str, Any], expected: FieldSpec):
    found = read(of(schema))
    assert found.spec.fields == (expected,)
    assert not found.notes


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer"}, FieldSpec("x", Kind.INT, nullable=True, has_default=True)),
        ({"type": "integer", "default": 3}, FieldSpec("x", Kind.INT, has_default=True, default=3)),
        ({"type": "integer", "default": None}, FieldSpec("x", Kind.INT, nullable=True, has_default=True)),
        ({"type": ["integer", "null"], "default": 3}, FieldSpec("x", Kind.INT, nullable=True, has_default=True, default=3)),
    ],
)  # fmt: skip
def test_what_is_not_required_may_be_missing(schema: dict[str, Any], expected: FieldSpec):
    assert field(schema, required=[]) == expected


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "format": "iri"}, "format iri is not enforced"),
        ({"type": "integer", "format": "int64"}, "format int64 is not enforced for an int"),
        ({"type": "integer", "maxLength": 3}, "maxLength is not enforced for an int"),
        ({"type": "string", "format": "date", "pattern": "^2"}, "pattern is not enforced for a date"),
        ({"type": "string", "not": {"const": "a"}}, "not is not enforced"),
        ({"type": "boolean", "const": True}, "enum of a boolean is not enforced"),
        ({"type": "array", "items": {"type": "string"}, "contains": {"const": "a"}}, "contains is not enforced"),
        ({"type": "string", "readOnly": True}, "readOnly is left out"),
        ({"type": "string", "default": "a"}, "default is left out"),
        ({"type": "string", "nullable": True}, "nullable is left out"),
        ({"type": "string", "example": "a"}, "example is left out"),
        ({"type": "string", "$comment": "a"}, "$comment is left out"),
        ({"type": "object", "properties": {"y": {"type": "string"}}, "x-runink": {"key": ["y"]}}, "x-runink.key is of a whole contract"),
    ],
)  # fmt: skip
def test_what_a_contract_does_not_keep_is_told(schema: dict[str, Any], told: str):
    (note,) = notes(schema)
    assert told in note


@pytest.mark.parametrize("name", ["Order", "Item"])
def test_a_document_of_several_schemas_is_asked_for_one(name: str):
    rows = {"type": "object", "properties": {"a": {"$ref": "#/$defs/text"}}}
    document = {
        "$defs": {"Order": rows, "Item": rows, "text": {"type": "string"}},
        "version": "1.2.3",
    }
    spec = read(document, name).spec
    assert (spec.name, spec.version, spec.fields[0].kind) == (name, "1.2.3", Kind.STR)
    assert document_names(json.dumps(document), file=FILE) == ("Order", "Item")
    assert [code for code, _ in mistakes(document)] == ["O007"]
    with pytest.raises(NotFound, match="it has Order, Item, text"):
        read(document, "Oder")


@pytest.mark.parametrize(
    ("head", "name", "version"),
    [
        ({}, "orders", "1.0.0"),
        ({"title": "Order line", "version": "0.2.1"}, "OrderLine", "0.2.1"),
        ({"title": "T", "x-runink": {"contract": "Order", "version": "3.0.0"}}, "Order", "3.0.0"),
    ],
)
def test_a_contract_is_called_as_it_says_or_as_its_file(
    head: dict[str, Any], name: str, version: str
):
    spec = read({**of({"type": "string"}), **head}).spec
    assert (spec.name, spec.version, spec.where) == (name, version, FILE)


def test_a_schema_that_is_no_contract_has_no_name():
    for document in ({"a": 1}, [1], "x", {"type": "string"}):
        assert document_names(json.dumps(document), file=FILE) == ()


@pytest.mark.parametrize(
    "reference",
    ["#/definitions/a~1b", "#/definitions/a%7E1b", "#ab", "https://x.example/o.json#ab"],
)
def test_a_reference_leads_to_a_place_of_the_document(reference: str):
    definitions = {"a/b": {"$id": "#ab", "type": "string", "maxLength": 3}}
    head = {"$schema": DRAFT_7, "$id": "https://x.example/o.json", "definitions": definitions}
    found = field({"$ref": reference, "description": "own"}, **head)
    assert found == FieldSpec("x", Kind.STR, max_length=3, description="own")


def test_what_stands_beside_a_reference_counts_only_in_the_newer_draft():
    definitions = {"t": {"type": "string", "maxLength": 9}}
    beside = {"$ref": "#/definitions/t", "maxLength": 3}
    assert field(beside, definitions=definitions).max_length == 3
    old = {"$schema": DRAFT_7, "definitions": definitions}
    assert field(beside, **old).max_length == 9
    assert notes(beside, **old) == [
        "maxLength beside $ref is not enforced: draft 7 does not read it there"
    ]


def test_objects_that_are_merged_have_the_fields_of_all():
    base = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    more = {
        "properties": {"b": {"type": "integer", "minimum": 0}, "c": {"type": "string"}},
        "required": ["c"],
    }
    found = read(
        {"$defs": {"base": base}, "allOf": [{"$ref": "#/$defs/base"}, more], "required": ["a"]}
    )
    assert [(one.name, one.kind, one.has_default, one.ge) for one in found.spec.fields] == [
        ("a", Kind.STR, False, None),
        ("b", Kind.INT, True, 0),
        ("c", Kind.STR, False, None),
    ]  # fmt: skip


def test_all_of_a_contract_comes_back():
    fields = (
        FieldSpec("a", Kind.FLOAT, ge=float("-inf"), allow_inf_nan=True),
        FieldSpec("b", Kind.INT),
    )
    made, wrong = read_rules((Rule("a > b", "more", "why"),), fields, whose="T")
    assert not wrong
    spec = ContractSpec(
        "T", "1.2.3", fields, ("b", "a"), "Text.", FILE, made, tags={"owner": "ann"}, on_drift=OnDrift.FAIL
    )  # fmt: skip
    document = json_schema(spec)
    json.dumps(document, allow_nan=False)
    found = read(document)
    assert found.spec == spec
    assert isinstance(found.spec.rules[0], RuleSpec)
    assert not found.notes


def test_a_schema_that_has_been_changed_since_its_export_says_so():
    spec = ContractSpec("T", "1.0.0", (FieldSpec("a", Kind.STR),))
    document = json_schema(spec)
    document["properties"]["a"]["maxLength"] = 3
    found = read(document)
    assert found.spec.fields[0].max_length == 3
    assert "has been changed since it was exported" in found.notes[0].text
    assert found.notes[0].span is not None


def test_a_rule_that_cannot_be_read_is_told_at_its_expression():
    rules = [{"name": "r", "expression": "y > 1"}]
    assert mistakes(of({"type": "integer"}, **{"x-runink": {"rules": rules}})) == [
        ("C019", "rule 'r': orders has no field y (at 'y')")
    ]
    for odd in ("x", [1], [{"name": "r"}], [{"name": "r", "expression": "x > 1", "when": 1}]):
        found = mistakes(of({"type": "integer"}, **{"x-runink": {"rules": odd}}))
        assert [code for code, _ in found] == ["O010"]


# Documents that somebody made to do harm.


def doubled(levels: int) -> dict[str, Any]:
    """A document of a few lines that stands for 2^levels fields."""
    definitions: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, levels + 1):
        below = {"$ref": f"#/$defs/d{level - 1}"}
        definitions[f"d{level}"] = {"type": "object", "properties": {"a": below, "b": below}}
    return {**of({"$ref": f"#/$defs/d{levels}"}), "$defs": definitions}


def chained(length: int) -> dict[str, Any]:
    links = {f"r{place}": {"$ref": f"#/$defs/r{place + 1}"} for place in range(length)}
    return {**of({"$ref": "#/$defs/r0"}), "$defs": {**links, f"r{length}": {"type": "string"}}}


def forked(length: int) -> dict[str, Any]:
    forks = {
        f"r{place}": {"allOf": [{"$ref": f"#/$defs/r{place + 1}"}] * 2} for place in range(length)
    }
    return {**of({"$ref": "#/$defs/r0"}), "$defs": {**forks, f"r{length}": {"type": "string"}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return of(schema)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (doubled(15), "O002"),
        (chained(1_000), "O002"),
        (forked(25), "O002"),
        (nested(40), "C017"),
        (nested(120), "O002"),
        (of({"$ref": "#"}), "O011"),
        (of({"$ref": "#/properties/x"}), "O011"),
        (of({"allOf": [{"$ref": "#/properties/x"}]}), "O011"),
        (of({"$ref": "#/properties/x/y/0"}), "O011"),
        (of({"$ref": 3}), "O011"),
        (of({"$dynamicRef": "#x"}), "O011"),
        (of({"type": "string", "pattern": "(" * 90}), "C007"),
        (of({"type": "string", "enum": [{"a": 1}, []]}), "O009"),
        (of({"type": "string", "enum": [None]}), "O009"),
        (of({"type": "object", "properties": {"": {"type": "string"}}}), "O007"),
        (True, "O005"),
        ([], "O005"),
    ],
)
def test_a_hostile_document_is_refused_and_costs_little(document: Any, code: str):
    assert code in {found for found, _ in mistakes(document)}


@pytest.mark.parametrize(
    "document",
    [
        of({"type": "string", **{f"maxLengt{place}": 1 for place in range(20_000)}}),
        of({"type": "string", **{f"z{place}": 1 for place in range(20_000)}}),
        of({"type": "string"}, required=[f"y{place}" for place in range(20_000)]),
        of({"type": "string", "x" * 500_000: 1, "$ref": "#/" + "y" * 400_000}),
        {"type": "object", "properties": {f"f{place}": {"$ref": f"#/$defs/{place}"} for place in range(9_000)}, "$defs": {f"d{place}": {} for place in range(9_000)}},
        {**of({"type": "string"}), "x-runink": {"key": [f"y{place}" for place in range(20_000)]}},
    ],
)  # fmt: skip
def test_many_mistakes_are_told_up_to_a_thousand_and_cost_little(document: Any):
    found = mistakes(document)
    assert 1 <= len(found) <= 1_001


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, " " * (1 << 20) + "{}", "9" * 5_000, '"' + "a" * 100])  # fmt: skip
def test_text_that_is_too_much_is_refused(text: str):
    with pytest.raises(Invalid) as caught:
        read_document(text, file=FILE)
    assert caught.value.findings[0].code in ("O001", "O002")


def test_many_fields_are_read_as_one_is():
    document = of({"type": "string"})
    document["properties"] |= {f"f{place}": {"type": "integer"} for place in range(2_000)}
    spec = read(document).spec
    assert len(spec.fields) == 2_001
    assert (
        json_schema(msgspec.structs.replace(spec, where=""))["properties"].keys()
        == document["properties"].keys()
    )
