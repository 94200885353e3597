"""A pipeline's parts by what they are asked for by: the same as looking through all of them."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parent / "runs"))

from run_world import staged_dag
from runink.dag import Link

DAG = staged_dag("a", "b", "c", fan=2)


def test_nodes_and_slices_are_found_by_their_names() -> None:
    assert [DAG.node(one.id) for one in DAG.nodes] == list(DAG.nodes)
    assert [DAG.index.slices[one.id] for one in DAG.slices] == list(DAG.slices)
    assert [DAG.slice_of(name) for one in DAG.slices for name in one.nodes] == list(DAG.slices)


def test_links_come_in_their_order_whatever_the_order_of_their_nodes() -> None:
    links = (Link("b.source", "b.sink"), Link("a.source", "a.sink"), Link("b.source", "a.sink"))
    dag = replace(DAG, links=links)
    assert dag.index.links_of(["a.sink", "b.source"]) == links
    assert dag.index.links_of(["a.source"]) == (links[1],)
    assert dag.index.links_of(["c.sink"]) == ()


def test_gangs_and_their_needs_come_in_the_order_of_their_first_slices() -> None:
    assert {name: [one.id for one in specs] for name, specs in DAG.gangs().items()} == {
        "a": ["a", "a-1"],
        "b": ["b", "b-1"],
        "c": ["c", "c-1"],
    }
    assert DAG.gang_needs() == {"a": frozenset(), "b": {"a"}, "c": {"b"}}
    assert DAG.pipes() == DAG.links


def test_a_pipeline_made_of_another_is_looked_through_anew() -> None:
    assert DAG.node("a.source")
    shorter = replace(DAG, nodes=DAG.nodes[:2], slices=DAG.slices[:2], links=DAG.links[:1])
    assert set(shorter.gangs()) == {"a"}
    assert shorter == replace(DAG, nodes=DAG.nodes[:2], slices=DAG.slices[:2], links=DAG.links[:1])
