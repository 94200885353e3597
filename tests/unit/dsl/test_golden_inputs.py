"""What `@golden` promises, and which sources its inputs stand for."""

from __future__ import annotations

from typing import Any

import pytest
from dsl_world import PROJECT, SINK, SOURCE, codes, compile_lines
from runink.contracts.expected import Golden, GoldenInput
from runink.dsl.explain import explained
from runink.errors import Invalid
from runink.testing.projects import compile_text

CHAIN = """
Feature: F
Scenario: First
@source("csv://a.csv")
@contract("contracts/x.py:X")
@sink("parquet://out/b.parquet")
@deadletter("jsonl://out/dead.jsonl")
@golden("golden/dead.jsonl")

Scenario: Second
@source("parquet://out/b.parquet")
@source("csv://planes.csv", as=planes)
@step("joined")
@sink("csv://out/c.csv")
{golden}

Scenario: Apart
@source("csv://apart.csv")
@sink("csv://out/apart.csv")
"""


def golden_of(line: str) -> Golden:
    return compile_text(CHAIN.format(golden=line), project=PROJECT).dag.goldens[-1]


def inputs(line: str) -> dict[str, str]:
    return {one.source: one.path for one in golden_of(line).inputs}


def test_all_that_a_golden_says_is_kept() -> None:
    line = '@golden("g.csv", key=["id"], ignore=["at"], tolerance=0.5, relative=1e-6, ordered=true, input="i.csv")'
    assert golden_of(line) == Golden(
        "second",
        "second.sink",
        "g.csv",
        ("id",),
        0.5,
        1e-6,
        ("at",),
        ordered=True,
        inputs=(GoldenInput("second.source", "i.csv"),),
    )


@pytest.mark.parametrize(
    ("given", "stands_for"),
    [
        ('"i.csv"', {"second.source": "i.csv"}),
        ('["i.csv", "planes=./golden/p.csv"]', {"second.source": "i.csv", "second.planes": "golden/p.csv"}),
        ('["a.csv=golden/a.csv"]', {"first.source": "golden/a.csv"}),
        ('["csv://a.csv = golden/a.csv"]', {"first.source": "golden/a.csv"}),
        ('"out/b.parquet=golden/b.jsonl"', {"second.source": "golden/b.jsonl"}),
    ],
)  # fmt: skip
def test_an_input_stands_for_a_source_by_its_place_its_name_or_what_it_reads(
    given: str, stands_for: dict[str, str]
) -> None:
    assert inputs(f'@golden("g.csv", input={given})') == stands_for


def wrong(line: str) -> list[tuple[str, str, str]]:
    with pytest.raises(Invalid) as caught:
        golden_of(line)
    return [(one.code, one.text, one.hint) for one in caught.value.findings]


def test_an_input_that_stands_for_no_source_says_what_there_is() -> None:
    assert wrong('@golden("g.csv", input="plane=p.csv")') == [
        ("D035", "there is no source plane", "did you mean planes?")
    ]
    assert wrong('@golden("g.csv", input=["i.csv", "p.csv"])') == [
        ("D035", "no source is left for p.csv", "say which: planes=p.csv")
    ]


def test_a_source_that_the_golden_does_not_depend_on_is_none() -> None:
    [(code, text, _)] = wrong('@golden("g.csv", input="apart.csv=i.csv")')
    assert (code, text) == ("D035", "there is no source apart.csv")


def test_a_source_has_one_input() -> None:
    [(code, text, _)] = wrong('@golden("g.csv", input=["i.csv", "out/b.parquet=j.csv"])')
    assert (code, text) == ("D016", "out/b.parquet has an input already")


def test_inputs_are_files_of_the_project_in_a_form_that_sources_read() -> None:
    line = '@golden("g.csv", input=["/etc/i.csv", "planes=p.xlsx"])'
    assert [code for code, _, _ in wrong(line)] == ["D031", "D030"]


def test_what_tells_rows_apart_is_not_ignored() -> None:
    assert codes(SOURCE, SINK, '@golden("g.csv", key=["id"], ignore=["id"])') == ["D015"]


def test_fields_that_are_ignored_are_those_of_the_contract() -> None:
    contract = '@contract("contracts/x.py:X")'
    assert codes(SOURCE, contract, SINK, '@golden("g.csv", ignore=["idd"])') == ["D041"]


def test_below_a_dead_letter_a_golden_is_of_the_rows_that_are_set_aside() -> None:
    dag = compile_text(CHAIN.format(golden=""), project=PROJECT).dag
    assert dag.goldens[0].sink == "first.deadletter"


def test_explain_says_what_is_compared_how_and_on_what() -> None:
    def told(line: str, **more: Any) -> str:
        dag = compile_lines(SOURCE, SINK, line)
        return next(one for one in explained(dag).splitlines() if "runi test" in one)

    line = '@golden("g.csv", key=["id"], ignore=["at"], relative=0.01, ordered=true, input="i.csv")'
    assert told(line) == (
        "  runi test compares sink with g.csv by id, in this order within 0.01 of the value but for at;"
        " it reads i.csv as s.source"
    )


def test_a_file_that_is_not_there_yet_is_noted() -> None:
    text = CHAIN.format(golden='@golden("g.csv", input="i.csv")')
    notes = compile_text(text, project=PROJECT).notes
    assert notes == (
        "the golden file golden/dead.jsonl is not there yet",
        "the golden file i.csv is not there yet",
    )
