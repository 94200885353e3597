"""`runi schedule run`, `backfill`, `stop`: runs for ticks that have passed, asked for by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace as changed

from runink.barn.keys import BACKFILLS, RUNS, backfill_key
from runink.calendars import Schedule, last_tick, moment, next_tick, ticks_between, told, unbounded
from runink.cli.deploy import NOBODY
from runink.cli.options import output_option, state_option
from runink.cli.schedule_changes import meant, name_argument, of_cluster, told_name
from runink.cli.summary import short
from runink.cli.turns import in_turns
from runink.cli.wording import echo_json, harmless
from runink.clients.barn import Transaction, new_client_id
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.errors import Invalid, NotFound
from runink.names import RunId
from runink.quantities import counted
from runink.runs.records import RunRecord, RunState
from runink.runs.schedule_records import BackfillRecord, ScheduleRecord
from runink.runs.schedules import id_of, occasion_of

TICKS_MAX: Final = 10_000  # of one backfill, which is one record
AT_ONCE_MAX: Final = 100
SHOWN_MAX: Final = 20
_TO_DO_AGAIN: Final = frozenset({RunState.FAILED, RunState.CANCELLED})


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
        at_ms = _tick(record.schedule, tick)
        backfill = BackfillRecord(
            new_client_id(), record.herd, record.pipeline, (at_ms,), 1, now_ms()
        )
        await _put(cluster, backfill)
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


def _tick(schedule: Schedule, wanted: str | None) -> int:
    """Return the tick that is meant. Raises Invalid where there is none then, or it has not come."""
    if wanted is None:
        last = last_tick(unbounded(schedule), 0, now_ms())
        if last is None:
            raise Invalid("no tick has passed yet", code="no_ticks", hint="name one: --tick TIME")
        return last
    at_ms = moment(wanted, schedule.zone)
    if next_tick(unbounded(schedule), at_ms - 1) != at_ms:
        following = next_tick(unbounded(schedule), at_ms)
        hint = f"the next one is {told(following, schedule.zone)}" if following else ""
        raise Invalid(f"{wanted} is no tick", code="no_ticks", hint=hint)
    return at_ms


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
        ticks = _ticks(record.schedule, begin, end)
        done = frozenset() if again else await _done(cluster, record)
        wanted = tuple(tick for tick in ticks if tick not in done)
        made = BackfillRecord(
            new_client_id(), record.herd, record.pipeline, wanted, at_once, now_ms()
        )
        if wanted and not dry_run:
            await _put(cluster, made)
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


def _ticks(schedule: Schedule, begin: str, end: str) -> tuple[int, ...]:
    """Return the ticks of a range that have passed. Raises Invalid for what is no range, and for too many."""
    begin_ms, end_ms = moment(begin, schedule.zone), _end(schedule, end)
    if end_ms < begin_ms:
        raise Invalid(f"{end} is before {begin}", code="no_ticks", hint="--from is the earlier one")
    until_ms = min(end_ms, now_ms())
    found: list[int] = []
    for tick in ticks_between(unbounded(schedule), begin_ms - 1, until_ms):
        if len(found) == TICKS_MAX:
            text = f"there are more than {TICKS_MAX:,} ticks between them"
            raise Invalid(text, code="too_many_ticks", hint="take a shorter range")
        found.append(tick)
    return tuple(found)


def _end(schedule: Schedule, text: str) -> int:
    """Return the last moment that is meant: the end of a day, or a time."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return moment(text, schedule.zone)
    return moment((day + timedelta(days=1)).isoformat(), schedule.zone) - 1


async def _done(cluster: Cluster, record: ScheduleRecord) -> frozenset[int]:
    """Return the ticks that have a run that did not fail, and those that another backfill is about to make one for."""
    runs = await cluster.barn.range(RUNS.prefix(record.herd), RunRecord)
    others = await cluster.barn.range(
        BACKFILLS.prefix(record.herd, record.pipeline), BackfillRecord
    )
    return _ticks_of(record, [found.value for found in runs.items]) | {
        tick
        for found in others.items
        if not found.value.stopped
        for tick in found.value.ticks[found.value.begun :]
    }


def _ticks_of(record: ScheduleRecord, runs: Iterable[RunRecord]) -> frozenset[int]:
    return frozenset(
        one.occasion.tick_ms
        for one in runs
        if one.occasion is not None
        and one.pipeline == record.pipeline
        and one.state not in _TO_DO_AGAIN
    )


async def _put(cluster: Cluster, record: BackfillRecord) -> None:
    await cluster.barn.put(backfill_key(record.herd, record.pipeline, record.id), record)


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
        return [
            await _stopped(cluster, backfill_key(record.herd, record.pipeline, one)) for one in ids
        ]

    found = of_cluster(name, state, ask)
    if not found:
        text = f"{name} has no backfill {backfill_id}".rstrip() + " that is under way"
        raise NotFound(text, code="no_such_backfill", hint="runi schedule show lists them")
    for one in found:
        click.echo(f"backfill {short(one.id)} is stopped: {one.begun:,} of {len(one.ticks):,} runs were made")  # fmt: skip


async def _stopped(cluster: Cluster, key: str) -> BackfillRecord:
    async def turn() -> BackfillRecord | None:
        found = await cluster.barn.get(key, BackfillRecord)
        if found is None:
            raise NotFound(f"{key} is not there any more", code="no_such_backfill")
        record = changed(found.value, stopped=True)
        transaction = Transaction().if_revision(key, found.revision).put(key, record)
        return record if (await cluster.barn.commit(transaction)).succeeded else None

    return await in_turns(key, turn)
