"""Blocks, and what is said once for the whole pipeline."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.contracts.fields import FieldSpec, Kind
from runink.dag import Check
from runink.dsl.explain import explained
from runink.errors import Invalid
from runink.expressions import said

LINES = (SOURCE, SINK)


def test_metadata_means_something_or_is_kept_and_shown() -> None:
    dag = compile_lines(
        *LINES,
        "Metadata:",
        "  module_layer: bronze",
        "  domain: sales",
        "  herd: crm",
        "  purpose: to know",
        "  compliance: [SOX, GDPR]",
        "  slo:",
        "    latency: 5m",
        "  lineage_tracking: true",
    )
    (scenario,) = dag.scenarios
    assert scenario.id == "bronze"
    assert scenario.module == {"layer": "bronze", "domain": "sales"}
    assert dag.herd == "crm"
    assert scenario.metadata == {
        "purpose": "to know",
        "compliance": "SOX, GDPR",
        "slo": "latency: 5m",
        "lineage_tracking": "true",
    }
    assert "compliance: SOX, GDPR (kept, not enforced)" in explained(dag)


def test_metadata_of_the_file_is_the_pipelines() -> None:
    head = "Feature: F\n\nMetadata:\n  herd: crm\n  owner: ann\n"
    dag = compile_lines(*LINES, head=head)
    assert dag.herd == "crm"
    assert dag.metadata == {"owner": "ann"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("purpos: x", "D011"),
        ("- a bullet", "D011"),
        ("purpose:", "D014"),
        ("lineage_tracking: false", "D015"),
        ("contract_version: 1.0.0", "D014"),
        ("herd: No Name", "D015"),
    ],
)
def test_what_metadata_cannot_be_is_told(line: str, code: str) -> None:
    assert codes(*LINES, "Metadata:", f"  {line}") == [code]
    assert codes(*LINES, "Metadata:", "  purpose: x", "  purpose: y") == ["D016"]


def test_a_contract_must_be_of_the_version_that_is_said() -> None:
    block = ("Metadata:", "  contract: X", "  contract_version: {}")
    assert compile_lines(*LINES, *(one.format("1.0.0") for one in block)).nodes
    assert codes(*LINES, *(one.format("2.0.0") for one in block)) == ["D043"]
    stated = (
        SOURCE,
        '@contract("contracts/x.py:X")',
        SINK,
        "Metadata:",
        "  contract_version: 2.0.0",
    )
    assert codes(*stated) == ["D043"]


def test_a_contract_is_said_to_be_of_one_version_and_written_out_once() -> None:
    stated = (SOURCE, '@contract("contracts/x.py:X", version="1")', SINK)
    assert compile_lines(*stated, "Metadata:", '  contract_version: "1"').nodes
    assert codes(*stated, "Metadata:", "  contract_version: 1.0.0") == ["D016"]
    assert codes(*stated, "Metadata:", "  contract: X", "  contract_version: 1.0.0") == ["D016"]
    two = ("Properties:", "  id: int", "Given this", "Properties:", "  id: str")
    assert codes(*LINES, *two) == ["D016"]
    assert codes(*LINES, "Given the contract: X", *two[:2]) == ["D016"]


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        ('@herd("a")\n@feature(herd="b")\nFeature: F', ()),
        ('@herd("a")\nFeature: F', ('@module(herd="b")',)),
        ('@feature(herd="a")\nFeature: F', ("Metadata:", "  herd: b")),
        ("Feature: F\n\nMetadata:\n  herd: a\n", ("Metadata:", "  herd: b")),
    ],
)
def test_a_pipeline_has_one_herd_and_another_is_told_with_both_places(
    head: str, lines: tuple[str, ...]
) -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines(*LINES, *lines, head=head)
    (finding,) = caught.value.findings
    assert finding.code == "D026"
    assert [label.text for label in finding.labels] == ["a is named here"]


def test_the_same_herd_may_be_named_everywhere() -> None:
    head = '@feature(name="F", herd="a")\n@herd("a")\nFeature: F'
    assert compile_lines(*LINES, '@module(herd="a")', head=head).herd == "a"


def test_a_feature_may_be_named_by_its_annotation_alone() -> None:
    dag = compile_lines(*LINES, head='@feature(name="On time", herd="a")')
    assert (dag.title, dag.herd) == ("On time", "a")


def test_assertions_are_sentences_or_expressions_and_nothing_else() -> None:
    dag = compile_lines(
        *LINES,
        "Assertions:",
        "  - records must be more than 0",
        "  - rejected_ratio <= 0.1 && records > 1",
    )
    assert [said(one.expression) for one in dag.assertions] == [
        "records > 0",
        "(rejected_ratio <= 0.1) && (records > 1)",
    ]
    assert codes(*LINES, "Assertions:", "  - all is well") == ["D027"]
    assert codes(*LINES, "Assertions:", "  - latency must be below 5") == ["D027"]
    assert codes(*LINES, "Assertions:", "  - recrds > 5") == ["D061"]


def test_a_block_that_says_nothing_is_told() -> None:
    for keyword in ("Assertions:", "GoldenTest:", "Properties:"):
        assert codes(*LINES, keyword) == ["D014"]


def test_notifications_are_not_there_yet() -> None:
    assert codes(*LINES, "Notifications:", '  - On failure, emit alert to "x"') == ["D012"]
    assert codes(*LINES, "Notifications:", "  - tell me") == ["D012"]


def test_a_golden_test_is_a_golden_of_the_scenarios_sink() -> None:
    block = (
        "GoldenTest:",
        "  input: golden/in.csv",
        "  output: g.csv",
        "  validation: exact match",
        "  key: [id]",
        "  tolerance: 1e-9",
    )
    dag = compile_lines(*block, *LINES)
    (golden,) = dag.goldens
    assert (golden.sink, golden.path, golden.key, golden.tolerance) == (
        "s.sink",
        "g.csv",
        ("id",),
        1e-9,
    )
    assert [one.path for one in golden.inputs] == ["golden/in.csv"]
    assert codes(*block, *LINES, '@sink("csv://c.csv")') == ["D021"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("output: g.csv, x", "D030"),
        ("validation: fuzzy", "D015"),
        ("tolerance: much", "D015"),
        ("ordered: maybe", "D015"),
        ("outputs: g.csv", "D011"),
    ],
)
def test_what_a_golden_test_cannot_be_is_told(line: str, code: str) -> None:
    lines = ["  output: g.csv"] if not line.startswith("output: ") else []
    assert codes(*LINES, "GoldenTest:", *lines, f"  {line}") == [code]
    assert codes(*LINES, "GoldenTest:", "  key: id") == ["D014"]


def test_properties_are_a_contract_of_the_sources() -> None:
    dag = compile_lines(
        *LINES,
        "Properties:",
        "  id: int",
        "  mail:",
        "    type: string",
        "    required: false",
        "    pii: email",
        "    mask: hash",
        "    max_length: 50",
        "  - name: price",
        "    type: decimal",
        "    minimum: 0.5",
        "  day: date",
        "  kind:",
        "    type: string",
        "    enum: [a, b]",
        "    default: a",
    )
    check = dag.node("s.contract")
    assert isinstance(check, Check)
    assert check.contract.fields == (
        FieldSpec("id", Kind.INT),
        FieldSpec(
            "mail",
            Kind.STR,
            nullable=True,
            has_default=True,
            pii="email",
            mask="hash",
            max_length=50,
        ),
        FieldSpec("price", Kind.DECIMAL, ge="0.5"),
        FieldSpec("day", Kind.DATE),
        FieldSpec("kind", Kind.STR, choices=("a", "b"), has_default=True, default="a"),
    )
    assert next(one for one in dag.facts if one.node == "s.sink").clearances == ("email",)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("id: itn",), "D015"),
        (("id: int", "id: str"), "D016"),
        (("id:",), "D014"),
        (("- id",), "D011"),
        (("id:", "  type: int", "  minimun: 1"), "D011"),
        (("id:", "  type: int", "  minimum: one"), "D015"),
        (("id:", "  type: int", "  pattern: a"), "D015"),
        (("id:", "  type: str", "  pattern: (" ), "D015"),
        (("id:", "  type: int", "  required: perhaps"), "D015"),
    ],
)  # fmt: skip
def test_what_no_contract_can_be_is_told(lines: tuple[str, ...], code: str) -> None:
    assert codes(*LINES, "Properties:", *(f"  {line}" for line in lines)) == [code]


def test_meta_is_kept_of_the_line_above_or_of_what_it_stands_within() -> None:
    head = '@meta(tool="x")\nFeature: F'
    dag = compile_lines(
        "@meta(of=scenario)",
        '@source("csv://a.csv", @meta(region="us", codes=[a, "b"]))',
        '@step("plain")',
        "@meta(ticket=7)",
        SINK,
        head=head,
    )
    assert dag.metadata == {"tool": "x"}
    assert dag.scenarios[0].metadata == {"of": "scenario"}
    assert {one.node: one.meta for one in dag.facts if one.meta} == {
        "s.source": {"region": "us", "codes": "a, b"},
        "s.plain": {"ticket": "7"},
    }
    assert codes(SOURCE, "@meta()", SINK) == ["D014"]
    assert codes(SOURCE, '@meta("x")', SINK) == ["D011"]


def test_a_golden_below_a_step_is_for_the_sink_that_the_step_feeds() -> None:
    dag = compile_lines(
        SOURCE, '@sink("csv://raw.csv")', '@step("plain")', '@golden("g.csv")', SINK
    )
    assert [one.sink for one in dag.goldens] == ["s.sink-2"]
    lines = (SOURCE, '@golden("g.csv")', '@sink("csv://raw.csv")', '@step("plain")', SINK)
    assert codes(*lines) == ["D021"], "two sinks, and it stands above both"
    assert compile_lines(SOURCE, '@golden("g.csv")', SINK).goldens[0].sink == "s.sink"


@pytest.mark.parametrize(
    "text",
    [
        'DAG flights {\n  node load {\n    command = "cat { x"\n  }\n  edge { from = a }\n}\n',
        'transform clean (\n  command: "x",\n  after: load\n)\ntransform more (command: "y")\n',
        "node x {\n",
    ],
)
def test_notations_of_other_tools_are_told_once_and_alone(text: str) -> None:
    from runink.testing.projects import compile_text

    with pytest.raises(Invalid) as caught:
        compile_text(text)
    assert [one.code for one in caught.value.findings] == ["D900"]


def test_beside_our_own_lines_they_are_one_mistake_more() -> None:
    assert codes(SOURCE, "transform clean (", '  command: "x"', ")", SINK) == ["D900"]
    assert compile_lines("It makes a", "pipeline of things (really)", *LINES).nodes
    assert compile_lines(*LINES, "Given this", '  """', "  node x {", '  """').nodes
