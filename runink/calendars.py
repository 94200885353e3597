"""When a pipeline is due: what `@schedule` says, and the moments, its ticks, that follow from it.

    cron     five fields as Debian's cron reads them, in the schedule's time zone; cronsim finds what a clock shows next (decision 0029), and when that is we say
    every    the same distance all the time, counted from `start`, else from 1970-01-01T00:00Z: days of exactly 24 hours

At the change to and from daylight saving time a cron line is what it is for Debian's cron.  Where neither minute nor hour begins with `*` it names times of a day: one that the
clock passes over comes once, at the first minute behind the gap, and one that it shows twice comes once, the first time.  Any other line is periodic, and follows the clock as it
is: it matches twice what is shown twice, and never what is not shown.

Moments are milliseconds of the Unix epoch.  Everything here is a function of its arguments and of the time zone database of the machine.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import Enum
from functools import cache
from typing import Final

import msgspec

from runink.errors import Invalid

EVERY_MS_MIN: Final = 1_000  # no run is shorter than that with its bookkeeping
EVERY_MS_MAX: Final = 366 * 86_400_000
CRON_CHARACTERS_MAX: Final = 200
UTC_NAME: Final = "UTC"
WORDS: Final = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
_CODE: Final = "invalid_schedule"
_ONE_NUMBER: Final = re.compile(r"\b(\w+)-\1/[1-9]\d*\b")
_FIELDS: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR_MS: Final = 3_600_000
_CHANGE_MS_MAX: Final = 3 * _HOUR_MS  # no clock is put back by more
# How far back it is looked for the last tick, one behind the other: what comes often is found at once, and nothing is further apart than 29 February over a year like 2100.
_WINDOWS_MS: Final = tuple(
    _HOUR_MS * hours for hours in (1, 26, 33 * 24, 367 * 24, 9 * 366 * 24, 51 * 366 * 24)
)


class Missed(Enum):
    """What becomes of ticks that have passed without a run: nothing, a run for the last of them, or one for each."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


class Overlap(Enum):
    """What becomes of a tick while a run of the schedule is under way: a run beside it, it waits (and counts as missed), or it takes that run's place."""

    ALLOW = "allow"
    FORBID = "forbid"
    REPLACE = "replace"


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a pipeline is to run: `cron`, or `every_ms`. `start_ms` is the first moment that may be a tick and `end_ms` the first that may not be, 0 for no such limit.

    A run that has not ended `deadline_ms` after it was made is cancelled, 0 for never.
    """

    cron: str = ""
    every_ms: int = 0
    zone: str = UTC_NAME
    missed: Missed = Missed.LAST
    overlap: Overlap = Overlap.FORBID
    deadline_ms: int = 0
    start_ms: int = 0
    end_ms: int = 0


def checked_cron(text: str) -> str:
    """Return a cron line in its plain form: five fields, or a word like `daily`. Raises Invalid for what is none, or never comes."""
    word = WORDS.get(text.strip().removeprefix("@").lower())
    line = " ".join(text.split()).lower() if word is None else word
    # cronsim reads 6-6/2 as 6/2, which goes on to the end of the field (2.8): a step within one number says nothing.
    line = _ONE_NUMBER.sub(r"\1", line)
    fields = line.split()
    if len(fields) != _FIELDS:
        said = f"a line of cron has {_FIELDS} fields, and this has {len(fields)}"
        hint = f"minute, hour, day, month, weekday, as in 0 1 * * *; or {', '.join(WORDS)}"
        raise Invalid(said, code=_CODE, hint=hint)
    if len(line) > CRON_CHARACTERS_MAX:
        raise Invalid(
            f"a line of cron has {CRON_CHARACTERS_MAX} characters at most",
            code=_CODE,
            hint="write it with ranges and steps",
        )
    if _next_match(line, 0, UTC_NAME) is None:
        raise Invalid(f"{line} never comes", code=_CODE, hint="which month has such a day?")
    return line


def checked_zone(name: str) -> str:
    """Return the name of a time zone. Raises Invalid for one that the machine's time zone database has not got."""
    _zone(name)
    return name


def moment(text: str, zone: str) -> int:
    """Return the moment of `2026-12-01`, `2026-12-01T06:00`, or one with an offset or Z; without one it is the zone's time. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            f"{text!r} is no date or time", code=_CODE, hint="as in 2026-12-01 or 2026-12-01T06:00"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=_zone(zone))
    at_ms = _milliseconds(found)
    if at_ms <= 0:
        raise Invalid(f"{text} is before 1970", code=_CODE, hint="it is a time of a schedule")
    return at_ms


def told(at_ms: int, zone: str) -> str:
    """Return a moment as text that says its offset: `2026-11-29T06:00:00+01:00`."""
    return _local(at_ms, zone).isoformat(timespec="seconds")


def day_of(at_ms: int, zone: str) -> date:
    """Return which day a moment is in the zone."""
    return _local(at_ms, zone).date()


# Ticks.


def next_tick(schedule: Schedule, after_ms: int) -> int | None:
    """Return the first tick behind a moment, or nothing if there is none any more."""
    found = _following(schedule, max(after_ms, schedule.start_ms - 1))
    return None if found is None or _is_over(schedule, found) else found


def ticks_between(schedule: Schedule, after_ms: int, until_ms: int) -> Iterator[int]:
    """Yield the ticks behind one moment up to and with another, in order."""
    at = next_tick(schedule, after_ms)
    while at is not None and at <= until_ms:
        yield at
        at = next_tick(schedule, at)


def last_tick(schedule: Schedule, after_ms: int, until_ms: int) -> int | None:
    """Return the last tick behind one moment up to and with another, or nothing if there is none."""
    if schedule.every_ms:
        if schedule.end_ms:
            until_ms = min(until_ms, schedule.end_ms - 1)
        at = until_ms - (until_ms - schedule.start_ms) % schedule.every_ms
        return at if at > after_ms and at >= schedule.start_ms else None
    for window_ms in _WINDOWS_MS:
        begin_ms = max(after_ms, until_ms - window_ms)
        found = deque(ticks_between(schedule, begin_ms, until_ms), maxlen=1)
        if found or begin_ms == after_ms:
            return found[0] if found else None
    return None


def unbounded(schedule: Schedule) -> Schedule:
    """Return the schedule without its end, and without its start where that is not what `every` counts from."""
    start_ms = schedule.start_ms % schedule.every_ms if schedule.every_ms else 0
    return msgspec.structs.replace(schedule, start_ms=start_ms, end_ms=0)


def interval_start(schedule: Schedule, tick_ms: int) -> int:
    """Return the tick before, by the calendar alone, as if the schedule had no start: from there to the tick is what a run of it is about."""
    if schedule.every_ms:
        return tick_ms - schedule.every_ms
    before = last_tick(unbounded(schedule), tick_ms - _WINDOWS_MS[-1], tick_ms - 1)
    return tick_ms if before is None else before


def _is_over(schedule: Schedule, at_ms: int) -> bool:
    return bool(schedule.end_ms) and at_ms >= schedule.end_ms


def _following(schedule: Schedule, after_ms: int) -> int | None:
    if schedule.every_ms:
        return after_ms + schedule.every_ms - (after_ms - schedule.start_ms) % schedule.every_ms
    return _next_match(schedule.cron, after_ms, schedule.zone)


def _next_match(line: str, after_ms: int, zone: str) -> int | None:
    """Return the first match of a cron line behind a moment, or nothing if fifty years have none. Raises Invalid for what is no such line."""
    after = _local(after_ms, zone)
    clock = after.replace(tzinfo=None, fold=0)
    around = (after_ms - _CHANGE_MS_MAX, after_ms, after_ms + _CHANGE_MS_MAX)
    if len({_local(at_ms, zone).utcoffset() for at_ms in around}) > 1:
        clock -= timedelta(
            milliseconds=_CHANGE_MS_MAX
        )  # what it shows may come, or have come, twice
    best: int | None = None
    for shown in _matches(line, clock):
        for at_ms in _moments(line, shown, after.tzinfo):
            if at_ms > after_ms and (best is None or at_ms < best):
                best = at_ms
        if best is not None and _milliseconds(shown.replace(tzinfo=after.tzinfo)) >= best:
            return best  # what the clock shows after this, it shows later, the second time too
    return best


def _matches(line: str, clock: datetime) -> Iterator[datetime]:
    """Yield what a clock without a zone shows behind `clock` where the line matches. Raises Invalid for what is no such line."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - what never asks for a time does without it, an agent too

    try:
        yield from CronSim(line, clock)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        hint = "a number, *, a range like 1-5, a list of these; */5 is every fifth"
        raise Invalid(f"{line}: the {field} is wrong", code=_CODE, hint=hint) from None


def _moments(line: str, shown: datetime, zone: tzinfo | None) -> Iterator[int]:
    """Yield when the clock of a zone shows this, as far as the line means that: see above."""
    is_periodic = line.startswith("*") or line.split()[1].startswith("*")
    first = shown.replace(tzinfo=zone)
    if _is_passed_over(first):
        if is_periodic:
            return
        while _is_passed_over(first):  # ends: no clock leaves out more than a day
            first += _MINUTE
    yield _milliseconds(first)
    second = shown.replace(tzinfo=zone, fold=1)
    if is_periodic and second.utcoffset() != first.utcoffset():
        yield _milliseconds(second)


def _is_passed_over(at: datetime) -> bool:
    return at.astimezone(UTC).astimezone(at.tzinfo).replace(tzinfo=None) != at.replace(tzinfo=None)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def _local(at_ms: int, zone: str) -> datetime:
    return (_EPOCH + at_ms * _MILLISECOND).astimezone(_zone(zone))


@cache
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - as cronsim

    if name.upper() == UTC_NAME:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "as in Europe/Berlin or UTC"
        raise Invalid(f"there is no time zone {name}", code=_CODE, hint=hint) from None
