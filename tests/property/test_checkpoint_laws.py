"""Checkpoints in any graph of steps: what is marked is kept, gangs never wait for each other in a circle, and nobody reads anything else than before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.checkpoints import checkpoints_of, joined
from runink.dag import (
    MAIN,
    REJECTED,
    Check,
    Dag,
    Format,
    Link,
    Node,
    Sink,
    Source,
    Sql,
    Step,
)
from runink.dsl.checkpointing import kept
from runink.dsl.slicing import Wish, sliced
from runink.dsl.spooling import spooled
from runink.names import HerdName, PipelineName
from runink.testing.projects import contract_of
from runink.topology import topological

SPEC = contract_of("c.py:C", {"id": "int"})
Drawn = tuple[list[Node], list[Link], dict[Link, Format]]


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    """Sources, then steps and checks that read any of what is before them, a dead letter of all checks, and sinks; any of the links may be marked."""
    nodes: list[Node] = [
        Source(f"s.{n}", "s", "csv://x", Format.CSV, "x") for n in range(draw(st.integers(1, 3)))
    ]
    links: list[Link] = []
    for number in range(len(nodes), len(nodes) + draw(st.integers(0, 7))):
        before = [node.id for node in nodes]
        mains = draw(st.sets(st.sampled_from(before), min_size=1, max_size=2))
        sides: set[str] = set()
        name = f"s.{number}"
        if draw(st.booleans()):
            nodes.append(Check(name, "s", SPEC))
        else:
            sides = draw(st.sets(st.sampled_from(before), max_size=2))
            nodes.append(Step(name, "s", Sql("")))
        links.extend(Link(one, name) for one in sorted(mains))
        links.extend(Link(one, name, f"side{place}") for place, one in enumerate(sorted(sides)))
    inner = [node.id for node in nodes]
    for place, one in enumerate(sorted(draw(st.sets(st.sampled_from(inner), max_size=3)))):
        nodes.append(Sink(f"s.sink{place}", "s", f"csv://{place}", Format.CSV, f"{place}"))
        links.append(Link(one, f"s.sink{place}"))
    marked = draw(st.sets(st.sampled_from(links))) if links else set()
    checks = [node.id for node in nodes if isinstance(node, Check)]
    if checks:
        nodes.append(Sink("s.dead", "s", "csv://d", Format.CSV, "d", dead_letter=True))
        links.extend(Link(one, "s.dead", REJECTED) for one in checks)
    kinds = st.sampled_from([Format.ARROW, Format.PARQUET])
    return nodes, links, {link: draw(kinds) for link in sorted(marked, key=repr)}


def made(drawn: Drawn, *, isolated: frozenset[str] = frozenset()) -> Dag:
    nodes, links, marked = drawn
    found = kept(nodes, links, marked)
    whole = spooled(found.nodes, found.links)
    wishes = {name: Wish(isolate=True) for name in isolated}
    slices = sliced("s", found.nodes, whole, wishes=wishes, default=Wish())
    return Dag(
        PipelineName("p"), HerdName("h"), "P", "p.dsl", (), tuple(found.nodes), whole, slices
    )


@settings(max_examples=60)
@given(graphs(), st.sets(st.integers(0, 9)))
def test_gangs_begin_one_after_the_other_however_checkpoints_stand(
    drawn: Drawn, alone: set[int]
) -> None:
    dag = made(drawn, isolated=frozenset(f"s.{number}" for number in alone))
    needs = dag.gang_needs()
    assert topological(tuple(needs), needs) is not None
    homes = sorted(name for spec in dag.slices for name in spec.nodes)
    assert homes == sorted(node.id for node in dag.nodes)


@settings(max_examples=60)
@given(graphs())
def test_what_is_marked_is_read_from_what_was_kept_and_by_another_gang(drawn: Drawn) -> None:
    dag = made(drawn)
    gang_of = {name: spec.gang for spec in dag.slices for name in spec.nodes}
    for link in drawn[2]:
        assert link not in dag.links
        assert gang_of[link.source] != gang_of[link.target]


@settings(max_examples=60)
@given(graphs())
def test_who_reads_what_in_which_role_is_as_it_was_written(drawn: Drawn) -> None:
    nodes, links, _ = drawn
    plain = joined(made(drawn))
    assert list(plain.nodes) == nodes
    assert {(one.source, one.target, one.role) for one in plain.links} == {
        (one.source, one.target, one.role) for one in links
    }


@settings(max_examples=60)
@given(graphs())
def test_nothing_is_kept_where_nothing_is_marked(drawn: Drawn) -> None:
    nodes, links, _ = drawn
    assert not checkpoints_of(made((nodes, links, {})))


@settings(max_examples=60)
@given(graphs())
def test_nodes_stand_behind_what_they_read(drawn: Drawn) -> None:
    dag = made(drawn)
    order = {node.id: place for place, node in enumerate(dag.nodes)}
    assert all(order[link.source] < order[link.target] for link in dag.links)
    for node in dag.nodes:
        if isinstance(node, Source) and node.staged_from:
            assert order[node.staged_from] < order[node.id]
    assert all(
        one.role in {MAIN, REJECTED} for one in dag.links if one.target in checkpoints_of(dag)
    )
