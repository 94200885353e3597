"""Which tick makes a run, and what becomes of those that passed."""

from __future__ import annotations

import pytest
from runink.calendars import Missed, Overlap, Schedule, moment
from runink.names import HerdName, PipelineName
from runink.runs.records import Occasion
from runink.runs.schedule_records import BackfillRecord
from runink.runs.schedules import Due, due, filled_in, id_of, next_of, occasion_of

HERD, PIPELINE = HerdName("analytics"), PipelineName("daily")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOON = moment("2026-11-29T12:00", "UTC")


def hourly(missed: Missed = Missed.LAST, overlap: Overlap = Overlap.FORBID) -> Schedule:
    return Schedule(cron="0 * * * *", missed=missed, overlap=overlap)


def test_before_a_tick_nothing_is_due_and_it_is_looked_at_again_then() -> None:
    found = due(hourly(), seen_ms=NOON, now_ms=NOON + MINUTE, living=0)
    assert found == Due(NOON, wake_ms=NOON + HOUR)


@pytest.mark.parametrize("missed", list(Missed))
def test_a_tick_that_has_just_come_makes_a_run_whatever_becomes_of_missed_ones(
    missed: Missed,
) -> None:
    found = due(hourly(missed), seen_ms=NOON, now_ms=NOON + HOUR + 5, living=0)
    assert found == Due(NOON + HOUR, NOON + HOUR, wake_ms=NOON + 2 * HOUR)


@pytest.mark.parametrize(
    ("missed", "tick", "seen_ms", "wake_ms"),
    [
        (Missed.SKIP, None, NOON + 5 * HOUR, NOON + 6 * HOUR),
        (Missed.LAST, NOON + 5 * HOUR, NOON + 5 * HOUR, NOON + 6 * HOUR),
        (Missed.ALL, NOON + HOUR, NOON + HOUR, NOON + 2 * HOUR),
    ],
)
def test_of_ticks_that_passed_none_the_last_or_all_make_runs(
    missed: Missed, tick: int | None, seen_ms: int, wake_ms: int
) -> None:
    found = due(hourly(missed), seen_ms=NOON, now_ms=NOON + 5 * HOUR + 10 * MINUTE, living=0)
    assert found == Due(seen_ms, tick, wake_ms=wake_ms)


def test_while_a_run_is_under_way_a_tick_waits_and_is_then_as_one_that_was_missed() -> None:
    late_ms = NOON + HOUR + 10 * MINUTE
    assert due(hourly(), seen_ms=NOON, now_ms=late_ms, living=1) == Due(NOON)
    assert due(hourly(), seen_ms=NOON, now_ms=late_ms, living=0).tick == NOON + HOUR
    assert due(hourly(Missed.SKIP), seen_ms=NOON, now_ms=late_ms, living=0).tick is None


def test_runs_may_overlap_or_take_each_others_place() -> None:
    now_ms = NOON + HOUR
    beside = due(hourly(overlap=Overlap.ALLOW), seen_ms=NOON, now_ms=now_ms, living=1)
    instead = due(hourly(overlap=Overlap.REPLACE), seen_ms=NOON, now_ms=now_ms, living=1)
    alone = due(hourly(overlap=Overlap.REPLACE), seen_ms=NOON, now_ms=now_ms, living=0)
    assert (beside.tick, beside.replaces) == (now_ms, False)
    assert (instead.tick, instead.replaces) == (now_ms, True)
    assert (alone.tick, alone.replaces) == (now_ms, False)


def test_a_clock_that_was_put_back_makes_no_tick_come_twice() -> None:
    found = due(hourly(), seen_ms=NOON, now_ms=NOON - 3 * HOUR, living=0)
    assert found == Due(NOON, wake_ms=NOON + HOUR)


def test_behind_its_end_a_schedule_is_never_looked_at_again() -> None:
    schedule = Schedule(cron="0 * * * *", end_ms=NOON + 1)
    assert due(schedule, seen_ms=NOON, now_ms=NOON + DAY, living=0) == Due(NOON)


def test_a_run_knows_its_tick_and_the_interval_before_it_in_the_schedules_zone() -> None:
    schedule = Schedule(cron="0 6 * * *", zone="Europe/Berlin")
    tick_ms = moment("2026-03-29T06:00", "Europe/Berlin")
    assert filled_in(schedule, occasion_of(schedule, tick_ms)) == {
        "tick": "2026-03-29T06:00:00+02:00",
        "tick_date": "2026-03-29",
        "interval_start": "2026-03-28T06:00:00+01:00",
        "interval_end": "2026-03-29T06:00:00+02:00",
        "interval_date": "2026-03-28",
    }


def test_the_id_of_a_run_says_which_tick_of_which_pipeline_made_it() -> None:
    one = Occasion(NOON, NOON - HOUR)
    ids = {
        id_of(HERD, PIPELINE, one),
        id_of(HERD, PIPELINE, Occasion(NOON, NOON - DAY)),
        id_of(HERD, PIPELINE, Occasion(NOON, NOON - HOUR, "01J")),
        id_of(HERD, PipelineName("other"), one),
        id_of(HerdName("other"), PIPELINE, one),
        id_of(HERD, PIPELINE, Occasion(NOON + HOUR, NOON)),
    }
    assert len(ids) == 5
    assert id_of(HERD, PIPELINE, one) < id_of(HERD, PIPELINE, Occasion(NOON + HOUR, NOON))


def test_a_backfill_makes_so_many_runs_at_once_in_order_until_it_is_stopped() -> None:
    backfill = BackfillRecord("01J", HERD, PIPELINE, (1, 2, 3), at_once=2, asked_ms=0)
    assert next_of(backfill, living=1) == 1
    assert next_of(backfill, living=2) is None
    begun = BackfillRecord("01J", HERD, PIPELINE, (1, 2, 3), at_once=2, asked_ms=0, begun=2)
    assert next_of(begun, living=0) == 3
    stopped = BackfillRecord(
        "01J", HERD, PIPELINE, (1, 2), at_once=2, asked_ms=0, begun=1, stopped=True
    )
    assert next_of(stopped, living=0) is None
