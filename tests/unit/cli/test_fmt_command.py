"""`runi fmt`: what it writes, prints and exits with."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from runink.cli.commands import called

MESSY = "Feature:  F\nScenario: S\nGiven   x\n"
NEAT = "Feature: F\n\n  Scenario: S\n    Given x\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "features/messy.dsl").write_text(MESSY)
    (tmp_path / "features/neat.dsl").write_text(NEAT)
    (tmp_path / ".hidden/messy.dsl").write_text(MESSY)
    return tmp_path


def test_files_below_a_folder_are_written_anew(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "features/messy.dsl").chmod(0o640)
    assert called(["fmt"]) == 0
    assert capsys.readouterr().out == "features/messy.dsl is written anew\n"
    assert (folder / "features/messy.dsl").read_text() == NEAT
    assert (folder / "features/messy.dsl").stat().st_mode & 0o777 == 0o640
    assert (folder / ".hidden/messy.dsl").read_text() == MESSY
    assert sorted(one.name for one in Path("features").iterdir()) == ["messy.dsl", "neat.dsl"]
    assert called(["fmt", "features", "features/neat.dsl"]) == 0
    assert capsys.readouterr().out == "2 files are as written\n"


def test_a_check_changes_nothing_and_exits_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["fmt", "--check"]) == 1
    assert capsys.readouterr().out == "features/messy.dsl would change\n"
    assert (folder / "features/messy.dsl").read_text() == MESSY
    assert called(["fmt", "--check", "features/neat.dsl"]) == 0


def test_a_difference_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(["fmt", "--diff"]) == 0
    out = capsys.readouterr().out
    assert "-Feature:  F\n" in out
    assert "+Feature: F\n" in out
    assert (folder / "features/messy.dsl").read_text() == MESSY
    assert called(["fmt", "--diff", "--check"]) == 1


def test_standard_input_comes_out_formatted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MESSY.encode())))
    assert called(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT


def test_a_link_keeps_pointing_to_what_is_written(folder: Path) -> None:
    (folder / "link.dsl").symlink_to("features/messy.dsl")
    assert called(["fmt", "link.dsl"]) == 0
    assert (folder / "link.dsl").is_symlink()
    assert (folder / "features/messy.dsl").read_text() == NEAT


def test_a_file_that_cannot_be_read_stays_and_the_others_are_formatted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "features/broken.dsl").write_text("@a(")
    (folder / "features/latin.dsl").write_bytes(b"# \xe9")
    assert called(["fmt", "-o", "json"]) == 8
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert [one["code"] for one in error["findings"]] == ["D003", "D005"]
    assert "2 files cannot be formatted" in said.err
    assert (folder / "features/broken.dsl").read_text() == "@a("
    assert (folder / "features/messy.dsl").read_text() == NEAT


def test_programs_read_a_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(["fmt", "-o", "json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 2


def test_a_file_that_is_not_there_is_told(folder: Path) -> None:
    assert called(["fmt", "none.dsl"]) == 3
    assert called(["fmt", "-", "features/neat.dsl"]) == 2
