"""From text to nodes, links, slices: what each line of a scenario becomes."""

from __future__ import annotations

import pytest
from dsl_world import CONTRACT, PROJECT, SINK, SOURCE, codes, compile_lines, links
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Each,
    Executable,
    Format,
    Function,
    Link,
    Mode,
    OnInvalid,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.errors import Invalid
from runink.expressions import Binary, Literal, Name, Operator
from runink.testing.projects import MemoryProject, compile_text


def test_a_contract_above_the_steps_checks_the_source_and_types_its_text() -> None:
    dag = compile_lines(SOURCE, '@contract("contracts/x.py:X")', '@step("plain")', SINK)
    assert links(dag) == [
        ("source", "contract", MAIN),
        ("contract", "plain", MAIN),
        ("plain", "sink", MAIN),
    ]
    source, sink = dag.node("s.source"), dag.node("s.sink")
    assert isinstance(source, Source)
    assert source.contract == CONTRACT
    assert isinstance(sink, Sink)
    assert sink.contract is None


def test_a_contract_below_the_steps_checks_what_is_written() -> None:
    dag = compile_lines(SOURCE, '@step("plain")', '@contract("contracts/x.py:X")', SINK)
    assert links(dag)[1:] == [("plain", "contract", MAIN), ("contract", "sink", MAIN)]
    source, sink = dag.node("s.source"), dag.node("s.sink")
    assert isinstance(source, Source)
    assert source.contract is None
    assert isinstance(sink, Sink)
    assert sink.contract == CONTRACT


def test_a_source_that_others_read_too_keeps_its_own_types() -> None:
    dag = compile_lines(SOURCE, SINK, '@contract("contracts/x.py:X")', '@sink("csv://c.csv")')
    source = dag.node("s.source")
    assert isinstance(source, Source)
    assert source.contract is None


def test_a_contract_sets_rows_aside_where_there_is_a_dead_letter_and_fails_where_there_is_none() -> (
    None
):
    lines = (SOURCE, '@contract("contracts/x.py:X")', SINK)
    check = compile_lines(*lines).node("s.contract")
    assert isinstance(check, Check)
    assert check.on_invalid is OnInvalid.FAIL
    dag = compile_lines(*lines, '@deadletter("jsonl://d.jsonl")')
    check = dag.node("s.contract")
    assert isinstance(check, Check)
    assert check.on_invalid is OnInvalid.DEAD_LETTER
    assert links(dag)[-1] == ("contract", "deadletter", REJECTED)


def test_one_dead_letter_takes_what_all_contracts_of_a_scenario_reject() -> None:
    dag = compile_lines(
        '@deadletter("jsonl://d.jsonl")',
        SOURCE,
        '@contract("contracts/x.py:X")',
        '@step("plain")',
        '@contract("contracts/x.py:X")',
        SINK,
    )
    assert [link for link in links(dag) if link[2] == REJECTED] == [
        ("contract", "deadletter", REJECTED),
        ("contract-2", "deadletter", REJECTED),
    ]


def test_a_sink_takes_the_stream_where_it_stands() -> None:
    dag = compile_lines(SOURCE, '@sink("csv://raw.csv")', '@step("plain")', SINK)
    assert ("source", "sink", MAIN) in links(dag)
    assert ("plain", "sink-2", MAIN) in links(dag)


def test_sources_without_a_name_are_one_stream() -> None:
    dag = compile_lines(SOURCE, '@source("jsonl://b.jsonl")', '@step("plain")', SINK)
    assert links(dag)[:2] == [("source", "plain", MAIN), ("source-2", "plain", MAIN)]


def test_side_inputs_come_by_the_names_of_arguments() -> None:
    dag = compile_lines(
        SOURCE,
        '@step("joined")',
        '@source("csv://p.csv", as=planes)',
        SINK,
    )
    step = dag.node("s.joined")
    assert isinstance(step, Step)
    assert step.action == Function("steps/s.py", "joined", Each.STREAM, ("planes",))
    assert step.modules == ("polars",)
    assert ("planes", "joined", "planes") in links(dag)


def test_a_query_reads_the_names_that_it_mentions_but_not_those_in_texts_and_notes() -> None:
    dag = compile_lines(
        SOURCE,
        '@source("csv://p.csv", as=planes)',
        '@source("csv://q.csv", as=quoted)',
        "@step(sql=\"SELECT 'quoted' FROM input JOIN Planes USING (id) -- quoted\")",
        '@step(sql="SELECT * FROM input, quoted")',
        SINK,
    )
    assert [link for link in links(dag) if link[2] != MAIN] == [
        ("planes", "sql", "planes"),
        ("quoted", "sql-2", "quoted"),
    ]
    step = dag.node("s.sql")
    assert isinstance(step, Step)
    assert isinstance(step.action, Sql)
    assert step.modules == ("duckdb",)


def test_a_scenario_may_begin_with_a_step_that_takes_nothing() -> None:
    dag = compile_lines('@step("made")', SINK)
    step = dag.node("s.made")
    assert isinstance(step, Step)
    assert step.action == Function("steps/s.py", "made", Each.RECORD, (), takes_input=False)


def test_without_a_stream_all_arguments_are_side_inputs() -> None:
    dag = compile_lines('@source("csv://p.csv", as=rows)', '@step("plain")', SINK)
    step = dag.node("s.plain")
    assert isinstance(step, Step)
    assert step.action == Function("steps/s.py", "plain", Each.BATCH, ("rows",), takes_input=False)


def test_a_program_is_split_as_a_shell_would() -> None:
    dag = compile_lines(SOURCE, """@step(run="./bin/p --a 'b c'", format=arrow)""", SINK)
    step = dag.node("s.p")
    assert isinstance(step, Step)
    assert step.action == Executable(("./bin/p", "--a", "b c"), Format.ARROW)


def test_a_name_means_the_stream_behind_its_contract() -> None:
    dag = compile_lines(
        SOURCE,
        '@source("csv://p.csv", as=planes)',
        '@contract("contracts/x.py:X", on=planes)',
        '@step("joined")',
        SINK,
    )
    assert ("planes", "contract", MAIN) in links(dag)
    assert ("contract", "joined", "planes") in links(dag)


def test_from_takes_named_streams_instead_of_the_line_above() -> None:
    dag = compile_lines(
        SOURCE,
        '@step("plain", as=a)',
        '@step("plain", as=b)',
        '@step("plain", from=a, as=c)',
        '@step("plain", from=[b, c])',
        SINK,
        '@sink("csv://a.csv", from=b)'.replace("a.csv", "other.csv"),
    )
    assert links(dag) == [
        ("source", "plain", MAIN),
        ("plain", "plain-2", MAIN),
        ("plain", "plain-3", MAIN),
        ("plain-2", "plain-4", MAIN),
        ("plain-3", "plain-4", MAIN),
        ("plain-4", "sink", MAIN),
        ("plain-2", "sink-2", MAIN),
    ]


def test_a_step_that_reads_a_stream_and_what_is_made_of_it_is_spooled() -> None:
    dag = compile_lines(
        SOURCE,
        '@step("plain", as=rows)',
        '@step(sql="SELECT max(id) FROM input", as=planes)',
        '@step("joined", from=rows)',
        SINK,
    )
    assert [link for link in dag.links if link.spool] == [
        Link("s.plain", "s.joined", MAIN, spool=True)
    ]


def test_what_a_sink_says_stands_in_the_dag() -> None:
    dag = compile_lines(SOURCE, '@sink("parquet+s3://b/k", mode=append, when "record.id > 1")')
    sink = dag.node("s.sink")
    assert isinstance(sink, Sink)
    assert (sink.uri, sink.path, sink.mode) == ("parquet+s3://b/k", "s3://b/k", Mode.APPEND)
    assert sink.when == Binary(Operator.GT, Name("id"), Literal(1))


def test_what_a_source_says_stands_in_the_dag() -> None:
    dag = compile_lines(r'@source("csv://./a//b.csv", nulls="NA", delimiter="\t")', SINK)
    source = dag.node("s.source")
    assert isinstance(source, Source)
    assert (source.uri, source.path) == ("csv://a/b.csv", "a/b.csv")
    assert (source.nulls, source.delimiter) == (("NA",), "\t")


def test_a_step_that_could_not_be_found_hides_no_other_mistake() -> None:
    lines = (SOURCE, '@step("gone")', '@step("plain")', '@sink("csv://a.csv", when "a ==")')
    assert codes(*lines) == ["D033", "D050", "D060"]


def test_what_could_not_be_read_is_not_called_missing() -> None:
    assert codes('@source("csv://a.csv)', '@contract("contracts/x.py:X")', SINK) == ["D004"]
    assert codes('@sorce("csv://a.csv")', '@step("joined")', SINK) == ["D010", "D054"]


def test_notes_tell_what_is_no_mistake() -> None:
    head = '@param("unused", default=1)\nFeature: F\nScenario: S'
    lines = (SOURCE, SINK, '@golden("gone.csv")', '@step("plain")')
    compilation = compile_text("\n".join([head, *lines]), project=PROJECT)
    assert compilation.notes == (
        "the golden file gone.csv is not there yet",
        "what step s.plain gives is not written anywhere",
        "parameter unused is not used in this file: only a step that asks for it has it",
    )


def test_a_wrong_herds_file_is_told_with_the_rest() -> None:
    wrong = Invalid("herds/h.toml: 1 mistake", code="herd_invalid")
    project = MemoryProject(wrong_herds={"h": wrong})
    with pytest.raises(Invalid) as caught:
        compile_text('@herd("h")\nFeature: F\nScenario: S', project=project)
    assert [finding.code for finding in caught.value.findings] == ["D020", "D024"]


def test_no_sink_lies_below_another() -> None:
    assert codes(SOURCE, '@sink("csv://out/x")', '@sink("csv://out/x/y.csv")') == ["D032"]


def test_a_name_that_nothing_uses_is_no_mistake_where_the_stream_flows_on() -> None:
    assert compile_lines(SOURCE, '@step("plain", as=a)', SINK).nodes
    assert codes(SOURCE, '@step("plain", as=a)', '@step("plain", from=a, as=b)') == ["D054"]


def test_an_assertion_about_a_field_is_of_the_stream_at_the_scenarios_end() -> None:
    asked = '@assert("records > 0 && distinct(n) > 1")'
    dag = compile_lines(asked, SOURCE, '@contract("contracts/x.py:X")', '@step("plain")', SINK)
    assert dag.assertions[0].of == ("s.plain",)
    assert compile_lines(SOURCE, '@assert("records > 0")', SINK).assertions[0].of == ()


def test_what_stands_below_a_misspelt_scenario_belongs_to_no_other_one() -> None:
    misspelt = ("Scenaro: x", '@source("csv://b.csv")', '@sink("csv://out/x.csv")')
    behind = ("Scenario: T", '@source("csv://c.csv")', '@sink("csv://out/y.csv")')
    assert codes(SOURCE, SINK, *misspelt, *behind) == ["D001"]
    assert codes(SOURCE, SINK, *misspelt) == ["D001"]
