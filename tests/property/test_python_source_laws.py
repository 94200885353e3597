"""A contract written as Python: what is loaded from the text is the contract, and the text is one that people would write."""

from __future__ import annotations

import ast
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.contract import Contract, spec_of
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.contracts.source import class_name, python_source
from spec_world import UNHURRIED, contract_specs


def loaded(text: str) -> ContractSpec:
    names: dict[str, Any] = {"__name__": "written"}
    exec(compile(text, "written.py", "exec", dont_inherit=True), names)
    (found,) = [
        one
        for one in names.values()
        if isinstance(one, type) and issubclass(one, Contract) and one is not Contract
    ]
    return spec_of(found)


@UNHURRIED
@given(contract_specs())
def test_what_is_written_is_loaded_as_it_was(spec: ContractSpec):
    assert loaded(python_source(spec)) == spec


COLUMNS = st.one_of(
    st.sampled_from(
        [
            "key",
            "rules",
            "class",
            "date",
            "int",
            "Field",
            "list",
            "a b",
            "a_b",
            "1st",
            "_x",
            "__init__",
            "Decimal",
            "name",
        ]
    ),
    st.text(min_size=1, max_size=6),
)


@UNHURRIED
@given(st.lists(COLUMNS, min_size=1, max_size=5, unique=True), st.sampled_from(Kind), st.booleans())
def test_columns_of_any_name_are_found_again(columns: list[str], kind: Kind, has_default: bool):  # noqa: FBT001 - hypothesis gives it by place
    inner = {
        Kind.RECORD: {
            "fields": (
                FieldSpec("x", Kind.INT),
                FieldSpec("date", Kind.DATE, nullable=True, has_default=True),
            )
        },
        Kind.LIST: {"items": FieldSpec("item", Kind.STR)},
    }.get(kind, {})
    fields = tuple(
        FieldSpec(column, kind, nullable=has_default, has_default=has_default, **inner)
        for column in columns
    )
    spec = ContractSpec("T", "1.0.0", fields, () if has_default or inner else (columns[0],))
    assert loaded(python_source(spec)) == spec


@UNHURRIED
@given(contract_specs(), st.text(max_size=20))
def test_comments_never_change_what_is_said(spec: ContractSpec, text: str):
    comment = " ".join("".join(one for one in text if one.isprintable()).split())
    said = python_source(spec, comments={spec.fields[0].name: [comment, "second"]}, head=[comment])
    assert loaded(said) == spec


@UNHURRIED
@given(st.text(max_size=10))
def test_any_text_makes_a_name_of_a_class(text: str):
    assert ast.parse(f"class {class_name(text)}: pass")


def test_a_contract_reads_as_people_write_it():
    fields = (
        FieldSpec("id", Kind.INT, ge=1),
        FieldSpec("first name", Kind.STR, nullable=True, has_default=True, pii="name"),
        FieldSpec("origin", Kind.STR, choices=("EWR", "JFK")),
        FieldSpec("day", Kind.DATE, ge="2013-01-01"),
    )
    spec = ContractSpec("Flight", "1.2.0", fields, ("id",), "One departure.")
    assert python_source(spec, comments={"id": ["a number"]}) == (
        "from datetime import date\n"
        "from typing import Annotated, Literal\n"
        "\n"
        "from runink import Contract, Field\n"
        "\n"
        "\n"
        'class Flight(Contract, version="1.2.0"):\n'
        '    """One departure."""\n'
        "\n"
        "    id: Annotated[int, Field(ge=1)]  # a number\n"
        '    first_name: Annotated[str | None, Field(name="first name", pii="name")] = None\n'
        '    origin: Literal["EWR", "JFK"]\n'
        '    day: Annotated[date, Field(ge=date.fromisoformat("2013-01-01"))]\n'
        "\n"
        '    key = ("id",)\n'
    )


def test_records_stand_above_what_uses_them():
    point = FieldSpec(
        "at", Kind.RECORD, fields=(FieldSpec("lat", Kind.FLOAT), FieldSpec("lon", Kind.FLOAT))
    )
    spec = ContractSpec(
        "Trip",
        "1.0.0",
        (point, FieldSpec("stops", Kind.LIST, items=msgspec.structs.replace(point, name="item"))),
    )
    text = python_source(spec)
    assert [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)] == [
        "TripAt",
        "TripStopsItem",
        "Trip",
    ]
    assert loaded(text) == spec
