"""Which nodes share a process, what starts together, and what scenarios and nodes are called."""

from __future__ import annotations

from dsl_world import SINK, SOURCE, compile_lines
from runink.dag import (
    Resources,
    Source,
)
from runink.testing.projects import compile_text


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
