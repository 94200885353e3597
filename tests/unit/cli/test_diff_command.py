"""`runi diff` and the picture of `runi graph`, as called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runink.cli.commands import called
from runink.cli.exits import ExitCode

TEXT = """Feature: One
  Scenario: One
    @source("csv://a.csv")
    @sink("csv://out/a.csv")
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "runink.toml").touch()
    (tmp_path / "old.dsl").write_text(TEXT)
    (tmp_path / "new.dsl").write_text("# A note.\n\n" + TEXT.replace("out/a", "out/b"))
    return str(tmp_path / "old.dsl"), str(tmp_path / "new.dsl")


def test_what_differs_is_told_and_counted(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["diff", *files]) == 0
    assert capsys.readouterr().out == (
        "~ sink one.sink: csv://out/a.csv is now csv://out/b.csv [breaking]\n1 change, 1 breaking\n"
    )


def test_programs_get_a_document_and_scripts_an_exit_code(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["diff", *files, "-o", "json", "--exit-code"]) == ExitCode.FAILED
    found = json.loads(capsys.readouterr().out)
    assert [(one["what"], one["breaking"]) for one in found["changes"]] == [("sink", True)]
    assert found["old"] != found["new"]
    assert called(["diff", files[0], files[0], "--exit-code"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_the_old_one_may_come_through_a_pipe(files: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runink.cli.main", "diff", "-", files[1]],
        input=TEXT.encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(b"1 change, 1 breaking\n")


def test_a_pipe_that_holds_no_text_is_told(files: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runink.cli.main", "diff", "-", files[1]],
        input=b"\xff",
        capture_output=True,
        check=False,
    )
    assert done.returncode == ExitCode.INVALID
    assert b"standard input is not UTF-8" in done.stderr


def test_a_picture_is_one_document(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["graph", files[0], "--format", "svg"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("<svg ")
    assert out.endswith("</svg>\n")
