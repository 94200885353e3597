"""Sentences: the reserved ones are compiled, all others are prose and said to be."""

from __future__ import annotations

import pytest
from dsl_world import CONTRACT, SINK, SOURCE, codes, compile_lines, links
from runink.contracts.fields import OnDrift
from runink.dag import Check, Dag, Sink, Source
from runink.dsl.explain import explained
from runink.errors import Invalid
from runink.expressions import said
from runink.testing.projects import MemoryProject, compile_text, contract_of


def became(dag: Dag) -> dict[str, str]:
    return {one.text: one.became for one in dag.prose}


@pytest.mark.parametrize(
    ("sentence", "condition"),
    [
        ("records must be at least 10", "records >= 10"),
        ("records must be >= 10", "records >= 10"),
        ("The records must be no less than 10.", "records >= 10"),
        ("rejected must be fewer than 3", "rejected < 3"),
        ("rejected ratio must be below 5%", "rejected_ratio < 0.05"),
        ("rejected_ratio must be at most 0.001", "rejected_ratio <= 0.001"),
        ("rejected_ratio must be below 3.1234567%", "rejected_ratio < 0.031234567"),
        ("rejected_ratio must be at most 100%", "rejected_ratio <= 1"),
        ("rows out must be exactly 100", "rows_out == 100"),
        ("ROWS IN MUST BE OVER 1", "rows_in > 1"),
        ("null_ratio(id) must be below 5%", "null_ratio(id) < 0.05"),
        ("distinct(name) must be at least 3", "distinct(name) >= 3"),
    ],
)
@pytest.mark.parametrize("keyword", ["Given", "Then", "*", "  -"])
def test_a_figure_that_must_be_something_is_an_assertion(
    sentence: str, condition: str, keyword: str
) -> None:
    before = ("Then so it is",) if keyword.strip() == "-" else ()
    dag = compile_lines(SOURCE, SINK, *before, f"{keyword} {sentence}")
    assert [said(one.expression) for one in dag.assertions] == [condition]
    assert (
        became(dag)[f"{keyword.strip()} {sentence}"] == f"nothing is published unless {condition}"
    )


def test_a_contract_that_is_given_checks_the_sources_wherever_it_is_said() -> None:
    expected = [
        ("source", "contract", "main"),
        ("contract", "plain", "main"),
        ("plain", "sink", "main"),
    ]
    for lines in (
        ("Given the contract: X", SOURCE, '@step("plain")', SINK),
        (SOURCE, '@step("plain")', SINK, "Given the contract: contracts/x.py:X"),
        (SOURCE, "Metadata:", "  contract: contracts/x.py", '@step("plain")', SINK),
    ):
        dag = compile_lines(*lines)
        assert links(dag) == expected
        check = dag.node("s.contract")
        assert isinstance(check, Check)
        assert check.contract == CONTRACT


def test_a_contract_that_is_said_twice_is_one_and_two_are_a_mistake() -> None:
    lines = (SOURCE, '@contract("contracts/x.py:X")', SINK)
    assert compile_lines(*lines).nodes == compile_lines(*lines, "Given the contract: X").nodes
    assert codes(*lines, "Given the contract: Y") == ["D016"]


def test_a_contract_that_is_nowhere_is_told_with_the_nearest() -> None:
    project = MemoryProject(
        contracts={"contracts/x.py:Flight": contract_of("contracts/x.py:Flight", {"a": "int"})}
    )
    text = f"Feature: F\nScenario: S\n{SOURCE}\n{SINK}\nGiven the contract: Flght"
    with pytest.raises(Invalid) as caught:
        compile_text(text, project=project)
    (finding,) = caught.value.findings
    assert (finding.code, finding.hint) == ("D040", "did you mean Flight?")
    assert finding.span is not None
    assert (finding.span.line, finding.span.column) == (5, 21)


def test_a_name_that_several_contracts_have_asks_for_the_file() -> None:
    references = ("contracts/a.py:X", "contracts/b.py:X")
    project = MemoryProject(contracts={one: contract_of(one, {"a": "int"}) for one in references})
    text = f"Feature: F\nScenario: S\n{SOURCE}\n{SINK}\nGiven the contract: X"
    with pytest.raises(Invalid) as caught:
        compile_text(text, project=project)
    assert caught.value.findings[0].hint == "say which: contracts/a.py:X or contracts/b.py:X"


def test_sources_and_sinks_may_be_said_in_sentences() -> None:
    dag = compile_lines(
        'Given source stream "Raw rows" from "csv:data/x.csv"',
        'And a source "More" from "data/y.jsonl"',
        "When they come",
        '  - the good go to "Good" (sink: out/good.parquet), and to "Copy" (sink: "sf:copy")',
        '  - the others to "Bad" (deadletter: out/bad.jsonl)',
        "Given the contract: X",
    )
    assert [(one.uri) for one in dag.nodes if isinstance(one, Source)] == [
        "csv://data/x.csv",
        "jsonl://data/y.jsonl",
    ]
    assert [(one.uri, one.dead_letter) for one in dag.nodes if isinstance(one, Sink)] == [
        ("parquet://out/good.parquet", False),
        ("parquet://out/copy.parquet", False),
        ("jsonl://out/bad.jsonl", True),
    ]
    titles = {one.node: one.meta.get("title") for one in dag.facts}
    assert titles["s.source"] == "Raw rows"
    assert titles["s.sink-2"] == "Copy"


def test_parameters_stand_in_sentences_too_and_places_stay() -> None:
    head = '@param("day", default="1")\nFeature: F'
    dag = compile_lines('Given source "Raw" from "csv:in/${day}.csv"', SINK, head=head)
    assert getattr(dag.nodes[0], "path", "") == "in/1.csv"
    with pytest.raises(Invalid) as caught:
        compile_lines('Given source "Raw" from "cvs:in/x"', SINK)
    (finding,) = caught.value.findings
    assert finding.span is not None
    assert (finding.span.line, finding.span.column, finding.span.length) == (3, 26, 3)


@pytest.mark.parametrize(
    "sentence",
    [
        'On a late row, emit alert to "ops"',
        'on failure, emit an alert to "x".',
    ],
)
def test_what_is_reserved_and_not_there_yet_is_a_mistake_and_no_prose(sentence: str) -> None:
    assert codes(SOURCE, SINK, f"Then {sentence}") == ["D012"]


def test_every_other_line_is_listed_as_prose_and_none_is_lost() -> None:
    lines = (
        "What it is for.",
        SOURCE,
        SINK,
        "Given a schedule",
        "  | a | b |",
        "  - a bullet",
        "And this",
        '  """',
        "  quoted",
        '  """',
        "Then latency must be below 5",
        "Then:",
        "  - people look",
    )
    dag = compile_lines(*lines)
    told = explained(dag).partition("prose, not enforced")[2]
    for text in (
        "What it is for.",
        "Given a schedule",
        "| a | b |",
        "- a bullet",
        "quoted",
        "- people look",
    ):
        assert text in told
    assert "what sentences became" not in explained(dag)
    notes = compile_text("\n".join(["Feature: F", "Scenario: S", *lines])).notes
    assert notes == (
        "s: line 13 promises something of latency, which is no figure: nothing keeps it",
    )


def test_no_drift_is_said_of_all_contracts_of_the_scenario() -> None:
    lines = (
        SOURCE,
        '@contract("contracts/x.py:X"{})',
        SINK,
        "Then No schema drift must be detected",
    )
    plain = [line.format("") for line in lines]
    check = compile_lines(*plain).node("s.contract")
    assert isinstance(check, Check)
    assert check.on_drift is OnDrift.FAIL
    assert codes(*(line.format(", on_drift=evolve") for line in lines)) == ["D016"]
    assert codes(SOURCE, SINK, "Then no schema drift must be detected.") == ["D021"]


@pytest.mark.parametrize(
    "line",
    [
        "Then x" + " " * 300_000 + "must be",
        "Then x must be" + " must be" * 100_000,
        "Then " + '"a" (sink: ' * 50_000,
        "Then the contract: x" + " " * 300_000 + "y",
        "Then on x," + ", emit" * 100_000,
        "pipeline" + " " * 500_000 + "x",
        "transform x (" + " " * 500_000 + "x",
        "node " + "{" * 200_000,
    ],
    ids=range(8),
)
def test_a_very_long_line_costs_no_more_than_its_length(line: str) -> None:
    with pytest.raises(Invalid):
        compile_lines(SOURCE, line, "@nothing")


def test_a_sentence_that_is_too_long_to_be_read_is_prose() -> None:
    dag = compile_lines(SOURCE, SINK, "Then records must be at least 1" + " " * 2_000 + "000")
    assert not dag.assertions


@pytest.mark.parametrize(
    "sentence", ["records must be complete", "The rejected ratio must be at least some"]
)
def test_a_figure_that_must_be_nothing_that_can_be_kept_is_noted(sentence: str) -> None:
    text = f"Feature: F\nScenario: S\n{SOURCE}\n{SINK}\nThen {sentence}"
    compilation = compile_text(text)
    assert not compilation.dag.assertions
    (note,) = compilation.notes
    assert "must be, but not by an operator and a number: nothing keeps it" in note
    assert not compile_text(text.replace("must be", "is")).notes


@pytest.mark.parametrize("figure", ["freshness(at)", "freshness", "The Freshness"])
def test_how_old_rows_may_be_is_said_in_units_of_time(figure: str) -> None:
    properties = ("Properties:", "  at: datetime")
    dag = compile_lines(SOURCE, SINK, *properties, f"Then {figure} must be below 36 h")
    assert [said(one.expression) for one in dag.assertions] == ["freshness(at) < duration('36h')"]


def test_a_percentage_beyond_all_numbers_is_a_mistake() -> None:
    assert codes(SOURCE, SINK, "Then rejected_ratio must be below 1e99999999999%") == ["D060"]


def test_a_field_that_there_is_not_is_told_at_its_sentence() -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, SINK, "Properties:", "  id: int", "Then distinct(idd) must be over 3")
    (finding,) = caught.value.findings
    assert (finding.code, finding.hint) == ("D061", "did you mean id?")
    assert finding.span is not None
    assert (finding.span.line, finding.span.length) == (7, len("distinct(idd) must be over 3"))
