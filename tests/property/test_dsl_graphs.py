"""Graphs of named steps: their lines may stand in any order, what goes round in a circle is told, and pictures show all of it without overlap."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dag import Dag
from runink.dsl.difference import difference
from runink.dsl.drawing import BOX_HEIGHT, BOX_WIDTH, as_svg
from runink.errors import Invalid
from runink.testing.projects import compile_text

SVG = "{http://www.w3.org/2000/svg}"
HEAD = [
    "Feature: F",
    "Scenario: S",
    '@source("csv://a.csv", as=s0)',
    '@source("csv://b.csv", as=s1)',
]


@st.composite
def graphs(draw: st.DrawFn) -> list[str]:
    """Lines that each read by name what is before them; every one is read at the end."""
    names = ["s0", "s1"]
    lines = []
    for number in range(draw(st.integers(1, 7))):
        read = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        name = f"n{number}"
        lines.append(f'@step(run="tool{number}", id={name}, after=[{", ".join(read)}])')
        names.append(name)
    lines.append(f'@sink("csv://out.csv", after=[{", ".join(names)}])')
    return lines


def compiled(lines: list[str]) -> Dag:
    return compile_text("\n".join([*HEAD, *lines])).dag


@settings(max_examples=80)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_lines_that_read_by_name_means_nothing(
    lines: list[str], chance: object
) -> None:
    shuffled = list(lines)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] - hypothesis gives a Random
    one, other = compiled(lines), compiled(shuffled)
    assert {node.id for node in one.nodes} == {node.id for node in other.nodes}
    assert set(one.links) == set(other.links)
    assert {frozenset(spec.nodes) for spec in one.slices} == {
        frozenset(spec.nodes) for spec in other.slices
    }


@settings(max_examples=80)
@given(graphs(), st.data())
def test_a_circle_is_told_wherever_it_is(lines: list[str], data: st.DataObject) -> None:
    steps = [line for line in lines if line.startswith("@step")]
    low = data.draw(st.integers(0, len(steps) - 1))
    high = data.draw(st.integers(low, len(steps) - 1))
    # Each reads the one before, from low to high, and low reads high.
    for at in range(low, high + 1):
        before = f"n{high if at == low else at - 1}"
        if f"[{before}]" not in steps[at]:
            steps[at] = f'@step(run="tool{at}", id=n{at}, after=[{before}])'
    with pytest.raises(Invalid) as caught:
        compiled([*steps, lines[-1]])
    assert "D033" in {finding.code for finding in caught.value.findings}


@settings(max_examples=60)
@given(graphs())
def test_a_picture_shows_every_node_once_and_none_on_top_of_another(lines: list[str]) -> None:
    dag = compiled(lines)
    picture = ET.fromstring(as_svg(dag))
    corners = {}
    for group in picture.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if group.get("class") == "node" and rect is not None:
            corners[group.get("id")] = (float(rect.get("x", 0)), float(rect.get("y", 0)))
    assert set(corners) == {node.id for node in dag.nodes}
    placed = list(corners.values())
    for place, (x, y) in enumerate(placed):
        for other_x, other_y in placed[place + 1 :]:
            assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT
    drawn = {(one.get("data-source"), one.get("data-target")) for one in picture.iter(f"{SVG}path")}
    assert drawn - {(None, None)} == {(link.source, link.target) for link in dag.links}


@settings(max_examples=60)
@given(graphs(), graphs())
def test_what_is_added_one_way_is_removed_the_other_way(one: list[str], other: list[str]) -> None:
    old, new = compiled(one), compiled(other)
    assert difference(old, old) == ()
    there, back = difference(old, new), difference(new, old)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert sorted(turned[one.how] for one in there) == sorted(one.how for one in back)
    is_same = set(old.nodes) == set(new.nodes) and set(old.links) == set(new.links)
    assert bool(there) != is_same
