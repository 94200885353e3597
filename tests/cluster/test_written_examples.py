"""The examples that are written the way people write pipelines: in layers, in sentences, as a graph. They pass their golden tests, and run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runi_project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"


def copied(name: str, folder: Path) -> Project:
    """Copy an example, so that a test's outputs are not the user's."""
    root = folder / name
    shutil.copytree(EXAMPLES / name, root, ignore=shutil.ignore_patterns("out", ".runink"))
    return Project(root)


@pytest.mark.parametrize(("name", "tests"), [("medallion", 3), ("trades", 4)])
def test_an_example_passes_its_golden_tests(name: str, tests: int, tmp_path: Path) -> None:
    said = copied(name, tmp_path).runi("test")
    assert said.code == 0, said
    assert f"{tests} passed" in said.out


def test_the_layers_run_one_behind_the_other_and_set_aside_what_is_no_flight(
    tmp_path: Path,
) -> None:
    project = copied("medallion", tmp_path)
    document = project.run("features/medallion.dsl").document
    counts = {step["name"]: (step["rows_in"], step["rows_out"]) for step in document["steps"]}
    assert counts == {"bronze": (15, 11), "silver": (11, 11), "gold": (11, 4)}
    assert len(project.rows("out/dead/flights.jsonl")) == 4


def test_nobody_reads_who_traded_in_what_leaves_the_floor(tmp_path: Path) -> None:
    project = copied("trades", tmp_path)
    said = project.run("features/trades.dsl", "--param", "desk=rates")
    assert said.code == 0, said
    masked = next(one for one in said.document["steps"] if one["name"] == "masked")
    departures = {one["departure"] for one in masked["drifts"]}
    assert departures <= {"order"}, "the step gives what its contract names, and no more"
    for name in ("out/large.csv", "out/rates/totals.csv"):
        assert "Byron" not in project.read(name)
        assert "floor.example" not in project.read(name)
    assert len(project.rows("out/dead/events.jsonl")) == 3
