"""`runi schedule list` and `show`: what is deployed, when it is due, and what its ticks came to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import click

from runink.calendars import ticks_between, told
from runink.cli.asking import Asker, Where, asked, asks_cluster
from runink.cli.client import NOTHING_YET
from runink.cli.events import line_of
from runink.cli.options import output_option
from runink.cli.output import echo_event
from runink.cli.schedule_changes import listed, meant, name_argument, told_name
from runink.cli.summary import short
from runink.cli.wording import columns, echo_json, harmless
from runink.clock import now_ms
from runink.dsl.scheduling import schedule_told, when_told
from runink.errors import NotFound
from runink.operations.catalog import schedules
from runink.operations.catalog.run_events import EVENTS, Happening
from runink.operations.catalog.schedules import (
    BackfillSummary,
    ScheduleDocument,
    ScheduleSummary,
    TickRun,
)
from runink.quantities import counted

NEXT_SHOWN: Final = 3
FAR_MS: Final = 100 * 366 * 86_400_000
NEVER: Final = "-"


@click.command("list")
@click.option("--watch", "is_watch", is_flag=True, help="Print what becomes of a herd's schedules from now on.")  # fmt: skip
@output_option
@asks_cluster
def list_(*, is_watch: bool, output: str, where: Where) -> None:
    """List what is deployed, when it is due next, and what its last run came to."""
    try:
        with asked(where) as client:
            if is_watch:
                _watch(client, where.herd(), output)
                return
            found = [_whole(client, one) for one in listed(client, where)]
    except NotFound as error:
        if error.code != NOTHING_YET:
            raise
        found = []
    if output == "json":
        echo_json(found)
        return
    if not found:
        click.echo("nothing is deployed yet: runi deploy FILE.dsl puts a pipeline in force", err=True)  # fmt: skip
        return
    rows = [(told_name(one), when_told(one.schedule), _next(one), _last(one)) for one in found]
    for line in columns([("pipeline", "when", "next", "last run"), *rows]):
        click.echo(harmless(line))


def _watch(client: Asker, herd: str, output: str) -> None:
    since = client.page(schedules.LIST, herd=herd, limit=1).revision
    kinds = [Happening.PIPELINE.value, Happening.SCHEDULE.value]
    with client.call(EVENTS, herd=herd, kinds=kinds, since=since) as events:
        for event in events:
            echo_event(event.data, output, event.data.name, line_of(event.kind, event.data))


@click.command()
@name_argument
@output_option
@asks_cluster
def show(name: str, output: str, where: Where) -> None:
    """Say when a pipeline is due, what its last ticks came to, and how far its backfills are."""
    with meant(where, name) as (client, one):
        found = _whole(client, one)
    if output == "json":
        echo_json(found)
        return
    for line in _lines(found):
        click.echo(harmless(line))


def _whole(client: Asker, one: ScheduleSummary) -> ScheduleDocument:
    found: ScheduleDocument = client.call(schedules.GET, herd=one.herd, pipeline=one.pipeline)
    return found


def _lines(found: ScheduleDocument) -> Iterator[str]:
    zone = found.schedule.zone
    yield f"{told_name(found)}  {schedule_told(found.schedule)}"
    if found.deployed_ms:
        yield _origin(found, zone)
        if found.parameters:
            yield f"parameters: {', '.join(f'{name}={value}' for name, value in found.parameters.items())}"
    begin_ms = now_ms()
    ticks = islice(ticks_between(found.schedule, begin_ms, begin_ms + FAR_MS), NEXT_SHOWN)
    following = ", ".join(told(tick, zone) for tick in ticks) or "never any more"
    yield f"paused; it would be due {following}" if found.paused else f"next: {following}"
    if found.problem is not None:
        yield f"the last tick made no run: {found.problem}"
    for run in found.runs:
        yield _run_line(run, zone)
    for one in found.backfills:
        yield _backfill_line(one)


def _origin(found: ScheduleDocument, zone: str) -> str:
    changes = ", with changes of its own" if found.dirty else ""
    commit = f", commit {found.commit[:12]}{changes}" if found.commit else ""
    return f"{found.file}, deployed {told(found.deployed_ms, zone)} by {found.deployed_by}{commit}"


def _run_line(run: TickRun, zone: str) -> str:
    why = f"  {run.error}" if run.error is not None else ""
    of = f"  backfill {short(run.backfill)}" if run.backfill else ""
    return f"  {told(run.tick_ms, zone)}  run {short(run.run)}  {run.state}{why}{of}"


def _backfill_line(one: BackfillSummary) -> str:
    begun = f"{one.begun:,} of {counted(one.ticks, 'run')} made"
    under_way = f", {one.living:,} under way" if one.living else ""
    stopped = ", stopped" if one.stopped else ""
    problem = f"; {one.problem}" if one.problem is not None else ""
    return f"  backfill {short(one.backfill)}: {begun}, {one.at_once} at a time{under_way}{stopped}{problem}"


def _next(one: ScheduleDocument) -> str:
    if one.paused:
        return "paused"
    return NEVER if one.next_ms is None else told(one.next_ms, one.schedule.zone)


def _last(one: ScheduleDocument) -> str:
    if one.problem_code is not None:
        return one.problem_code
    return f"{short(one.runs[0].run)} {one.runs[0].state}" if one.runs else NEVER
