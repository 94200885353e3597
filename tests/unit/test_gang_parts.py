"""Which slices of a gang may stand on different nodes follows from what they ask for, and from where the run's files are."""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace as changed
from runink.dag import Dag, Format, Link, Node, Resources, Sink, SliceSpec, Source
from runink.gang_parts import at_home, may_be_wires, parts_of, rooted_in
from runink.names import HerdName, PipelineName
from runink.wants import Wants


def chain(*asked: str, path: str = "out.csv") -> Dag:
    """Return a scenario of slices in a row, each with its label, that ends in a sink."""
    names = [f"s{place}" for place in range(len(asked))]
    nodes: list[Node] = [
        Source(f"one.{name}", "one", "csv://in.csv", Format.CSV, "in.csv") for name in names[:-1]
    ]
    nodes.append(Sink(f"one.{names[-1]}", "one", f"csv://{path}", Format.CSV, path))
    links = tuple(Link(f"one.{a}", f"one.{b}") for a, b in pairwise(names))
    slices = tuple(
        SliceSpec(name, "one", "one", (f"one.{name}",), Resources(), (label,) if label else ())
        for name, label in zip(names, asked, strict=True)
    )
    return Dag(
        PipelineName("p"), HerdName("default"), "P", "p.dsl", (), tuple(nodes), links, slices
    )


def test_a_gang_whose_slices_ask_for_the_same_is_not_parted() -> None:
    assert parts_of(chain("gpu", "gpu", "gpu")) == {}
    assert may_be_wires(chain("gpu", "gpu")) == ()


def test_slices_that_ask_for_different_labels_are_parts_with_wires_between_them() -> None:
    dag = chain("gpu", "gpu", "eu")
    assert parts_of(dag) == {"s0": "s0", "s1": "s0", "s2": "s2"}
    assert may_be_wires(dag) == (Link("one.s1", "one.s2"),)


def test_parts_are_what_pipes_join_and_not_what_is_asked_for_somewhere_else() -> None:
    dag = chain("gpu", "eu", "gpu")
    assert parts_of(dag) == {"s0": "s0", "s1": "s1", "s2": "s2"}
    assert len(may_be_wires(dag)) == 2


def test_what_writes_files_of_the_machine_stays_together_whatever_it_asks_for() -> None:
    dag = chain("gpu", "", "eu")
    second = Sink("one.s1", "one", "csv://dead.csv", Format.CSV, "dead.csv")
    dag = changed(dag, nodes=(dag.nodes[0], second, dag.nodes[2]))
    assert rooted_in(dag) == {"s1", "s2"}
    assert parts_of(dag) == {"s0": "s0", "s1": "s1", "s2": "s1"}


def test_what_is_to_stand_together_is_one_part_whatever_it_asks_for() -> None:
    dag = chain("gpu", "", "eu", path="s3://bucket/o.csv")
    mates = [changed(spec, asks=Wants(together="s0")) for spec in (dag.slices[0], dag.slices[2])]
    dag = changed(dag, slices=(mates[0], dag.slices[1], mates[1]))
    assert parts_of(dag) == {"s0": "s0", "s1": "s1", "s2": "s0"}


def test_of_a_gang_of_several_slices_only_those_with_files_belong_where_the_files_are() -> None:
    assert at_home(chain("gpu", "eu")) == {"s1"}
    assert at_home(chain("gpu", "eu", path="s3://bucket/o.csv")) == frozenset()
    assert at_home(chain("gpu")) == {"s0"}
