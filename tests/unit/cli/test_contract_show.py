"""`runi contract show` and `hash` on files of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.contract import CONTRACT_COMMANDS
from runink.cli.exits import ExitCode
from runink.cli.wording import columns

TEXT = '''from typing import Annotated, Literal
from runink import Contract, Field


class Base(Contract):
    id: Annotated[int, Field(ge=1)]


class Flight(Base, version="1.2.0"):
    """One departure."""

    origin: Literal["EWR", "JFK"]
    tail: Annotated[str | None, Field(max_length=6, description="N-number", pii="aircraft")] = None
    key = ("id",)
'''


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/flights.py").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_contract_is_shown_as_a_table(capsys: pytest.CaptureFixture[str]):
    assert called(["contract", "show", "contracts/flights.py:Flight"]) == 0
    head, prose, _, heading, *fields = capsys.readouterr().out.splitlines()
    assert head.startswith("Flight 1.2.0 ")
    assert head.endswith(", key id")
    assert prose == "One departure."
    assert heading.split() == ["field", "type", "rules"]
    assert [" ".join(line.split()) for line in fields] == [
        "id int >= 1",
        "origin str one of EWR, JFK",
        "tail str or nothing 0 to 6 characters pii aircraft · N-number",
    ]


def test_programs_get_the_whole_spec_and_its_hash(capsys: pytest.CaptureFixture[str]):
    assert called(["contract", "show", "contracts/flights.py:Flight", "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert called(["contract", "hash", "contracts/flights.py:Flight"]) == 0
    assert capsys.readouterr().out == shown["hash"] + "\n"
    assert [field["name"] for field in shown["fields"]] == ["id", "origin", "tail"]
    assert shown["where"] == "contracts/flights.py"


def test_a_file_is_found_from_any_folder_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(project / "contracts")
    assert called(["contract", "show", "flights.py:Base", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["where"] == "contracts/flights.py"


def test_the_only_contract_of_a_file_needs_no_name(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "contracts/one.py").write_text(
        "from contracts.flights import Base\n\n\nclass One(Base):\n    x: int\n"
    )
    assert called(["contract", "hash", "contracts/one.py"]) == 0
    assert called(["contract", "hash", "contracts/flights.py"]) == ExitCode.INVALID
    assert "it has Base, Flight" in capsys.readouterr().err


def test_a_hash_does_not_know_the_prose(project: Path, capsys: pytest.CaptureFixture[str]):
    words = ["contract", "hash", "contracts/flights.py:Flight"]
    called(words)
    (project / "contracts/flights.py").write_text(TEXT.replace("One departure.", "Another text."))
    called(words)
    (project / "contracts/flights.py").write_text(TEXT.replace('"JFK"', '"LGA"'))
    called(words)
    first, described, other = capsys.readouterr().out.splitlines()
    assert first == described
    assert first != other


def test_what_is_not_there_is_told(capsys: pytest.CaptureFixture[str]):
    assert called(["contract", "show", "contracts/none.py:X"]) == ExitCode.NOT_FOUND
    assert called(["contract", "show", "contracts/flights.py:Flihgt"]) == ExitCode.NOT_FOUND
    assert "did you mean Flight?" in capsys.readouterr().err


@pytest.mark.parametrize("name", CONTRACT_COMMANDS)
def test_every_command_about_contracts_has_a_help(name: str, capsys: pytest.CaptureFixture[str]):
    assert called(["contract", name, "--help"]) == 0
    assert f"Usage: runi contract {name}" in capsys.readouterr().out


def test_a_cell_with_line_ends_stays_one_line():
    assert columns([("a", "bb"), ("x\ny", "z")]) == ["a    bb", "x y  z"]
