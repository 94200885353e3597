"""`runi schedule run`, `backfill`, `stop`: runs for ticks that have passed, asked for by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click
import msgspec

from runink.calendars import told
from runink.cli.asking import Where, asks_cluster, ends_with_command
from runink.cli.deploy import NOBODY
from runink.cli.options import output_option
from runink.cli.schedule_changes import meant, name_argument, told_name
from runink.cli.summary import short
from runink.cli.wording import echo_json, harmless
from runink.errors import NotFound
from runink.operations.catalog import schedules
from runink.operations.catalog.schedules import (
    AT_ONCE_MAX,
    BackfillDocument,
    BackfillSummary,
    ScheduleSummary,
    Triggered,
)
from runink.quantities import counted

SHOWN_MAX: Final = 20


@click.command("run")
@name_argument
@click.option(
    "--tick", metavar="TIME", help="For this tick; without it the last one that has passed."
)
@output_option
@asks_cluster
def run(name: str, tick: str | None, output: str, where: Where) -> None:
    """Make a run now, of what is deployed, whatever is under way: for the last tick, or another one, and also if that had a run."""  # fmt: skip
    with meant(where, name) as (client, one):
        fields = {"herd": one.herd, "pipeline": one.pipeline, "tick": tick or ""}
        found: Triggered = client.call(schedules.TRIGGER, **fields)
        is_kept_by_nobody = ends_with_command(client)
    if output == "json":
        echo_json(found)
        return
    at = told(found.tick_ms, one.schedule.zone)
    click.echo(harmless(f"{told_name(one)}: run {short(found.run)} for {at}"))
    if is_kept_by_nobody:
        click.echo(NOBODY, err=True)


@click.command()
@name_argument
@click.option(
    "--from", "begin", metavar="TIME", required=True, help="The first moment, as in 2026-11-01."
)
@click.option(
    "--to", "end", metavar="TIME", required=True, help="The last moment; of a date the whole day."
)
@click.option(
    "--at-once",
    type=click.IntRange(1, AT_ONCE_MAX),
    default=1,
    show_default=True,
    help="How many runs at a time.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Also for ticks that have a run that is under way or has succeeded.",
)
@click.option(
    "-n", "--dry-run", is_flag=True, help="Say which ticks it would be, and make nothing."
)
@output_option
@asks_cluster
def backfill(  # noqa: PLR0913 - the options of a command
    *,
    name: str,
    begin: str,
    end: str,
    at_once: int,
    again: bool,
    dry_run: bool,
    output: str,
    where: Where,
) -> None:
    """Make runs for the ticks of a range of the past, oldest first, so many at a time, beside what the schedule does.

    What is deployed now is run. Times are the schedule's time zone's; its start and end do not count here.
    """  # fmt: skip
    said = {"begin": begin, "end": end, "at_once": at_once, "again": again, "dry_run": dry_run}
    with meant(where, name) as (client, one):
        fields = {"herd": one.herd, "pipeline": one.pipeline, **said}
        made: BackfillDocument = client.call(schedules.BACKFILL, **fields)
        is_kept_by_nobody = ends_with_command(client)
    if output == "json":
        echo_json({**msgspec.to_builtins(made), "dry_run": dry_run})
        return
    for line in _lines(one, made, dry_run=dry_run):
        click.echo(harmless(line))
    if is_kept_by_nobody and made.ticks and not dry_run:
        click.echo(NOBODY, err=True)


def _lines(one: ScheduleSummary, made: BackfillDocument, *, dry_run: bool) -> Iterator[str]:
    ticks, zone = made.ticks_ms, one.schedule.zone
    if not ticks:
        yield f"{told_name(one)}: nothing to do"
    else:
        span = f"{told(ticks[0], zone)} to {told(ticks[-1], zone)}"
        verb = "would be" if dry_run else f"backfill {short(made.backfill)},"
        yield f"{told_name(one)}: {verb} {counted(len(ticks), 'run')}, {span}, {made.at_once} at a time"
    for tick in ticks[:SHOWN_MAX] if dry_run else ():
        yield f"  {told(tick, zone)}"
    if dry_run and len(ticks) > SHOWN_MAX:
        yield f"  and {len(ticks) - SHOWN_MAX:,} more"
    if made.left_away:
        yield f"  {counted(made.left_away, 'tick')} left away: they have a run, or another backfill makes one (--again takes them, too)"


@click.command()
@name_argument
@click.argument("backfill_id", metavar="[BACKFILL]", default="")
@asks_cluster
def stop(name: str, backfill_id: str, where: Where) -> None:
    """Let a backfill make no other run, or all of a pipeline's. Runs under way go on: runi cancel ends one."""
    with meant(where, name) as (client, one):
        of = {"herd": one.herd, "pipeline": one.pipeline}
        known: list[BackfillSummary] = list(client.call(schedules.BACKFILLS, **of))
        ids = [
            each.backfill
            for each in known
            if not each.stopped
            and each.begun < each.ticks
            and each.backfill.startswith(backfill_id.upper())
        ]
        found: list[BackfillDocument] = [
            client.call(schedules.STOP, backfill=each, **of) for each in ids
        ]
    if not found:
        text = f"{name} has no backfill {backfill_id}".rstrip() + " that is under way"
        raise NotFound(text, code="no_such_backfill", hint="runi schedule show lists them")
    for each in found:
        click.echo(f"backfill {short(each.backfill)} is stopped: {each.begun:,} of {each.ticks:,} runs were made")  # fmt: skip
