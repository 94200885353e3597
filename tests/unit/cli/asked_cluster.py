"""Commands that speak with the API, called in this process against a cluster that is served by HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from runink.cli.commands import called


class Said(NamedTuple):
    """What a command has said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Somebody's shell, with a home of its own."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capfd = capfd

    def runi(self, *words: str) -> Said:
        self._capfd.readouterr()
        code = called(list(words))
        out, err = self._capfd.readouterr()
        return Said(code, out, err)


def shell_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    """Return a shell whose home is a folder, and whose project is empty."""
    project = folder / "project"
    project.mkdir()
    (project / "runink.toml").touch()
    monkeypatch.chdir(project)
    for name in ("RUNINK_CONTEXT", "RUNINK_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    return Shell(folder, capfd)
