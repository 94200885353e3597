"""The page on exchanging contracts says what runs: its commands, its contracts, its pipeline and its codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.contracts import json_schema_merging, json_text, odcs, odcs_parts, yaml_text
from runink.projects import compile_file

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/contract-exchange.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("contracts", "data", "features"):
        (tmp_path / folder).mkdir()
    (tmp_path / "contracts/orders.py").write_text(blocks("python")[0])
    (tmp_path / "contracts/orders.odcs.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "contracts/tickets.schema.json").write_text(blocks("json")[0])
    (tmp_path / "features/orders.dsl").write_text(blocks("dsl")[0])
    (tmp_path / "data/orders.csv").write_text("id,total\n1,NA\n2,3.50\n3,\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_class_becomes_the_pages_document(project: Path):
    into = project / "out.odcs.yaml"
    assert (
        called(
            [
                "contract",
                "export",
                "contracts/orders.py:Order",
                "--format",
                "odcs",
                "--into",
                str(into),
            ]
        )
        == 0
    )
    assert into.read_text() == blocks("yaml")[0]


def test_the_pages_document_becomes_the_pages_class(project: Path):
    assert called(["contract", "import", "contracts/orders.odcs.yaml", "--into", "again.py"]) == 0
    assert (project / "again.py").read_text() == blocks("python")[0]


def test_the_pages_json_schema_becomes_the_pages_class(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert called(["contract", "import", "contracts/tickets.schema.json", "--into", "t.py"]) == 0
    assert (project / "t.py").read_text() == blocks("python")[1]
    assert capsys.readouterr().err.rstrip() in PAGE


@pytest.mark.usefixtures("project")
def test_the_pages_commands_run():
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "runi"
        more = ["--null", "", "--null", "NA"] if "validate" in words else []
        assert called([*words[1:], *more]) == 0, line


def test_the_pages_pipeline_compiles(project: Path):
    assert compile_file(project / "features/orders.dsl", parameters={}).dag.nodes


def test_every_code_of_a_document_stands_on_the_page_and_in_a_module():
    modules = (odcs, odcs_parts, yaml_text, json_text, json_schema_merging)
    codes = set(re.findall(r"\bO\d{3}\b", "".join(str(module.__doc__) for module in modules)))
    assert codes == set(re.findall(r"^\| `(O\d{3})`", PAGE, re.MULTILINE))
    source = "".join(path.read_text() for path in (ROOT / "runink/contracts").glob("*.py"))
    assert set(re.findall(r'"(O\d{3})"', source)) == codes
