"""From a pipeline to what its tests run."""

from __future__ import annotations

from runink.dag import Check, Dag, Format, Mode, OnInvalid, Sink, Source
from runink.jobs import ASIDE_FOLDER
from runink.runs.rehearsals import rehearsals
from runink.testing.projects import MemoryProject, compile_text, contract_of

X = "contracts/x.py:X"
PROJECT = MemoryProject(contracts={X: contract_of(X, {"id": "int", "name": "str"})})
TEXT = """
Feature: F
Scenario: First
@source("csv://a.csv", nulls=["NA"], delimiter=";")
@contract("contracts/x.py:X", on_invalid=fail)
@sink("parquet://out/b.parquet")
@assert("records > 1000")
{first}

Scenario: Second
@source("parquet://out/b.parquet")
@step(sql="SELECT * FROM input")
@sink("csv+s3://bucket/c.csv")
{second}

Scenario: Apart
@source("csv://apart.csv")
@sink("csv://-")
{apart}
"""


def rehearsed(*, first: str = "", second: str = "", apart: str = "") -> tuple[Dag, ...]:
    text = TEXT.format(first=first, second=second, apart=apart)
    return rehearsals(compile_text(text, project=PROJECT).dag)


def source(dag: Dag, name: str) -> Source:
    found = dag.node(name)
    assert isinstance(found, Source)
    return found


def names(dag: Dag) -> list[str]:
    return [node.id for node in dag.nodes]


def is_whole(dag: Dag) -> None:
    """Every link and slice speaks of nodes that are there, and each node is in one slice."""
    known = names(dag)
    assert {end for link in dag.links for end in (link.source, link.target)} <= set(known)
    assert sorted(name for spec in dag.slices for name in spec.nodes) == sorted(known)
    assert {spec.scenario for spec in dag.slices} == {one.id for one in dag.scenarios}


def test_a_golden_without_inputs_runs_what_it_depends_on_and_nothing_else() -> None:
    [dag] = rehearsed(second='@golden("g.csv")')
    is_whole(dag)
    assert [one.id for one in dag.scenarios] == ["first", "second"]
    assert source(dag, "second.source").staged_from == "first.sink"
    assert [one.text for one in dag.assertions] == ["records > 1000"]


def test_a_golden_with_an_input_leaves_out_what_only_that_source_depended_on() -> None:
    [dag] = rehearsed(second='@golden("g.csv", input="i.jsonl")')
    is_whole(dag)
    assert [one.id for one in dag.scenarios] == ["second"]
    replaced = source(dag, "second.source")
    assert (replaced.format, replaced.path, replaced.staged_from) == (Format.JSONL, "i.jsonl", "")


def test_an_input_keeps_the_contract_of_the_output_that_it_stands_for() -> None:
    [dag] = rehearsed(second='@golden("g.csv", input="i.csv")')
    check = dag.node("second.source-contract")
    assert isinstance(check, Check)
    assert (check.contract.name, check.on_invalid) == ("X", OnInvalid.FAIL)
    ways = [(link.source, link.target) for link in dag.links]
    assert ("second.source", "second.source-contract") in ways
    assert ("second.source", "second.sql") not in ways
    spec = dag.slice_of("second.source")
    assert spec.nodes.index("second.source") + 1 == spec.nodes.index("second.source-contract")


def test_an_input_for_a_source_above_is_run_through_all_scenarios_and_none_of_them_is_judged() -> (
    None
):
    [dag] = rehearsed(second='@golden("g.csv", input="a.csv=i.csv")')
    is_whole(dag)
    assert [one.id for one in dag.scenarios] == ["first", "second"]
    assert source(dag, "first.source").path == "i.csv"
    assert dag.assertions == ()


def test_a_text_input_of_the_same_form_is_read_as_the_source_says() -> None:
    [alike, other] = rehearsed(
        first='@golden("g.csv", input="i.csv")\n@golden("h.csv", input="i.jsonl")'
    )
    assert (source(alike, "first.source").nulls, source(alike, "first.source").delimiter) == (
        ("NA",),
        ";",
    )
    assert (source(other, "first.source").nulls, source(other, "first.source").delimiter) == (
        ("",),
        ",",
    )


def test_goldens_on_the_same_inputs_share_a_run() -> None:
    found = rehearsed(
        first='@golden("g.csv", input="i.csv")',
        second='@golden("h.csv", input="a.csv=i.csv")\n@golden("k.csv")',
        apart='@golden("l.csv")',
    )
    assert [[golden.path for golden in dag.goldens] for dag in found] == [
        ["g.csv", "h.csv"],
        ["k.csv", "l.csv"],
    ]


def test_what_would_leave_the_project_is_written_aside_in_it() -> None:
    [dag] = rehearsed(second='@golden("g.csv")', apart='@golden("h.csv")')
    sinks = {node.id: node for node in dag.nodes if isinstance(node, Sink)}
    assert sinks["first.sink"].path == "out/b.parquet"
    for name in ("second.sink", "apart.sink"):
        assert sinks[name].path == f"{ASIDE_FOLDER}/{name}.csv"
        assert sinks[name].mode is Mode.OVERWRITE
    assert all(spec.reaches == () for spec in dag.slices)


def test_a_pipeline_without_goldens_has_nothing_to_rehearse() -> None:
    assert rehearsed() == ()
