"""Expressions of pipelines (`when "…"`, `@assert("…")`) as values.

The text is parsed by `dsl/expressions.py`; slices evaluate the tree over Arrow batches, the run controller over a run's
figures.  Nothing here is ever handed to Python's `eval`.  Logic is SQL's, three-valued: a comparison with nothing is nothing, and a
filter keeps only what is true.
"""

from __future__ import annotations

import operator as operator_module
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from runink.errors import Invalid


class Operator(Enum):
    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    AND = "&&"
    OR = "||"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    IN = "in"


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    value: int | float | str | bool | None


class Name(msgspec.Struct, frozen=True, tag="name"):
    """A field of the record, or a figure of the run, by its bare name."""

    name: str


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list of literals, the right side of `in`."""

    values: tuple[int | float | str | bool | None, ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    operand: Expression


class Binary(msgspec.Struct, frozen=True, tag="binary"):
    operator: Operator
    left: Expression
    right: Expression


Expression = Literal | Name | Items | Not | Binary


def names_in(expression: Expression) -> frozenset[str]:
    """Return every name that the expression mentions."""
    match expression:
        case Name(name):
            return frozenset({name})
        case Not(operand):
            return names_in(operand)
        case Binary(_, left, right):
            return names_in(left) | names_in(right)
        case _:
            return frozenset()


Scalar = int | float | str | bool | None


def evaluate(expression: Expression, values: Mapping[str, Scalar]) -> Scalar:
    """Return the expression's value over single values; nothing where SQL's logic gives NULL.

    Raises Invalid for a name that `values` lacks and for operands that do not go together.
    """
    match expression:
        case Literal(value):
            return value
        case Name(name):
            if name not in values:
                raise Invalid(
                    f"there is no figure {name!r}",
                    code="unknown_name",
                    hint=f"there are {', '.join(sorted(values))}",
                )
            return values[name]
        case Not(operand):
            truth = evaluate(operand, values)
            return None if truth is None else not truth
        case Binary(Operator.IN, left, Items(items)):
            value = evaluate(left, values)
            return None if value is None else value in items
        case Binary(Operator.AND | Operator.OR as operator, left, right):
            return _both(operator, evaluate(left, values), evaluate(right, values))
        case Binary(operator, left, right):
            return _applied(operator, evaluate(left, values), evaluate(right, values))
        case Items():
            raise Invalid("a list stands only to the right of `in`", code="invalid_expression")


def _both(operator: Operator, left: Scalar, right: Scalar) -> Scalar:
    decisive = operator is Operator.OR
    if decisive in (left, right):
        return decisive
    return None if None in (left, right) else not decisive


def _applied(operator: Operator, left: Scalar, right: Scalar) -> Scalar:
    if left is None or right is None or (operator is Operator.DIV and right == 0):
        return None
    try:
        result: Scalar = _OPERATIONS[operator](left, right)
    except TypeError as error:
        raise Invalid(
            f"{left!r} {operator.value} {right!r} does not go together", code="invalid_expression"
        ) from error
    return result


_OPERATIONS: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQ: operator_module.eq,
    Operator.NE: operator_module.ne,
    Operator.LT: operator_module.lt,
    Operator.LE: operator_module.le,
    Operator.GT: operator_module.gt,
    Operator.GE: operator_module.ge,
    Operator.ADD: operator_module.add,
    Operator.SUB: operator_module.sub,
    Operator.MUL: operator_module.mul,
    Operator.DIV: operator_module.truediv,
}
