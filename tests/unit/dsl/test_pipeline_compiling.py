"""From text to nodes, links, slices: what each line of a scenario becomes."""

from __future__ import annotations

import pytest
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Dag,
    Each,
    Executable,
    Format,
    Function,
    Link,
    Mode,
    OnInvalid,
    Resources,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.errors import Invalid
from runink.expressions import Binary, Literal, Name, Operator
from runink.testing.projects import MemoryProject, compile_text, contract_of

STEPS = """from runink import step
import polars as pl, os

@step(each="batch")
def plain(rows): ...

@step(each="stream", name="joined")
def any_name(rows, planes, airlines=None): ...

@step(each="record")
def made(): ...
"""
CONTRACT = contract_of("contracts/x.py:X", {"id": "int", "name": "str"})
PROJECT = MemoryProject(
    {"steps/s.py": STEPS, "bin/p": "", "g.csv": ""}, {"contracts/x.py:X": CONTRACT}
)


def compile_lines(*lines: str, head: str = "Feature: F", **parameters: str) -> Dag:
    text = "\n".join([head, "Scenario: S", *lines])
    return compile_text(text, project=PROJECT, parameters=parameters).dag


def codes(*lines: str, head: str = "Feature: F", **parameters: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        compile_lines(*lines, head=head, **parameters)
    return [finding.code for finding in caught.value.findings]


def links(dag: Dag) -> list[tuple[str, str, str]]:
    return [
        (link.source.removeprefix("s."), link.target.removeprefix("s."), link.role)
        for link in dag.links
    ]


SOURCE = '@source("csv://a.csv")'
SINK = '@sink("parquet://out/b.parquet")'


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


def test_a_scenario_that_reads_what_another_writes_is_a_gang_behind_it() -> None:
    text = """Feature: F
    @module(layer="one")
    Scenario: First
      @source("parquet://out/b.parquet")
      @sink("parquet://out/c.parquet")
    Scenario: Second
      @source("csv://a.csv")
      @sink("parquet://./out/b.parquet")
    """
    dag = compile_text(text).dag
    source = dag.node("one.source")
    assert isinstance(source, Source)
    assert source.staged_from == "second.sink"
    assert dag.gang_needs() == {"one": {"second"}, "second": frozenset()}


def test_steps_of_equal_requirements_share_a_slice_others_are_joined_by_pipes() -> None:
    dag = compile_lines(
        SOURCE,
        "@requires(memory=128Mi)",
        '@step("plain")',
        '@step("plain")',
        '@step("plain")',
        "@requires(cpu=2)",
        '@affinity(label="gpu")',
        '@step("plain", isolate=true)',
        SINK,
    )
    assert [(spec.id, spec.nodes) for spec in dag.slices] == [
        ("s.source", ("s.source", "s.plain", "s.plain-2")),
        ("s.plain-3", ("s.plain-3",)),
        ("s.plain-4", ("s.plain-4",)),
        ("s.sink", ("s.sink",)),
    ]
    assert {spec.gang for spec in dag.slices} == {"s"}
    assert dag.slices[0].resources == Resources(100, 128 << 20)
    assert dag.slices[1].resources == Resources(2000, 128 << 20)
    assert [spec.labels for spec in dag.slices] == [(), ("gpu",), (), ()]
    assert "isolate=true" in dag.slices[2].why
    assert "cpu 2" in dag.slices[1].why


def test_five_nodes_may_be_five_processes() -> None:
    dag = compile_lines(
        '@source("csv://a.csv", isolate=true)',
        '@contract("contracts/x.py:X", isolate=true)',
        '@step("plain", isolate=true)',
        '@step("plain", isolate=true)',
        '@sink("parquet://x.parquet", isolate=true)',
    )
    assert len(dag.slices) == 5
    assert len(dag.pipes()) == 4


def test_parts_of_a_scenario_that_share_nothing_are_gangs_of_their_own() -> None:
    dag = compile_lines(
        '@source("csv://a.csv", as=a, isolate=true)',
        '@source("csv://b.csv", as=b)',
        '@sink("csv://c.csv", from=a)',
        '@sink("csv://d.csv", from=b)',
    )
    assert {spec.id: spec.gang for spec in dag.slices} == {
        "s.a": "s.a",
        "s.sink": "s.a",
        "s.b": "s.b",
    }


def test_scenarios_are_named_by_layer_or_title_and_made_unique() -> None:
    text = "Feature: F\n" + "".join(
        f'{above}Scenario: {title}\n@source("csv://{at}.csv")\n@sink("csv://{at}-out.csv")\n\n'
        for at, (above, title) in enumerate(
            [
                ('@module(layer="Bronze Age")\n', "X"),
                ("", "Départ à 7 h!"),
                ("", "départ à 7 h"),
                ("", "日本"),
                ("", "7 flights"),
            ]
        )
    )
    ids = [one.id for one in compile_text(text).dag.scenarios]
    assert ids == ["bronze-age", "depart-a-7-h", "depart-a-7-h-2", "scenario", "scenario-7-flights"]


def test_module_may_stand_above_or_below_its_scenario() -> None:
    body = '@source("csv://{0}.csv")\n@sink("csv://out-{0}.csv")\n'
    text = (
        'Feature: F\n\n@module(layer="a")\n# note\n\nScenario: S\n'
        + body.format(1)
        + 'Scenario: T\n@module(layer="b", owner="o")\n'
        + body.format(2)
    )
    scenarios = compile_text(text).dag.scenarios
    assert [(one.id, one.module) for one in scenarios] == [
        ("a", {"layer": "a"}),
        ("b", {"layer": "b", "owner": "o"}),
    ]


def test_parameters_are_filled_in_and_kept() -> None:
    head = (
        '@param("day", default="2013-01-01")\n@param("n", default=5)\n@herd("h-${n}")\nFeature: F'
    )
    lines = (
        '@source("csv://in/${day}/$${x}.csv")',
        "@step(sql=\"SELECT * FROM input WHERE d = '${day}' LIMIT ${n}\")",
        SINK,
    )
    dag = compile_lines(*lines, head=head, n="7")
    source, step = dag.node("s.source"), dag.node("s.sql")
    assert isinstance(source, Source)
    assert source.path == "in/2013-01-01/${x}.csv"
    assert isinstance(step, Step)
    assert step.action == Sql("SELECT * FROM input WHERE d = '2013-01-01' LIMIT 7")
    assert dag.parameters == {"day": "2013-01-01", "n": "7"}
    assert dag.herd == "h-7"


@pytest.mark.parametrize("value", ["../../etc", "a/../..", "*", "-\n"])
def test_a_parameters_value_leads_no_sink_out_of_its_place(value: str) -> None:
    head = '@param("p")\nFeature: F'
    assert codes(SOURCE, '@sink("csv://out/${p}/x.csv")', head=head, p=value)


@pytest.mark.parametrize(
    "value", ["'", '"', "\\", ";", "--", "/*", "a\nb", "\x00", "1; DROP TABLE x"]
)
def test_a_parameters_value_changes_no_query(value: str) -> None:
    head = '@param("p")\nFeature: F'
    lines = (SOURCE, "@step(sql=\"SELECT '${p}' FROM input\")", SINK)
    assert codes(*lines, head=head, p=value) == ["D072"]


def test_a_value_is_put_in_once_even_if_it_looks_like_a_parameter() -> None:
    head = '@param("p")\nFeature: F'
    dag = compile_lines('@source("csv://${p}.csv")', SINK, head=head, p="${p}")
    source = dag.node("s.source")
    assert isinstance(source, Source)
    assert source.path == "${p}.csv"


def test_a_mistake_behind_a_parameter_is_told_at_its_own_place() -> None:
    head = '@param("p", default="much longer than its hole")\nFeature: F'
    line = '@sink("csv://o.csv", when "a == \'${p}\' && b = 1")'
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, line, head=head)
    span = caught.value.findings[0].span
    assert span is not None
    assert line[span.column - 1 :].startswith("= 1")


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
        "parameter unused is declared and never used",
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
