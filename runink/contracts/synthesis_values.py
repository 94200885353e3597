"""Ordinary values that a field takes, by the column.

    kind                  values
    int, float, decimal   within the bounds, multiples where they must be; else 0 to SPAN
    bool                  either
    date, datetime        within the bounds; else of the 2020s, in whole seconds
    time                  within the bounds, in whole seconds
    str                   one of its choices, of its pattern, what its name means, or plain words (`synthesis_texts.py`)
    bytes                 letters
    record, list          of its fields; up to ITEMS more items than must be

A value may break another rule of the field; the check that follows takes such rows out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.synthesis_texts import Make, Words, plain_words, pooled, texts_of
from runink.contracts.text_patterns import Chance
from runink.contracts.values import BOUNDS, INT64_MAX, INT64_MIN, comparable, digits_of

SPAN: Final = 10_000  # of numbers that only one side bounds, or none
ITEMS: Final = 3  # of a list that nothing bounds
_DAYS: Final = (date(2020, 1, 1), date(2029, 12, 31))

SECOND: Final = 1_000_000  # microseconds
DAY: Final = 86_400 * SECOND
YEARS: Final = (-62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1)  # 1 to 9999
SECONDS_LEAST: Final = 10
EXACT_MAX: Final = 1 << 53  # below, a float holds every whole number
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def maker_of(field: FieldSpec, words: Words, *, spread: int = 0) -> Make:
    """Return what makes ordinary values of a field, none of them nothing. `spread` is how many different ones there must be.

    Raises Invalid (`synth_impossible`) for a pattern that no text is made for.
    """
    if field.choices:
        return pooled([comparable(field.kind, one) for one in field.choices])
    match field.kind:
        case Kind.INT | Kind.FLOAT | Kind.DECIMAL:
            return _number(field, words, spread)
        case Kind.BOOL:
            return lambda count, chance: [chance.random() < 0.5 for _ in range(count)]
        case Kind.DATE | Kind.DATETIME | Kind.TIME:
            return _moment(field, spread)
        case Kind.STR:
            return texts_of(field, words, spread=spread)
        case Kind.BYTES:
            make = plain_words(field, spread=spread)
            return lambda count, chance: [text.encode() for text in make(count, chance)]
        case Kind.RECORD:
            return _record(field, words)
        case Kind.LIST:
            return _list(field, words)


# Numbers, and moments as numbers.


def bounds_of(field: FieldSpec) -> tuple[Fraction | None, Fraction | None]:
    """Return the smallest and the largest that a field takes, in units of its kind: whole numbers and microseconds are stepped to the next one inside."""
    unit = _unit(field)
    found: list[Fraction | None] = []
    for closed, opened, sign in (("ge", "gt", 1), ("le", "lt", -1)):
        ends = []
        if (bound := getattr(field, closed)) is not None:
            ends.append(_fraction(field, bound))
        if (bound := getattr(field, opened)) is not None:
            ends.append(_fraction(field, bound) + sign * unit)
        found.append((max(ends) if sign > 0 else min(ends)) if ends else None)
    return found[0], found[1]


def _unit(field: FieldSpec) -> Fraction:
    """Return how far the next value is from one that a field does not take itself."""
    match field.kind:
        case Kind.DECIMAL:
            return Fraction(1, 10 ** digits_of(field)[1])
        case Kind.FLOAT:
            ends = [bound for name in BOUNDS if (bound := getattr(field, name)) is not None]
            numbers = [_fraction(field, bound) for bound in ends]
            width = max(numbers) - min(numbers) if numbers else Fraction(0)
            return min(Fraction(1, 1000), width / 1000) if width else Fraction(1, 1000)
        case _:
            return Fraction(1)


def _fraction(field: FieldSpec, bound: Any) -> Fraction:
    value = comparable(field.kind, bound)
    match value:
        case datetime():
            return Fraction((value - EPOCH) // MICROSECOND)
        case date():
            return Fraction(value.toordinal())
        case time():
            return Fraction(_microseconds(value))
        case float() if math.isinf(value):
            return Fraction(1e308 if value > 0 else -1e308)
        case _:
            return Fraction(value)


def _microseconds(value: time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _range(
    low: Fraction | None, high: Fraction | None, usual: tuple[int, int]
) -> tuple[Fraction, Fraction]:
    """Return a range to choose from: as bounded, else as far as is usual from where there is a bound."""
    span = usual[1] - usual[0]
    if low is None and high is None:
        return Fraction(usual[0]), Fraction(usual[1])
    if low is None:
        assert high is not None
        return high - span, high
    return low, low + span if high is None else high


def _limits(field: FieldSpec) -> tuple[Fraction, Fraction]:
    """Return the smallest and the largest number that there is of a kind."""
    match field.kind:
        case Kind.INT:
            return Fraction(INT64_MIN), Fraction(INT64_MAX)
        case Kind.DECIMAL:
            digits, scale = digits_of(field)
            most = Fraction(10**digits - 1, 10**scale)
            return -most, most
        case _:
            most = Fraction(10**300)
            return -most, most


def _number(field: FieldSpec, words: Words, spread: int) -> Make:
    low, high = bounds_of(field)
    pool = words(field)
    if len(pool) and low is None and high is None and not spread:
        return pooled(pool)
    lowest, highest = _limits(field)
    span = min(max(SPAN, spread * 10), math.floor(highest))
    low, high = _range(low, high, (0, span))
    step = step_of(field)
    first, last = math.ceil(max(low, lowest) / step), math.floor(min(high, highest) / step)
    last = max(
        first, last
    )  # where there is none between the bounds, the check says which rule is broken
    up, down = step.numerator, step.denominator
    numbers = whole_numbers(first, last)
    match field.kind:
        case Kind.INT:
            return lambda count, chance: [one * up for one in numbers(count, chance)]
        case Kind.FLOAT:
            return lambda count, chance: [one * up / down for one in numbers(count, chance)]
        case _:
            return lambda count, chance: [
                as_number(field, step * one) for one in numbers(count, chance)
            ]


def whole_numbers(first: int, last: int) -> Make:
    """Return what makes whole numbers of a range, both ends in it."""
    width = last - first + 1
    if width > EXACT_MAX:
        return lambda count, chance: [chance.randrange(first, last + 1) for _ in range(count)]

    def make(count: int, chance: Chance) -> list[int]:
        draw = chance.random  # a third of the time of randrange
        return [first + int(draw() * width) for _ in range(count)]

    return make


def step_of(field: FieldSpec) -> Fraction:
    """Return what values are multiples of: as the field says, else what people read well."""
    if field.multiple_of is not None and (step := abs(Fraction(str(field.multiple_of)))):
        return step
    match field.kind:
        case Kind.DECIMAL:
            return Fraction(1, 10 ** min(digits_of(field)[1], 4))
        case Kind.FLOAT:
            low, high = bounds_of(field)
            width = high - low if low is not None and high is not None else Fraction(SPAN)
            return Fraction(1, 100) if width >= 1 else max(width / 1000, Fraction(1, 10**12))
        case _:
            return Fraction(1)


def as_number(field: FieldSpec, number: Fraction) -> Any:
    """Return a number in the field's kind; exact, but for floats."""
    match field.kind:
        case Kind.INT:
            return int(number)
        case Kind.FLOAT:
            return float(number)
        case _:
            scale = digits_of(field)[1]
            whole = int(number * 10**scale)
            return Decimal((int(whole < 0), tuple(map(int, str(abs(whole)))), -scale))


def _moment(field: FieldSpec, spread: int) -> Make:
    low, high = bounds_of(field)
    match field.kind:
        case Kind.DATE:
            last_day = max(_DAYS[1].toordinal(), _DAYS[0].toordinal() + spread * 4)
            limits = (1, date.max.toordinal())
            days = _whole(_range(low, high, (_DAYS[0].toordinal(), last_day)), limits)
            return _converted(days, date.fromordinal)
        case Kind.TIME:
            moments = _whole(_range(low, high, (0, DAY - 1)), (0, DAY - 1))
            return _stepped(moments, spread, as_clock)
        case _:
            ends = [datetime.combine(day, time(), UTC) for day in _DAYS]
            begin, end = ((one - EPOCH) // MICROSECOND for one in ends)
            return _stepped(_whole(_range(low, high, (begin, end)), YEARS), spread, as_instant)


def _converted(ends: tuple[int, int], convert: Callable[[int], Any]) -> Make:
    numbers = whole_numbers(*ends)
    return lambda count, chance: [convert(one) for one in numbers(count, chance)]


def _stepped(ends: tuple[int, int], spread: int, convert: Callable[[int], Any]) -> Make:
    """Make moments in whole seconds where the range has more than a few of them and they may repeat."""
    first, last = -(-ends[0] // SECOND), ends[1] // SECOND
    if spread or last - first < SECONDS_LEAST:
        return _converted(ends, convert)
    return _converted((first, last), lambda number: convert(number * SECOND))


def _whole(ends: tuple[Fraction, Fraction], limits: tuple[int, int]) -> tuple[int, int]:
    first = max(math.ceil(ends[0]), limits[0])
    return first, max(first, min(math.floor(ends[1]), limits[1]))


def as_clock(number: int) -> time:
    """Return the time of day so many microseconds after midnight."""
    seconds, microsecond = divmod(number, SECOND)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond)


def as_instant(number: int) -> datetime:
    """Return the instant so many microseconds after the epoch."""
    return EPOCH + timedelta(microseconds=number)


# What holds others.


def _record(field: FieldSpec, words: Words) -> Make:
    makers = {inner.name: nullable(inner, maker_of(inner, words)) for inner in field.fields}

    def make(count: int, chance: Chance) -> list[dict[str, Any]]:
        columns = [maker(count, chance) for maker in makers.values()]
        return [dict(zip(makers, row, strict=True)) for row in zip(*columns, strict=True)]

    return make


def _list(field: FieldSpec, words: Words) -> Make:
    assert field.items is not None, "a list says what it holds"
    items = nullable(field.items, maker_of(field.items, words))
    least = field.min_length or 0
    most = max(
        least,
        min(field.max_length if field.max_length is not None else least + ITEMS, least + ITEMS),
    )

    def make(count: int, chance: Chance) -> list[list[Any]]:
        lengths = [chance.randrange(least, most + 1) for _ in range(count)]
        every = iter(items(sum(lengths), chance))
        return [[next(every) for _ in range(length)] for length in lengths]

    return make


NULL_RATIO: Final = 0.1  # of values of a field that may hold nothing


def nullable(field: FieldSpec, make: Make) -> Make:
    """Return a maker that also makes nothing, now and then, where the field may hold that."""
    if not field.nullable:
        return make
    return lambda count, chance: [
        None if chance.random() < NULL_RATIO else value for value in make(count, chance)
    ]
