"""Any graph without circles is laid out: everything once, every way from left to right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from runink.dsl.layered import layered


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    count = draw(st.integers(1, 12))
    names = [f"n{number}" for number in range(count)]
    pairs = [(names[a], names[b]) for b in range(count) for a in range(b)]
    links = draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    return draw(st.permutations(names)), links


@given(graphs())
def test_every_box_stands_once_and_behind_what_it_reads(
    graph: tuple[list[str], list[tuple[str, str]]],
) -> None:
    names, links = graph
    layout = layered(names, links)
    everything = [name for column in layout.columns for name in column]
    assert len(everything) == len(set(everything))
    assert {name for name in everything if not name.startswith("\0")} == set(names)
    column = {name: at for at, one in enumerate(layout.columns) for name in one}
    assert set(layout.ways) == set(links)
    for (source, target), bends in layout.ways.items():
        stops = [column[one] for one in (source, *bends, target)]
        assert stops == list(range(column[source], column[target] + 1))
