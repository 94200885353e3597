"""Which nodes share a process, what starts together, and what scenarios and nodes are called."""

from __future__ import annotations

import pytest
from dsl_world import PROJECT, SINK, SOURCE, codes, compile_lines
from runink.dag import (
    Limit,
    Limits,
    Resources,
    Source,
)
from runink.dsl.explain import explained
from runink.errors import Invalid
from runink.networks import Network
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


def test_only_what_is_asked_for_is_a_limit_and_the_line_stands_with_it() -> None:
    dag = compile_lines(
        "@requires(memory=128Mi, processes=64)",
        SOURCE,
        '@step("plain")',
        "@requires(cpu=2, disk=1Gi, io=50Mi)",
        SINK,
    )
    (spec,) = dag.slices
    line = spec.limits.memory.line
    assert spec.limits == Limits(
        cpu=Limit(2000, line + 3),
        memory=Limit(128 << 20, line),
        processes=Limit(64, line),
        disk=Limit(1 << 30, line + 3),
        io=Limit(50 << 20, line + 3),
    )
    limits = "processes 64 at most, disk 1Gi at most, io 50Mi a second at most"
    assert f"cpu 2 at most, memory 128Mi at most, {limits}" in spec.why
    (plain,) = compile_lines(SOURCE, '@step("plain")', SINK).slices
    assert plain.limits == Limits()
    assert "at most" not in plain.why


def test_a_step_that_is_held_to_something_is_apart_from_one_that_only_weighs_the_same() -> None:
    dag = compile_lines(SOURCE, '@step("plain")', '@step("plain")', "@requires(memory=64Mi)", SINK)
    assert [spec.resources for spec in dag.slices] == [Resources(), Resources()]
    assert [spec.limits.amounts for spec in dag.slices] == [(0,) * 5, (0, 64 << 20, 0, 0, 0)]


def test_equal_limits_on_different_lines_share_a_slice() -> None:
    lines = ['@step("plain")', "@requires(memory=64Mi)"] * 2
    (spec,) = compile_lines(SOURCE, *lines, SINK).slices
    assert spec.limits.amounts == (0, 64 << 20, 0, 0, 0)


@pytest.mark.parametrize(
    "amount",
    ["memory=10", "memory=2000Ti", "disk=10", "processes=15", "processes=1.5", "processes=2000000"],
)
def test_limits_that_cannot_be_meant_are_mistakes(amount: str) -> None:
    assert codes(SOURCE, f"@requires({amount})", SINK) == ["D015"]


REMOTE = '@source("csv+s3://bucket/a.csv")'


def test_steps_of_different_networks_are_not_fused() -> None:
    dag = compile_lines(
        SOURCE,
        '@step("plain")',
        '@requires(network="none")',
        '@step("plain")',
        '@step("plain")',
        "@requires(network=egress)",
        '@step("plain")',
        '@requires(network="host")',
        SINK,
    )
    assert [(spec.nodes[-1], spec.network) for spec in dag.slices] == [
        ("s.plain-2", Network.NONE),
        ("s.plain-3", Network.EGRESS),
        ("s.sink", Network.HOST),
    ]
    assert "network egress" in dag.slices[0].why
    told = explained(dag)
    assert "network egress: the internet" in told
    assert "network host: the node's own, where the node allows it" in told


def test_a_network_above_the_first_step_is_for_all_that_say_nothing_else() -> None:
    dag = compile_lines(
        '@requires(network="egress", cpu=2)',
        SOURCE,
        '@step("plain")',
        "@requires(memory=128Mi)",
        '@step("plain")',
        '@requires(network="none")',
        SINK,
    )
    assert [spec.network for spec in dag.slices] == [Network.EGRESS, Network.NONE]
    assert [spec.resources.cpu_m for spec in dag.slices] == [2000, 2000]


def test_a_place_elsewhere_brings_a_network_for_its_slice() -> None:
    dag = compile_lines(REMOTE, '@step("plain")', '@sink("csv+https://example.org/b.csv")')
    (spec,) = dag.slices
    assert spec.network is Network.NONE  # nobody asks; what it reaches decides on the node
    assert spec.reaches == ("s3://bucket/a.csv", "https://example.org/b.csv")
    assert "for s3://bucket/a.csv, https://example.org/b.csv" in explained(dag)
    (local,) = compile_lines('@source("csv+file:///srv/a.csv")', SINK).slices
    assert local.reaches == ()


def test_a_step_that_asks_for_no_network_is_apart_from_what_needs_one() -> None:
    dag = compile_lines(
        REMOTE,
        '@contract("contracts/x.py:X")',
        '@step("plain")',
        '@requires(network="none")',
        '@sink("csv+s3://bucket/b.csv")',
    )
    assert [(spec.nodes, spec.reaches) for spec in dag.slices] == [
        (("s.source", "s.contract"), ("s3://bucket/a.csv",)),
        (("s.plain",), ()),
        (("s.sink",), ("s3://bucket/b.csv",)),
    ]
    assert "apart from what needs a network" in dag.slices[1].why


def test_only_the_networks_that_there_are_can_be_asked_for() -> None:
    assert codes(SOURCE, '@requires(network="internet")', SINK) == ["D015"]
    assert codes(SOURCE, "@requires(network=egress)", "@requires(cpu=1)", SINK) == ["D016"]


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


def test_more_slices_than_can_be_placed_at_once_are_no_gang() -> None:
    steps = "".join(f'@step("plain", id=s{number}, isolate=true)\n' for number in range(501))
    text = f'Feature: F\nScenario: S\n@source("csv://a.csv")\n{steps}@sink("csv://b.csv")\n'
    with pytest.raises(Invalid) as error:
        compile_text(text, project=PROJECT)
    (found,) = error.value.findings
    assert found.code == "D020"
    assert found.text.endswith("slices that run together, 500 at most")


def test_a_checkpoint_between_makes_two_gangs_that_can_be_placed() -> None:
    steps = [f'@step("plain", id=s{number}, isolate=true)' for number in range(501)]
    steps.insert(250, "@checkpoint")
    lines = ('@source("csv://a.csv")', *steps, '@sink("csv://b.csv")')
    assert max(map(len, compile_lines(*lines).gangs().values())) <= 500
