"""What steps print, as a terminal gets it."""

from __future__ import annotations

import pytest
from runink.cli.logs import text_of
from runink.cli.summary import failure_lines
from runink.cli.wording import harmless
from runink.errors import WireError
from runink.observe.slice_logs import LogLine, Stream
from runink.runs.records import Failure

CLEARS = "\x1b[2Jgone\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü, \t and \u2028", "plain, ü, \t and \u2028"),
        (CLEARS, "\\x1b[2Jgone\\x07"),
        ("10%\r20%\r", "10%\\x0d20%\\x0d"),
        ("\x9b2J \x7f", "\\x9b2J \\x7f"),
        ("\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("\x1b[1;32mok\x1b[0m\x1b]0;title\x07", "\x1b[1;32mok\x1b[0m\\x1b]0;title\\x07\x1b[0m"),
    ],
)
def test_a_terminal_gets_colours_and_no_other_control(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_lines_of_a_log_and_of_a_failure_move_no_cursor() -> None:
    assert text_of("one", 1, LogLine(7, Stream.STDERR, CLEARS)).endswith("\\x1b[2Jgone\\x07")
    failure = Failure(WireError("Broken", "slice_exit", "x"), slice="one", log_tail=(CLEARS,))
    assert "    \\x1b[2Jgone\\x07" in failure_lines(failure)
