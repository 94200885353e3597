"""A run as it goes: lines for a log, a table for a terminal, both written down as text."""

from __future__ import annotations

import io

import pytest
from cli_world import FIGURES, a_dag, a_run, a_slice, a_view
from rich.console import Console
from runink.cli.progress import Lines, Nothing, Table, progress_for
from runink.jobs import NodeFacts
from runink.runs.figures import Figures
from runink.runs.records import RunState, SliceState

NONE_YET = (Figures("one", 0, 0, 0, 0.0), Figures("second", 0, 0, 0, 0.0))
RUNNING = a_view(
    a_run(RunState.RUNNING),
    figures=NONE_YET,
    slices=(a_slice("one", SliceState.RUNNING), a_slice("second", SliceState.PENDING)),
    progress=(
        NodeFacts("one.source", rows_out=1_000),
        NodeFacts("one.contract", rows_in=1_000, rows_out=990, rejected=10),
    ),
)
ONE_DONE = a_view(
    a_run(RunState.RUNNING),
    figures=(FIGURES[0], NONE_YET[1]),
    slices=(a_slice("one", SliceState.SUCCEEDED), a_slice("second", SliceState.RUNNING)),
)
PUBLISHING = a_view(
    a_run(RunState.COMMITTING),
    slices=(a_slice("one", SliceState.SUCCEEDED), a_slice("second", SliceState.SUCCEEDED)),
)


def lines_of(*views: object) -> list[str]:
    written: list[str] = []
    with Lines(a_dag(), written.append) as shown:
        for view in views:
            shown.show(view)
    return written


def test_each_thing_that_happens_has_one_line():
    assert lines_of(RUNNING, RUNNING, ONE_DONE, ONE_DONE, PUBLISHING, PUBLISHING) == [
        "one: running",
        "one: 3 rows in, 2 out, 1 rejected",
        "second: running",
        "second: 2 rows in, 2 out",
        "run 01M8945NT298: publishing",
    ]


def test_a_run_that_waits_says_for_what():
    waiting = a_view(a_run(RunState.SUBMITTED, waits_for="a place in the herd"), figures=NONE_YET)
    assert lines_of(waiting) == ["run 01M8945NT298 waits: a place in the herd"]


@pytest.mark.parametrize("state", [SliceState.FAILED, SliceState.LOST, SliceState.CANCELLED])
def test_a_scenario_that_does_not_succeed_is_told(state: SliceState):
    view = a_view(a_run(RunState.RUNNING), figures=NONE_YET, slices=(a_slice("one", state),))
    assert lines_of(view) == [f"one: {state.value}"]


def drawn(view: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    table = Table(a_dag(), console)
    table.show(view)
    with console.capture() as captured:
        console.print(table.drawn())
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def test_the_table_shows_the_way_and_the_numbers_of_each_scenario():
    assert drawn(RUNNING, 120) == [
        "p · run 01M8945NT298 · running",
        "  one     csv → Row → parquet  running  1,000 in  990 out  10 rejected",
        "  second  csv                  pending      0 in    0 out",
    ]


def test_in_a_narrow_terminal_the_table_keeps_the_numbers():
    assert drawn(RUNNING, 60) == [
        "p · run 01M8945NT298 · running",
        "  one     running  1,000 in  990 out  10 rejected",
        "  second  pending      0 in    0 out",
    ]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80])
def test_a_row_of_the_table_is_one_line_in_any_terminal(width: int):
    lines = drawn(RUNNING, width)
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)


def test_the_table_says_that_it_starts_before_it_knows_anything():
    console = Console(file=io.StringIO(), width=60)
    with console.capture() as captured:
        console.print(Table(a_dag(), console).drawn())
    assert captured.get() == "starting\n"


def test_a_live_table_is_gone_in_the_end_and_what_was_said_stays():
    screen = io.StringIO()
    console = Console(file=screen, width=60, force_terminal=True, legacy_windows=False)
    with Table(a_dag(), console) as shown:
        shown.show(RUNNING)
        shown.say("cancelling run [1]; once more to leave at once")
    text = screen.getvalue()
    assert "cancelling run [1]; once more to leave at once\n" in text
    assert text.endswith("\x1b[1A\x1b[2K"), "the lines of the table are taken away"


def test_without_a_terminal_there_are_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(progress_for(a_dag(), is_quiet=False), Lines)
    assert isinstance(progress_for(a_dag(), is_quiet=True), Nothing)
