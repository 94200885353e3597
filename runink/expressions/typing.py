"""Sorts of values, and what goes with what: the rules by which an expression is checked before any row is there.

    == != < <= > >= in    numbers with numbers, text with text, true with false, dates with times; a time also with its ISO 8601 text
    + - * / %             numbers; + joins texts; a time and a duration give a time, two times a duration
    && || !               conditions

Evaluation (`values.py`, `batches.py`) fails by the same rules, where a field's sort is not known before.  What is not known goes with everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runink.expressions.tree import Operator


class Sort(Enum):
    """What a value is, as far as operands must go together. A NUMBER may have a fraction; a TIME is an instant, a CLOCK a time of day."""

    INT = "a whole number"
    NUMBER = "a number"
    TEXT = "text"
    BOOLEAN = "true or false"
    DATE = "a date"
    TIME = "a time"
    CLOCK = "a time of day"
    DURATION = "a duration"
    BYTES = "bytes"
    NOTHING = "nothing"
    UNKNOWN = "anything"


@dataclass(frozen=True, slots=True)
class ListOf:
    items: Shape


@dataclass(frozen=True, slots=True, eq=False)
class RecordOf:
    """A record within a field; `whose` is what its owner is called where a name is not found."""

    fields: Mapping[str, Shape]
    whose: str = "the record"


Shape = Sort | ListOf | RecordOf


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression may use. Where `sorts` is nothing they are not known, and any may be there.

    `stream` are the fields that figures of a whole stream may ask about (`null_ratio(x)`), where there are any; `event_times` are those of these fields that their
    contract marks as the time of what a row tells (`measures.py`).
    """

    sorts: Mapping[str, Shape] | None = None
    what: str = "field"
    whose: str = ""
    stream: Scope | None = None
    event_times: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with an expression, and which of its characters show it."""

    code: str
    text: str
    at: int
    length: int
    hint: str = ""


UNKNOWN: Final = Scope()
NUMBERS: Final = frozenset({Sort.INT, Sort.NUMBER})
INSTANTS: Final = frozenset({Sort.DATE, Sort.TIME})
TIMES: Final = INSTANTS | {Sort.CLOCK}
SIMPLE: Final = NUMBERS | TIMES | {Sort.TEXT, Sort.BOOLEAN, Sort.DURATION}
COMPARE: Final = frozenset(
    {Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE}
)


def told(shape: Shape) -> str:
    """Say to a person what a value is."""
    match shape:
        case ListOf():
            return "a list"
        case RecordOf():
            return "a record"
        case _:
            return shape.value


def fits(shape: Shape, wanted: Iterable[Shape]) -> bool:
    """Say whether a value may be one of these, as far as is known."""
    return shape is Sort.UNKNOWN or shape in wanted


def comparable(left: Shape, right: Shape) -> bool:
    """Say whether two values can be compared; nothing compares with everything, and gives nothing."""
    known = {one for one in (left, right) if one not in {Sort.UNKNOWN, Sort.NOTHING}}
    return known <= SIMPLE and (len(known) < 2 or known <= NUMBERS or known <= INSTANTS)


def reckoned(operator: Operator, left: Shape, right: Shape) -> Shape | None:
    """Return what `+ - * / %` give, or nothing if the operands do not go together."""
    if Sort.UNKNOWN in {left, right}:
        return _reckoned_with_unknown(operator, left, right)
    if {left, right} <= NUMBERS:
        return _number(operator, left, right)
    if operator is Operator.ADD:
        return _SUMS.get((left, right)) or _SUMS.get((right, left))
    return _DIFFERENCES.get((left, right)) if operator is Operator.SUB else None


def _number(operator: Operator, left: Shape, right: Shape) -> Shape | None:
    whole = left is right is Sort.INT
    if operator is Operator.MOD:
        return Sort.INT if whole else None
    return Sort.INT if whole and operator is not Operator.DIV else Sort.NUMBER


_SUMS: Final[dict[tuple[Shape, Shape], Shape]] = {
    (Sort.TEXT, Sort.TEXT): Sort.TEXT,
    (Sort.TIME, Sort.DURATION): Sort.TIME,
    (Sort.DATE, Sort.DURATION): Sort.TIME,
    (Sort.DURATION, Sort.DURATION): Sort.DURATION,
}
_DIFFERENCES: Final[dict[tuple[Shape, Shape], Shape]] = {
    (Sort.TIME, Sort.DURATION): Sort.TIME,
    (Sort.DATE, Sort.DURATION): Sort.TIME,
    (Sort.DURATION, Sort.DURATION): Sort.DURATION,
    **{(one, other): Sort.DURATION for one in INSTANTS for other in INSTANTS},
}
_UNKNOWN_GIVES: Final = {Operator.DIV: Sort.NUMBER, Operator.MOD: Sort.INT}
_ADDED: Final = NUMBERS | INSTANTS | {Sort.DURATION}


def _reckoned_with_unknown(operator: Operator, left: Shape, right: Shape) -> Shape | None:
    known = {left, right} - {Sort.UNKNOWN}
    possible = {
        Operator.ADD: _ADDED | {Sort.TEXT},
        Operator.SUB: _ADDED,
        Operator.MOD: frozenset({Sort.INT}),
    }
    if not known <= possible.get(operator, NUMBERS):
        return None
    return _UNKNOWN_GIVES.get(operator, Sort.UNKNOWN)


def united(left: Shape, right: Shape) -> Shape | None:
    """Return what a value is that may be either, or nothing if that is no sort."""
    if left == right or right is Sort.NOTHING:
        return left
    if left is Sort.NOTHING:
        return right
    for pair, wider in ((NUMBERS, Sort.NUMBER), (INSTANTS, Sort.TIME)):
        if {left, right} <= pair:
            return wider
    return Sort.UNKNOWN if Sort.UNKNOWN in {left, right} else None
