"""Pipelines that a program sends hang together, or are refused before anybody keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from runink.dag import Dag, Link, Sink, Source
from runink.errors import Invalid
from runink.projects import compile_file
from runink.runs.rehearsals import rehearsals
from runink.runs.soundness import ID_BYTES_MAX, check_run

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*/features/*.dsl"))
NAMES = {"run": "01K9ZZZZZZ0000000000000000", "herd": "default", "bundle": "b"}


@pytest.fixture(scope="module")
def dag() -> Dag:
    return compile_file(FILES[0], parameters={}).dag


def refusal(dag: Dag, names: dict[str, str] = NAMES, places: tuple[str, ...] = ("/p",)) -> Invalid:
    with pytest.raises(Invalid) as info:
        check_run(dag, names, places)
    return info.value


def test_there_are_examples():
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_the_compiler_makes_is_sound(file: Path):
    dag = compile_file(file, parameters={}).dag
    for one in (dag, *rehearsals(dag)):  # which leave scenarios out, and keep what is known of them
        check_run(one, NAMES, ("/home/a", "/dev/stdin"))


def altered(dag: Dag, name: str) -> dict[str, Any]:
    """Return what is wrong with a pipeline, by its fields."""
    first = dag.slices[0]
    source = next(one for one in dag.nodes if isinstance(one, Source))
    sink = next(one for one in dag.nodes if isinstance(one, Sink))
    others = tuple(one for one in dag.nodes if one is not source)
    return {
        "a link to nobody": {"links": (*dag.links, Link("nobody", dag.nodes[0].id))},
        "a slice of nobody": {"slices": (replace(first, nodes=("nobody",)), *dag.slices)},
        "a node without a slice": {"slices": dag.slices[1:]},
        "a node in two slices": {"slices": (*dag.slices, replace(first, id="other"))},
        "two slices of one name": {"slices": (*dag.slices, first)},
        "two nodes of one name": {"nodes": (*dag.nodes, dag.nodes[0])},
        "no slices": {"slices": (), "nodes": (), "links": (), "facts": ()},
        "a source of nobody's": {"nodes": (replace(source, staged_from="nobody"), *others)},
        "a gang that waits for itself": {"nodes": (replace(source, staged_from=sink.id), *others)},
        "a path with a zero": {"nodes": (replace(source, path="a\0b"), *others)},
        "a long id": {"slices": (replace(first, gang="g" * 300), *dag.slices[1:])},
        "an id that leads elsewhere": {"slices": (replace(first, gang="../x"), *dag.slices[1:])},
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "a link to nobody",
        "a slice of nobody",
        "a node without a slice",
        "a node in two slices",
        "two slices of one name",
        "two nodes of one name",
        "no slices",
        "a source of nobody's",
        "a gang that waits for itself",
        "a path with a zero",
        "a long id",
        "an id that leads elsewhere",
    ],
)
def test_what_does_not_hang_together_is_refused(dag: Dag, name: str):
    error = refusal(replace(dag, **altered(dag, name)))
    assert error.code == "pipeline_unsound"
    assert len(error.text) < 500


@pytest.mark.parametrize(
    "text", ["", "..", ".x", "a/b", "a\0", "a" * (ID_BYTES_MAX + 1), "é" * 101]
)
@pytest.mark.parametrize("what", ["run", "bundle"])
def test_a_name_that_could_be_no_files_is_refused(dag: Dag, what: str, text: str):
    assert refusal(dag, NAMES | {what: text}).code == "invalid_name"


@pytest.mark.parametrize("place", ["", "a", "../a", "/a\0"])
def test_a_place_that_is_no_whole_path_is_refused(dag: Dag, place: str):
    assert refusal(dag, places=(place,)).code == "place_invalid"
