"""What a single value is taken for: the rules of coercion, one function a kind.

They define what a contract accepts. `coercion.py` does the same to whole columns and comes here only with the values that Arrow's own
casts do not take; whatever those take, these take too, with the same result.

SAFE, the default, takes what loses nothing:

    kind      from text (surrounding blanks do not count)                    from typed values
    int       12, +12, -0012, 12.0 and 12. (no other fraction)               integers; floats and decimals without a fraction
    float     12, 1.5, .5, 1e-3; nan and inf in any case                     floats, decimals; integers that a double holds exactly
    bool      true and false, in any case                                    booleans
    str       as it is, blanks and all                                       text; bytes that are UTF-8
    bytes     its UTF-8                                                      bytes
    date      2013-01-31, with a time only if that is midnight (UTC)         dates; timestamps at midnight (UTC)
    datetime  2013-01-31, 2013-01-31T10:00, 2013-01-31 10:00:00.5+02:00      timestamps; dates (their midnight)
    time      10:00, 10:00:30.5                                              times of day
    decimal   as float, without nan and inf                                  integers, decimals; floats by their shortest text
    record    a JSON object                                                  structs; maps from text
    list      a JSON array                                                   lists of any layout

LENIENT takes that, and what loses something that nobody would miss or makes something of another kind:

    int       12.7 and 1e3 (the fraction is cut), 1,234,567                  floats and decimals with a fraction (cut); booleans (1 and 0)
    float     1,234.5                                                        all integers (rounded); booleans
    bool      t yes y on 1, f no n off 0, in any case                        numbers that are 0 or 1
    str                                                                      numbers, booleans, dates and times, as their text
    date      with a time, which is cut (UTC)                                timestamps, likewise
    datetime  finer than a microsecond, which is cut                         likewise
    time      finer than a microsecond, which is cut                         likewise
    decimal   more places than the field has (rounded half to even); 1,234.5 likewise; booleans

STRICT takes values of the kind, and of text only the one canonical form (no blanks around it):

    int       12, -5 (no +, no leading zeros)                                integers
    float     as JSON writes numbers: 12, 1.5, 1e-3; nan, inf, -inf          floats
    bool      true, false                                                    booleans
    str       as it is                                                       text
    bytes     its UTF-8                                                      bytes
    date      2013-01-31                                                     dates
    datetime  2013-01-31T10:00:00.5+02:00 or Z: with seconds and a zone      timestamps with a zone
    time      10:00:30.5                                                     times of day
    decimal   12, -1.50                                                      decimals

A datetime without a zone is UTC (not in STRICT). Years are 1 to 9999. A boolean is no number, a number is no text (but in LENIENT), and a number is no datetime,
because nobody said of what unit it is. Nothing becomes null on the way: what is not accepted is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
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
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_WORDS: Final = {"true": True, "false": False}
_MANY_WORDS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
MICROSECOND_DIGITS: Final = 6


class Failed(Enum):
    """Why a value is not of its kind; the member's value is the rule's name in reasons."""

    TYPE = "type"
    OVERFLOW = "overflow"
    DIGITS = "digits"
    SCALE = "scale"
    PRECISION = "precision"


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


def lenient_int_of(value: Any) -> int | Failed:
    if isinstance(value, str):
        text = _ungrouped(value)
        if _INT.fullmatch(text):
            return int_of(text)
        if not _NUMBER.fullmatch(text):
            return Failed.TYPE
        return _cut(_decimal(text))
    if isinstance(value, float):
        return Failed.TYPE if value - value != 0 else _cut(Decimal(value))
    return _cut(value) if isinstance(value, Decimal) and value.is_finite() else int_of(value)


def _cut(number: Decimal | None) -> int | Failed:
    """Return a number without its fraction."""
    if number is None or (number and number.adjusted() >= INT64_DIGITS_MAX):
        return Failed.OVERFLOW
    return int_of(int(number))


def _decimal(text: str) -> Decimal | None:
    """Return the number that a text says, nothing if its exponent is beyond all that decimals can have."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _ungrouped(text: str) -> str:
    """Take the blanks off a number, and the commas between its thousands."""
    bare = text.strip(BLANKS)
    return bare.replace(",", "") if _GROUPED.fullmatch(bare) else bare


def float_of(value: Any) -> float | Failed:
    if not isinstance(value, str):
        return float(value) if int(float(value)) == value else Failed.PRECISION
    text = value.strip(BLANKS)
    if _NUMBER.fullmatch(text):
        return float(text)
    match = _NO_NUMBER.fullmatch(text)
    return float(match[1] + (match[2] or match[3])) if match else Failed.TYPE


def lenient_float_of(value: str) -> float | Failed:
    return float_of(_ungrouped(value))


def bool_of(value: str) -> bool | Failed:
    return _WORDS.get(value.strip(BLANKS).lower(), Failed.TYPE)


def lenient_bool_of(value: Any) -> bool | Failed:
    if isinstance(value, str):
        return _MANY_WORDS.get(value.strip(BLANKS).lower(), Failed.TYPE)
    return bool(value) if value in (0, 1) else Failed.TYPE


def str_of(value: bytes) -> str | Failed:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Failed.TYPE


def text_of(value: Any) -> str | Failed:
    """Return the text of a number, a truth, a day or a time; instants in UTC with a Z, fractions only where there are some."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def date_of(value: str) -> date | Failed:
    instant = datetime_of(value)
    if isinstance(instant, Failed) or instant.time() != time():
        return Failed.TYPE
    return instant.date()


def lenient_date_of(value: str) -> date | Failed:
    instant = lenient_datetime_of(value)
    return instant if isinstance(instant, Failed) else instant.date()


def datetime_of(value: str) -> datetime | Failed:
    return _instant_of(value, cuts=False)


def lenient_datetime_of(value: str) -> datetime | Failed:
    return _instant_of(value, cuts=True)


def _instant_of(value: str, *, cuts: bool) -> datetime | Failed:
    match = _INSTANT.fullmatch(value.strip(BLANKS))
    if match is None:
        return Failed.TYPE
    *parts, fraction, zone = match.groups(default="")
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        instant = datetime(
            year, month, day, hour, minute, second, _microseconds(fraction), UTC
        ) - _offset(zone)
    except (ValueError, OverflowError):
        return Failed.TYPE
    return instant if cuts or _is_coarse(fraction) else Failed.PRECISION


def _microseconds(fraction: str) -> int:
    return int(fraction[:MICROSECOND_DIGITS].ljust(MICROSECOND_DIGITS, "0")) if fraction else 0


def _is_coarse(fraction: str) -> bool:
    return not fraction[MICROSECOND_DIGITS:].strip("0")


def _offset(zone: str) -> timedelta:
    """Return how far a zone is ahead of UTC. Raises ValueError if no clock is."""
    if zone in ("", "Z"):
        return timedelta()
    digits = zone[1:].replace(":", "")
    ahead = time(int(digits[:2]), int(digits[2:] or 0))
    minutes = ahead.hour * 60 + ahead.minute
    return timedelta(minutes=-minutes if zone[0] == "-" else minutes)


def time_of(value: str) -> time | Failed:
    return _time_of(value, cuts=False)


def lenient_time_of(value: str) -> time | Failed:
    return _time_of(value, cuts=True)


def _time_of(value: str, *, cuts: bool) -> time | Failed:
    match = _CLOCK.fullmatch(value.strip(BLANKS))
    if match is None:
        return Failed.TYPE
    hour, minute, second, fraction = match.groups(default="")
    try:
        moment = time(int(hour), int(minute), int(second or 0), _microseconds(fraction))
    except ValueError:
        return Failed.TYPE
    return moment if cuts or _is_coarse(fraction) else Failed.PRECISION


def decimal_of(digits: int, scale: int, *, rounds: bool = False) -> Callable[[Any], Any]:
    """Return the function that takes a value for a decimal of `digits`, `scale` of them behind the point; `rounds` if it is lenient."""

    def parse(value: Any) -> Decimal | Failed:
        text = repr(value) if isinstance(value, float) else str(value).strip(BLANKS)
        text = _ungrouped(text) if rounds else text
        if not _NUMBER.fullmatch(text):
            return Failed.TYPE
        number = _decimal(text)
        if number is None:
            return Failed.DIGITS
        if not number:
            return Decimal(0)
        if number.adjusted() > DECIMAL_EXPONENT_MAX or number.adjusted() >= digits - scale:
            return Failed.DIGITS
        if rounds:
            return _rounded(number, digits, scale)
        _, figures, exponent = number.as_tuple()
        assert isinstance(exponent, int), "the text has no nan and no inf"
        zeros = len(figures) - len("".join(map(str, figures)).rstrip("0"))
        return Failed.SCALE if -(exponent + zeros) > scale else number

    return parse


def _rounded(number: Decimal, digits: int, scale: int) -> Decimal | Failed:
    if number.adjusted() < -scale - 1:
        return Decimal(0)
    with localcontext(prec=DECIMAL_EXPONENT_MAX + digits):
        rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN)
    return Failed.DIGITS if rounded and rounded.adjusted() >= digits - scale else rounded
