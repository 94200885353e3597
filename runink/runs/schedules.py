"""Which tick of a schedule makes a run now: pure, from what the Barn holds and the time.

`seen_ms` is the moment up to which all ticks have been decided on.  It only ever grows, and every decision that makes a run moves it to that run's tick, in the same
transaction.  So no tick makes two runs, whatever becomes of keepers, control nodes and clocks: a clock that is put back finds nothing that is due until it is
where it was.

    a tick behind seen_ms has come and                        the decision
    a run is under way, overlap=forbid                        nothing yet: it is looked at again when that has ended
    ... overlap=replace                                       as below, and that run is to be cancelled
    it is the last one, and no more than ON_TIME_MS ago       a run
    missed=skip                                               none for any that has passed
    missed=last                                               a run for the last that has passed
    missed=all                                                a run for the first; the others follow, each by a decision of its own

A run's id is a function of herd, pipeline, tick and backfill, so that two keepers who would both make it make one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from runink.calendars import (
    Missed,
    Overlap,
    Schedule,
    day_of,
    interval_start,
    last_tick,
    next_tick,
    told,
)
from runink.names import HerdName, PipelineName, RunId, run_id
from runink.runs.records import Occasion
from runink.runs.schedule_records import BackfillRecord

ON_TIME_MS: Final = 60_000  # later than that a tick was missed; a restart of the cluster takes less
_RUN_ENTROPY_BYTES: Final = 10

TICK: Final = "tick"
TICK_DATE: Final = "tick_date"
INTERVAL_START: Final = "interval_start"
INTERVAL_END: Final = "interval_end"
INTERVAL_DATE: Final = "interval_date"


@dataclass(frozen=True, slots=True)
class Due:
    """What becomes of a schedule: `seen_ms` as it is to stand, the `tick` that makes a run, if one does, and whether runs under way are to be cancelled for it.

    `wake_ms` is when to look again if nothing changes before, nothing for never.
    """

    seen_ms: int
    tick: int | None = None
    replaces: bool = False
    wake_ms: int | None = None


def due(schedule: Schedule, *, seen_ms: int, now_ms: int, living: int) -> Due:
    """Say which tick makes a run now. `living` is how many runs of the schedule are under way, those of backfills apart."""
    latest = last_tick(schedule, seen_ms, now_ms)
    if latest is None:
        return Due(seen_ms, wake_ms=next_tick(schedule, max(seen_ms, now_ms)))
    if living and schedule.overlap is Overlap.FORBID:
        return Due(seen_ms)
    tick: int | None = latest
    if schedule.missed is Missed.SKIP and now_ms - latest > ON_TIME_MS:
        tick = None
    elif schedule.missed is Missed.ALL:
        tick = next_tick(schedule, seen_ms)
    seen_ms = latest if tick is None else tick
    wake_ms = next_tick(schedule, seen_ms)
    replaces = tick is not None and living > 0 and schedule.overlap is Overlap.REPLACE
    return Due(seen_ms, tick, replaces=replaces, wake_ms=wake_ms)


def next_of(backfill: BackfillRecord, *, living: int) -> int | None:
    """Return the tick for which a backfill makes its next run now, or nothing. `living` is how many of its runs are under way."""
    if backfill.is_done or living >= backfill.at_once:
        return None
    return backfill.ticks[backfill.begun]


def occasion_of(schedule: Schedule, tick_ms: int, backfill: str = "") -> Occasion:
    """Return what a run for a tick is about."""
    return Occasion(tick_ms, interval_start(schedule, tick_ms), backfill)


def filled_in(schedule: Schedule, occasion: Occasion) -> dict[str, str]:
    """Return the values of the parameters that a tick fills, in the schedule's time zone."""
    zone = schedule.zone
    return {
        TICK: told(occasion.tick_ms, zone),
        TICK_DATE: day_of(occasion.tick_ms, zone).isoformat(),
        INTERVAL_START: told(occasion.interval_start_ms, zone),
        INTERVAL_END: told(occasion.tick_ms, zone),
        INTERVAL_DATE: day_of(occasion.interval_start_ms, zone).isoformat(),
    }


def id_of(herd: HerdName, pipeline: PipelineName, occasion: Occasion) -> RunId:
    """Return the id of the run that a tick makes. It sorts by the tick."""
    name = f"{herd}/{pipeline}/{occasion.tick_ms}/{occasion.backfill}"
    entropy = hashlib.sha256(name.encode()).digest()[:_RUN_ENTROPY_BYTES]
    return run_id(now_ms=occasion.tick_ms, entropy=entropy)
