"""Expressions over single values: a record's for `runi eval`, a run's figures for `@assert`.

Logic is SQL's, three-valued: what is compared with nothing is nothing.  What has no value is nothing as well: a quotient by 0, a whole
number beyond 64 bits, a fraction that is no number, a text that is none.  So no row can end a run, and it does not matter in which order anything is
evaluated.  What does not go together (text with a number) raises Invalid, as `batches.py` refuses it.
"""

from __future__ import annotations

import operator as operator_module
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from runink.errors import Invalid
from runink.expressions import times
from runink.expressions.kinds import Value, midnight, plain, shape_of
from runink.expressions.reading import INT_MAX
from runink.expressions.tree import (
    Binary,
    Call,
    Choice,
    Expression,
    Figure,
    Function,
    Index,
    Items,
    Literal,
    Member,
    Name,
    Not,
    Operator,
    said,
)
from runink.expressions.typing import (
    COMPARE,
    INSTANTS,
    NUMBERS,
    Sort,
    comparable,
    reckoned,
    told,
)
from runink.expressions.value_functions import called


def evaluate(expression: Expression, values: Mapping[str, Value]) -> Value:
    """Return the expression's value over single values; nothing where SQL's logic gives NULL.

    Raises Invalid for a name that `values` lacks and for operands that do not go together.
    """
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return _looked_up(name, values)
        case Not(operand):
            truth = _truth(operand, values)
            return None if truth is None else not truth
        case Member(operand, name):
            return _member(operand, name, values)
        case Index(operand, at):
            return _item(operand, at, values)
        case Choice(condition, yes, no):
            return _chosen(_truth(condition, values), evaluate(yes, values), evaluate(no, values))
        case Call(function, arguments):
            return _call(function, arguments, values)
        case Binary(Operator.IN, left, right):
            return _among(left, right, values)
        case Binary(Operator.AND | Operator.OR as operator, left, right):
            return _both(operator, _truth(left, values), _truth(right, values))
        case Binary():
            return _applied(expression, values)
        case Figure():
            return _looked_up(said(expression), values)
        case Items():
            raise _invalid("a list stands only to the right of `in`")


def _invalid(text: str, hint: str = "") -> Invalid:
    return Invalid(text, code="invalid_expression", hint=hint)


def _looked_up(name: str, values: Mapping[str, Value]) -> Value:
    try:
        return plain(values[name])
    except KeyError:
        hint = f"there are {', '.join(sorted(values))}"
        raise Invalid(f"there is no figure {name!r}", code="unknown_name", hint=hint) from None


def _truth(expression: Expression, values: Mapping[str, Value]) -> bool | None:
    value = evaluate(expression, values)
    if value is None or isinstance(value, bool):
        return value
    raise _invalid(f"{said(expression)} is {told(shape_of(value))}, not true or false")


def _member(operand: Expression, name: str, values: Mapping[str, Value]) -> Value:
    record = evaluate(operand, values)
    if record is None:
        return None
    if not isinstance(record, Mapping):
        text = f"{said(operand)} is {told(shape_of(record))}, which has no fields"
        raise _invalid(text)
    return plain(record.get(name))


def _item(operand: Expression, at: int, values: Mapping[str, Value]) -> Value:
    items = evaluate(operand, values)
    if items is None:
        return None
    if not isinstance(items, list | tuple):
        raise _invalid(f"{said(operand)} is {told(shape_of(items))}, which has no items")
    return plain(items[at]) if at < len(items) else None


def _chosen(truth: bool | None, yes: Value, no: Value) -> Value:  # noqa: FBT001 - it is data
    yes, no = united([yes, no])
    if truth is None:
        return None
    return yes if truth else no


def united(branches: list[Value]) -> list[Value]:
    """Return values that stand for each other, of one sort: whole numbers beside fractions are fractions, days beside instants are instants."""
    shapes = {shape_of(one) for one in branches if one is not None}
    if len(shapes) < 2:
        return branches
    if shapes <= NUMBERS:
        return [None if one is None else float(one) for one in branches]
    if shapes <= INSTANTS:
        return [None if one is None else midnight(one) for one in branches]
    kinds = " and ".join(sorted(told(one) for one in shapes))
    raise _invalid(f"{kinds} cannot stand for each other")


def _call(
    function: Function, arguments: tuple[Expression, ...], values: Mapping[str, Value]
) -> Value:
    given = [evaluate(one, values) for one in arguments]
    if function is Function.HAS:
        return given[0] is not None
    if function is Function.COALESCE:
        return next((one for one in united(given) if one is not None), None)
    if None in given:
        return None
    return called(function, given)


def _both(operator: Operator, left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001 - it is data
    decisive = operator is Operator.OR
    if decisive in {left, right}:
        return decisive
    return None if None in {left, right} else not decisive


def _applied(expression: Binary, values: Mapping[str, Value]) -> Value:
    operator = expression.operator
    left, right = evaluate(expression.left, values), evaluate(expression.right, values)
    if left is None or right is None:
        return None
    if operator in COMPARE:
        left, right = _comparable(left, right, expression)
        return _COMPARISONS[operator](left, right)
    if reckoned(operator, shape_of(left), shape_of(right)) is None:
        raise _mismatch(left, right, expression)
    try:
        return _in_range(_reckon(operator, left, right))
    except (OverflowError, ZeroDivisionError):
        return None


def _reckon(operator: Operator, left: Value, right: Value) -> Value:
    match operator:
        case Operator.DIV:
            return float(left) / float(right)
        case Operator.MOD:
            rest = abs(left) % abs(right)
            return -rest if left < 0 else rest
        case Operator.MUL:
            return left * right
    if shape_of(left) in INSTANTS:
        left = midnight(left)
    if shape_of(right) in INSTANTS:
        right = midnight(right)
    return left + right if operator is Operator.ADD else left - right


def _in_range(value: Value) -> Value:
    match value:
        case int():
            return value if -INT_MAX - 1 <= value <= INT_MAX else None
        case timedelta():
            return value if abs(value) <= times.DURATION_MAX else None
        case float():
            return plain(value)
        case _:
            return value


def _comparable(left: Value, right: Value, expression: Binary) -> tuple[Value, Value]:
    """Bring two values to forms that compare. Raises Invalid for those that do not."""
    shapes = shape_of(left), shape_of(right)
    for side, other, shape in ((0, expression.left, shapes[1]), (1, expression.right, shapes[0])):
        value = (left, right)[side]
        if isinstance(value, str) and isinstance(other, Literal | Items):
            read = times_of(value, shape)
            left, right = (read, right) if side == 0 else (left, read)
    shapes = shape_of(left), shape_of(right)
    if not comparable(*shapes):
        raise _mismatch(left, right, expression)
    if Sort.NUMBER in shapes:
        return float(left), float(right)
    if set(shapes) <= INSTANTS:
        return midnight(left), midnight(right)
    return left, right


def times_of(text: str, shape: Any) -> Value:
    """Read a text that is written out as what it is compared with; as text where that is no time. Raises Invalid."""
    if shape not in INSTANTS and shape is not Sort.CLOCK:
        return text
    read: Value = times.instant(text) if shape in INSTANTS else times.clock(text)
    if read is None:
        form = "2013-01-31 or 2013-01-31T06:00:00Z" if shape in INSTANTS else "06:00"
        raise _invalid(f"{text!r} is not {told(shape)}", f"write it like {form}")
    return read


def _among(left: Expression, right: Expression, values: Mapping[str, Value]) -> bool | None:
    """SQL's IN: nothing if the value is nothing, or if it is not found and nothing is among the items."""
    value = evaluate(left, values)
    items = right.values if isinstance(right, Items) else evaluate(right, values)
    if items is None:
        return None
    if not isinstance(items, list | tuple):
        raise _invalid(f"{said(right)} is {told(shape_of(items))}, not a list")
    if value is None:
        return None
    present = [one for one in map(plain, items) if one is not None]
    expression = Binary(Operator.IN, left, right)
    for item in present:
        one, other = _comparable(value, item, expression)
        if one == other:
            return True
    return None if len(present) < len(items) else False


def _mismatch(left: Value, right: Value, expression: Binary) -> Invalid:
    sides = f"{said(expression.left)} is {told(shape_of(left))} and {said(expression.right)} is {told(shape_of(right))}"
    return _invalid(f"{said(expression)}: {sides}")


_COMPARISONS: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.EQ: operator_module.eq,
    Operator.NE: operator_module.ne,
    Operator.LT: operator_module.lt,
    Operator.LE: operator_module.le,
    Operator.GT: operator_module.gt,
    Operator.GE: operator_module.ge,
}
