"""`runi lint`: what it prints for people and for programs, what it exits with, what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode

CLEAN = """Feature: x

  Scenario: y
    @source("parquet://data/x.parquet")
    @sink("parquet://out/x.parquet")
    @golden("golden/x.csv")
"""
NOTE = CLEAN.replace("parquet://data", "parquet:./data")
WARNING = CLEAN.replace("Scenario: y", "@module(layer=a)\n  Scenario: y") + CLEAN.replace(
    "Feature: x\n", ""
).replace("/x.parquet", "/y.parquet")
MISTAKE = CLEAN.replace("@sink", "@sank")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("features", "golden"):
        (tmp_path / name).mkdir()
    (tmp_path / "golden/x.csv").touch()
    (tmp_path / "runink.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def linted(
    capsys: pytest.CaptureFixture[str], text: str, *words: str, file: str = "features/x.dsl"
) -> tuple[int, str]:
    Path(file).write_bytes(text.encode())
    code = called(["lint", *words, file])
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (CLEAN, ExitCode.DONE),
        (NOTE, ExitCode.DONE),
        (WARNING, ExitCode.FAILED),
        (MISTAKE, ExitCode.FAILED),
        ("", ExitCode.FAILED),
    ],
)
def test_a_warning_is_a_failure_and_a_note_is_none(
    capsys: pytest.CaptureFixture[str], text: str, code: ExitCode
) -> None:
    assert linted(capsys, text)[0] == code


def test_a_person_sees_the_line_and_how_to_mend_it(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = linted(capsys, NOTE)
    assert out == (
        "note[L006]: this is parquet://data/x.parquet\n"
        "  --> features/x.dsl:4:13\n"
        "   |\n"
        ' 4 |     @source("parquet:./data/x.parquet")\n'
        "   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "   = help: one place, one spelling\n"
        "\n"
        "1 file: 1 note; --fix mends 1\n"
    )


def test_what_can_be_mended_is_and_ends_of_lines_stay(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = linted(capsys, NOTE.replace("\n", "\r\n"), "--fix")
    assert (code, out) == (0, "1 file: nothing to tell; 1 mended\n")
    assert Path("features/x.dsl").read_bytes() == CLEAN.replace("\n", "\r\n").encode()


def test_only_what_is_selected_is_told_and_mended(capsys: pytest.CaptureFixture[str]) -> None:
    text = NOTE.replace("out/x.parquet", "out/x.parquet").replace(
        '")\n    @golden', '", mode=overwrite)\n    @golden'
    )
    _, out = linted(capsys, text, "--select", "L013", "--fix")
    assert "1 mended" in out
    assert Path("features/x.dsl").read_text() == NOTE
    assert "nothing to tell" in linted(capsys, text, "--ignore", "L006,L013")[1]
    assert linted(capsys, MISTAKE, "--select", "L013")[0] == ExitCode.FAILED


def test_a_code_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("features/x.dsl").write_text(CLEAN)
    assert called(["lint", "--ignore", "L999"]) == ExitCode.USAGE
    assert "there is no code L999" in capsys.readouterr().err


def test_without_files_the_projects_pipelines_are_read(
    capsys: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert called(["lint"]) == ExitCode.NOT_FOUND
    Path("features/x.dsl").write_text(NOTE)
    monkeypatch.chdir(project / "golden")
    assert called(["lint", "-o", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["code"] == "L006"


def test_programs_get_documents(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(linted(capsys, NOTE, "-o", "json")[1])
    assert (found["severity"], found["span"]["line"], found["fixable"]) == ("note", 4, True)
    assert json.loads(linted(capsys, CLEAN, "-o", "json")[1]) == []


def test_github_gets_commands(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = linted(capsys, NOTE, "-o", "github")
    assert out == (
        "::notice file=features/x.dsl,line=4,col=13,endColumn=39,title=L006"
        "::this is parquet://data/x.parquet%0Aone place, one spelling\n"
    )


def test_a_file_that_is_no_text_is_a_mistake_and_the_others_are_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("features/a.dsl").write_bytes(b"\xff")
    Path("features/b.dsl").write_text(NOTE)
    assert called(["lint", "--fix", "features/a.dsl", "features/b.dsl"]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert "error[D005]" in out
    assert "2 files: 1 mistake; 1 mended" in out
    assert Path("features/b.dsl").read_text() == CLEAN


def test_a_file_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert called(["lint", "features/none.dsl"]) == ExitCode.NOT_FOUND
    assert "there is no file" in capsys.readouterr().err


def test_a_folder_stands_for_every_pipeline_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("features/deep").mkdir()
    Path("features/deep/y.dsl").write_text(MISTAKE)
    for named in (["."], ["features"], []):
        code = linted(capsys, WARNING, *named)[0] if named else called(["lint"])
        told = capsys.readouterr().out
        assert code == ExitCode.FAILED, told
    assert called(["lint", "."]) == ExitCode.FAILED
    assert "2 files: 1 mistake" in capsys.readouterr().out


def test_a_project_without_pipelines_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("features").rmdir()
    assert called(["lint"]) == ExitCode.NOT_FOUND
    assert "there is no pipeline in" in capsys.readouterr().err
