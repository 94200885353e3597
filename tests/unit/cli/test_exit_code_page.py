"""The page of exit codes says those that there are, and for each status of the API the right one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runink.cli.exits import ExitCode, exit_code_of
from runink.client.answers import Answer, Head, error_of

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md").read_text()


def test_the_page_lists_every_exit_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == list(ExitCode)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 8), (422, 8), (401, 4), (403, 4), (404, 3), (409, 5), (412, 5), (408, 6), (504, 6), (429, 1), (500, 1), (503, 1), (428, 1), (410, 1)],
)  # fmt: skip
def test_a_status_has_its_exit_code(status: int, code: int) -> None:
    assert exit_code_of(error_of(Answer(Head(status, {}), b""))) == code
