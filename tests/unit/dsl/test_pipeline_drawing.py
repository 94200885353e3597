"""The picture of a pipeline: well-formed, nothing on top of anything else, nothing left out."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from dsl_world import SINK, SOURCE, compile_lines
from msgspec.structs import replace as changed
from runink.dag import Dag
from runink.dsl.drawing import BOX_HEIGHT, BOX_WIDTH, as_svg
from runink.testing.projects import compile_text

SVG = "{http://www.w3.org/2000/svg}"
FAN = """Feature: Fan <out> & in
  Scenario: Split "and" join
    @source("csv://data/a.csv", as=a)
    @source("csv://data/planes.csv", as=planes)
    @step(run="cat", id=one, after=a)
    @step(run="sort -u", id=two, after=one)
    @requires(cpu=2)
    @step(sql="SELECT * FROM input JOIN planes USING (x)", id=three, after=[a, two])
    @sink("sf:all")
    @step(run="uniq '<&>'", after=a, id=four)
    @sink("csv://out/a/very/long/path/to/where/rows/are/kept/late.csv", after=[three, four])
  Scenario: Next
    @source("sf:all")
    @sink("csv://out/x.csv")
"""


def drawn(dag: Dag) -> ET.Element:
    return ET.fromstring(as_svg(dag))


def boxes(picture: ET.Element) -> dict[str, tuple[float, float]]:
    found = {}
    for group in picture.iter(f"{SVG}g"):
        if group.get("class") == "node":
            rect = group.find(f"{SVG}rect")
            assert rect is not None
            assert (float(rect.get("width", 0)), float(rect.get("height", 0))) == (
                BOX_WIDTH,
                BOX_HEIGHT,
            )
            found[group.get("id", "")] = (float(rect.get("x", 0)), float(rect.get("y", 0)))
    return found


def test_every_node_and_every_link_is_in_the_picture_once() -> None:
    dag = compile_text(FAN).dag
    picture = drawn(dag)
    assert set(boxes(picture)) == {node.id for node in dag.nodes}
    lines = [
        (path.get("data-source"), path.get("data-target"))
        for path in picture.iter(f"{SVG}path")
        if path.get("class") == "link"
    ]
    staged = [("split-and-join.sink", "next.source")]
    assert sorted(lines, key=str) == sorted(
        [*{(link.source, link.target) for link in dag.links}, *staged], key=str
    )


def test_no_box_covers_another_and_all_are_within_the_picture() -> None:
    picture = drawn(compile_text(FAN).dag)
    corners = list(boxes(picture).values())
    for place, (x, y) in enumerate(corners):
        for other_x, other_y in corners[place + 1 :]:
            assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT
        assert 0 <= x <= float(picture.get("width", 0)) - BOX_WIDTH
        assert 0 <= y <= float(picture.get("height", 0)) - BOX_HEIGHT


def test_lines_within_a_scenario_run_under_no_box() -> None:
    picture = drawn(compile_text(FAN).dag)
    corners = boxes(picture)
    for path in picture.iter(f"{SVG}path"):
        source, target = path.get("data-source"), path.get("data-target")
        if source is None or target is None or source.split(".")[0] != target.split(".")[0]:
            continue
        for number, end in re.findall(r" ([\d.]+) H([\d.]+)", path.get("d", "")):
            for x, y in corners.values():
                assert not (
                    x < float(end)
                    and y < float(number) < y + BOX_HEIGHT
                    and x >= float(end) - BOX_WIDTH
                )


@pytest.mark.parametrize("title", ["<script>\"&'", "]]>", "\x1b[31m\x07", "ä€😀"])
def test_what_people_write_stays_text(title: str) -> None:
    dag = changed(compile_lines(SOURCE, SINK), title=title)
    heading = drawn(dag).find(f"{SVG}title")
    assert heading is not None
    assert heading.text == "".join(char if char.isprintable() else " " for char in dag.title)


def test_equal_pipelines_have_equal_pictures() -> None:
    assert as_svg(compile_text(FAN).dag) == as_svg(compile_text(FAN).dag)
