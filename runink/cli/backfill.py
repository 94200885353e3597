"""`runi schedule run`, `backfill`, `stop`: runs for ticks that have passed, asked for by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from runink.barn.keys import BACKFILLS
from runink.calendars import told
from runink.cli.deploy import NOBODY
from runink.cli.options import output_option, state_option
from runink.cli.schedule_changes import meant, name_argument, of_cluster, told_name
from runink.cli.summary import short
from runink.cli.wording import echo_json, harmless
from runink.clients.barn import new_client_id
from runink.clients.cluster import Cluster
from runink.clients.schedules import (
    AT_ONCE_MAX,
    put_backfill,
    stop_backfill,
    tick_meant,
    ticks_done,
    ticks_meant,
)
from runink.clock import now_ms
from runink.errors import NotFound
from runink.names import RunId
from runink.quantities import counted
from runink.runs.schedule_records import BackfillRecord, ScheduleRecord
from runink.runs.schedules import id_of, occasion_of

SHOWN_MAX: Final = 20


@click.command("run")
@name_argument
@click.option(
    "--tick", metavar="TIME", help="For this tick; without it the last one that has passed."
)
@output_option
@state_option
def run(name: str, tick: str | None, output: str, state: Path | None) -> None:
    """Make a run now, of what is deployed, whatever is under way: for the last tick, or another one, and also if that had a run."""  # fmt: skip

    async def ask(cluster: Cluster, _: Path) -> tuple[RunId, ScheduleRecord, int, bool]:
        record = (await meant(cluster, name)).value
        at_ms = tick_meant(record.schedule, tick or "", now_ms=now_ms())
        backfill = BackfillRecord(
            new_client_id(), record.herd, record.pipeline, (at_ms,), 1, now_ms()
        )
        await put_backfill(cluster.barn, backfill)
        run_id = id_of(
            record.herd, record.pipeline, occasion_of(record.schedule, at_ms, backfill.id)
        )
        return run_id, record, at_ms, bool(cluster.session)

    run_id, record, at_ms, is_kept_by_nobody = of_cluster(name, state, ask)
    if output == "json":
        echo_json({"run": run_id, "tick_ms": at_ms})
        return
    at = told(at_ms, record.schedule.zone)
    click.echo(harmless(f"{told_name(record)}: run {short(run_id)} for {at}"))
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
@state_option
def backfill(  # noqa: PLR0913, PLR0917 - the options of a command
    name: str,
    begin: str,
    end: str,
    at_once: int,
    again: bool,  # noqa: FBT001 - click gives it by name
    dry_run: bool,  # noqa: FBT001 - as above
    output: str,
    state: Path | None,
) -> None:
    """Make runs for the ticks of a range of the past, oldest first, so many at a time, beside what the schedule does.

    What is deployed now is run. Times are the schedule's time zone's; its start and end do not count here.
    """  # fmt: skip

    async def ask(cluster: Cluster, _: Path) -> tuple[ScheduleRecord, BackfillRecord, int, bool]:
        record = (await meant(cluster, name)).value
        ticks = ticks_meant(record.schedule, begin, end, now_ms=now_ms())
        done = frozenset() if again else await ticks_done(cluster.barn, record)
        wanted = tuple(tick for tick in ticks if tick not in done)
        made = BackfillRecord(
            new_client_id(), record.herd, record.pipeline, wanted, at_once, now_ms()
        )
        if wanted and not dry_run:
            await put_backfill(cluster.barn, made)
        return record, made, len(ticks) - len(wanted), bool(cluster.session)

    record, made, left_away, is_kept_by_nobody = of_cluster(name, state, ask)
    if output == "json":
        document = {"backfill": made.id, "ticks_ms": made.ticks, "left_away": left_away, "dry_run": dry_run}  # fmt: skip
        echo_json(document)
        return
    for line in _lines(record, made, left_away, dry_run=dry_run):
        click.echo(harmless(line))
    if is_kept_by_nobody and made.ticks and not dry_run:
        click.echo(NOBODY, err=True)


def _lines(
    record: ScheduleRecord, made: BackfillRecord, left_away: int, *, dry_run: bool
) -> Iterator[str]:
    ticks, zone = made.ticks, record.schedule.zone
    if not ticks:
        yield f"{told_name(record)}: nothing to do"
    else:
        span = f"{told(ticks[0], zone)} to {told(ticks[-1], zone)}"
        verb = "would be" if dry_run else f"backfill {short(made.id)},"
        yield f"{told_name(record)}: {verb} {counted(len(ticks), 'run')}, {span}, {made.at_once} at a time"
    for tick in ticks[:SHOWN_MAX] if dry_run else ():
        yield f"  {told(tick, zone)}"
    if dry_run and len(ticks) > SHOWN_MAX:
        yield f"  and {len(ticks) - SHOWN_MAX:,} more"
    if left_away:
        yield f"  {counted(left_away, 'tick')} left away: they have a run, or another backfill makes one (--again takes them, too)"


@click.command()
@name_argument
@click.argument("backfill_id", metavar="[BACKFILL]", default="")
@state_option
def stop(name: str, backfill_id: str, state: Path | None) -> None:
    """Let a backfill make no other run, or all of a pipeline's. Runs under way go on: runi cancel ends one."""

    async def ask(cluster: Cluster, _: Path) -> list[BackfillRecord]:
        record = (await meant(cluster, name)).value
        prefix = BACKFILLS.prefix(record.herd, record.pipeline)
        listing = await cluster.barn.range(prefix, BackfillRecord)
        ids = [one.value.id for one in listing.items if not one.value.is_done and one.value.id.startswith(backfill_id.upper())]  # fmt: skip
        found = [
            await stop_backfill(cluster.barn, record.herd, record.pipeline, one) for one in ids
        ]
        return [one.value for one in found]

    found = of_cluster(name, state, ask)
    if not found:
        text = f"{name} has no backfill {backfill_id}".rstrip() + " that is under way"
        raise NotFound(text, code="no_such_backfill", hint="runi schedule show lists them")
    for one in found:
        click.echo(f"backfill {short(one.id)} is stopped: {one.begun:,} of {len(one.ticks):,} runs were made")  # fmt: skip
