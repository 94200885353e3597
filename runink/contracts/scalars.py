"""What a single value is taken for: the rules of coercion, one function a kind.

They define what a contract accepts. `coercion.py` does the same to whole columns and comes here only with the values that Arrow's own
casts do not take; whatever those take, these take too, with the same result.

    kind      from text (surrounding blanks do not count)                    from typed values
    int       12, +12, -0012, 12.0 and 12. (no other fraction)               integers; floats and decimals without a fraction
    float     12, 1.5, .5, 1e-3; nan and inf in any case                     integers (rounded beyond 2^53), floats, decimals
    bool      true t yes y on 1, false f no n off 0, in any case             booleans; numbers that are 0 or 1
    str       as it is, blanks and all                                       text; bytes that are UTF-8
    bytes     its UTF-8                                                      bytes
    date      2013-01-31, with a time only if that is midnight (UTC)         dates; timestamps at midnight (UTC)
    datetime  2013-01-31, 2013-01-31T10:00, 2013-01-31 10:00:00.5+02:00      timestamps; dates (their midnight)
    time      10:00, 10:00:30.5                                              times of day
    decimal   as float, without nan and inf                                  integers, decimals; floats by their shortest text

A datetime without a zone is UTC. What is finer than a microsecond is cut off. Years are 1 to 9999. A boolean is no number, a number is no text, and a
number is no datetime, because nobody said of what unit it is. Nothing becomes null on the way: what is not accepted is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final

from runink.contracts.values import INT64_MAX, INT64_MIN

BLANKS: Final = " \t\r\n\f\v"
INT64_DIGITS_MAX: Final = 19  # longer ones are not even parsed: Python's own parser has a limit
DECIMAL_EXPONENT_MAX: Final = (
    99  # 38 digits and all zeros that may surround them; 1e999999999 must not be written out
)

_INT: Final = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(
    r"([+-]?)(?:(nan)(?:\([a-z0-9_]*\))?|(inf(?:inity)?))", re.IGNORECASE
)
_TIME: Final = r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?"
_CLOCK: Final = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?")
_INSTANT: Final = re.compile(
    rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[T ]{_TIME}(Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?"
)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


class Failed(Enum):
    """Why a value is not of its kind; the member's value is the rule's name in reasons."""

    TYPE = "type"
    OVERFLOW = "overflow"
    DIGITS = "digits"
    SCALE = "scale"


def int_of(value: Any) -> int | Failed:
    if isinstance(value, str):
        match = _INT.fullmatch(value.strip(BLANKS))
        if match is None:
            return Failed.TYPE
        if len(match[2]) > INT64_DIGITS_MAX:
            return Failed.OVERFLOW
        number = int(match[1] + match[2])
    elif isinstance(value, (float, Decimal)):
        if not _is_whole(value):
            return Failed.TYPE
        number = int(value)
    else:
        number = value
    return number if INT64_MIN <= number <= INT64_MAX else Failed.OVERFLOW


def _is_whole(value: float | Decimal) -> bool:
    finite = value.is_finite() if isinstance(value, Decimal) else value - value == 0
    return finite and value == int(value)


def float_of(value: str) -> float | Failed:
    text = value.strip(BLANKS)
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _NO_NUMBER.fullmatch(text)
    return float(match[1] + (match[2] or match[3])) if match else Failed.TYPE


def bool_of(value: Any) -> bool | Failed:
    word = value.strip(BLANKS).lower() if isinstance(value, str) else value
    if word in (_TRUE if isinstance(value, str) else (1,)):
        return True
    return False if word in (_FALSE if isinstance(value, str) else (0,)) else Failed.TYPE


def str_of(value: bytes) -> str | Failed:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Failed.TYPE


def date_of(value: str) -> date | Failed:
    instant = datetime_of(value)
    if isinstance(instant, Failed) or instant.time() != time():
        return Failed.TYPE
    return instant.date()


def datetime_of(value: str) -> datetime | Failed:
    match = _INSTANT.fullmatch(value.strip(BLANKS))
    if match is None:
        return Failed.TYPE
    *parts, fraction, zone = match.groups(default="")
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        return datetime(
            year, month, day, hour, minute, second, _microseconds(fraction), UTC
        ) - _offset(zone)
    except (ValueError, OverflowError):
        return Failed.TYPE


def _microseconds(fraction: str) -> int:
    return int(fraction[:6].ljust(6, "0")) if fraction else 0


def _offset(zone: str) -> timedelta:
    """Return how far a zone is ahead of UTC. Raises ValueError if no clock is."""
    if zone in ("", "Z"):
        return timedelta()
    digits = zone[1:].replace(":", "")
    ahead = time(int(digits[:2]), int(digits[2:] or 0))
    minutes = ahead.hour * 60 + ahead.minute
    return timedelta(minutes=-minutes if zone[0] == "-" else minutes)


def time_of(value: str) -> time | Failed:
    match = _CLOCK.fullmatch(value.strip(BLANKS))
    if match is None:
        return Failed.TYPE
    hour, minute, second, fraction = match.groups(default="")
    try:
        return time(int(hour), int(minute), int(second or 0), _microseconds(fraction))
    except ValueError:
        return Failed.TYPE


def decimal_of(digits: int, scale: int) -> Callable[[Any], Decimal | Failed]:
    """Return the function that takes a value for a decimal of `digits`, `scale` of them behind the point."""

    def parse(value: Any) -> Decimal | Failed:
        text = repr(value) if isinstance(value, float) else str(value).strip(BLANKS)
        if not _NUMBER.fullmatch(text):
            return Failed.TYPE
        try:
            number = Decimal(text)
        except InvalidOperation:  # an exponent beyond all that decimals can have
            return Failed.DIGITS
        _, figures, exponent = number.as_tuple()
        assert isinstance(exponent, int), "the text has no nan and no inf"
        if not number:
            return Decimal(0)
        if number.adjusted() > DECIMAL_EXPONENT_MAX or number.adjusted() >= digits - scale:
            return Failed.DIGITS
        zeros = len(figures) - len("".join(map(str, figures)).rstrip("0"))
        return Failed.SCALE if -(exponent + zeros) > scale else number

    return parse
