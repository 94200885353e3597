"""`@schedule`: read into the calendar that it says, and said to a person again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from runink.calendars import (
    EVERY_MS_MAX,
    EVERY_MS_MIN,
    UTC_NAME,
    Missed,
    Overlap,
    Schedule,
    checked_cron,
    checked_zone,
    moment,
    next_tick,
    told,
)
from runink.dsl.arguments import Arguments
from runink.errors import Invalid
from runink.quantities import format_duration, parse_duration

T = TypeVar("T")

_LESS: Final = "leave one of them away"
_MISSED: Final = {one.value: "" for one in Missed}
_OVERLAP: Final = {one.value: "" for one in Overlap}
_SAID_MISSED: Final = {
    Missed.SKIP: "missed ticks are left out",
    Missed.LAST: "of missed ticks the last one is run",
    Missed.ALL: "missed ticks are all run",
}
_SAID_OVERLAP: Final = {
    Overlap.ALLOW: "runs may overlap",
    Overlap.FORBID: "one run at a time",
    Overlap.REPLACE: "a new run takes the place of one under way",
}


def schedule_of(arguments: Arguments) -> Schedule | None:
    """Return the schedule that an annotation says, or nothing where something of it is wrong, which has been told then."""
    if arguments.has("cron") and arguments.has("every"):
        arguments.unfit("every", "a schedule has cron or every, not both", _LESS, "D016")
    if arguments.has("tz") and arguments.has("timezone"):
        arguments.unfit("timezone", "tz and timezone are the same, said twice", _LESS, "D016")
    zone = _zone(arguments, "timezone" if arguments.has("timezone") else "tz")
    cron = _read(arguments, "cron", checked_cron) or ""
    every_ms = arguments.quantity("every", parse_duration) or 0
    if (every_ms and not (EVERY_MS_MIN <= every_ms <= EVERY_MS_MAX)) or every_ms % 1000:
        hint = "as in every=15m"
        arguments.unfit("every", "every is whole seconds, from 1 second to 366 days", hint)
    missed = arguments.choice("missed", _MISSED)
    overlap = arguments.choice("overlap", _OVERLAP)
    deadline_ms = arguments.quantity("deadline", parse_duration) or 0
    if (missed, overlap) == (Missed.ALL.value, Overlap.REPLACE.value):
        text = "each missed tick would take the place of the one before"
        arguments.unfit("missed", text, "overlap=replace goes with missed=last or skip", "D016")
    start_ms = _read(arguments, "start", lambda text: moment(text, zone)) or 0
    end_ms = _read(arguments, "end", lambda text: moment(text, zone)) or 0
    if not arguments.is_usable:
        return None
    schedule = Schedule(
        cron,
        every_ms,
        zone,
        Missed(missed) if missed else Missed.LAST,
        Overlap(overlap) if overlap else Overlap.FORBID,
        deadline_ms,
        start_ms,
        end_ms,
    )
    if next_tick(schedule, 0) is None:
        hint = "end is the first moment that is no tick any more"
        arguments.unfit("end", "the schedule is over before it is first due", hint)
        return None
    return schedule


def _zone(arguments: Arguments, name: str) -> str:
    return _read(arguments, name, checked_zone) or UTC_NAME


def _read(arguments: Arguments, name: str, parse: Callable[[str], T]) -> T | None:
    """Return what `parse` makes of an argument, or nothing where it is not there or cannot be read."""
    text = arguments.text(name)
    if text is None or not arguments.is_usable:
        return None
    try:
        return parse(text.value)
    except Invalid as error:
        arguments.unfit(name, error.text, error.hint)
        return None


def schedule_told(schedule: Schedule | msgspec.UnsetType) -> str:
    """Say a schedule in a line."""
    if isinstance(schedule, msgspec.UnsetType):
        return "none"
    parts = [
        when_told(schedule),
        f"from {told(schedule.start_ms, schedule.zone)}" if schedule.start_ms else "",
        f"before {told(schedule.end_ms, schedule.zone)}" if schedule.end_ms else "",
        _SAID_OVERLAP[schedule.overlap],
        _SAID_MISSED[schedule.missed],
        f"cancelled after {format_duration(schedule.deadline_ms)}" if schedule.deadline_ms else "",
    ]
    return ", ".join(filter(None, parts))


def when_told(schedule: Schedule) -> str:
    """Say in a few words when it is due."""
    when = schedule.cron or f"every {format_duration(schedule.every_ms)}"
    return f"{when} in {schedule.zone}"
