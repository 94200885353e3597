"""Contracts and JSON Schema: what is written is read back, what is read means the same to a validator, and whatever stands in a document it is read or told."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import msgspec
import pyarrow as pa
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from runink.contracts.document_text import document_names, read_document
from runink.contracts.fields import ContractSpec
from runink.contracts.json_schema import json_schema
from runink.contracts.json_schema_words import KNOWN, OURS
from runink.contracts.json_text import read_json
from runink.contracts.plan import Plan, compile_plan
from runink.errors import Invalid, NotFound
from spec_world import UNHURRIED, contract_specs

FILE = "contracts/x.schema.json"


def read(document: Any, name: str = "") -> ContractSpec:
    return read_document(json.dumps(document, allow_nan=False), file=FILE, name=name).spec


@UNHURRIED
@given(contract_specs())
def test_a_contract_comes_back_from_json_schema_as_it_was(spec: ContractSpec):
    found = read_document(json.dumps(json_schema(spec), allow_nan=False), file=FILE)
    assert msgspec.structs.replace(found.spec, where="") == spec
    assert found.spec.hash == spec.hash
    assert not found.notes


@UNHURRIED
@given(contract_specs())
def test_what_is_read_is_written_as_it_stood(spec: ContractSpec):
    document = json_schema(spec)
    assert json_schema(read(document)) == document


@UNHURRIED
@given(contract_specs())
def test_every_schema_is_one_by_the_standards_own_schema(spec: ContractSpec):
    jsonschema.Draft202012Validator.check_schema(json_schema(spec))


# Schemas as others write them, and rows beside them.

ROWS = 12
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -2.5])
TEXTS = st.sampled_from(
    ["", "a", "ab", "abc", "2020-01-01", "ann@example.com", "2020-01-01T00:00:00Z"]
)


@st.composite
def values_of(draw: st.DrawFn, depth: int = 1) -> dict[str, Any]:
    """The schema of a value, of keywords that a contract can keep."""
    kind = draw(
        st.sampled_from(["integer", "number", "string", "boolean", *(["array", "object"] * depth)])
    )
    schema: dict[str, Any] = {"type": kind}
    match kind:
        case "integer" | "number":
            bounds = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]
            for bound in draw(st.lists(st.sampled_from(bounds), max_size=2, unique=True)):
                schema[bound] = draw(NUMBERS)
            schema |= {"multipleOf": 2} if draw(st.integers(0, 3)) == 0 else {}
        case "string":
            keyword = draw(
                st.sampled_from(
                    ["minLength", "maxLength", "pattern", "enum", "const", "format", ""]
                )
            )
            said = {
                "minLength": st.integers(0, 3),
                "maxLength": st.integers(0, 3),
                "pattern": st.sampled_from(["^a", "b$", "^a|c$", "b"]),
                "enum": st.lists(TEXTS | st.none(), min_size=1, max_size=3, unique=True),
                "const": TEXTS,
                "format": st.just("email"),
            }
            schema |= {keyword: draw(said[keyword])} if keyword else {}
        case "array":
            schema["items"] = draw(values_of(depth - 1))
        case "object":
            schema |= draw(objects(depth - 1))
    return optional(draw, schema)


def optional(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """Let the value hold nothing, by one way of saying so, or not."""
    match draw(st.sampled_from(["", "", "type", "anyOf", "oneOf", "allOf"])):
        case "type":
            return {**schema, "type": [schema["type"], "null"]}
        case "anyOf" | "oneOf" as keyword:
            return {keyword: [{"type": "null"}, schema], "description": "d"}
        case "allOf":
            return {"allOf": [schema, {"type": schema["type"]}]}
        case _:
            return schema


@st.composite
def objects(draw: st.DrawFn, depth: int = 1) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    properties = {name: draw(values_of(depth)) for name in names}
    required = draw(st.lists(st.sampled_from(names), unique=True))
    return {"type": "object", "properties": properties, "required": required}


@st.composite
def values(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """A value of the type that a schema has, near what it demands."""
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            parts = schema[keyword][:1] if keyword == "allOf" else schema[keyword]
            return draw(values(draw(st.sampled_from(parts))))
    if draw(st.integers(0, 9)) == 0:
        return None
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    match kind:
        case "integer":
            return draw(st.integers(-4, 4))
        case "number":
            return float(draw(NUMBERS))
        case "boolean":
            return draw(st.booleans())
        case "string":
            return draw(TEXTS)
        case "array":
            return draw(st.lists(values(schema["items"]), max_size=2))
        case "null":
            return None
        case _:
            return {name: draw(values(one)) for name, one in schema["properties"].items()}


@st.composite
def schemas_and_rows(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A schema of one field, so that no other hides what becomes of it, and rows."""
    schema = draw(values_of())
    document = {"type": "object", "properties": {"a": schema}}
    document |= {"required": ["a"]} if draw(st.booleans()) else {}
    return document, [{"a": draw(values(schema))} for _ in range(ROWS)]


def takes(plan: Plan, row: dict[str, Any]) -> bool:
    try:
        batch = pa.RecordBatch.from_pylist([row])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        reject()  # a list of mixed items, which no table holds
    return plan.check(batch).rejected is None


def without_absent(schema: dict[str, Any], row: Any) -> Any:
    """Return a row as a writer of JSON would have it who leaves away what is nothing and need not be there: in a table that is one thing."""
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            inner = [one for one in schema[keyword] if one != {"type": "null"}]
            return without_absent(inner[0], row)
    if isinstance(row, list):
        return [without_absent(schema["items"], one) for one in row]
    if not isinstance(row, dict):
        return row
    needed = schema.get("required", [])
    return {
        name: without_absent(schema["properties"][name], value)
        for name, value in row.items()
        if value is not None or name in needed
    }


@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
@given(schemas_and_rows())
def test_a_contract_from_a_schema_takes_the_rows_that_are_valid_by_it(
    case: tuple[dict[str, Any], list[dict[str, Any]]],
):
    schema, rows = case
    try:
        found = read_document(json.dumps(schema), file=FILE)
    except Invalid as error:
        # What no value can keep is refused by a contract, and by a validator only with each row.
        codes = {one.code for one in error.findings}
        found = None
    if found is None:
        assert codes <= {"C005", "C008", "O009"}
        return
    assert not found.notes
    formats = jsonschema.FormatChecker(["email"])
    validator = jsonschema.Draft202012Validator(schema, format_checker=formats)
    plan = compile_plan(found.spec)
    for row in rows:
        assert takes(plan, row) is validator.is_valid(without_absent(schema, row)), row


# Documents that somebody got wrong.

KEYS = st.sampled_from(
    sorted(KNOWN | {"kind", "ge", "tags", "key", "rules", "version", "contract", "x-a", "requird"})
)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "x", "string", "null", "object", "#", "#/", "#/properties/a", "#/$defs/A", "#a", "(", "1.0.0", "safe", "date"]
    )
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where parts of a document stand."""
    found = [path] if path else []
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return found + [one for key, part in inner for one in paths(part, (*path, key))]


@st.composite
def odd_documents(draw: st.DrawFn) -> Any:
    document: Any = copy.deepcopy(json_schema(draw(contract_specs(depth=1))))
    if draw(st.booleans()):
        document.pop(OURS)
    for _ in range(draw(st.integers(1, 4))):
        places = paths(document)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder: Any = document
        for key in way:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(ODD)
        elif isinstance(holder, dict):
            holder[draw(KEYS)] = draw(ODD)
        else:
            holder.insert(last, draw(ODD))
    return document


def held(text: str, name: str = "") -> ContractSpec | None:
    """Read a text; whatever is wrong is told with its place."""
    try:
        return read_document(text, file=FILE, name=name).spec
    except Invalid as error:
        findings = error.findings
    except NotFound:
        assert name
        return None
    assert findings
    assert all(one.span is not None and one.code for one in findings)
    return None


@UNHURRIED
@given(odd_documents() | ODD, st.sampled_from(["", "T", "A"]))
def test_an_odd_document_is_read_or_told(document: Any, name: str):
    text = json.dumps(document, allow_nan=False)
    spec = held(text, name)
    if spec is not None:
        assert msgspec.structs.replace(
            read(json_schema(spec)), where=""
        ) == msgspec.structs.replace(spec, where="")
    document_names(text, file=FILE)


ODD_TEXTS = st.text('{}[]",:\\/ \n\t0123456789.eE+-truefalsn\u2028é', max_size=60)


@UNHURRIED
@given(ODD_TEXTS | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_json_here_where_it_is_json_elsewhere(text: str):
    try:
        expected = json.loads(text)
    except ValueError:
        held(text)
        return
    try:
        found = read_json(text, file=FILE).value
    except Invalid as error:
        # What Python takes beyond the standard, and what we refuse by name.
        told = [one.text for one in error.findings]
    else:
        assert found == expected
        return
    words = ("NaN", "Infinity", "beyond", "surrogate", "twice")
    assert all(any(word in one for word in words) for one in told)


@UNHURRIED
@given(ODD)
def test_every_json_is_read_with_a_place_for_each_part(value: Any):
    located = read_json(json.dumps(value, indent=1), file=FILE)
    assert located.value == value
    assert set(located.places) == {(), *paths(value)}
    assert read_json(json.dumps(value, ensure_ascii=False), file=FILE).value == value
