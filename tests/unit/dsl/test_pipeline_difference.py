"""What differs between two pipelines, and what of it breaks somebody."""

from __future__ import annotations

import msgspec
import pytest
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dag import Dag
from runink.dsl.difference import Change, difference
from runink.testing.projects import MemoryProject, compile_text

STEPS = 'from runink import step\n@step(each="batch")\ndef clean(rows): ...\n@step(each="batch")\ndef mend(rows): ...\n'
TEXT = """@herd("crm")
@param("day", default="1")
Feature: People
  Scenario: One
    @source("csv://people.csv")
    @contract("contracts/p.py:Person")
    @step("clean")
    @requires(cpu=2)
    @step(sql="SELECT * FROM input WHERE day = '${day}'")
    @contract("contracts/p.py:Row")
    @sink("parquet://out/people.parquet", when "id > 1")
    @golden("g.csv")
    @deadletter("jsonl://out/dead.jsonl")
    @assert("rejected <= 3")
"""


def contract(name: str, *fields: FieldSpec, version: str = "1.0.0") -> ContractSpec:
    return ContractSpec(name, version, fields, where="contracts/p.py")


ID = FieldSpec("id", Kind.INT)


def compiled(text: str, row: ContractSpec | None = None) -> Dag:
    contracts = {
        "contracts/p.py:Person": contract("Person", ID),
        "contracts/p.py:Row": row or contract("Row", ID),
    }
    project = MemoryProject({"steps/s.py": STEPS, "g.csv": "", "h.csv": ""}, contracts)
    return compile_text(text, project=project).dag


def changes(old: str, new: str) -> list[tuple[str, str, bool]]:
    assert old in TEXT
    found = difference(compiled(TEXT), compiled(TEXT.replace(old, new)))
    return [(one.what, one.how, one.breaking) for one in found]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"crm"', '"ops"', [("pipeline", "changed", True)]),
        ('default="1"', 'default="2"', [("parameter", "changed", False), ("step", "changed", False)]),
        ("csv://people.csv", "csv://persons.csv", [("source", "changed", True)]),
        ('"csv://people.csv"', '"csv://people.csv", nulls="NA"', [("source", "changed", False)]),
        ('"clean"', '"mend"', [("step", "removed", False), ("step", "added", False)]),
        ("SELECT *", "SELECT id", [("step", "changed", False)]),
        ("cpu=2", "cpu=4", [("requirements", "changed", False)]),
        ("out/people.parquet", "out/persons.parquet", [("sink", "changed", True)]),
        ("id > 1", "id > 2", [("sink", "changed", True)]),
        (', when "id > 1"', "", [("sink", "changed", True)]),
        (', when "id > 1"', ', mode=append, when "id > 1"', [("sink", "changed", True)]),
        ("rejected <= 3", "rejected <= 4", [("assertion", "removed", True), ("assertion", "added", False)]),
        ('    @assert("rejected <= 3")\n', "", [("assertion", "removed", True)]),
        ('    @golden("g.csv")\n', "", [("golden", "removed", False)]),
        ('@golden("g.csv")', '@golden("h.csv", tolerance=1)', [("golden", "changed", False)]),
        ('Person")', 'Person", on_drift=fail)', [("contract", "changed", True)]),
        ('Person")', 'Person", on_invalid=fail)', [("contract", "changed", True), ("order", "removed", False)]),
    ],
)  # fmt: skip
def test_a_change_is_found_and_weighed(
    old: str, new: str, expected: list[tuple[str, str, bool]]
) -> None:
    assert changes(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  Scenario", "# A note.\n\n  Scenario"),
        ('"csv://people.csv"', 'type=csv, path="./people.csv"'),
        ("    @assert", "    Given a sentence for people\n    @assert"),
        ("id > 1", "(id > 1)"),
        ('@step("clean")', '@step("clean", file="steps/s.py")'),
    ],
)
def test_formatting_notes_and_prose_are_no_difference(old: str, new: str) -> None:
    assert not changes(old, new)


def test_a_line_put_in_above_renames_nothing() -> None:
    added = (
        '    @sink("csv://out/raw.csv")\n    @step(sql="SELECT id FROM input")\n    @step("clean")'
    )
    found = difference(compiled(TEXT), compiled(TEXT.replace('    @step("clean")', added)))
    told = [(one.what, one.how) for one in found]
    assert told == [
        ("sink", "added"),
        ("step", "added"),
        ("order", "removed"),
        ("process", "changed"),
    ]
    assert not any(one.breaking for one in found)


def test_a_scenario_with_another_title_is_still_the_same() -> None:
    assert changes("Scenario: One", "Scenario: Another") == [("scenario", "changed", False)]
    before = TEXT.replace("Scenario: One", "Scenario: Another").replace(
        'g.csv"', 'g.csv", input="h.csv"'
    )
    after = TEXT.replace('g.csv"', 'g.csv", input="h.csv"').replace(
        "rejected <= 3", "rejected <= 4"
    )
    found = difference(compiled(before), compiled(after))
    told = [(one.what, one.where, one.how) for one in found]
    assert told == [
        ("scenario", "one", "changed"),
        ("assertion", "one", "removed"),
        ("assertion", "one", "added"),
    ]


def test_a_sink_may_have_several_goldens_and_each_is_compared_with_its_own() -> None:
    golden = '    @golden("g.csv")\n'
    two = TEXT.replace(golden, f'{golden}    @golden("h.csv", input="g.csv")\n')
    found = difference(compiled(two), compiled(TEXT))
    assert [(one.what, one.how, one.text) for one in found] == [
        ("golden", "removed", "h.csv is compared no longer")
    ]
    other = two.replace('h.csv", input="g.csv"', 'h.csv", input="h.csv"')
    found = difference(compiled(two), compiled(other))
    assert [(one.how, one.text) for one in found] == [("changed", "h.csv: inputs changed")]


def test_a_dead_letter_that_becomes_a_sink_holds_something_else() -> None:
    found = difference(compiled(TEXT), compiled(TEXT.replace("@deadletter", "@sink")))
    (sink,) = [one for one in found if one.what == "sink"]
    assert sink.breaking
    assert "reads no longer from one.contract what it rejects" in {
        one.text.partition(" ")[2] for one in found
    }


def test_a_sink_that_is_gone_breaks_its_readers() -> None:
    lines = [line for line in TEXT.split("\n") if "@golden" not in line]
    text = "\n".join(lines)
    shorter = text.replace(
        '@sink("parquet://out/people.parquet", when "id > 1")', '@sink("csv://-")'
    )
    two = text.replace("    @deadletter", '    @sink("csv://-")\n    @deadletter')
    found = difference(compiled(two), compiled(shorter))
    assert Change(
        "sink", "one.sink", "removed", "parquet://out/people.parquet is gone", breaking=True
    ) in [msgspec.structs.replace(one, where="one.sink") for one in found if one.what == "sink"]


@pytest.mark.parametrize(
    ("row", "text", "breaking"),
    [
        (contract("Row", ID, version="1.0.1"), "Row 1.0.0 is now 1.0.1", False),
        (contract("Row", FieldSpec("id", Kind.FLOAT)), "Row: id: int → float", True),
        (contract("Row", FieldSpec("id", Kind.INT, description="x")), "", False),
        (
            contract("Row", FieldSpec("id", Kind.INT, ge=1)),
            "Row: id: minimum: none → at least 1",
            False,
        ),
        (
            contract("Row", FieldSpec("id", Kind.INT, nullable=True)),
            "Row: id: must hold something, must be there → may hold nothing, must be there",
            True,
        ),
        (contract("Row", ID, FieldSpec("y", Kind.INT)), "Row: y was added: int, required", False),
        (contract("Other", ID), "Other: it was called Row", True),
    ],
)
def test_a_contract_is_compared_field_by_field(
    row: ContractSpec, text: str, *, breaking: bool
) -> None:
    found = difference(compiled(TEXT), compiled(TEXT, row))
    assert [(one.text, one.breaking) for one in found] == ([(text, breaking)] if text else [])


def test_a_parameter_that_is_gone_breaks_those_who_give_it() -> None:
    old = TEXT.replace("${day}", "1")
    new = old.replace('@param("day", default="1")\n', "")
    (change,) = difference(compiled(old), compiled(new))
    assert (change.what, change.where, change.breaking) == ("parameter", "day", True)


def test_steps_that_part_are_told_even_where_nothing_else_changed() -> None:
    plain = TEXT.replace("    @requires(cpu=2)\n", "")
    apart = plain.replace('@step("clean")', '@step("clean", isolate=true)')
    found = difference(compiled(plain), compiled(apart))
    assert {one.what for one in found} == {"process"}
