"""Contracts and ODCS: what is written is read back, what is not ours stays, and what is written is valid by the standard's own schema."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.documents import RuleText, WrongRule
from runink.contracts.fields import ContractSpec, FieldSpec, RuleSpec
from runink.contracts.odcs import read_contract, written_document
from runink.contracts.yaml_text import Located, read_yaml, write_yaml
from runink.errors import Invalid
from spec_world import UNHURRIED, contract_specs

SCHEMA = json.loads((files("open_data_contract_standard") / "schema.json").read_text())
VALID = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)


def no_rules(
    texts: tuple[RuleText, ...], fields: tuple[FieldSpec, ...], whose: str
) -> tuple[tuple[RuleSpec, ...], tuple[WrongRule, ...]]:
    raise AssertionError(texts)


def read(document: dict[str, Any], name: str = "") -> ContractSpec:
    spec = read_contract(Located(document, "x.odcs.yaml", (), {}), name, no_rules).spec
    assert spec.where == "x.odcs.yaml"
    return bare(spec)


def bare(spec: ContractSpec) -> ContractSpec:
    return msgspec.structs.replace(spec, where="")


@UNHURRIED
@given(contract_specs())
def test_a_contract_comes_back_from_odcs_as_it_was(spec: ContractSpec):
    assert read(written_document(spec)) == spec


@UNHURRIED
@given(contract_specs())
def test_it_comes_back_from_the_text_as_well(spec: ContractSpec):
    text = write_yaml(written_document(spec))
    assert bare(read_contract(read_yaml(text, file="x"), "", no_rules).spec) == spec


@UNHURRIED
@given(contract_specs())
def test_every_document_is_valid_by_the_standards_schema(spec: ContractSpec):
    errors = [error.message for error in VALID.iter_errors(written_document(spec))]
    assert not errors


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=3,
)
FOREIGN = {
    "physicalType": st.sampled_from(["varchar(18)", "DECIMAL(9,2)", "bytea", "NUMBER"]),
    "businessName": st.text(max_size=5),
    "examples": st.lists(ODD, max_size=2),
    "partitioned": st.booleans(),
    "encryptedName": st.text(max_size=5),
    "transformLogic": st.text(max_size=5),
    "authoritativeDefinitions": st.just(
        [{"url": "https://example.com", "type": "businessDefinition"}]
    ),
    "quality": st.lists(
        st.sampled_from(
            [
                {"type": "text", "description": "verified"},
                {"metric": "nullValues", "mustBe": 0},
                {"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"},
                {"metric": "duplicateValues", "mustBe": 0},
                {"type": "sql", "query": "SELECT 1", "mustBe": 1},
                {"metric": "invalidValues", "arguments": {"pattern": "^a"}, "mustBeLessThan": 1},
            ]
        ),
        max_size=2,
    ),
    "customProperties": st.lists(
        st.fixed_dictionaries({"property": st.sampled_from(["a", "b"]), "value": ODD}), max_size=2
    ),
}
AROUND = {
    "id": st.text(min_size=1, max_size=5),
    "status": st.text(min_size=1, max_size=5),
    "version": st.sampled_from(["1.0.0", "v1.0", "2", "1.2.3-rc.1"]),
    "team": st.just({"name": "us", "members": [{"username": "ann"}]}),
    "servers": st.just(
        [
            {
                "server": "s",
                "type": "postgres",
                "host": "h",
                "port": 1,
                "database": "d",
                "schema": "s",
            }
        ]
    ),
    "slaProperties": st.just([{"property": "latency", "value": 4, "unit": "d"}]),
    "price": st.just({"priceAmount": 9.95}),
    "roles": st.just([{"role": "reader", "access": "read"}]),
    "customProperties": st.lists(
        st.fixed_dictionaries({"property": st.text(min_size=1, max_size=3), "value": ODD}),
        max_size=2,
    ),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document as others write them: with much that is not ours, and keys in any order."""
    document = written_document(draw(contract_specs()))
    decorate(draw, document["schema"][0]["properties"])
    if draw(st.booleans()):
        document["schema"].append(
            {"name": "other", "properties": [{"name": "x"}], "physicalType": "view"}
        )
    kept = {**document, **draw(st.fixed_dictionaries({}, optional=AROUND))}
    return {key: kept[key] for key in draw(st.permutations(list(kept)))}


def decorate(draw: st.DrawFn, properties: list[dict[str, Any]]) -> None:
    for one in properties:
        said = draw(st.fixed_dictionaries({}, optional=FOREIGN))
        one |= {
            key: value
            for key, value in said.items()
            if key not in ("quality", "customProperties", "physicalType")
        }
        for key in ("quality", "customProperties"):
            if said.get(key):
                one[key] = [*one.get(key, []), *said[key]]
        if "physicalType" in said:
            one.setdefault("physicalType", said["physicalType"])
        decorate(draw, one.get("properties", []))


def readable(document: dict[str, Any]) -> ContractSpec | None:
    """Return what a document says, or nothing where it says two things at once: a physical type, a rule or an option may not go with the others."""
    try:
        return read(document, document["schema"][0]["name"])
    except Invalid as error:
        codes = {finding.code for finding in error.findings}
    assert codes <= {"O009", "O010", "C003", "C005", "C006"}
    return None


@UNHURRIED
@given(documents())
def test_a_document_that_says_a_contract_already_stays_word_for_word(document: dict[str, Any]):
    spec = readable(document)
    if spec is not None:
        again = written_document(spec, over=document)
        assert again == document
        assert list(again) == list(document)


@UNHURRIED
@given(documents(), contract_specs())
def test_a_contract_written_over_any_document_comes_back_as_it_was(
    document: dict[str, Any], spec: ContractSpec
):
    again = written_document(spec, over=document)
    assert read(again, spec.name) == spec
    assert [one for one in again["schema"] if one["name"] == "other"] == [
        one for one in document["schema"] if one["name"] == "other"
    ]
    assert {key: again[key] for key in AROUND if key in document and key != "version"} == {
        key: document[key] for key in AROUND if key in document and key != "version"
    }
    theirs = {one["name"]: one for one in document["schema"][0]["properties"]}
    if spec.name == document["schema"][0]["name"]:
        for one in again["schema"][0]["properties"]:
            before = theirs.get(one["name"], {})
            for key in (
                "businessName",
                "examples",
                "partitioned",
                "encryptedName",
                "transformLogic",
            ):
                assert one.get(key) == before.get(key)


@UNHURRIED
@given(documents(), contract_specs())
def test_writing_twice_is_writing_once(document: dict[str, Any], spec: ContractSpec):
    once = written_document(spec, over=document)
    assert written_document(spec, over=once) == once
