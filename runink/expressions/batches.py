"""Expressions over Arrow batches, vectorised: what `values.py` says of a record, for every row at once.

No row is looked at by Python, and no column is brought to another type that can be compared as it is.  Operands that do not go together are refused with
both sides named, because a guess would keep the wrong rows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.errors import Invalid
from runink.expressions import times
from runink.expressions.batch_functions import called
from runink.expressions.columns import (
    DURATION,
    INSTANT,
    Value,
    clocks,
    double,
    durations,
    instants,
    is_list,
    is_scalar,
    item_of,
    kind_of,
    member_of,
    nothing_like,
    opened,
    plain,
    refused,
    wide,
    without_nan,
)
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
from runink.expressions.typing import COMPARE, INSTANTS, NUMBERS, Sort, reckoned
from runink.expressions.typing import comparable as goes_with
from runink.expressions.values import times_of
from runink.expressions.whole_numbers import added, multiplied, rest, subtracted

_MIN_INSTANT: Final = pa.scalar(datetime.min.replace(tzinfo=UTC), INSTANT)
_MAX_INSTANT: Final = pa.scalar(datetime.max.replace(tzinfo=UTC), INSTANT)
_DURATION_MAX: Final = pa.scalar(times.DURATION_MAX, DURATION)


def kept(batch: pa.RecordBatch, expression: Expression) -> pa.RecordBatch:
    """Return the rows for which the expression is true. Raises Refused if it does not fit the columns."""
    mask = _truth(evaluated(batch, expression), "the whole condition")
    if is_scalar(mask):
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
            return pc.invert(_truth(evaluated(batch, operand), said(operand)))
        case Member(operand, name):
            return member_of(evaluated(batch, operand), name, said(operand))
        case Index(operand, at):
            return item_of(evaluated(batch, operand), at, said(operand))
        case Choice():
            return _chosen(batch, expression)
        case Call(Function.COALESCE, arguments):
            return pc.coalesce(*_united([evaluated(batch, one) for one in arguments]))
        case Call(function, arguments):
            return called(function, [evaluated(batch, one) for one in arguments])
        case Binary(Operator.IN, left, Items(values)):
            return _is_in(evaluated(batch, left), values, expression)
        case Binary():
            return _binary(batch, expression)
        case Figure():
            raise refused(f"{said(expression)} is of a whole stream, not of a row")
        case Items():
            raise refused("a list stands only behind `in`")


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    place = batch.schema.get_field_index(name)
    if place < 0:
        raise refused(f"there is no column {name!r}; there are {', '.join(batch.schema.names)}")
    return plain(batch.column(place))


def _truth(value: Value, what: str) -> Value:
    if pa.types.is_null(value.type):
        return pc.cast(value, pa.bool_())
    if not pa.types.is_boolean(value.type):
        raise refused(f"{what} is {value.type}, not true or false")
    return value


def _chosen(batch: pa.RecordBatch, choice: Choice) -> Value:
    mask = _truth(evaluated(batch, choice.condition), said(choice.condition))
    yes, no = _united([evaluated(batch, choice.yes), evaluated(batch, choice.no)])
    return pc.if_else(mask, yes, no)


def _united(values: list[Value]) -> list[Value]:
    """Bring values that stand for each other to one type, or raise Refused."""
    present = [one.type for one in values if not pa.types.is_null(one.type)]
    if not present:
        return values
    kinds = {kind_of(one) for one in present}
    if kinds == {Sort.INT}:
        common, convert = pa.int64(), wide
    elif kinds <= NUMBERS:
        common, convert = pa.float64(), double
    elif kinds <= INSTANTS and kinds != {Sort.DATE}:
        common, convert = INSTANT, instants
    elif kinds == {Sort.DURATION}:
        common, convert = DURATION, durations
    else:
        common = present[0]
        if len(kinds) > 1 or (None in kinds and any(one != common for one in present)):
            told = " and ".join(sorted({str(one) for one in present}))
            raise refused(f"{told} cannot stand for each other")

        def convert(value: Value) -> Value:
            return pc.cast(value, common)

    return [pc.cast(one, common) if pa.types.is_null(one.type) else convert(one) for one in values]


# Operators.

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
_WHOLE: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.ADD: added,
    Operator.SUB: subtracted,
    Operator.MUL: multiplied,
    Operator.MOD: rest,
}
_FRACTION: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.ADD: pc.add,
    Operator.SUB: pc.subtract,
    Operator.MUL: pc.multiply,
}


def _binary(batch: pa.RecordBatch, expression: Binary) -> Value:
    operator = expression.operator
    a, b = evaluated(batch, expression.left), evaluated(batch, expression.right)
    if operator in _LOGIC:
        a, b = _truth(a, said(expression.left)), _truth(b, said(expression.right))
        return _LOGIC[operator](a, b)
    if operator is Operator.IN:
        return _is_in_lists(a, b, expression)
    if operator in COMPARE:
        a, b = _comparable(a, b, expression)
        return _COMPARE[operator](a, b)
    return _reckoned(a, b, expression)


def _comparable(a: Value, b: Value, expression: Binary) -> tuple[Value, Value]:
    """Bring both sides to one type, or raise Refused."""
    a = _as_time(a, expression.left, kind_of(b.type))
    b = _as_time(b, expression.right, kind_of(a.type))
    kind_a, kind_b = kind_of(a.type), kind_of(b.type)
    if kind_a is None or kind_b is None or not goes_with(kind_a, kind_b):
        raise _mismatch(a, b, expression)
    if Sort.NOTHING in {kind_a, kind_b}:
        none = nothing_like(a, b, kind=pa.bool_())
        return none, none
    if kind_a is kind_b is Sort.INT:
        return _fitted(a, b), _fitted(b, a)
    if kind_a in NUMBERS:
        return double(a), double(b)
    if kind_a is kind_b is Sort.DATE and a.type.equals(b.type):
        return a, b
    return _form(a), _form(b)


def _form(value: Value) -> Value:
    """Return times and durations as microseconds, everything else as it is."""
    convert = _FORMS.get(kind_of(value.type))
    return convert(value) if convert else value


_FORMS: Final[dict[Sort | None, Callable[[Value], Value]]] = {
    Sort.DATE: instants,
    Sort.TIME: instants,
    Sort.CLOCK: clocks,
    Sort.DURATION: durations,
}


def _fitted(value: Value, other: Value) -> Value:
    """Bring a single whole number to the type of the column that it is compared with, if it fits: then the column stays as it is."""
    if not is_scalar(value) or is_scalar(other) or value.type.equals(other.type):
        return value
    try:
        return pc.cast(value, other.type)
    except pa.ArrowInvalid:
        return value


def _as_time(value: Value, expression: Expression, other: Sort | None) -> Value:
    """Read a text that is written out as the time that it is compared with. Raises Refused if it is none."""
    if isinstance(expression, Literal) and isinstance(expression.value, str):
        return _time(expression.value, other)
    return value


def _time(text: str, other: Sort | None) -> pa.Scalar:
    try:
        found = times_of(text, other)
    except Invalid as error:
        raise refused(error.text, hint=error.hint) from None
    if not isinstance(found, datetime):
        return pa.scalar(found)
    if other is Sort.DATE and found.time() == time():
        return pa.scalar(found.date(), pa.date32())  # so a column of days stays one
    return pa.scalar(found, INSTANT)


def _reckoned(a: Value, b: Value, expression: Binary) -> Value:
    operator = expression.operator
    kind_a, kind_b = kind_of(a.type), kind_of(b.type)
    if Sort.NOTHING in {kind_a, kind_b}:
        return nothing_like(a, b, kind=pa.null())
    gives = None if kind_a is None or kind_b is None else reckoned(operator, kind_a, kind_b)
    if gives is None:
        raise _mismatch(a, b, expression)
    match gives:
        case Sort.INT:
            return _WHOLE[operator](a, b)
        case Sort.NUMBER if operator is Operator.DIV:
            return _divided(double(a), double(b))
        case Sort.NUMBER:
            return without_nan(_FRACTION[operator](double(a), double(b)))
        case Sort.TEXT:
            return pc.binary_join_element_wise(pc.cast(a, pa.string()), pc.cast(b, pa.string()), "")
        case _:
            return _moved(a, b, operator, gives)


def _divided(a: Value, b: Value) -> Value:
    nothing = pa.scalar(None, pa.float64())
    return without_nan(pc.divide(a, pc.if_else(pc.equal(b, 0.0), nothing, b)))


def _moved(a: Value, b: Value, operator: Operator, gives: Any) -> Value:
    """Add and subtract times and durations as microseconds; nothing where the calendar or a duration ends."""
    sides = [pc.cast(_form(one), pa.int64()) for one in (a, b)]
    moved = _WHOLE[operator](*sides)
    if gives is Sort.DURATION:
        low, high = (
            pc.negate(pc.cast(_DURATION_MAX, pa.int64())),
            pc.cast(_DURATION_MAX, pa.int64()),
        )
    else:
        low, high = (pc.cast(one, pa.int64()) for one in (_MIN_INSTANT, _MAX_INSTANT))
    fits = pc.and_(pc.greater_equal(moved, low), pc.less_equal(moved, high))
    bounded = pc.if_else(fits, moved, pa.scalar(None, pa.int64()))
    return pc.cast(bounded, DURATION if gives is Sort.DURATION else INSTANT)


def _mismatch(a: Value, b: Value, expression: Binary) -> Exception:
    left, right = said(expression.left), said(expression.right)
    return refused(
        f"{left} {expression.operator.value} {right}: {left} is {a.type} and {right} is {b.type}",
        hint="numbers go with numbers, text with text; give the column its type by a contract",
    )


# Lists.


def _is_in(value: Value, items: tuple[Any, ...], expression: Binary) -> Value:
    """SQL's IN: nothing if the value is nothing, or if it is not found and nothing is among the items."""
    present = [item for item in items if item is not None]
    kind = kind_of(value.type)
    if kind is Sort.NOTHING:
        return nothing_like(value, kind=pa.bool_())
    value, wanted = _wanted(value, kind, present, expression)
    found = pc.is_in(value, value_set=wanted)
    if pa.types.is_floating(value.type) and 0.0 in present:
        found = pc.or_(found, pc.fill_null(pc.equal(value, 0.0), pa.scalar(False)))  # 0.0 is -0.0
    nothing = pa.scalar(None, pa.bool_())
    if None in items:
        found = pc.if_else(found, pa.scalar(True), nothing)
    if not is_scalar(value) and value.null_count == 0:
        return found
    return pc.if_else(pc.is_null(value), nothing, found)


def _wanted(
    value: Value, kind: Sort | None, present: list[Any], expression: Binary
) -> tuple[Value, pa.Array]:
    """Return the value and the items in one type. Raises Refused if they do not go together."""
    if not present:
        return value, pa.array([], value.type)
    if any(type(one) is float for one in present) and kind in NUMBERS:
        return double(value), pa.array([float(one) for one in present], pa.float64())
    try:
        wanted = pa.array(present)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise refused(f"{said(Items(tuple(present)))} holds values of several kinds") from None
    asked = kind_of(wanted.type)
    if kind in {*INSTANTS, Sort.CLOCK} and asked is Sort.TEXT:
        value = _form(value)
        sought = Sort.TIME if kind in INSTANTS else kind
        # As whole numbers: an instant in Python needs a database of time zones, which a small machine does not have.
        read = [pc.cast(_form(_time(one, sought)), pa.int64()).as_py() for one in present]
        return value, pc.cast(pa.array(read, pa.int64()), value.type)
    if kind is None or asked is None or not goes_with(kind, asked):
        text = f"{said(expression.left)} ({value.type}) cannot be in a list of {wanted.type}"
        raise refused(text)
    if kind is Sort.NUMBER:
        return double(value), pc.cast(wanted, pa.float64(), safe=False)
    return (wide(value) if kind is Sort.INT else value), pc.cast(
        wanted, pa.int64() if kind is Sort.INT else value.type
    )


def _is_in_lists(value: Value, lists: Value, expression: Binary) -> Value:
    """Whether a value is among the items of a list in the same row."""
    if pa.types.is_null(lists.type) or pa.types.is_null(value.type):
        return nothing_like(value, lists, kind=pa.bool_())
    if not is_list(lists.type):
        raise refused(f"{said(expression.right)} is {lists.type}, not a list")
    items, _, lengths = opened(lists)
    items = plain(items)
    rows = pc.list_parent_indices(lists)
    if lists.null_count:  # a list that is nothing may have items below it
        rows = rows.filter(lists.is_valid().take(rows))
    sought = value if is_scalar(value) else value.take(rows)
    equal = pc.equal(*_comparable(sought, items, expression))
    places = pc.subtract(pc.cumulative_sum(pa.repeat(pa.scalar(1), len(lists))), 1)
    found = pc.is_in(
        places, value_set=pc.cast(rows.filter(equal, null_selection_behavior="drop"), pa.int64())
    )
    unsure = pc.is_in(places, value_set=pc.cast(rows.filter(pc.is_null(items)), pa.int64()))
    nothing = pa.scalar(None, pa.bool_())
    is_known = pc.and_(pc.is_valid(lengths), pc.is_valid(value))
    is_known = pc.and_(is_known, pc.or_(found, pc.invert(unsure)))
    return pc.if_else(is_known, found, nothing)
