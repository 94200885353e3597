"""The examples compile, and each shows what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.dag import Sink, Source
from runink.dsl.difference import difference
from runink.projects import compile_file

EXAMPLES = Path(__file__).parents[3] / "examples"
PIPELINES = sorted(EXAMPLES.glob("*/features/*.dsl"))


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.stem)
def test_an_example_compiles_and_is_the_same_each_time(file: Path) -> None:
    one, other = (compile_file(file, parameters={}).dag for _ in range(2))
    assert one.hash == other.hash
    assert not difference(one, other)
    assert {facts.node for facts in one.facts} == {node.id for node in one.nodes}


def test_layers_are_joined_by_the_names_of_datasets_in_either_spelling() -> None:
    dag = compile_file(EXAMPLES / "medallion/features/medallion.dsl", parameters={}).dag
    joined = {one.id: one.staged_from for one in dag.nodes if isinstance(one, Source)}
    assert joined["silver.source"] == "bronze.sink"
    assert joined["gold.source"] == "silver.sink"
    assert {line.text for line in dag.prose if line.became} >= {
        "Given the contract: RawFlight",
        "Then no schema drift must be detected",
        "And rejected ratio must be at most 30%",
    }


def test_a_graph_of_sentences_and_steps_has_its_dead_letter_and_its_personal_data_told() -> None:
    dag = compile_file(EXAMPLES / "trades/features/trades.dsl", parameters={}).dag
    assert [one.uri for one in dag.nodes if isinstance(one, Sink) and one.dead_letter] == [
        "jsonl://out/dead/events.jsonl"
    ]
    reached = {one.node: one.clearances for one in dag.facts}
    for node in ("intake.sink", "intake.deadletter", "masked.valued"):
        assert reached[node] == ("email", "name")
    assert reached["masked.sink"] == ("name",)
    assert reached["masked.desks"] == reached["masked.sink-3"] == ()
