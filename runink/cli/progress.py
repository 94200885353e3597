"""A run as it goes: on a terminal a table that is redrawn, elsewhere a line for each thing that happens. Both write to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, Self

import click

from runink.cli.summary import flow_of, short
from runink.clients.run_requests import RunView
from runink.dag import Dag
from runink.runs.figures import rows_in, rows_out
from runink.runs.records import RunState, SliceRecord

REDRAW_PER_S: Final = 8  # more flickers, less looks stuck
WIDTH_WITH_FLOW: Final = 100  # columns; narrower terminals show the numbers only


class Shown(Protocol):
    """Where a run's progress goes."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *details: object) -> None: ...
    def show(self, view: RunView) -> None: ...
    def say(self, line: str) -> None:
        """Tell something beside it, which stays."""
        ...


def progress_for(dag: Dag, *, is_quiet: bool) -> Shown:
    """Return the progress that fits where standard error goes."""
    if is_quiet:
        return Nothing()
    is_live = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Table(dag) if is_live else Lines(dag)


class Nothing:
    """Shows no progress; what must be told is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, view: RunView) -> None:
        """Nobody looks."""

    def say(self, line: str) -> None:
        _to_stderr(line)


def _states(view: RunView, dag: Dag) -> list[tuple[str, str, int, int, int]]:
    """Return for each scenario its name, its state, and its rows in, out and rejected so far."""
    done = {row.name: row for row in view.figures}
    live = {facts.node: facts for facts in view.progress}
    slices: dict[str, SliceRecord] = {one.slice: one for one in view.slices}
    found = []
    for scenario in dag.scenarios:
        mine = [
            slices[spec.id]
            for spec in dag.slices
            if spec.scenario == scenario.id and spec.id in slices
        ]
        states = {one.state.value for one in mine}
        row = done[scenario.id]
        if states == {"succeeded"} or not live:
            rows = (row.rows_in, row.rows_out, row.rejected)
        else:
            rejected = sum(
                facts.rejected
                for facts in live.values()
                if facts.node.startswith(f"{scenario.id}.")
            )
            rows = (rows_in(dag, scenario.id, live), rows_out(dag, scenario.id, live), rejected)
        found.append((scenario.id, _worst(states), *rows))
    return found


_ORDER: Final = (
    "failed",
    "lost",
    "cancelled",
    "running",
    "launching",
    "placed",
    "pending",
    "succeeded",
)


def _worst(states: set[str]) -> str:
    return next((state for state in _ORDER if state in states), "waiting")


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


class Lines:
    """A line when a scenario changes its state, and when the run does."""

    def __init__(self, dag: Dag, write: Callable[[str], object] = _to_stderr) -> None:
        self._dag = dag
        self._write = write
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, view: RunView) -> None:
        run = short(view.record.run)
        if view.record.waits_for:
            self._tell_once(run, f"run {run} waits: {view.record.waits_for}")
        for name, state, came, went, rejected in _states(view, self._dag):
            if state == "running":
                self._tell_once(name, f"{name}: running")
            elif state == "succeeded":
                more = f", {rejected:,} rejected" if rejected else ""
                self._tell_once(name, f"{name}: {came:,} rows in, {went:,} out{more}")
            elif state in ("failed", "lost", "cancelled"):
                self._tell_once(name, f"{name}: {state}")
        if view.record.state is RunState.COMMITTING:
            self._tell_once(run, f"run {run}: publishing")

    def say(self, line: str) -> None:
        self._write(line)

    def _tell_once(self, about: str, line: str) -> None:
        if self._said.get(about) != line:
            self._said[about] = line
            self._write(line)


class Table:
    """A small table that is redrawn in place and gone when the run is over: the summary then says it all.

    A row is one line in any terminal: what does not fit is cut, and the way of the data goes first.
    """

    def __init__(self, dag: Dag, console: Any = None) -> None:
        self._dag = dag
        self._console = console
        self._live: Any = None
        self._view: RunView | None = None

    def __enter__(self) -> Self:
        from rich.console import Console  # noqa: PLC0415 - a tenth of a second that only a terminal needs
        from rich.live import Live  # noqa: PLC0415 - as above

        self._console = self._console or Console(stderr=True)
        self._live = Live(
            console=self._console,
            refresh_per_second=REDRAW_PER_S,
            transient=True,
            get_renderable=self.drawn,
        )
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(*details)

    def show(self, view: RunView) -> None:
        self._view = view

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    def drawn(self) -> Any:
        """Return the table as it stands, for rich."""
        from rich.console import Group  # noqa: PLC0415 - as above
        from rich.table import Table as Grid  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415 - as above

        view = self._view
        if view is None:
            return Text("starting")
        record = view.record
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(record.pipeline, style="bold")
        head.append(f" · run {short(record.run)} · {record.state.value}")
        if record.waits_for:
            head.append(f" · waits: {record.waits_for}")
        grid = Grid.grid(padding=(0, 2, 0, 0))
        has_room = self._console.width >= WIDTH_WITH_FLOW
        for row in _states(view, self._dag):
            name, state, came, went, rejected = row
            cells = [Text(f"  {name}")]
            if has_room:
                cells.append(Text(flow_of(self._dag, name)))
            cells += [
                Text(state, style=_COLOURS.get(state, "dim")),
                Text(f"{came:,} in", justify="right"),
                Text(f"{went:,} out", justify="right"),
                Text(f"{rejected:,} rejected" if rejected else "", style="yellow", justify="right"),
            ]
            for cell in cells:
                cell.no_wrap, cell.overflow = True, "ellipsis"
            grid.add_row(*cells)
        # The empty line is where a terminal shows ^C: behind a line as wide as itself it would break it, and the redrawing with it.
        return Group(head, grid, Text())


_COLOURS: Final = {"running": "cyan", "succeeded": "green", "failed": "red", "lost": "red"}
