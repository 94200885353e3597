"""Sums, differences, products and remainders of 64-bit whole numbers in Arrow, with nothing where 64 bits do not hold them.

Arrow reckons either unchecked, which wraps around, or checked, which fails for the whole column.  Checked is tried first, because columns hardly ever
overflow; where it fails, the column is reckoned again with 76 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.expressions.columns import Value, wide
from runink.expressions.reading import INT_MAX

_DIGITS: Final = pa.decimal256(19, 0)  # what an int64 has
_MAX: Final = pa.scalar(INT_MAX, pa.int64())
_MIN: Final = pa.scalar(-INT_MAX - 1, pa.int64())


def added(left: Value, right: Value) -> Value:
    return _reckoned(pc.add_checked, pc.add, left, right)


def subtracted(left: Value, right: Value) -> Value:
    return _reckoned(pc.subtract_checked, pc.subtract, left, right)


def multiplied(left: Value, right: Value) -> Value:
    return _reckoned(pc.multiply_checked, pc.multiply, left, right)


def _reckoned(
    checked: Callable[[Any, Any], Any],
    unbounded: Callable[[Any, Any], Any],
    left: Value,
    right: Value,
) -> Value:
    left, right = wide(left), wide(right)
    try:
        return checked(left, right)
    except pa.ArrowInvalid:  # overflow, the only thing that it checks
        pass
    exact = unbounded(pc.cast(left, _DIGITS), pc.cast(right, _DIGITS))
    fits = pc.and_(
        pc.greater_equal(exact, pc.cast(_MIN, exact.type)),
        pc.less_equal(exact, pc.cast(_MAX, exact.type)),
    )
    return pc.cast(pc.if_else(fits, exact, pa.scalar(None, exact.type)), pa.int64())


def rest(left: Value, right: Value) -> Value:
    """Return what a division leaves, with the sign of what is divided; nothing where the divisor is 0."""
    left, right = wide(left), wide(right)
    divisor = pc.if_else(pc.equal(right, 0), pa.scalar(None, pa.int64()), right)
    # Whatever is divided by -1 leaves nothing, and the smallest number divided by it is none of 64 bits.
    divisor = pc.if_else(pc.equal(divisor, -1), pa.scalar(1, pa.int64()), divisor)
    return pc.subtract(left, pc.multiply(pc.divide(left, divisor), divisor))
