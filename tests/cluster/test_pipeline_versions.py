"""`runi pipeline push`, `list`, `show` and `history`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode
from runink.cli.pipelines import PIPELINE_COMMANDS

PIPELINE = """@herd("sales")
Feature: Tickets of a day

  Scenario: one
    @source("csv://d.csv")
    @contract("contracts/tickets.py:Ticket")
    @step("same")
    @sink("jsonl://out/x.jsonl")
"""
CONTRACT = "from runink import Contract\n\n\nclass Ticket(Contract, version='1.2.0'):\n    n: int\n"
STEP = "from runink import step\n\n\n@step(each='batch')\ndef same(batch):\n    return batch\n"
FILE = "features/tickets.dsl"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path, text in (
        (FILE, PIPELINE),
        ("contracts/tickets.py", CONTRACT),
        ("steps/steps.py", STEP),
        ("herds/sales.toml", '[herd]\nid = "sales"\n'),
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pushed_version_stays_what_it_is(project: Path, capsys: pytest.CaptureFixture[str]):
    assert called(["pipeline", "push", FILE, "-o", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["reference"], first["new"], first["commit"]) == (
        "sales/tickets@1.0.0",
        True,
        None,
    )
    assert [one.rpartition(" ")[0] for one in first["contracts"]] == ["Ticket 1.2.0"]
    assert list(first["code"]) == ["steps/steps.py"]
    assert called(["pipeline", "push", FILE, "-o", "json"]) == 0
    assert not json.loads(capsys.readouterr().out)["new"]
    (project / "steps/steps.py").write_text(STEP + "# more\n")
    assert called(["pipeline", "push", FILE, "--version", "1.0.0"]) == ExitCode.CONFLICT
    assert "error[version_taken]" in capsys.readouterr().err
    assert called(["pipeline", "push", FILE, "-o", "json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["version"], second["previous"]) == ("1.1.0", "1.0.0")


def test_the_history_tells_what_has_changed(project: Path, capsys: pytest.CaptureFixture[str]):
    called(["pipeline", "push", FILE])
    (project / "contracts/tickets.py").write_text(CONTRACT.replace("1.2.0", "1.3.0") + "    m: int\n")  # fmt: skip
    (project / FILE).write_text(PIPELINE + '    @sink("csv://out/y.csv")\n')
    called(["pipeline", "push", FILE, "--version", "2.0.0"])
    capsys.readouterr()
    assert called(["pipeline", "history", "tickets"]) == 0
    newer, *changes, older = capsys.readouterr().out.splitlines()
    assert newer.startswith("sales/tickets@2.0.0  ")
    assert older.startswith("sales/tickets@1.0.0  ")
    assert any("is new" in line for line in changes)
    assert any("speaks Ticket 1.3.0" in line for line in changes)
    assert any("speaks Ticket 1.2.0" in line and "no more" in line for line in changes)


def test_pipelines_are_listed_and_shown(capsys: pytest.CaptureFixture[str]):
    assert called(["pipeline", "list"]) == 0
    assert "no pipelines yet" in capsys.readouterr().err
    called(["pipeline", "push", FILE])
    called(["pipeline", "push", FILE, "--version", "1.5.0"])
    capsys.readouterr()
    assert called(["pipeline", "list", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["version"], row["versions"]) == ("1.5.0", ["1.0.0", "1.5.0"])
    assert called(["pipeline", "show", "sales/tickets@1.0.0"]) == 0
    shown = capsys.readouterr().out
    assert "checks Ticket 1.2.0" in shown
    assert "\\x0a" not in shown  # which a line's end would be, were it no line's end
    assert called(["pipeline", "show", "tickets", "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["dag"]["pipeline"]) == ("1.5.0", "tickets")


@pytest.mark.parametrize("words", [["show", "nothing"], ["history", "sales/nothing"], ["show", "tickets@9.0.0"]])  # fmt: skip
def test_what_is_not_published_is_told(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert called(["pipeline", *words]) == ExitCode.NOT_FOUND
    assert "is published" in capsys.readouterr().err


def test_a_version_is_one(capsys: pytest.CaptureFixture[str]):
    assert called(["pipeline", "push", FILE, "--version", "one"]) == ExitCode.INVALID
    assert "is not like 1.0.0" in capsys.readouterr().err


@pytest.mark.parametrize("name", PIPELINE_COMMANDS)
def test_every_command_about_pipelines_has_a_help(name: str, capsys: pytest.CaptureFixture[str]):
    assert called(["pipeline", name, "--help"]) == 0
    assert f"Usage: runi pipeline {name}" in capsys.readouterr().out
