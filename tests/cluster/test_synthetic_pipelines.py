"""Every example runs on data that were made from its contracts: rows that keep them come through, and each row that breaks one is set aside with the reason that was promised."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from runi_project import Project
from runink.dag import Check, Dag, OnInvalid, Sink, Source
from runink.projects import compile_file

EXAMPLES = Path(__file__).parents[2] / "examples"
PIPELINES = sorted(EXAMPLES.glob("*/features/*.dsl"))
SIDES = Path(__file__).parent / "synthetic_sides.py"
ROWS = 2_000
BROKEN = 0.02  # below what the examples' assertions allow


@pytest.fixture(params=PIPELINES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def example(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Project, Path]:
    """An example without its data."""
    root = tmp_path / "example"
    ignored = shutil.ignore_patterns("out", "data", ".runink", "__pycache__")
    shutil.copytree(request.param.parents[1], root, ignore=ignored)
    shutil.copy(SIDES, root / "contracts/sides.py")
    return Project(root), root / request.param.relative_to(request.param.parents[1])


def check_of(source: Source, dag: Dag) -> Check | None:
    """Return the check that stands behind a source, if one does."""
    behind = [dag.node(link.target) for link in dag.links if link.source == source.id]
    return next((node for node in behind if isinstance(node, Check)), None)


def given(project: Project, dag: Dag, *more: str) -> dict[str, list[dict[str, str]]]:
    """Make data for every source that the pipeline does not write itself, with `more` for those whose broken rows are set aside; return what is promised of these."""
    promised = {}
    for source in [node for node in dag.nodes if isinstance(node, Source) and not node.staged_from]:
        check = check_of(source, dag)
        sets_aside = check is not None and check.on_invalid is OnInvalid.DEAD_LETTER
        reference = f"contracts/sides.py:{Path(source.path).stem.title()}"
        if check is not None:
            reference = f"{check.contract.where}:{check.contract.name}"
        words = ["synth", reference, "--rows", str(ROWS if sets_aside else 500), "--seed", "7"]
        words += [word for token in source.nulls for word in ("--null", token)]
        said = project.runi(*words, "-o", source.path, *(more if sets_aside else ()))
        assert said.code == 0, said
        if (project.root / f"{source.path}.reasons.jsonl").exists():
            promised[source.path] = project.rows(f"{source.path}.reasons.jsonl")
    return promised


def test_rows_that_keep_their_contract_come_through(example: tuple[Project, Path]):
    project, file = example
    dag = compile_file(file, parameters={}).dag
    given(project, dag, "--edge")
    ran = project.run(str(file.relative_to(project.root)))
    assert ran.code == 0, ran
    assert sum(step["rejected"] for step in ran.document["steps"]) == 0
    assert ran.document["steps"][0]["rows_in"] >= ROWS
    assert all(step["rows_out"] > 0 for step in ran.document["steps"]), ran.document["steps"]


def test_each_row_that_breaks_its_contract_is_set_aside_with_the_reason_that_was_promised(
    example: tuple[Project, Path],
):
    project, file = example
    dag = compile_file(file, parameters={}).dag
    promised = given(project, dag, "--invalid", str(BROKEN))
    ran = project.run(str(file.relative_to(project.root)))
    assert ran.code == 0, ran
    letters = [node.path for node in dag.nodes if isinstance(node, Sink) and node.dead_letter]
    dead = {
        (row["dead_origin"], row["dead_row"]): {
            (reason["field"], reason["rule"]) for reason in row["dead_reasons"]
        }
        for path in letters
        for row in map(json.loads, project.read(path).splitlines())
    }
    wanted = {(path, row["row"]): (row["field"], row["rule"]) for path in promised for row in promised[path]}  # fmt: skip
    assert len(wanted) == ROWS * BROKEN * len(promised) > 0
    assert dead.keys() == wanted.keys()
    assert all(wanted[place] in reasons for place, reasons in dead.items())
