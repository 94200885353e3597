"""A scenario's figures: what counts as a row of it, and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace as changed
from runink.contracts.fields import ContractSpec
from runink.dag import (
    REJECTED,
    Check,
    Dag,
    Each,
    Format,
    Function,
    Link,
    Node,
    Resources,
    Scenario,
    Sink,
    SliceSpec,
    Source,
    Step,
)
from runink.jobs import Done, NodeFacts
from runink.names import HerdName, PipelineName, RunId, SliceId
from runink.runs.figures import Figures, figures_of
from runink.runs.records import SliceRecord, SliceState

STREAM = Source("source", "a", "csv://x.csv", Format.CSV, "x.csv")
PLANES = Source("planes", "a", "csv://p.csv", Format.CSV, "p.csv")
JOINED = Step("joined", "a", Function("steps/s.py", "joined", Each.BATCH))
OUT = Sink("sink", "a", "csv://o.csv", Format.CSV, "o.csv")
DEAD = Sink("dead", "a", "csv://d.csv", Format.CSV, "d.csv", dead_letter=True)
WORK = [Link("source", "joined"), Link("joined", "sink")]


def check(name: str) -> Check:
    return Check(name, "a", ContractSpec("X", "1.0.0", ()))


def figures(nodes: Sequence[Node], links: Sequence[Link], *facts: NodeFacts) -> Figures:
    home = tuple(node.id for node in nodes)
    dag = Dag(
        PipelineName("p"),
        HerdName("default"),
        "P",
        "p.dsl",
        (Scenario("a", "A", {}, 1),),
        tuple(nodes),
        tuple(links),
        (SliceSpec("a", "a", "a", home, Resources()),),
    )
    record = SliceRecord(
        SliceId("a"),
        RunId("0" * 26),
        HerdName("default"),
        "a",
        SliceState.SUCCEEDED,
        Resources(),
        report=Done(facts),
    )
    return figures_of(dag, "a", {"a": record})


@pytest.mark.parametrize("is_checked", [False, True])
def test_rows_of_side_inputs_are_no_rows_of_the_scenario(is_checked) -> None:
    nodes = [STREAM, PLANES, JOINED, OUT]
    links = [*WORK, Link("planes", "joined", "planes")]
    if is_checked:
        nodes.append(check("plane"))
        links[-1:] = [Link("planes", "plane"), Link("plane", "joined", "planes")]
    facts = (
        NodeFacts("source", rows_out=10),
        NodeFacts("planes", rows_out=3),
        NodeFacts("plane", rows_in=3, rows_out=2, rejected=1),
        NodeFacts("joined", rows_in=10, rows_out=8),
    )
    found = figures(nodes, links, *facts)
    assert (found.rows_in, found.rows_out) == (10, 8)


def test_the_ratio_is_of_all_rows_that_contracts_were_given() -> None:
    nodes = [STREAM, PLANES, check("plane"), JOINED, OUT]
    links = [*WORK, Link("planes", "plane"), Link("plane", "joined", "planes")]
    facts = (
        NodeFacts("source", rows_out=1),
        NodeFacts("planes", rows_out=3),
        NodeFacts("plane", rows_in=3, rejected=3),
    )
    assert figures(nodes, links, *facts).rejected_ratio == 0.75


def test_a_contract_that_nothing_but_its_dead_letter_follows_is_an_end() -> None:
    nodes = [STREAM, check("flight"), DEAD]
    links = [Link("source", "flight"), Link("flight", "dead", REJECTED)]
    facts = (NodeFacts("source", rows_out=10), NodeFacts("flight", rows_out=9, rejected=1))
    found = figures(nodes, links, *facts)
    assert (found.rows_in, found.rows_out, found.rejected_ratio) == (10, 9, 0.1)


def test_what_is_counted_is_not_taken_over_by_a_pipeline_that_was_made_of_another() -> None:
    facts = (NodeFacts("source", rows_out=10), NodeFacts("joined", rows_in=10, rows_out=8))
    record = SliceRecord(
        SliceId("a"), RunId("0" * 26), HerdName("default"), "a", SliceState.SUCCEEDED, Resources(),
        report=Done(facts),
    )  # fmt: skip
    spec = SliceSpec("a", "a", "a", ("source", "joined", "sink"), Resources())
    whole = Dag(
        PipelineName("p"), HerdName("default"), "P", "p.dsl", (Scenario("a", "A", {}, 1),),
        (STREAM, JOINED, OUT), tuple(WORK), (spec,),
    )  # fmt: skip
    found = [figures_of(whole, "a", {"a": record}) for _ in range(2)]
    assert [(one.rows_in, one.rows_out) for one in found] == [(10, 8)] * 2
    alone = changed(whole, nodes=(STREAM,), links=(), slices=(changed(spec, nodes=("source",)),))
    one = figures_of(alone, "a", {"a": record})
    assert (one.rows_in, one.rows_out) == (10, 10)
