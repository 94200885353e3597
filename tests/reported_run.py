"""Runs pytest elsewhere, in a machine of its own (`tests/vm`) or as another user (`tests/cluster/test_ordinary_user.py`), and reports each test in a line of JSON as soon as it has ended.

    {"test": its id, "outcome": "passed" or "failed" or "skipped", "text": why, "duration_s": seconds}

The last line is `{"status": pytest's exit status, "tests": how many lines there are before}`: a report without it is not whole.
Arguments: where the lines go, then those of pytest.  `run_reports.py` reads them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import pytest

BACKEND = "asyncio"
TEXT_CHARACTERS_MAX = 20_000  # a machine's serial port carries some hundred thousand in a second


class Reports:
    """A plugin of pytest. What a test does before and after counts as a test's only if it fails or skips."""

    def __init__(self, path: str) -> None:
        self._target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
        self._tests = 0

    @staticmethod
    def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what runs under another event loop than production's: they meet the same kernel, and time is dear there."""
        left_out = [item for item in items if _backend_of(item) not in ("", BACKEND)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self._test(report, report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._test(report, 0.0)

    def broke(self, error: BaseException) -> None:
        """Report what pytest itself ends with, such as a warning of something that nobody has closed."""
        text = "".join(traceback.format_exception(error))
        self._told("pytest", "failed", text, 0.0)

    def ended(self, status: int) -> None:
        self._line({"status": status, "tests": self._tests})

    def _test(self, report: pytest.TestReport | pytest.CollectReport, duration_s: float) -> None:
        self._told(report.nodeid, report.outcome, _why(report), duration_s)

    def _told(self, test: str, outcome: str, text: str, duration_s: float) -> None:
        self._tests += 1
        self._line(
            {
                "test": test,
                "outcome": outcome,
                "text": text[-TEXT_CHARACTERS_MAX:],
                "duration_s": round(duration_s, 3),
            }
        )

    def _line(self, fields: dict[str, Any]) -> None:
        rest = json.dumps(fields).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._target, rest) :]


def _backend_of(item: pytest.Item) -> str:
    """Return the event loop that a test runs under, nothing for one without."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return ""
    return item.callspec.params.get("anyio_backend", "")


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    texts = [report.longreprtext, *(f"{name}:\n{text}" for name, text in report.sections)]
    return "\n".join(texts) if report.failed else ""


def main(path: str, *arguments: str) -> None:
    reports = Reports(path)
    try:
        status = int(pytest.main(list(arguments), plugins=[reports]))
    except Exception as error:  # noqa: BLE001 - it is told outside, as all that goes wrong
        reports.broke(error)
        status = int(pytest.ExitCode.INTERNAL_ERROR)
    reports.ended(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
