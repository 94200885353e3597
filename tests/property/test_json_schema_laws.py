"""JSON Schema beside the plan: a row that is valid there is taken here, and one that is rejected here for what JSON Schema can say is invalid there."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import jsonschema
import msgspec
import pyarrow as pa
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.json_schema import json_schema
from runink.contracts.plan import compile_plan
from spec_world import VALUES, contract_specs

SPARE = st.sampled_from(
    ["", "AB", "x", "ann@example.com", "192.0.2.1", "2020-02-30", "10:00", "12", "a|b", "^a"]
)


def validator(spec: ContractSpec) -> Any:
    schema = json_schema(spec)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def in_json(field: FieldSpec, value: Any) -> Any:
    """Return a value as JSON has it."""
    match field.kind:
        case Kind.BYTES:
            return value.decode("latin-1")
        case Kind.DATE | Kind.TIME:
            return value.isoformat()
        case Kind.DATETIME:
            return value.replace(tzinfo=UTC).isoformat()
        case Kind.DECIMAL:
            return float(value)
        case _:
            return value


@st.composite
def values(draw: st.DrawFn, field: FieldSpec) -> Any:
    """A value of the field's kind, near its bounds at times, or of none."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, True, "x", []]))
    if field.kind is Kind.RECORD:
        return {inner.name: draw(values(inner)) for inner in field.fields}
    if field.kind is Kind.LIST and field.items is not None:
        items = field.items
        return draw(st.lists(values(items), max_size=3))
    if field.choices and draw(st.booleans()):
        return draw(st.sampled_from(field.choices))
    if field.kind is Kind.STR and draw(st.booleans()):
        return draw(SPARE)
    return in_json(field, draw(VALUES[field.kind]))


def sayable(field: FieldSpec) -> FieldSpec:
    """Return the field without what JSON Schema has no words for, and what binary fractions make a matter of rounding."""
    dropped: dict[str, Any] = {"unique": False, "coercion": Coercion.SAFE}
    if field.kind in (Kind.DATE, Kind.DATETIME, Kind.TIME, Kind.DECIMAL):
        dropped |= {
            "ge": None,
            "gt": None,
            "le": None,
            "lt": None,
            "has_default": False,
            "default": None,
        }
    if field.kind is Kind.BYTES:
        dropped |= {"min_length": None, "max_length": None}
    if field.kind is Kind.DECIMAL:
        dropped |= {"multiple_of": None, "digits": None, "scale": None}
    dropped["fields"] = tuple(sayable(inner) for inner in field.fields)
    dropped["items"] = sayable(field.items) if field.items is not None else None
    return msgspec.structs.replace(field, **dropped)


@st.composite
def specs_and_rows(draw: st.DrawFn) -> tuple[ContractSpec, dict[str, Any]]:
    spec = draw(contract_specs(depth=1))
    fields = tuple(sayable(field) for field in spec.fields)
    spec = msgspec.structs.replace(spec, fields=fields, coercion=Coercion.SAFE)
    return spec, {field.name: draw(values(field)) for field in fields}


def is_native(field: FieldSpec, value: Any) -> bool:
    """Say whether a value has the type that JSON has for the field's kind."""
    if value is None:
        return True
    if field.kind is Kind.RECORD:
        return isinstance(value, dict) and all(
            is_native(inner, value[inner.name]) for inner in field.fields
        )
    if field.kind is Kind.LIST:
        items = field.items
        assert items is not None
        return isinstance(value, list) and all(is_native(items, one) for one in value)
    numbers = {Kind.INT: (int,), Kind.FLOAT: (int, float), Kind.DECIMAL: (int, float)}
    if field.kind in numbers:
        return isinstance(value, numbers[field.kind]) and not isinstance(value, bool)
    return isinstance(value, bool if field.kind is Kind.BOOL else str)


def judged(spec: ContractSpec, row: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Return the reasons for which the plan rejects a row that came as JSON."""
    try:
        batch = pa.RecordBatch.from_pylist([row])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        reject()  # a list of mixed items, which no table holds
    found = compile_plan(spec).check(batch).rejected
    return found.counts if found else {}


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(specs_and_rows())
def test_the_schema_and_the_plan_judge_a_row_of_json_alike(
    case: tuple[ContractSpec, dict[str, Any]],
):
    spec, row = case
    reasons = judged(spec, row)
    errors = [error.message for error in validator(spec).iter_errors(row)]
    if not errors:
        assert not reasons
    elif not reasons:
        # The plan takes more, by coercion, but only of values that are of another type in JSON.
        assert not all(is_native(field, row[field.name]) for field in spec.fields), errors
