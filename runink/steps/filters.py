"""Expressions of pipelines over Arrow batches: `when "dep_delay > 15 && carrier in ['UA', 'DL']"`.

SQL's three-valued logic: what is compared with nothing is nothing, `false && nothing` is false, and a filter keeps only
what is true.  Numbers compare with numbers, text with text, times with times or with their ISO 8601 text; anything else is an error
that names both sides, because a guess would keep the wrong rows.  Whole numbers are reckoned in 64 bits and overflow is
an error; `/` gives a fraction, and nothing where the divisor is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.errors import Refused
from runink.expressions import Binary, Expression, Items, Literal, Name, Not, Operator

_COMPARE: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.EQ: pc.equal,
    Operator.NE: pc.not_equal,
    Operator.LT: pc.less,
    Operator.LE: pc.less_equal,
    Operator.GT: pc.greater,
    Operator.GE: pc.greater_equal,
}
_LOGIC: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.AND: pc.and_kleene,
    Operator.OR: pc.or_kleene,
}
_RECKON: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.ADD: pc.add_checked,
    Operator.SUB: pc.subtract_checked,
    Operator.MUL: pc.multiply_checked,
}

Value = Any  # an Arrow array or scalar: compute functions take and give either


def kept(batch: pa.RecordBatch, expression: Expression) -> pa.RecordBatch:
    """Return the rows for which the expression is true. Raises Refused if it does not fit the columns."""
    mask = evaluated(batch, expression)
    _check_boolean(mask, "the whole condition")
    if isinstance(mask, pa.Scalar):
        return batch if mask.as_py() else batch.slice(0, 0)
    return batch.filter(mask, null_selection_behavior="drop")


def evaluated(batch: pa.RecordBatch, expression: Expression) -> Value:
    """Return the expression's value for each row, or one scalar where no column is in it. Raises Refused."""
    match expression:
        case Literal(value):
            return pa.scalar(value)
        case Name(name):
            return _column(batch, name)
        case Not(operand):
            value = evaluated(batch, operand)
            return pc.invert(_check_boolean(value, _said(operand)))
        case Binary(Operator.IN, left, Items(values)):
            return _is_in(evaluated(batch, left), values, _said(left))
        case Binary(operator, left, right):
            return _binary(batch, operator, left, right)
        case Items():
            raise _refused("a list stands only behind `in`")


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    place = batch.schema.get_field_index(name)
    if place < 0:
        raise _refused(f"there is no column {name!r}; there are {', '.join(batch.schema.names)}")
    column = batch.column(place)
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _binary(
    batch: pa.RecordBatch, operator: Operator, left: Expression, right: Expression
) -> Value:
    a, b = evaluated(batch, left), evaluated(batch, right)
    if operator in _LOGIC:
        return _LOGIC[operator](_check_boolean(a, _said(left)), _check_boolean(b, _said(right)))
    try:
        if operator in _COMPARE:
            return _COMPARE[operator](*_comparable(a, b, operator, (left, right)))
        a, b = _numbers(a, b, operator, (left, right))
        if operator is Operator.DIV:
            return _divided(a, b)
        return _RECKON[operator](a, b)
    except pa.ArrowInvalid as error:
        told = f"{_said(left)} {operator.value} {_said(right)}"
        raise _refused(f"{told}: {error}") from error


def _divided(a: Value, b: Value) -> Value:
    divisor = pc.cast(b, pa.float64())
    nothing = pa.scalar(None, pa.float64())
    return pc.divide(pc.cast(a, pa.float64()), pc.if_else(pc.equal(divisor, 0.0), nothing, divisor))


def _comparable(
    a: Value, b: Value, operator: Operator, said: tuple[Expression, Expression]
) -> tuple[Value, Value]:
    """Bring both sides to one type, or raise Refused."""
    kind_a, kind_b = _kind(a.type), _kind(b.type)
    if "nothing" in {kind_a, kind_b}:
        common = b.type if kind_a == "nothing" else a.type
        return pc.cast(a, common), pc.cast(b, common)
    if kind_a == kind_b == "number":
        return _numbers(a, b, operator, said)
    if kind_a == kind_b == "time":
        return _instants(a, b)
    if kind_a == "time" and kind_b == "text":
        return a, _parsed(b, a.type, said[1])
    if kind_a == "text" and kind_b == "time":
        return _parsed(a, b.type, said[0]), b
    if kind_a != kind_b or kind_a == "other":
        raise _mismatch(a, b, operator, said)
    return a, b


def _instants(a: Value, b: Value) -> tuple[Value, Value]:
    """A date and a timestamp compare as timestamps; a time of day only with its like (Arrow says so)."""
    if a.type.equals(b.type):
        return a, b
    zone = getattr(a.type, "tz", None) or getattr(b.type, "tz", None)
    common = pa.timestamp("us", zone)
    return pc.cast(a, common), pc.cast(b, common)


def _parsed(text: Value, kind: pa.DataType, said: Expression) -> Value:
    try:
        return pc.cast(text, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _refused(
            f"{_said(said)} is no {kind}; write it like '2013-01-31' or '2013-01-31T06:00:00Z'"
        ) from None


def _numbers(
    a: Value, b: Value, operator: Operator, said: tuple[Expression, Expression]
) -> tuple[Value, Value]:
    if not {_kind(a.type), _kind(b.type)} <= {"number", "nothing"}:
        raise _mismatch(a, b, operator, said)
    whole = all(pa.types.is_integer(side.type) or pa.types.is_null(side.type) for side in (a, b))
    common = pa.int64() if whole else pa.float64()
    return pc.cast(a, common), pc.cast(b, common)


def _is_in(value: Value, items: tuple[int | float | str | bool | None, ...], said: str) -> Value:
    """SQL's IN: nothing if the value is nothing, or if it is not found and nothing is among the items."""
    present = [item for item in items if item is not None]
    wanted = pa.array(present) if present else pa.array([], value.type)
    kind, asked = _kind(value.type), _kind(wanted.type)
    if kind == "time" and asked == "text":
        wanted = _parsed(wanted, value.type, Items(items))
    elif kind == asked == "number":
        whole = pa.types.is_integer(value.type) and pa.types.is_integer(wanted.type)
        common = pa.int64() if whole else pa.float64()
        value, wanted = pc.cast(value, common), wanted.cast(common)
    elif kind not in {asked, "nothing"}:
        raise _refused(f"{said} ({value.type}) cannot be in a list of {wanted.type}")
    else:
        value = pc.cast(value, wanted.type)
    found = pc.is_in(value, value_set=wanted)
    nothing = pa.scalar(None, pa.bool_())
    if None in items:
        found = pc.if_else(found, pa.scalar(True), nothing)
    return pc.if_else(pc.is_null(value), nothing, found)


def _kind(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_null(kind):
        return "nothing"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_temporal(kind):
        return "time"
    return "other"


def _check_boolean(value: Value, said: str) -> Value:
    if pa.types.is_null(value.type):
        return pc.cast(value, pa.bool_())
    if not pa.types.is_boolean(value.type):
        raise _refused(f"{said} is {value.type}, not true or false")
    return value


def _said(expression: Expression) -> str:
    match expression:
        case Name(name):
            return name
        case Literal(value):
            return repr(value)
        case Items(values):
            return f"[{', '.join(repr(value) for value in values)}]"
        case Not(operand):
            return f"!({_said(operand)})"
        case Binary(operator, left, right):
            return f"({_said(left)} {operator.value} {_said(right)})"


def _mismatch(
    a: Value, b: Value, operator: Operator, said: tuple[Expression, Expression]
) -> Refused:
    left, right = _said(said[0]), _said(said[1])
    return _refused(
        f"{left} {operator.value} {right}: {left} is {a.type} and {right} is {b.type}",
        hint="numbers go with numbers, text with text; give the column its type by a contract",
    )


def _refused(text: str, *, hint: str = "") -> Refused:
    return Refused(f"condition: {text}", code="expression_failed", hint=hint)
