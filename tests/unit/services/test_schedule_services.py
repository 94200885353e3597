"""What is in force: when it is due, paused by who may, and run for ticks of the past, once however often that is asked."""

from __future__ import annotations

from typing import Any

import pytest
from runink.barn.keys import BACKFILLS, run_key, schedule_key
from runink.calendars import Schedule
from runink.clients.herds import create_herd
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName
from runink.operations.calls import Condition
from runink.operations.catalog import schedules
from runink.runs.records import RunRecord, RunState
from runink.runs.schedule_records import BackfillRecord, ScheduleRecord
from runink.runs.schedules import id_of, occasion_of
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
SALES, DAILY = HerdName("sales"), PipelineName("daily")
HOUR_MS = 3_600_000
HOURLY = Schedule(every_ms=HOUR_MS)  # NOW_MS is a whole hour of the epoch, so it is a tick
LAST_MS = NOW_MS
AT = {"herd": SALES, "pipeline": DAILY}
OPAL, VIC = person("opal"), person("vic")
BINDINGS = [
    bound("operators", "operator", OPAL.subject, herd=SALES),
    bound("viewers", "viewer", VIC.subject, herd=SALES),
]


async def in_force(cluster: Served) -> None:
    await create_herd(cluster.barn, HerdRecord(SALES), By("operator:root", NOW_MS))
    record = ScheduleRecord(SALES, DAILY, "v", HOURLY, NOW_MS)
    await cluster.barn.put(schedule_key(SALES, DAILY), record)


async def ran(cluster: Served, tick_ms: int, state: RunState) -> str:
    """Have a run for a tick."""
    occasion = occasion_of(HOURLY, tick_ms)
    run = id_of(SALES, DAILY, occasion)
    record = RunRecord(
        run=run,
        herd=SALES,
        pipeline=DAILY,
        version="v",
        title="",
        file="daily.dsl",
        project="/p",
        bundle="b",
        state=state,
        submitted_ms=tick_ms,
        occasion=occasion,
    )
    await cluster.barn.put(run_key(SALES, run), record)
    return run


async def backfilled(cluster: Served) -> list[BackfillRecord]:
    listing = await cluster.barn.range(BACKFILLS.prefix(SALES, DAILY), BackfillRecord)
    return [one.value for one in listing.items]


async def test_a_schedule_says_when_it_is_due_and_what_its_ticks_came_to():
    async with served(bindings=BINDINGS) as cluster:
        await in_force(cluster)
        runs = [await ran(cluster, LAST_MS - at * HOUR_MS, RunState.SUCCEEDED) for at in (2, 1)]
        (listed,) = (await cluster.ask(schedules.LIST, VIC, herd=SALES)).items
        assert (listed.pipeline, listed.next_ms) == (DAILY, LAST_MS + HOUR_MS)
        shown = await cluster.ask(schedules.GET, VIC, **AT)
        assert [one.run for one in shown.runs] == runs[::-1]
        assert shown.revision == listed.revision


async def test_ticks_pass_while_it_is_paused():
    async with served(bindings=BINDINGS) as cluster:
        await in_force(cluster)
        paused = await cluster.ask(schedules.PAUSE, OPAL, **AT)
        assert (paused.paused, paused.next_ms) == (True, None)
        assert await cluster.ask(schedules.PAUSE, OPAL, **AT) == paused
        resumed = await cluster.ask(schedules.RESUME, OPAL, **AT)
        assert (resumed.paused, resumed.next_ms) == (False, LAST_MS + HOUR_MS)
        for operation in (schedules.PAUSE, schedules.TRIGGER):
            with pytest.raises(Forbidden):
                await cluster.ask(operation, VIC, **AT)


async def test_a_run_is_asked_for_once_however_often_that_is_said():
    once = f"{NOW_MS:012x}" + "cd" * 32
    async with served(bindings=BINDINGS) as cluster:
        await in_force(cluster)
        first = await cluster.ask(schedules.TRIGGER, OPAL, once=once, **AT)
        cluster.now_ms += HOUR_MS
        assert await cluster.ask(schedules.TRIGGER, OPAL, once=once, **AT) == first
        assert first.tick_ms == LAST_MS
        (backfill,) = await backfilled(cluster)
        assert backfill.ticks == (LAST_MS,)
        assert first.run == id_of(SALES, DAILY, occasion_of(HOURLY, LAST_MS, backfill.id))
        named = await cluster.ask(schedules.TRIGGER, OPAL, tick="2027-01-15T00:00", **AT)
        assert named.tick_ms < LAST_MS
        with pytest.raises(Invalid) as refused:
            await cluster.ask(schedules.TRIGGER, OPAL, tick="2027-01-15T00:01", **AT)
        assert refused.value.code == "no_ticks"


async def test_a_backfill_leaves_ticks_away_that_have_a_run():
    async with served(bindings=BINDINGS) as cluster:
        await in_force(cluster)
        await ran(cluster, LAST_MS - HOUR_MS, RunState.SUCCEEDED)
        await ran(cluster, LAST_MS - 2 * HOUR_MS, RunState.FAILED)
        span: dict[str, Any] = {"from": "2027-01-15T05:00", "to": "2027-01-15"}
        tried = await cluster.ask(schedules.BACKFILL, OPAL, dry_run=True, **span, **AT)
        assert tried.ticks_ms == (LAST_MS - 3 * HOUR_MS, LAST_MS - 2 * HOUR_MS, LAST_MS)
        assert tried.left_away == 1
        assert await backfilled(cluster) == []
        made = await cluster.ask(schedules.BACKFILL, OPAL, at_once=2, again=True, **span, **AT)
        assert (len(made.ticks_ms), made.left_away, made.at_once) == (4, 0, 2)
        (listed,) = (await cluster.ask(schedules.BACKFILLS, VIC, **AT)).items
        assert (listed.backfill, listed.ticks, listed.last_ms) == (made.backfill, 4, LAST_MS)
        stopped = await cluster.ask(schedules.STOP, OPAL, backfill=made.backfill, **AT)
        assert stopped.stopped
        with pytest.raises(Invalid):
            await cluster.ask(schedules.BACKFILL, OPAL, **{"from": "2027-01-15", "to": "2027-01-14"}, **AT)  # fmt: skip


async def test_a_pipeline_is_taken_out_of_force_as_it_was_read():
    async with served() as cluster:
        await in_force(cluster)
        shown = await cluster.ask(schedules.GET, **AT)
        await cluster.ask(schedules.PAUSE, **AT)
        with pytest.raises(Conflict) as refused:
            await cluster.ask(
                schedules.DELETE, condition=Condition(frozenset({shown.revision})), **AT
            )
        assert refused.value.code == "precondition_failed"
        await cluster.ask(schedules.DELETE, condition=Condition(is_any=True), **AT)
        with pytest.raises(NotFound) as gone:
            await cluster.ask(schedules.GET, **AT)
        assert gone.value.code == "not_deployed"
