"""The rules that a value of the right type must keep, for whole columns.

Each looks for a reason to look closer first: the smallest and the largest value of a column cost 50 µs a million, masks a hundred times that. So a
column without a violation is left as it is, and only one with violations is gone through.  nan, where a field allows it, is in no range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import Failure, is_ascii, repeats
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.formats import FORMATS
from runink.contracts.multiples import rule_of_multiples
from runink.contracts.patterns import whole
from runink.contracts.physical import wide_type
from runink.contracts.values import BOUNDS, comparable

_BREAKS: Final = {"ge": pc.less, "gt": pc.less_equal, "le": pc.greater, "lt": pc.greater_equal}
_BROKEN_BY: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "ge": ("min", lambda value, bound: value < bound),
    "gt": ("min", lambda value, bound: value <= bound),
    "le": ("max", lambda value, bound: value > bound),
    "lt": ("max", lambda value, bound: value >= bound),
}
REPEATING: Final = (
    7 / 8
)  # of some texts are different: to match one costs more than to know it again
Rule = Callable[[pa.Array], list[Failure]]


def rules_of(field: FieldSpec) -> tuple[Rule, ...]:
    """Return the field's rules, in the order in which reasons are listed."""
    rules: list[Rule] = []
    if field.kind is Kind.FLOAT and not field.allow_inf_nan:
        rules.append(_finite)
    bounds = {
        name: comparable(field.kind, bound)
        for name in BOUNDS
        if (bound := getattr(field, name)) is not None
    }
    if bounds:
        rules.append(_Bounds(bounds, field))
    if field.multiple_of is not None:
        rules.append(rule_of_multiples(field))
    if field.min_length is not None or field.max_length is not None:
        rules.append(_Lengths(field.min_length, field.max_length))
    if field.pattern is not None:
        rules.append(_Pattern("pattern", field.pattern))
    if field.format:
        rules.append(_Pattern("format", FORMATS[field.format]))
    if field.choices:
        choices = [comparable(field.kind, choice) for choice in field.choices]
        rules.append(_Choices(_unsigned_zero(pa.array(choices, wide_type(field)))))
    return tuple(rules)


def _unsigned_zero(values: pa.Array) -> pa.Array:
    """Return floats with 0.0 for -0.0, which Arrow looks up as another number."""
    return pc.add(values, 0.0) if pa.types.is_floating(values.type) else values


def _finite(values: pa.Array) -> list[Failure]:
    # A sum shows an inf or a nan among its values; one that is too large itself only costs the closer look.
    total = pc.sum(values).as_py()
    if total is None or total - total == 0:
        return []
    mask = pc.fill_null(pc.invert(pc.is_finite(values)), False)
    return [Failure("finite", mask)] if mask.true_count else []


class _Bounds:
    def __init__(self, bounds: dict[str, Any], field: FieldSpec) -> None:
        self._bounds = bounds
        # A decimal's bound may have more digits than the field: it keeps its own type.
        kind = None if field.kind is Kind.DECIMAL else wide_type(field)
        self._scalars = {name: pa.scalar(bound, kind) for name, bound in bounds.items()}
        self._is_instant = field.kind is Kind.DATETIME
        if self._is_instant:
            self._bounds = {name: _ticks(one).as_py() for name, one in self._scalars.items()}
        self._has_nan = field.allow_inf_nan

    def __call__(self, values: pa.Array) -> list[Failure]:
        # Instants in Python need a database of time zones, even UTC: a small machine may have none.
        extremes = pc.min_max(_ticks(values) if self._is_instant else values).as_py()
        nan = pc.is_nan(values) if self._has_nan else None
        has_nan = nan is not None and nan.true_count > 0
        failures = []
        for name, bound in self._bounds.items():
            end, is_broken = _BROKEN_BY[name]
            extreme = extremes[end]
            if extreme is None or not (has_nan or is_broken(extreme, bound)):
                continue
            mask = _BREAKS[name](values, self._scalars[name])
            if has_nan:
                mask = pc.or_(mask, nan)
            failures.append(Failure(name, pc.fill_null(mask, False)))
        return failures


def _ticks(instants: Any) -> Any:
    """Return instants as microseconds since 1970."""
    return pc.cast(instants, pa.int64())


@dataclass(frozen=True, slots=True)
class _Lengths:
    shortest: int | None
    longest: int | None

    def __call__(self, values: pa.Array) -> list[Failure]:
        lengths = _lengths(values)
        extremes = pc.min_max(lengths).as_py()
        failures: list[Failure] = []
        if extremes["min"] is None:
            return failures
        if self.shortest is not None and extremes["min"] < self.shortest:
            short = pc.less(lengths, self.shortest)
            failures.append(Failure("min_length", pc.fill_null(short, False)))
        if self.longest is not None and extremes["max"] > self.longest:
            long = pc.greater(lengths, self.longest)
            failures.append(Failure("max_length", pc.fill_null(long, False)))
        return failures


def _lengths(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type) and not is_ascii(values):
        return pc.utf8_length(values)
    return (
        pc.binary_length(values)
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type)
        else pc.list_value_length(values)
    )


class _Pattern:
    """The pattern must match the whole value. Making one raises pa.ArrowInvalid if it is not RE2."""

    def __init__(self, rule: str, pattern: str) -> None:
        self._rule = rule
        self._pattern = whole(pattern)
        pc.match_substring_regex(pa.array([""]), self._pattern)

    def __call__(self, values: pa.Array) -> list[Failure]:
        if repeats(values, share=REPEATING):
            mask = self._broken_by_some(values)
        else:
            matching = pc.match_substring_regex(values, self._pattern)
            mask = pc.fill_null(pc.invert(matching), False)
        return [Failure(self._rule, mask)] if mask is not None and mask.true_count else []

    def _broken_by_some(self, values: pa.Array) -> pa.Array | None:
        """Look at each different text once; where one is wrong, look for it, which costs little where few are."""
        different = values.unique()
        matching = pc.match_substring_regex(different, self._pattern)
        wrong = different.filter(pc.invert(matching))
        return pc.is_in(values, wrong) if len(wrong) else None


@dataclass(frozen=True, slots=True)
class _Choices:
    choices: pa.Array

    def __call__(self, values: pa.Array) -> list[Failure]:
        chosen = pc.is_in(_unsigned_zero(values), self.choices)
        if chosen.true_count + values.null_count == len(values):
            return []
        return [Failure("choices", pc.and_not(values.is_valid(), chosen))]
