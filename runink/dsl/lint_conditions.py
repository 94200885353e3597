"""Conditions that are the same whatever a row holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runink.errors import Invalid
from runink.expressions import Binary, Expression, Literal, Name, Operator, evaluate, names_in, said
from runink.expressions.parsing import parse

VERDICTS_MAX: Final = (
    1_000  # that are remembered: a file is looked at again and again while it is written
)
_TURNED: Final = {
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
    Operator.EQ: Operator.EQ,
}
_COMPARES: Final = frozenset({*_TURNED, Operator.NE})


@lru_cache(maxsize=VERDICTS_MAX)
def verdict(condition: str) -> str:
    """Say why a condition is the same for every row; nothing if it is not, or cannot be read."""
    expression = parse(condition).expression if "${" not in condition else None
    if expression is None:
        return ""
    if not set(names_in(expression)):
        return _constant(expression)
    return next((told for part in _parts(expression) if (told := _same(part))), "") or _impossible(
        expression
    )


def _constant(expression: Expression) -> str:
    try:
        value = evaluate(expression, {})
    except Invalid:
        return ""
    return f"this is always {'true' if value else 'false'}: it mentions no field"


def _parts(expression: Expression) -> Iterator[Expression]:
    """Yield what a condition is put together from by && and ||."""
    if isinstance(expression, Binary) and expression.operator in {Operator.AND, Operator.OR}:
        yield from _parts(expression.left)
        yield from _parts(expression.right)
    else:
        yield expression


def _same(part: Expression) -> str:
    if isinstance(part, Binary) and part.operator in _COMPARES and part.left == part.right:
        return f"this compares {said(part.left)} with itself"
    return ""


@dataclass(slots=True)
class _Bounds:
    """What is demanded of one field: numbers from `low` to `high`, each allowed itself or not, and values that it must equal."""

    low: float = float("-inf")
    high: float = float("inf")
    is_low_open: bool = False
    is_high_open: bool = False

    def demand(self, operator: Operator, value: float) -> None:
        is_open = operator in {Operator.GT, Operator.LT}
        if operator in {Operator.GT, Operator.GE, Operator.EQ} and (value, is_open) >= (
            self.low,
            self.is_low_open,
        ):
            self.low, self.is_low_open = value, is_open
        if operator in {Operator.LT, Operator.LE, Operator.EQ} and (-value, is_open) >= (
            -self.high,
            self.is_high_open,
        ):
            self.high, self.is_high_open = value, is_open

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (
            self.low == self.high and (self.is_low_open or self.is_high_open)
        )


def _impossible(expression: Expression) -> str:
    """Say which field cannot be what && demands of it, if there is one."""
    bounds: dict[str, _Bounds] = {}
    texts: dict[str, str] = {}
    for part in _conjuncts(expression):
        compared = _compared(part)
        if compared is None:
            continue
        name, operator, value = compared
        if isinstance(value, str):
            if operator is Operator.EQ and texts.setdefault(name, value) != value:
                return f"{name} cannot be {texts[name]!r} and {value!r}"
            continue
        held = bounds.setdefault(name, _Bounds())
        held.demand(operator, value)
        if held.is_empty:
            return f"no {name} is all that is demanded of it"
    return ""


def _conjuncts(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, Binary) and expression.operator is Operator.AND:
        yield from _conjuncts(expression.left)
        yield from _conjuncts(expression.right)
    else:
        yield expression


def _compared(part: Expression) -> tuple[str, Operator, float | str] | None:
    """Return a comparison of a field with a literal, the field on the left."""
    if not isinstance(part, Binary) or part.operator not in _TURNED:
        return None
    match part.left, part.right:
        case Name(name), Literal(value):
            operator = part.operator
        case Literal(value), Name(name):
            operator = _TURNED[part.operator]
        case _:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return name, operator, value
