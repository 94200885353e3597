"""Instants, times of day and durations as text, read in one way for every engine.

    instant        2013-01-31   2013-01-31T06:00   2013-01-31 06:00:00.25   2013-01-31T06:00:00Z   2013-01-31T06:00:00+02:00
    time of day    06:00   06:00:00.25
    duration       90s   1h30m   1.5h   250ms   -5m   7d

A day is its midnight, and what has no zone is UTC.  Microseconds are the finest; what is finer is refused, not rounded.
Years go from 1 to 9999 and durations to 10,000 years, which are CEL's bounds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from typing import Final

DURATION_MAX: Final = timedelta(seconds=315_576_000_000)
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?")
_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(us|µs|ms|s|m|h|d)")
_MICROSECONDS: Final = {
    "us": 1,
    "µs": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}


def instant(text: str) -> datetime | None:
    """Return the instant in UTC, or nothing if the text is none."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def clock(text: str) -> time | None:
    """Return the time of day, or nothing if the text is none."""
    if not _CLOCK.fullmatch(text):
        return None
    try:
        return time.fromisoformat(text)
    except ValueError:
        return None


def duration(text: str) -> timedelta | None:
    """Return the duration, or nothing if the text is none."""
    bare = text.removeprefix("-")
    amounts = _AMOUNT.findall(bare)
    if "".join(amount + unit for amount, unit in amounts) != bare or not amounts:
        return None
    total = sum(
        (Fraction(amount) * _MICROSECONDS[unit] for amount, unit in amounts), start=Fraction()
    )
    if total.denominator != 1 or total > DURATION_MAX // timedelta(microseconds=1):
        return None
    found = timedelta(microseconds=int(total))
    return -found if bare != text else found
