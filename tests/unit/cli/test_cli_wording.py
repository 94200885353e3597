"""What steps print, as a terminal gets it."""

from __future__ import annotations

import pytest
from cli_world import FIGURES, a_view, said
from msgspec.structs import replace as changed
from runink.cli.dead import text_of as text_of_row
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


def test_rejected_rows_and_their_reasons_move_no_cursor() -> None:
    row = {
        "dead_origin": "in.csv",
        "dead_row": 3,
        "dead_reasons": [{"message": CLEARS}],
        "a": CLEARS,
    }
    shown = "\\x1b[2Jgone\\x07"
    assert text_of_row(row) == f"in.csv row 3: {shown}\n    a={shown}"
    reason = changed(FIGURES[0].reasons[0], text=CLEARS)
    figures = (changed(FIGURES[0], reasons=(reason,)),)
    assert f"rejected: {shown} " in said(a_view(figures=figures))
