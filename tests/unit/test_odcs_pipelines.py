"""A pipeline whose contract is a document, of ODCS or a JSON Schema: it compiles to the same as with a class, and what is wrong or not enforced is told where it stands."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from runink.contracts.json_schema import json_schema
from runink.contracts.loading import load_contract
from runink.contracts.odcs import written_document
from runink.contracts.yaml_text import write_yaml
from runink.dag import Check
from runink.errors import Invalid
from runink.projects import Compiled, compile_file

CLASS = """from typing import Annotated
from runink import Contract, Field


class Flight(Contract, version="1.2.0"):
    month: Annotated[int, Field(ge=1, le=12)]
    carrier: Annotated[str | None, Field(pattern="[A-Z0-9]{2}")]
"""
PIPELINE = """
@herd("default")
Feature: Flights

  Scenario: Take them in
    @source("csv://in.csv")
    @contract("CONTRACT")
    @sink("parquet://out/flights.parquet")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "features").mkdir()
    (tmp_path / "contracts/flights.py").write_text(CLASS)
    spec = load_contract(tmp_path, "contracts/flights.py:Flight")
    (tmp_path / "contracts/flights.odcs.yaml").write_text(write_yaml(written_document(spec)))
    (tmp_path / "contracts/flights.schema.json").write_text(json.dumps(json_schema(spec)))
    return tmp_path


def compiled(project: Path, contract: str) -> Compiled:
    file = project / "features/flights.dsl"
    file.write_text(PIPELINE.replace("CONTRACT", contract))
    return compile_file(file, parameters={})


def checks(found: Compiled) -> list[Check]:
    return [
        msgspec.structs.replace(node, contract=msgspec.structs.replace(node.contract, where=""))
        for node in found.dag.nodes
        if isinstance(node, Check)
    ]


@pytest.mark.parametrize(
    "reference",
    [
        "contracts/flights.odcs.yaml",
        "contracts/flights.odcs.yaml:Flight",
        "contracts/flights.schema.json",
        "contracts/flights.schema.json:Flight",
    ],
)
def test_a_document_is_a_contract_like_a_class(project: Path, reference: str):
    by_class = checks(compiled(project, "contracts/flights.py:Flight"))
    found = compiled(project, reference)
    (check,) = checks(found)
    assert by_class == [check]
    assert [node.contract.where for node in found.dag.nodes if isinstance(node, Check)] == [
        reference.partition(":")[0]
    ]


def test_what_is_not_enforced_is_a_note_of_the_pipeline(project: Path):
    file = project / "contracts/flights.odcs.yaml"
    file.write_text(file.read_text() + "slaProperties:\n- {property: latency, value: 1}\n")
    notes = compiled(project, "contracts/flights.odcs.yaml").notes
    assert any("flights.odcs.yaml" in note and "not enforced" in note for note in notes)


def test_mistakes_in_the_file_are_findings_of_the_pipeline_with_their_place(project: Path):
    file = project / "contracts/flights.odcs.yaml"
    file.write_text(file.read_text().replace("minimum: 1", "minimum: one"))
    line = [text.strip() for text in file.read_text().splitlines()].index("minimum: one") + 1
    with pytest.raises(Invalid) as caught:
        compiled(project, "contracts/flights.odcs.yaml")
    places = [(one.code, one.span.file, one.span.line) for one in caught.value.findings if one.span]
    assert ("O009", "contracts/flights.odcs.yaml", line) in places
    assert places[0][0] == "D040"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("contracts/none.odcs.yaml", "there is no file contracts/none.odcs.yaml"),
        ("contracts/flights.odcs.yaml:Fligth", "has no object 'Fligth'"),
        ("contracts/flights.odcs.yaml:", "names no contract"),
        ("../flights.odcs.yaml", "leaves the project"),
        ("contracts/flights.json", "there is no file contracts/flights.json"),
        ("contracts/flights.txt", "names no contract"),
        ("contracts/flights.schema.json:Fligth", "has no contract 'Fligth'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(project: Path, reference: str, told: str):
    with pytest.raises(Invalid) as caught:
        compiled(project, reference)
    assert any(told in one.text for one in caught.value.findings)
