"""Rows of operations on schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import backfill_key, schedule_key
from runink.calendars import Schedule
from runink.names import HerdName, PipelineName
from runink.runs.schedule_records import BackfillRecord, ScheduleRecord
from runink.testing.served import NOW_MS, Served

DAILY = PipelineName("daily")
ID = "01JDYX5K3QW8R2M4N6P7S9T0V1"
OF = {"pipeline": DAILY}


async def in_force(world: Served, herd: str) -> Mapping[str, Any]:
    """Have a schedule in the herd, and a backfill of it."""
    whose = HerdName(herd)
    schedule = ScheduleRecord(whose, DAILY, f"of-{herd}", Schedule(every_ms=3_600_000), NOW_MS)
    await world.barn.put(schedule_key(whose, DAILY), schedule)
    backfill = BackfillRecord(ID, whose, DAILY, (NOW_MS,), 1, NOW_MS)
    await world.barn.put(backfill_key(whose, DAILY, ID), backfill)
    return {}


SCHEDULE_ROWS: dict[str, Row] = {
    "schedules.list": Row(prepare=in_force, shows=DAILY),
    "schedules.get": Row(OF, prepare=in_force),
    "schedules.pause": Row(OF, prepare=in_force),
    "schedules.resume": Row(OF, prepare=in_force),
    "schedules.delete": Row(OF, prepare=in_force),
    "schedules.trigger": Row(OF, prepare=in_force),
    "schedules.backfills.create": Row(
        {**OF, "from": "2026-11-01", "to": "2026-11-02", "dry_run": True}, prepare=in_force
    ),
    "schedules.backfills.list": Row(OF, prepare=in_force),
    "schedules.backfills.stop": Row({**OF, "backfill": ID}, prepare=in_force),
}
