"""`@checkpoint`: what is kept on disk between steps, and what begins from it."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines, links
from runink.checkpoints import checkpoints_of, joined, kept_in
from runink.dag import Dag, Format, Sink, Source
from runink.dsl.difference import difference
from runink.errors import Invalid
from runink.needs import Verb

QUERY = '@step(sql="SELECT * FROM input")'
CONTRACT = '@contract("contracts/x.py:X")'
LETTER = '@deadletter("jsonl://d.jsonl")'


def sinks(dag: Dag) -> list[Sink]:
    return [node for node in dag.nodes if isinstance(node, Sink) and node.checkpoint]


def gangs(dag: Dag) -> dict[str, set[str]]:
    """Return by gang those that it waits for."""
    return {name: set(needs) for name, needs in dag.gang_needs().items()}


def test_a_checkpoint_ends_the_gang_and_the_next_one_begins_with_what_was_kept() -> None:
    dag = compile_lines(SOURCE, QUERY, "@checkpoint", QUERY, SINK)
    assert links(dag) == [
        ("source", "sql", "main"),
        ("sql", "sql-checkpoint", "main"),
        ("sql-kept", "sql-2", "main"),
        ("sql-2", "sink", "main"),
    ]
    assert gangs(dag) == {"s.source": set(), "s.sql-kept": {"s.source"}}
    kept = dag.node("s.sql-kept")
    assert isinstance(kept, Source)
    assert kept.staged_from == "s.sql-checkpoint"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@checkpoint", Format.ARROW),
        ("@checkpoint()", Format.ARROW),
        ("@checkpoint(parquet)", Format.PARQUET),
        ("@checkpoint(format=arrow)", Format.ARROW),
    ],
)
def test_it_is_kept_as_arrow_unless_something_else_is_said(line: str, expected: Format) -> None:
    (sink,) = sinks(compile_lines(SOURCE, QUERY, line, QUERY, SINK))
    assert sink.format is expected


def test_above_the_first_step_it_is_for_each_step_that_another_one_reads() -> None:
    dag = compile_lines("@checkpoint", SOURCE, QUERY, QUERY, QUERY, SINK)
    assert [sink.id for sink in sinks(dag)] == ["s.sql-checkpoint", "s.sql-2-checkpoint"]
    assert len(gangs(dag)) == 3


def test_a_sink_above_it_takes_the_rows_at_once_and_one_below_it_what_was_kept() -> None:
    other = '@sink("csv://other.csv")'
    dag = compile_lines(SOURCE, QUERY, other, "@checkpoint", SINK)
    assert ("sql", "sink", "main") in links(dag)
    assert ("sql-kept", "sink-2", "main") in links(dag)


def test_what_would_go_around_a_checkpoint_is_kept_as_well() -> None:
    dag = compile_lines(
        '@source("csv://p.csv", as=planes)', SOURCE, '@step("joined")', "@checkpoint",
        '@step("joined")', SINK,
    )  # fmt: skip
    assert [sink.id for sink in sinks(dag)] == ["s.planes-checkpoint", "s.joined-checkpoint"]
    assert ("planes-kept", "joined-2", "planes") in links(dag)
    assert gangs(dag) == {"s.planes": set(), "s.joined-kept": {"s.planes"}}


def test_what_is_rejected_in_front_of_it_comes_to_the_dead_letter_behind_it() -> None:
    dag = compile_lines(SOURCE, CONTRACT, QUERY, "@checkpoint", CONTRACT, SINK, LETTER)
    assert ("contract", "contract-rejected", "rejected") in links(dag)
    assert ("contract-kept", "deadletter", "main") in links(dag)
    rejected = dag.node("s.contract-rejected")
    assert isinstance(rejected, Sink)
    assert rejected.dead_letter, "a run that fails in front of it shows them all the same"


def test_without_its_checkpoints_a_pipeline_is_what_it_was_written_as() -> None:
    lines = (SOURCE, CONTRACT, QUERY, CONTRACT, QUERY, SINK, LETTER)
    plain = compile_lines(*lines)
    kept = joined(compile_lines(*lines[:3], "@checkpoint", *lines[3:]))
    assert kept.nodes == plain.nodes
    assert set(kept.links) == set(plain.links)
    assert [one.node for one in kept.facts] == [one.node for one in plain.facts]


def test_it_needs_no_right_of_its_own() -> None:
    dag = compile_lines(SOURCE, QUERY, "@checkpoint", QUERY, SINK)
    needed = {need.name for facts in dag.facts for need in facts.needs if need.verb is not Verb.RUN}
    assert needed == {"csv://a.csv", "parquet://out/b.parquet"}


def test_on_a_node_it_lies_in_the_runs_folder_and_in_a_pipeline_nowhere() -> None:
    dag = compile_lines(SOURCE, QUERY, "@checkpoint", QUERY, SINK)
    placed = kept_in(dag, "/state/runs/R")
    assert placed.node("s.sql-checkpoint") != dag.node("s.sql-checkpoint")
    (sink,) = sinks(placed)
    assert sink.path == "/state/runs/R/checkpoints/s.sql-checkpoint.arrow"
    assert placed.links == dag.links
    assert checkpoints_of(placed) == checkpoints_of(dag) == {"s.sql-checkpoint"}


def test_a_pipeline_without_any_is_the_same_value_as_before() -> None:
    dag = compile_lines(SOURCE, QUERY, SINK)
    assert joined(dag) is dag
    assert kept_in(dag, "/x") is dag


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((SOURCE, QUERY, "@checkpoint(every=5m)", QUERY, SINK), "D012"),
        ((SOURCE, QUERY, "@checkpoint(every=5)", QUERY, SINK), "D015"),
        ((SOURCE, QUERY, "@checkpoint(csv)", QUERY, SINK), "D015"),
        ((SOURCE, QUERY, "@checkpoint(size=1)", QUERY, SINK), "D011"),
        ((SOURCE, QUERY, "@checkpoint", "@checkpoint", QUERY, SINK), "D016"),
        (("@checkpoint", "@checkpoint", SOURCE, QUERY, QUERY, SINK), "D016"),
        ((SOURCE, QUERY, SINK, "@checkpoint"), "D023"),
        (("@checkpoint", SOURCE, QUERY, SINK), "D023"),
        ((SOURCE, "@checkpoint", SINK), "D023"),
    ],
)
def test_what_keeps_nothing_or_says_what_there_is_not_is_told(
    lines: tuple[str, ...], code: str
) -> None:
    assert codes(*lines) == [code]


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("@checkpoint(every=5m)", "write @checkpoint: "),
        ("@checkpoint(format=parquet, every=5m)", "write @checkpoint(format=parquet): "),
    ],
)
def test_who_asks_for_one_at_intervals_is_told_what_to_write_instead(
    written: str, instead: str
) -> None:
    with pytest.raises(Invalid) as caught:
        compile_lines(SOURCE, QUERY, written, QUERY, SINK)
    (finding,) = caught.value.findings
    assert finding.code == "D012"
    assert finding.hint.startswith(instead)


def test_that_a_pipeline_keeps_something_now_is_a_difference_that_breaks_nobody() -> None:
    before = compile_lines(SOURCE, QUERY, QUERY, SINK)
    now = compile_lines(SOURCE, QUERY, "@checkpoint", QUERY, SINK)
    added = [one for one in difference(before, now) if one.what == "checkpoint"]
    gone = [one for one in difference(now, before) if one.what == "checkpoint"]
    assert [(one.where, one.how, one.breaking) for one in added] == [("s.sql", "added", False)]
    assert [(one.where, one.how, one.breaking) for one in gone] == [("s.sql", "removed", False)]
    assert not any(one.breaking for one in difference(before, now))
