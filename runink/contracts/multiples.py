"""Multiples of a number, for whole columns.

    int       by integer division
    decimal   by integer division of what it is in units of its last place
    float     a float is taken for the number that its shortest text says, so that 0.3 is a multiple of 0.1, and 0.1 + 0.2 (0.30000000000000004) is none

For floats there is a way without text. With a step of p/10^s (p and s whole) let k be the nearest whole number to value / step. Up to 15 digits a number
and the double nearest to it say the same, so the value is a multiple exactly if it is the double nearest to k * p / 10^s, which is what a
division of two exact doubles gives. Values that need more digits (or steps that do) go to `values.is_multiple`, each different one once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import Failure
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.values import digits_of, is_multiple

Rule = Callable[[pa.Array], list[Failure]]
EXACT_MAX: Final = 1e15  # below it, whatever has 15 digits is a double of its own
SCALE_MAX: Final = 22  # 10^22 is the highest power of ten that a double holds


def rule_of_multiples(field: FieldSpec) -> Rule:
    """Return the rule of a field with `multiple_of`."""
    assert field.multiple_of is not None
    match field.kind:
        case Kind.INT:
            assert isinstance(field.multiple_of, int)
            return _Whole(field.multiple_of)
        case Kind.DECIMAL:
            return _decimal(field)
        case _:
            return _Float(float(field.multiple_of))


def _failures(is_one: pa.Array, values: pa.Array) -> list[Failure]:
    if is_one.true_count + values.null_count == len(values):
        return []
    return [Failure("multiple_of", pc.fill_null(pc.invert(is_one), False))]


@dataclass(frozen=True, slots=True)
class _Whole:
    step: int

    def __call__(self, values: pa.Array) -> list[Failure]:
        if self.step == 1:
            return []
        wide = values if values.type == pa.int64() else values.cast(pa.int64())
        # Division cuts towards nothing, so what comes back is no larger and cannot overflow.
        nearest = pc.multiply(pc.divide(wide, self.step), self.step)
        return _failures(pc.equal(nearest, wide), values)


def _decimal(field: FieldSpec) -> Rule:
    """Values lie on a grid of 10^-scale: those that are multiples of the step lie on the grid of both."""
    digits, scale = digits_of(field)
    step = Fraction(str(field.multiple_of)) * 10**scale
    units = step.numerator  # a multiple of a/b, in lowest terms, that is whole is a multiple of a
    multiple = Decimal(f"{units}E-{scale}")
    if units >= 10**digits:  # only 0 is one
        return lambda values: _failures(
            pc.equal(values, pa.scalar(Decimal(0), values.type)), values
        )
    return lambda values: _failures(_is_rounded(values, multiple), values)


def _is_rounded(values: pa.Array, multiple: Decimal) -> pa.Array:
    step = pa.scalar(multiple, values.type)
    return pc.equal(pc.round_to_multiple(values, multiple=step, round_mode="towards_zero"), values)


class _Float:
    def __init__(self, step: float) -> None:
        self._step = step
        exact = Decimal(repr(step)).normalize()
        _, figures, exponent = exact.as_tuple()
        assert isinstance(exponent, int), "a step is a finite number"
        scale = max(0, -exponent)
        units = int(exact.scaleb(scale)) if exponent < SCALE_MAX else 0
        self._is_plain = 0 < units < EXACT_MAX and scale <= SCALE_MAX and len(figures) <= 15
        self._units, self._power = float(units), float(10**scale) if self._is_plain else 1.0

    def __call__(self, values: pa.Array) -> list[Failure]:
        if not self._is_plain:
            return _failures(self._slowly(values), values)
        nearest = pc.round(pc.divide(values, self._step))
        units = pc.multiply(nearest, self._units)
        is_one = pc.equal(pc.divide(units, self._power), values)
        is_sure = pc.less(pc.abs(units), EXACT_MAX)
        if is_sure.true_count + values.null_count < len(values):
            doubtful = pc.fill_null(pc.invert(is_sure), False)  # nan is doubtful, too
            few = self._slowly(values.filter(doubtful))
            is_one = pc.replace_with_mask(is_one, doubtful, few)
        return _failures(is_one, values)

    def _slowly(self, values: pa.Array) -> pa.Array:
        encoded = values.dictionary_encode()
        found = [
            None if value is None else is_multiple(Kind.FLOAT, value, self._step)
            for value in encoded.dictionary.to_pylist()
        ]
        return pa.array(found, pa.bool_()).take(encoded.indices)
