"""Ticks are what one finds who steps through all minutes and looks at the clock, over every change of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.calendars import (
    Schedule,
    checked_cron,
    interval_start,
    last_tick,
    moment,
    next_tick,
    ticks_between,
    told,
)
from runink.errors import Invalid

MINUTE = timedelta(minutes=1)
MINUTE_MS = 60_000
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
# A day before a change of the clock: by an hour, half an hour, two hours; at midnight; a whole day that was left out.
CHANGES = [
    ("Europe/Berlin", "2026-03-28"),
    ("Europe/Berlin", "2026-10-24"),
    ("America/New_York", "2026-03-07"),
    ("America/New_York", "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Antarctica/Troll", "2026-03-28"),
    ("Antarctica/Troll", "2026-10-24"),
    ("America/Asuncion", "2023-09-30"),
    ("Pacific/Apia", "2011-12-28"),
    ("Asia/Kathmandu", "2026-01-31"),
    ("UTC", "2028-02-27"),
]
DAYS = 3


def numbers(field: str, least: int, most: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or (most if step else first)) + 1, int(step or 1)))
    return found


def asked_for(line: str) -> Callable[[datetime], bool]:
    """Return what says whether a clock that shows this is what the line asks for."""
    fields = line.split()
    minute, hour, day, month, weekday = (
        numbers(field, *ends) for field, ends in zip(fields, RANGES, strict=True)
    )
    whole = all if "*" in (fields[2][0], fields[4][0]) else any

    def is_meant(at: datetime) -> bool:
        if at.minute not in minute or at.hour not in hour or at.month not in month:
            return False
        return whole((at.day in day, bool({at.isoweekday() % 7, at.isoweekday()} & weekday)))

    return is_meant


def stepped(line: str, zone: str, begin_ms: int, end_ms: int) -> list[int]:
    """Return the ticks behind `begin_ms`, up to and with `end_ms`, found minute by minute."""
    is_fixed = not line.startswith("*") and not line.split()[1].startswith("*")
    is_meant = asked_for(line)
    found: list[int] = []
    seen: set[datetime] = set()
    before: datetime | None = None
    first_ms = (begin_ms // MINUTE_MS - 26 * 60) * MINUTE_MS  # what was shown already
    for at_ms in range(first_ms, end_ms + 1, MINUTE_MS):
        at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
        shown = at.replace(tzinfo=None, fold=0)
        passed = [shown]
        if is_fixed and before is not None:  # what the clock has passed over comes now
            jump = (shown - before) // MINUTE
            passed += [before + MINUTE * step for step in range(1, max(jump, 1))]
        if any(is_meant(one) for one in passed if not (is_fixed and one in seen)):
            found.append(at_ms)
        seen.update(passed)
        before = shown
    return [at_ms for at_ms in found if at_ms > begin_ms]


def field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    simple = st.one_of(number.map(str), span)
    step = st.integers(1, max(most // 2, 1))
    stepped = st.tuples(st.one_of(span, st.just("*")), step).map(lambda one: f"{one[0]}/{one[1]}")
    items = st.lists(st.one_of(simple, stepped), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), number.map(str), items)


LINES = st.tuples(
    field(0, 59),
    st.one_of(field(0, 23), field(0, 4)),
    st.one_of(st.just("*"), field(1, 31)),
    st.just("*"),
    st.one_of(st.just("*"), field(0, 7)),
).map(" ".join)


@settings(max_examples=100)
@given(LINES, st.sampled_from(CHANGES), st.integers(0, 1440 * 60), st.integers(0, 999))
def test_ticks_are_those_found_minute_by_minute(
    line: str, change: tuple[str, str], later_s: int, later_ms: int
) -> None:
    zone, day = change
    try:
        schedule = Schedule(cron=checked_cron(line), zone=zone)
    except Invalid:
        return  # it never comes
    begin_ms = moment(day, zone) + later_s * 1000 + later_ms
    end_ms = moment(day, zone) + DAYS * 1440 * MINUTE_MS
    assert list(ticks_between(schedule, begin_ms, end_ms)) == stepped(line, zone, begin_ms, end_ms)


@settings(max_examples=100)
@given(
    st.one_of(
        LINES.map(lambda line: {"cron": line}),
        st.integers(60, 5000).map(lambda s: {"every_ms": s * 1000}),
    ),
    st.sampled_from(CHANGES),
    st.integers(0, DAYS * 1440 * 60_000),
    st.integers(0, 12 * 60 * 60_000),
    st.sampled_from([{}, {"start_ms": 5_000_000, "end_ms": 99_000_000}]),
)
def test_the_last_tick_is_the_last_of_all(
    when: dict[str, object],
    change: tuple[str, str],
    after: int,
    span: int,
    bounds: dict[str, int],
) -> None:
    zone, day = change
    base_ms = moment(day, zone)
    limits = {name: base_ms + later_ms for name, later_ms in bounds.items()}
    schedule = Schedule(zone=zone, **when, **limits)  # type: ignore[arg-type] # one of two shapes
    after_ms, until_ms = base_ms + after, base_ms + after + span
    try:
        ticks = list(ticks_between(schedule, after_ms, until_ms))
    except Invalid:
        return
    assert last_tick(schedule, after_ms, until_ms) == (ticks[-1] if ticks else None)
    for before, tick in list(pairwise(ticks))[-5:]:
        assert interval_start(schedule, tick) == before
        assert next_tick(schedule, before) == tick


@pytest.mark.parametrize(
    ("line", "zone", "day", "ticks"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["2026-10-25T02:30:00+02:00"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29", ["2026-03-29T03:00:00+02:00"]),
        (
            "0 6 * * *",
            "Pacific/Apia",
            "2011-12-30",  # which was left out
            ["2011-12-31T00:00:00+14:00", "2011-12-31T06:00:00+14:00"],
        ),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-29", []),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-25",
            [f"2026-10-25T02:{rest}" for rest in ("00:00+02:00", "30:00+02:00", "00:00+01:00", "30:00+01:00")],
        ),
        ("0 6-6/2 * * *", "UTC", "2026-12-11", ["2026-12-11T06:00:00+00:00"]),
        ("0 12 L * *", "UTC", "2028-02-29", ["2028-02-29T12:00:00+00:00"]),
        ("0 12 * * fri#2", "UTC", "2026-12-11", ["2026-12-11T12:00:00+00:00"]),
    ],
)  # fmt: skip
def test_a_day_has_the_ticks_that_debians_cron_has(
    line: str, zone: str, day: str, ticks: list[str]
) -> None:
    schedule = Schedule(cron=checked_cron(line), zone=zone)
    begin_ms = moment(day, zone) - 1
    until_ms = begin_ms + 24 * 60 * MINUTE_MS
    assert [told(at, zone) for at in ticks_between(schedule, begin_ms, until_ms)] == ticks


def test_what_is_asked_every_so_often_keeps_its_distance_over_a_change_of_the_clock() -> None:
    start_ms = moment("2026-03-28T12:00", "Europe/Berlin")
    schedule = Schedule(every_ms=24 * 60 * MINUTE_MS, zone="Europe/Berlin", start_ms=start_ms)
    ticks = list(ticks_between(schedule, 0, start_ms + 2 * schedule.every_ms))
    assert [told(at, schedule.zone)[:16] for at in ticks] == [
        "2026-03-28T12:00",
        "2026-03-29T13:00",
        "2026-03-30T13:00",
    ]
