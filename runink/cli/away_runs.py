"""`runi runs`, `logs`, `cancel` and `why` of a cluster elsewhere, by its API."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import click

from runink.cli.asking import Where
from runink.cli.choosing import Away
from runink.cli.client import LAST, age_of, chosen_run
from runink.cli.exits import ExitCode
from runink.cli.logs import text_of
from runink.cli.runs import cancel_told
from runink.cli.summary import short, told_apart
from runink.cli.wording import JsonRows, clock, echo_json, harmless
from runink.client import Client
from runink.errors import NotFound
from runink.operations.catalog import logs as log_operations
from runink.operations.catalog import runs as run_operations
from runink.operations.catalog.logs import LogLine
from runink.operations.catalog.run_events import FOLLOW, WATCH
from runink.operations.catalog.runs import RunDocument, RunSummary
from runink.operations.catalog.slices import WHY, WhyDocument
from runink.runs.records import RunState

PAGE: Final = 500
LOOKED_AT_MAX: Final = 2_000  # runs of a herd, when one is named by its beginning
ID_CHARACTERS: Final = 26


@contextmanager
def asked(away: Away) -> Iterator[Client]:
    """Yield a client of the cluster."""
    with Where(away.context, None).client() as client:
        yield client


def watch_runs(away: Away, output: str) -> None:
    """Print what becomes of a herd's runs from now on, a run a line, until somebody ends it. Raises Invalid (`no_herd`) where none is meant."""
    herd = Where(away.context, None).herd(away.herd)
    with asked(away) as client:
        since = client.page(run_operations.LIST, herd=herd, limit=1).revision
        with client.call(WATCH, herd=herd, since=since) as events:
            for event in events:
                if output == "json":
                    echo_json(event.data)
                elif event.data.now is None:
                    click.echo(f"{short(event.data.run)}  forgotten")
                else:
                    click.echo(harmless(_line(event.data.now, short(event.data.run))))
                sys.stdout.flush()


def list_runs(away: Away, limit: int, output: str) -> None:
    """Print the runs of a herd, or of all that are seen, newest first."""
    with asked(away) as client:
        found = [one for herd in _herds(client, away) for one in _newest(client, herd, limit)]
    shown = sorted(found, key=age_of, reverse=True)[:limit]
    if output == "json":
        echo_json(shown)
        return
    if not shown:
        click.echo(f"no runs in {away.herd or 'any herd that you see'}", err=True)
    names = told_apart(one.run for one in shown)
    width = max((len(name) for name in names.values()), default=0)
    for one in shown:
        click.echo(harmless(_line(one, f"{names[one.run]:{width}}")))


def _line(one: RunSummary, name: str) -> str:
    took = f"{one.seconds:.1f} s" if one.state.is_over else ""
    tick = f" · tick {clock(one.tick_ms):%Y-%m-%d %H:%M}" if one.tick_ms is not None else ""
    why = (one.error if one.state is RunState.FAILED else "") or one.waits_for
    more = f"  {why}" if why else ""
    return (
        f"{name}  {clock(one.submitted_ms):%Y-%m-%d %H:%M:%S}  {one.state.value:<10} {took:>8}  "
        f"{one.pipeline} · {one.herd} · {one.file}{tick}{more}"
    )


def print_logs(
    away: Away, run: str, slice_id: str | None, attempt: int | None, *, follows: bool, output: str
) -> None:
    """Print what a run's slices printed, in the order of time; as it comes, if `follows`."""
    rows = JsonRows() if output == "json" else None
    with asked(away) as client:
        found = find_run(client, away, run)
        fields: dict[str, Any] = {
            "herd": found.herd,
            "run": found.run,
            "slice": slice_id,
            "attempt": attempt,
        }
        lines: Iterable[LogLine]
        if follows:
            lines = (event.data for event in client.call(log_operations.FOLLOW, **fields))
        else:
            listed = client.call(log_operations.LIST, limit=PAGE, **fields)
            lines = sorted(listed, key=lambda line: line.at_ms)
        printed = 0
        for line in lines:
            _print(line, rows)
            printed += 1
        end = client.call(run_operations.GET, herd=found.herd, run=found.run)
    if rows is not None:
        rows.end()
    else:
        _tell_end(end, printed)


def _print(line: LogLine, rows: JsonRows | None) -> None:
    if rows is not None:
        rows.add(line)
    else:
        click.echo(text_of(line.slice, line.attempt, line))
    sys.stdout.flush()


def _tell_end(end: RunDocument, printed: int) -> None:
    run = f"run {short(end.run)}"
    if not printed and end.state is RunState.SUCCEEDED:
        click.echo(f"{run} printed nothing", err=True)
    if end.state is RunState.CANCELLED:
        click.echo(f"{run}: cancelled", err=True)
    elif end.error is not None:
        click.echo(harmless(f"error[{end.error.code}]: {end.error.text}"), err=True)


def cancel_run(away: Away, run: str, output: str) -> None:
    """Cancel a run and wait for its end; end with 5 if it had ended, or was publishing, before that."""
    with asked(away) as client:
        found = find_run(client, away, run)
        where: dict[str, Any] = {"herd": found.herd, "run": found.run}
        end: RunDocument = client.call(run_operations.CANCEL, **where)
        with client.call(FOLLOW, **where) as steps:
            for step in steps:
                end = step.data.run or end
                if end.state.is_over:
                    break
    if output == "json":
        echo_json(end)
    else:
        click.echo(cancel_told(found.state, end), err=end.state is not RunState.CANCELLED)
    if end.state is not RunState.CANCELLED:
        raise SystemExit(ExitCode.CONFLICT)


def why_of(away: Away, run: str, slice_id: str, changes: tuple[str, ...]) -> WhyDocument:
    """Return why a run waits, or why its slices are where they are."""
    with asked(away) as client:
        found = find_run(client, away, run)
        fields: dict[str, Any] = {"herd": found.herd, "run": found.run, "changes": changes}
        answer: WhyDocument = client.call(WHY, slice=slice_id or None, **fields)
    return answer


def find_run(client: Client, away: Away, beginning: str) -> RunSummary | RunDocument:
    """Return the run whose id begins so; `last` is the newest. Raises NotFound, and Invalid where several do."""
    herds = _herds(client, away)
    if len(beginning) == ID_CHARACTERS:
        return _run_of_id(client, herds, beginning.upper())
    count = 1 if beginning == LAST else LOOKED_AT_MAX
    found = [one for herd in herds for one in _newest(client, herd, count)]
    return chosen_run(found, beginning)


def _run_of_id(client: Client, herds: list[str], run: str) -> RunDocument:
    for herd in herds:
        try:
            found: RunDocument = client.call(run_operations.GET, herd=herd, run=run)
        except NotFound:
            continue
        return found
    raise NotFound(f"there is no run {run}", code="no_such_run", hint="runi runs lists them")


def _herds(client: Client, away: Away) -> list[str]:
    return [away.herd] if away.herd else [one.herd for one in client.call("herds.list")]


def _newest(client: Client, herd: str, count: int) -> list[RunSummary]:
    if not count:
        return []
    runs = client.call(run_operations.LIST, herd=herd, limit=min(count, PAGE))
    with runs:
        return list(islice(runs, count))
