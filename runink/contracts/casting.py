"""Tools of coercion: whole columns cast where Arrow can, the rest picked apart by form, and the last of it value by value.

Four steps, cheapest first; what each of them takes is what `scalars.py` takes:
1. Arrow casts the whole column where it can;
2. of a column of numbers, all texts but the few that are none by their bytes (`digits.py`);
3. where it cannot, because of some of the values, the usual forms are picked out and cast together;
4. what is left goes to Python, each different value once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.digits import text_bytes
from runink.contracts.scalars import Failed

Cast = Callable[[pa.Array], pa.Array]
Forms = tuple[tuple[Cast, Cast], ...]  # which values have a form, and how those are cast
Ways = tuple[
    Forms, Callable[[Any], Any], pa.DataType
]  # of one kind: forms, what parses the others, the type of both
ROWS_TRIED: Final = 16  # of a column before all of it: see cast_whole
ROWS_GUESSED: Final = 1024  # of a column, to guess how often its values repeat
ROWS_PARSED: Final = 64  # so few go to Python at once: to make a pattern ready costs more
ASCII_END: Final = 128
OFFSET_BYTES: Final = 4  # of a text's beginning in its column
FEW: Final = 4  # up to a fourth of a column: picking them out costs less than looking at all
_NOT_CAST: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a rule is broken: `mask` is true there and never null."""

    rule: str
    mask: pa.Array


@dataclass(frozen=True, slots=True)
class Coerced:
    """A column's values, null where there were none and where there are failures. Whole numbers may still be wider than their field."""

    values: pa.Array
    failures: tuple[Failure, ...] = ()


_PLAIN_IDS: Final = frozenset(
    kind.id
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float64(), pa.bool_(), pa.string()),
        *(pa.date32(), pa.timestamp("us"), pa.binary()),
    )
)  # what nearly all columns are: told by one look


def plain(column: pa.Array) -> pa.Array:
    """Return the column without its encoding: what it holds counts, not how. Arrow lacks functions for some encodings, and for views."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    types, kind = pa.types, column.type
    if kind.id in _PLAIN_IDS:
        return column
    if types.is_dictionary(kind):
        return plain(column.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if types.is_large_string(kind) or types.is_string_view(kind):
        return column.cast(pa.string())
    if (
        types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    ):
        return column.cast(pa.binary())
    return column.cast(pa.float32()) if types.is_float16(kind) else column


def has_some(column: pa.Array) -> bool:
    return bool(column.null_count < len(column))


def all_true(mask: pa.Array) -> bool:
    return bool(mask.true_count == len(mask))


def without_nulls(column: pa.Array) -> pa.Array:
    """Return a column as if it had no nulls: of use where those are not looked at. Others than plain numbers and times stay as they are."""
    if not column.null_count or not pa.types.is_primitive(column.type):
        return column
    _, held = column.buffers()
    return pa.Array.from_buffers(column.type, len(column), [None, held], offset=column.offset)


def is_ascii(column: pa.Array) -> bool:
    """Say whether a text column holds ASCII alone."""
    return highest_byte(column) < ASCII_END


def highest_byte(column: pa.Array) -> int:
    """Return the highest byte among a text column's characters (a null's too, which costs a slower way and nothing else)."""
    every, _ = text_bytes(column)
    return pc.max(every).as_py() or 0


def cast_whole(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    """Return the column in another type, or nothing if one of its values does not fit.

    Arrow makes an error of every value that does not and keeps one, so a column that is wrong throughout costs forty times a good one: the first rows
    are tried before the others.
    """
    if column.type == target:
        return column
    try:
        if len(column) > ROWS_TRIED:
            column.slice(0, ROWS_TRIED).cast(target)
        return column.cast(target)
    except _NOT_CAST:
        return None


def cast_nearly_whole(column: pa.Array, odd: pa.Array, ways: Ways) -> Coerced | None:
    """Cast all texts at once but the `odd` ones, which go their own ways; nothing if there are others that Arrow does not cast."""
    values = cast_whole(_without(column, odd), ways[2])
    left = pc.and_(column.is_valid(), odd)
    return None if values is None else _apart(column, left, values, ways)


def _without(column: pa.Array, odd: pa.Array) -> pa.Array:
    """Return a column of text with nothing where `odd` is true. No byte of text is copied."""
    there = pc.and_not(column.is_valid(), odd)
    assert there.offset == 0, "what a kernel has made begins with its first bit"
    _, offsets, data = column.buffers()
    offsets = offsets.slice(column.offset * OFFSET_BYTES)
    return pa.Array.from_buffers(column.type, len(column), [there.buffers()[1], offsets, data])


def to(target: pa.DataType) -> Cast:
    return lambda column: column.cast(target)


def fitted(column: pa.Array, target: pa.DataType) -> pa.Array:
    """Return the column in another type, cutting what does not fit; a column of that type as it is, so that it is seen to be unchanged."""
    return column if column.type == target else column.cast(target, safe=False)


def matching(pattern: str) -> Cast:
    return lambda column: pc.match_substring_regex(column, pattern)


def in_pieces(
    column: pa.Array,
    usual: Forms,
    parse: Callable[[Any], Any],
    target: pa.DataType,
) -> Coerced:
    """Cast the usual forms together (each says which values have it, and how they are cast) and give the others to `parse`."""
    if usual and repeats(column):
        return _each_once(column, usual, parse, target)
    return _by_form(column, usual, parse, target)


def _by_form(
    column: pa.Array,
    usual: Forms,
    parse: Callable[[Any], Any],
    target: pa.DataType,
) -> Coerced:
    values: pa.Array | None = None
    left = column.is_valid()
    for at, (has_form, cast) in enumerate(usual if len(column) > ROWS_PARSED else ()):
        if left.true_count <= len(column) // FEW:
            return _apart(column, left, values, (usual[at:], parse, target))
        having = pc.and_(left, pc.fill_null(has_form(column), False))
        if having.true_count:
            ones = cast(pc.if_else(having, column, pa.scalar(None, column.type)))
            values = ones if values is None else pc.coalesce(values, ones)
            left = pc.and_not(left, having)
    values = pa.nulls(len(column), target) if values is None else values
    return _parsed(column, left, parse, values) if left.true_count else Coerced(values)


def _apart(
    column: pa.Array,
    left: pa.Array,
    values: pa.Array | None,
    ways: Ways,
) -> Coerced:
    """Take the few values that are left out of the column, go on with them alone, and put the results where they were."""
    values = pa.nulls(len(column), ways[2]) if values is None else values
    if not left.true_count:
        return Coerced(values)
    few = _by_form(column.filter(left), *ways)
    if has_some(few.values):
        values = pc.replace_with_mask(values, left, few.values)
    failures = [
        Failure(one.rule, left if all_true(one.mask) else _spread(one.mask, left))
        for one in few.failures
    ]
    return Coerced(values, tuple(failures))


def repeats(column: pa.Array, *, share: float = 1 / FEW) -> bool:
    """Guess from the first rows, of which at most this share is different, whether the column has few different texts, as days and hours in a log are: telling them apart costs half of a cast."""
    if len(column) <= ROWS_GUESSED or not pa.types.is_string(column.type):
        return False
    return len(column.slice(0, ROWS_GUESSED).unique()) <= ROWS_GUESSED * share


def _each_once(
    column: pa.Array,
    usual: Forms,
    parse: Callable[[Any], Any],
    target: pa.DataType,
) -> Coerced:
    """Take each different value for the kind once, then put the results where the values are."""
    encoded = column.dictionary_encode()
    once = _by_form(encoded.dictionary, usual, parse, target)
    values = once.values.take(encoded.indices)
    if len(once.failures) == 1:  # nothing is where nothing was, and where it failed
        failed = pc.and_(values.is_null(), column.is_valid())
        return Coerced(values, (Failure(once.failures[0].rule, failed),))
    failures = [
        Failure(one.rule, pc.fill_null(one.mask.take(encoded.indices), False))
        for one in once.failures
    ]
    return Coerced(values, tuple(failures))


def _parsed(
    column: pa.Array, left: pa.Array, parse: Callable[[Any], Any], values: pa.Array
) -> Coerced:
    """Give each different value that is left to `parse`, and put what it makes of them among `values`."""
    encoded = column.filter(left).dictionary_encode()
    outcomes = list(map(parse, encoded.dictionary.to_pylist()))
    first = outcomes[0]
    if isinstance(first, Failed) and outcomes.count(first) == len(outcomes):
        return Coerced(values, (Failure(first.value, left),))
    parsed = [None if isinstance(outcome, Failed) else outcome for outcome in outcomes]
    if any(value is not None for value in parsed):
        ones = pa.array(parsed, values.type).take(encoded.indices)
        values = pc.replace_with_mask(values, left, ones)
    failures = []
    for member in Failed:
        failing = [outcome is member for outcome in outcomes]
        if any(failing):
            failed = pa.array(failing).take(encoded.indices)
            failures.append(Failure(member.value, _spread(failed, left)))
    return Coerced(values, tuple(failures))


def _spread(mask: pa.Array, over: pa.Array) -> pa.Array:
    """Put a mask of the rows where `over` is true in their places among all rows."""
    return pc.replace_with_mask(over, over, mask)


# Years: what no calendar of ours holds is rejected, they are 1 to 9999.

Bounds = tuple[pa.Scalar, pa.Scalar]
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # of year 1, of year 9999
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6}
DATES: Final = (pa.scalar(date(1, 1, 1), pa.date32()), pa.scalar(date(9999, 12, 31), pa.date32()))


@cache
def instant_bounds(unit: str) -> Bounds:
    factor, kind = _PER_SECOND[unit], pa.timestamp(unit, "UTC")
    return (
        pa.scalar(FIRST_SECOND * factor, kind),
        pa.scalar(LAST_SECOND * factor + factor - 1, kind),
    )


def within(column: pa.Array, bounds: Bounds) -> Coerced:
    if not has_some(column):
        return Coerced(column)
    low, high = bounds
    extremes = pc.min_max(column)
    if pc.less(extremes["min"], low).as_py() or pc.greater(extremes["max"], high).as_py():
        return only(column, pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high)))
    return Coerced(column)


def only(column: pa.Array, mask: pa.Array, failed_by: Failed = Failed.TYPE) -> Coerced:
    """Keep the values where `mask` is true; the others are failures."""
    failed = pc.and_(column.is_valid(), pc.invert(pc.fill_null(mask, False)))
    if not failed.true_count:
        return Coerced(column)
    kept = pc.if_else(failed, pa.scalar(None, column.type), column)
    return Coerced(kept, (Failure(failed_by.value, failed),))


def also_within(coerced: Coerced, bounds: Bounds) -> Coerced:
    bounded = within(coerced.values, bounds)
    return Coerced(bounded.values, (*coerced.failures, *bounded.failures))


INSTANTS: Final = instant_bounds("us")
