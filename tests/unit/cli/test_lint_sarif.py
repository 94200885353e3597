"""`runi lint -o sarif`: valid by the standard's own schema, and what the schema cannot say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from runink.cli.commands import called

SCHEMA = json.loads((Path(__file__).parents[2] / "golden/sarif/sarif-2.1.0-rtm.5.json").read_text())
RELATIVE = re.compile(
    r"(?:[\w.~!$&'()*+,;=@/-]|%[0-9A-F]{2})+", re.ASCII
)  # RFC 3986, without a scheme
VALID = jsonschema.Draft4Validator(SCHEMA)
CLEAN = """Feature: x

  Scenario: y
    @source("parquet://data/x.parquet")
    @sink("parquet://out/x.parquet")
    @golden("golden/x.csv")
"""
WRONG = """# lint: ignore
Feature: x

  Scenario: y 🐎
    @source("csv:data/x.csv", delimiter=",")
    @step("clean", from=[a
    @sank("parquet://out/x.parquet")
"""
TWICE = CLEAN + CLEAN.replace("Feature: x\n", "")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "features").mkdir()
    (tmp_path / "runink.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *files: str | Path) -> dict[str, Any]:
    called(["lint", "-o", "sarif", *map(str, files)])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def locations(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        place["physicalLocation"]
        for run in found["runs"]
        for result in run["results"]
        for place in (*result["locations"], *result.get("relatedLocations", ()))
    ]


@pytest.mark.parametrize("text", [CLEAN, WRONG, TWICE, "", "@source(", "\udcff"])
def test_what_is_written_is_valid_by_the_standards_own_schema(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    Path("features/x.dsl").write_bytes(text.encode(errors="surrogateescape"))
    found = document(capsys, "features/x.dsl")
    assert [error.message for error in VALID.iter_errors(found)] == []


def test_the_schema_refuses_what_is_none() -> None:
    assert not VALID.is_valid({"version": "2.1.0", "runs": [{"results": []}]})


def test_every_code_is_a_rule_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path("features/x.dsl").write_text(WRONG)
    (run,) = document(capsys, "features/x.dsl")["runs"]
    rules = {one["id"]: one for one in run["tool"]["driver"]["rules"]}
    results = {(one["ruleId"], one["level"]) for one in run["results"]}
    assert results >= {("D003", "error"), ("L015", "warning")}
    assert {code for code, _ in results} == rules.keys()
    assert all(one["shortDescription"]["text"] for one in rules.values())


def test_places_are_lines_and_columns_of_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Path("features/x.dsl").write_text(WRONG)
    regions = [one["region"] for one in locations(document(capsys, "features/x.dsl"))]
    lines = WRONG.split("\n")
    assert all(
        set(one) == {"startLine", "startColumn", "endColumn"}
        and 1 <= one["startColumn"] < one["endColumn"] <= len(lines[one["startLine"] - 1]) + 2
        for one in regions
    )


def test_another_place_that_a_mistake_speaks_of_is_related(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("features/x.dsl").write_text(WRONG)
    (run,) = document(capsys, "features/x.dsl")["runs"]
    related = [place for one in run["results"] for place in one.get("relatedLocations", ())]
    assert [place["message"]["text"] for place in related]
    assert [one["id"] for one in related] == list(range(len(related)))


@pytest.mark.parametrize("name", ["two words.dsl", "a:b.dsl", "100%#?.dsl", "ä🐎.dsl"])
def test_a_file_is_named_by_a_uri_whatever_it_is_called(
    capsys: pytest.CaptureFixture[str], project: Path, name: str
) -> None:
    file = Path("features") / name
    file.write_text(WRONG)
    (uri,) = {one["artifactLocation"]["uri"] for one in locations(document(capsys, file))}
    assert RELATIVE.fullmatch(uri)
    assert unquote(uri) == str(file)
    (whole,) = {
        one["artifactLocation"]["uri"]
        for one in locations(document(capsys, project / "features" / name))
    }
    assert whole == (project / "features" / name).as_uri()
