"""Schedules and backfills in the Barn: paused, taken out of force, and asked to run for ticks that have passed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Final

from msgspec.structs import replace as changed

from runink.barn.keys import (
    BACKFILLS,
    RUNS,
    SCHEDULES,
    backfill_key,
    deployment_key,
    herd_key,
    schedule_key,
)
from runink.calendars import Schedule, last_tick, moment, next_tick, ticks_between, told, unbounded
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.herds import if_herd
from runink.clients.turns import in_turns
from runink.errors import Invalid, NotFound, QuotaExceeded
from runink.herds.admission import check_open
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName
from runink.runs.records import RunRecord, RunState
from runink.runs.schedule_records import BackfillRecord, ScheduleRecord
from runink.suggestions import near

TICKS_MAX: Final = 10_000  # of one backfill, which is one record
AT_ONCE_MAX: Final = 100
BACKFILLS_MAX: Final = 1_000  # of a pipeline: those that are done go with `runi clean`
_TO_DO_AGAIN: Final = frozenset({RunState.FAILED, RunState.CANCELLED})

# Raises where what was found is not as who asks has read it.
Check = Callable[[Found[ScheduleRecord]], None]


def not_deployed(name: str, known: Iterable[str] = ()) -> NotFound:
    """Return what is told of a pipeline that is not in force. `known` are those that are."""
    names = [one if "/" in name else one.partition("/")[2] for one in known]
    hint = near(name, names) or "runi schedule list shows what is deployed"
    return NotFound(f"no pipeline {name} is deployed", code="not_deployed", hint=hint)


async def get_schedule(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName
) -> Found[ScheduleRecord]:
    """Return the schedule of a pipeline that is in force. Raises NotFound (`not_deployed`)."""
    found = await barn.get(schedule_key(herd, pipeline), ScheduleRecord)
    if found is None:
        listing = await barn.range(SCHEDULES.prefix(herd), ScheduleRecord)
        known = [f"{herd}/{one.value.pipeline}" for one in listing.items]
        raise not_deployed(f"{herd}/{pipeline}", known)
    return found


async def set_paused(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName, *, paused: bool
) -> tuple[Found[ScheduleRecord], bool]:
    """Pause a schedule or have it go on; return it as it stands then, and whether it was paused before. Raises NotFound (`not_deployed`)."""

    async def turn() -> tuple[Found[ScheduleRecord], bool] | None:
        found = await get_schedule(barn, herd, pipeline)
        if found.value.paused == paused:
            return found, paused
        record = changed(found.value, paused=paused)
        transaction = Transaction().if_revision(found.key, found.revision)
        committed = await barn.commit(transaction.put(found.key, record))
        if not committed.succeeded:
            return None
        return changed(found, value=record, revision=committed.revision), not paused

    return await in_turns(f"{herd}/{pipeline}", turn)


async def undeploy(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName, check: Check | None = None
) -> ScheduleRecord:
    """Take a pipeline out of force, with its backfills, and return what its schedule was. Raises NotFound (`not_deployed`), and what `check` raises."""

    async def turn() -> ScheduleRecord | None:
        found = await get_schedule(barn, herd, pipeline)
        if check is not None:
            check(found)
        transaction = (
            Transaction()
            .if_revision(found.key, found.revision)
            .delete(found.key)
            .delete(deployment_key(herd, pipeline))
            .delete_prefix(BACKFILLS.prefix(herd, pipeline))
        )
        return found.value if (await barn.commit(transaction)).succeeded else None

    return await in_turns(f"{herd}/{pipeline}", turn)


def tick_meant(schedule: Schedule, wanted: str, *, now_ms: int) -> int:
    """Return the tick that is meant, the last that has passed if none is named. Raises Invalid (`no_ticks`) where there is none then."""
    if not wanted:
        last = last_tick(unbounded(schedule), 0, now_ms)
        if last is None:
            raise Invalid("no tick has passed yet", code="no_ticks", hint="name one: --tick TIME")
        return last
    at_ms = moment(wanted, schedule.zone)
    if next_tick(unbounded(schedule), at_ms - 1) != at_ms:
        following = next_tick(unbounded(schedule), at_ms)
        hint = f"the next one is {told(following, schedule.zone)}" if following else ""
        raise Invalid(f"{wanted} is no tick", code="no_ticks", hint=hint)
    return at_ms


def ticks_meant(schedule: Schedule, begin: str, end: str, *, now_ms: int) -> tuple[int, ...]:
    """Return the ticks of a range that have passed. Raises Invalid for what is no range, and for too many."""
    begin_ms, end_ms = moment(begin, schedule.zone), _end(schedule, end)
    if end_ms < begin_ms:
        raise Invalid(f"{end} is before {begin}", code="no_ticks", hint="--from is the earlier one")
    found: list[int] = []
    for tick in ticks_between(unbounded(schedule), begin_ms - 1, min(end_ms, now_ms)):
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


async def ticks_done(barn: BarnClient, record: ScheduleRecord) -> frozenset[int]:
    """Return the ticks that have a run that did not fail, and those that another backfill is about to make one for."""
    runs = await barn.range(RUNS.prefix(record.herd), RunRecord)
    others = await barn.range(BACKFILLS.prefix(record.herd, record.pipeline), BackfillRecord)
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


async def put_backfill(barn: BarnClient, record: BackfillRecord) -> Found[BackfillRecord]:
    """Write a backfill; one that is there under its id is the same one. Raises Conflict (`herd_deleted`), QuotaExceeded (`backfills_full`)."""
    key = backfill_key(record.herd, record.pipeline, record.id)

    async def turn() -> Found[BackfillRecord] | None:
        herd = await barn.get(herd_key(record.herd), HerdRecord)
        if herd is not None:
            check_open(herd.value)
        found = await barn.get(key, BackfillRecord)
        if found is not None:
            return found
        prefix = BACKFILLS.prefix(record.herd, record.pipeline)
        if (await barn.range(prefix, BackfillRecord, limit=1)).count >= BACKFILLS_MAX:
            text = f"{record.herd}/{record.pipeline} has {BACKFILLS_MAX:,} backfills"
            raise QuotaExceeded(
                text, code="backfills_full", hint="runi clean forgets those that are done"
            )
        transaction = if_herd(Transaction(), record.herd, herd).if_absent(key).put(key, record)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return Found(key, record, committed.revision, 1, 0, committed.revision)

    return await in_turns(herd_key(record.herd), turn)


async def stop_backfill(
    barn: BarnClient, herd: HerdName, pipeline: PipelineName, backfill: str
) -> Found[BackfillRecord]:
    """Let a backfill make no other run. Raises NotFound (`no_such_backfill`)."""
    key = backfill_key(herd, pipeline, backfill)

    async def turn() -> Found[BackfillRecord] | None:
        found = await barn.get(key, BackfillRecord)
        if found is None:
            raise NotFound(f"{key} is not there any more", code="no_such_backfill")
        record = changed(found.value, stopped=True)
        transaction = Transaction().if_revision(key, found.revision).put(key, record)
        committed = await barn.commit(transaction)
        if not committed.succeeded:
            return None
        return changed(found, value=record, revision=committed.revision)

    return await in_turns(key, turn)
