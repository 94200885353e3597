"""`runi` as a whole: its words, its version, and what it imports to say them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runink import __version__
from runink.cli.commands import COMMANDS, called, runi
from runink.cli.exits import ExitCode

HEAVY = {
    "pyarrow",
    "polars",
    "duckdb",
    "lark",
    "rich",
    "fsspec",
    "s3fs",
    "numpy",
    "trio",
    "aiohttp",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a project, so that no command finds one."""
    (tmp_path / "runink.toml").touch()
    monkeypatch.chdir(tmp_path)


def test_the_version_is_the_packages_own(capsys: pytest.CaptureFixture[str]):
    assert called(["--version"]) == 0
    assert capsys.readouterr().out == f"runi, version {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert called(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be_and_has_a_help(
    name: str, capsys: pytest.CaptureFixture[str]
):
    assert called([name, "--help"]) == 0
    assert f"Usage: runi {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "hint"),
    [("rum", "Did you mean run?"), ("explian", "Did you mean explain?"), ("xyzzy", "--help")],
)
def test_a_command_that_is_not_there_is_told_with_one_that_is_near(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
):
    assert called([word]) == ExitCode.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert hint in said.err


@pytest.mark.parametrize(
    "words", [["-o", "json"], ["-ojson"], ["--output=json"], ["--output", "json"]]
)
def test_however_json_is_asked_for_an_error_is_a_document(
    words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert called(["run", "nothing.dsl", *words]) == ExitCode.NOT_FOUND
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == "file_not_found"
    assert "there is no file nothing.dsl" in said.err


def test_a_crash_of_ours_is_not_told_as_anything_else(monkeypatch: pytest.MonkeyPatch):
    def crash(**_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(runi, "main", crash)
    with pytest.raises(KeyError):
        called(["runs"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ExceptionGroup("tasks", [OSError(28, "No space left on device")]), ExitCode.FAILED),
        (BaseExceptionGroup("tasks", [KeyboardInterrupt()]), ExitCode.INTERRUPTED),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FORBIDDEN),
    ],
)
def test_what_the_world_does_to_a_command_is_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(runi, "main", fail)
    assert called(["runs"]) == code


def imported(*words: str) -> set[str]:
    """Return the top-level modules that a command has loaded when it is done."""
    script = (
        "import sys\nfrom runink.cli.main import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["runs"], ["status"], ["rum"]])
def test_questions_are_answered_without_a_heavy_library(words: list[str]):
    assert imported(*words) & HEAVY == set()


def test_the_version_needs_not_even_an_event_loop():
    assert imported("--version") & {"anyio", "asyncio", "ssl"} == set()


@pytest.mark.parametrize("heard", [True, False])
def test_an_interrupt_while_a_command_exits_shows_no_traceback(*, heard: bool) -> None:
    """What exits runs code of libraries (`logging` takes locks), and an interrupt in the middle of that would be told as a crash."""
    script = (
        "import atexit, os, signal, sys\n"
        "from runink.cli.main import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        f"if not {heard}: signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.argv = ['runi', 'explain', 'D010']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert "D010" in done.stdout
    assert done.returncode == (-signal.SIGINT if heard else 0)
