"""What of the tests runs elsewhere, and what came of it: the reports that `reported_run.py` writes there, read here."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("reported_run.py")
# By their modules: found by their packages, pytest would compile all of anyio and trio anew, which takes a machine 5 s.
PLUGINS = ("pytest_timeout", "pytest_trio.plugin", "anyio.pytest_plugin")
OPTIONS = (
    *("--color=no", "--quiet", "--disable-plugin-autoload"),
    *(f"-p{module}" for module in PLUGINS),
)


@dataclass(frozen=True, slots=True)
class Inside:
    """What of a file runs there: all of it or the tests that are named, `without` some; of these, those that may be skipped there. Both with the reason."""

    only: tuple[str, ...] = ()
    without: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def arguments(self, file: str) -> list[str]:
        left_out = [f"--deselect={file}::{name}" for name in self.without]
        return [*([f"{file}::{name}" for name in self.only] or [file]), *left_out]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one test; `text` says why it failed or was skipped."""

    test: str
    outcome: str
    text: str
    duration_s: float

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]


@dataclass(frozen=True, slots=True)
class Report:
    """Pytest's exit status, and every test's outcome."""

    status: int
    outcomes: tuple[Outcome, ...]


class BrokenOff(Exception):
    """A report is not whole; the text says how far it came."""


def reported(target: str, *arguments: str) -> list[str]:
    """Return the command that runs pytest with these arguments, in the project's folder, and reports to `target`."""
    return [f"{sys.prefix}/bin/python", str(PROGRAM), target, *OPTIONS, *arguments]


def whole(text: str) -> Report:
    """Return what the lines of a whole report say. Raises BrokenOff."""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    outcomes = tuple(Outcome(**line) for line in lines if "test" in line)
    last = lines[-1] if lines else {}
    if last.get("tests") != len(outcomes):
        raise BrokenOff(_told_so_far(outcomes))
    return Report(last["status"], outcomes)


def _told_so_far(outcomes: tuple[Outcome, ...]) -> str:
    if not outcomes:
        return "no test"
    failed = "".join(f"\n{one.test}\n{one.text}" for one in outcomes if one.outcome == "failed")
    return f"the last of {len(outcomes)} tests: {outcomes[-1].test}{failed}"


def counted(outcomes: Iterable[Outcome]) -> str:
    found = Counter(outcome.outcome for outcome in outcomes)
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))


def tell(config: pytest.Config, *lines: str) -> None:
    """Have lines stand in what pytest prints here, whatever it captures."""
    plugins = config.pluginmanager
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        for line in ("", *lines):
            plugins.getplugin("terminalreporter").write_line(line)


def check(
    outcomes: Iterable[Outcome], file: str, inside: Inside, subtests: pytest.Subtests
) -> None:
    """Fail for each test of a file that has failed there, and for one that was skipped without a reason that is known here."""
    found = [outcome for outcome in outcomes if outcome.file == file]
    assert found, f"no test of {file} has run"
    for outcome in found:
        with subtests.test(outcome.test):
            if outcome.outcome == "failed":
                pytest.fail(outcome.text, pytrace=False)
    skipped: Mapping[str, str] = {
        outcome.test: outcome.text for outcome in found if outcome.outcome == "skipped"
    }
    assert skipped.keys() == inside.skipped.keys(), skipped
