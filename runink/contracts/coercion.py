"""Columns brought to the type that their contract says, and which of their values are not of it.

A failed cast is a failure of its own, found here: a value that is there in the source and is not accepted. It is never cast to null and
then looked at, because a field that may hold nothing would then take any garbage.

The ways are those of `casting.py`; here is, for each kind and policy, which columns it takes and what the usual forms of its text are. `scalars.py` says what
is accepted.  STRICT is a sieve in front of SAFE: what is not canonical goes no further.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts import scalars
from runink.contracts.casting import (
    DATES,
    INSTANTS,
    Coerced,
    Failure,
    Forms,
    Ways,
    also_within,
    cast_nearly_whole,
    cast_whole,
    fitted,
    has_some,
    highest_byte,
    in_pieces,
    instant_bounds,
    is_ascii,
    matching,
    only,
    repeats,
    to,
    within,
)
from runink.contracts.digits import DIGITS_MAX, FRACTIONAL, WHOLE, odd_texts
from runink.contracts.fields import Coercion, Kind
from runink.contracts.physical import INSTANT
from runink.contracts.scalars import Failed
from runink.contracts.strictness import sieved

_DAY: Final = r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_HOUR: Final = r"(?:[01][0-9]|2[0-3])"
_CLOCK: Final = rf"[T ]{_HOUR}:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?"
USUAL_INT: Final = r"\A-[0-9]{1,18}\z"  # with the sign: the others are found without a pattern
USUAL_WHOLE: Final = r"\A-?[0-9]{1,15}\.0*\z"  # as pandas writes numbers beside missing ones; a double holds so many digits
USUAL_FLOAT: Final = r"\A[+-]?[0-9]+(?:\.[0-9]+)?\z"
USUAL_DATE: Final = rf"\A{_DAY}\z"
USUAL_INSTANT: Final = rf"\A{_DAY}{_CLOCK}(?:Z|[+-]{_HOUR}:?[0-5][0-9])\z"
USUAL_NAIVE: Final = rf"\A{_DAY}(?:{_CLOCK})?\z"
EXACT_INT_MAX: Final = 1 << 53  # a double holds every integer up to it
# No character of a whole number has a higher code; every letter of a hexadecimal has.
NINE: Final = ord("9")


def coerce(
    column: pa.Array, kind: Kind, target: pa.DataType, policy: Coercion = Coercion.SAFE
) -> Coerced:
    """Take a column of any type for the kind, whose physical type is `target`. The column is `plain`, the kind no record and no list."""
    if pa.types.is_null(column.type):
        return Coerced(pa.nulls(len(column), target))
    sieve = sieved(column, kind) if policy is Coercion.STRICT else Coerced(column)
    coerced = _READERS[kind](sieve.values, target, policy)
    taken = coerced if coerced is not None else nothing_of(sieve.values, target)
    return Coerced(taken.values, (*sieve.failures, *taken.failures))


def nothing_of(column: pa.Array, target: pa.DataType) -> Coerced:
    """No value of this type is one of the field's."""
    failures = (Failure(Failed.TYPE.value, column.is_valid()),) if has_some(column) else ()
    return Coerced(pa.nulls(len(column), target), failures)


# One function a kind: the column in the field's type, or nothing if no value of such a column can be.


def _int(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if kind == target:
        return Coerced(column)
    if types.is_string(kind):
        if highest_byte(column) <= NINE:
            whole = cast_whole(column, target)
            if whole is not None:
                return Coerced(whole)
        ways = (_USUAL_INTS, scalars.lenient_int_of if lenient else scalars.int_of, pa.int64())
        return _numbers(column, odd_texts(column, WHOLE, DIGITS_MAX), ways)
    if lenient and types.is_boolean(kind):
        return Coerced(column.cast(target))
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        whole = cast_whole(column, pa.int64())
        if whole is not None:
            return Coerced(whole)
        usual = ((_is_whole, to(pa.int64())),) if types.is_floating(kind) else ()
        if lenient and types.is_floating(kind):
            usual = ((_is_small, _truncated),)
        parse = scalars.lenient_int_of if lenient else scalars.int_of
        return in_pieces(column, usual, parse, pa.int64())
    return None


def _numbers(column: pa.Array, odd: pa.Array | None, ways: Ways) -> Coerced:
    """Cast a column of text at once where only the odd texts are no numbers, and otherwise in pieces."""
    taken = None if odd is None else cast_nearly_whole(column, odd, ways)
    return in_pieces(column, *ways) if taken is None else taken


def _is_number(column: pa.Array) -> pa.Array:
    """Say which texts are short whole numbers without a sign, at a fifth of a regular expression's cost."""
    mask = pc.and_(pc.utf8_is_decimal(column), pc.less_equal(pc.binary_length(column), DIGITS_MAX))
    return mask if is_ascii(column) else pc.and_(mask, pc.string_is_ascii(column))


def _by_double(column: pa.Array) -> pa.Array:
    return column.cast(pa.float64()).cast(pa.int64())


_USUAL_INTS: Final[Forms] = (
    (_is_number, to(pa.int64())),
    (matching(USUAL_INT), to(pa.int64())),
    (matching(USUAL_WHOLE), _by_double),
)


def _is_whole(column: pa.Array) -> pa.Array:
    small = pc.less(pc.abs(column), 2.0**62)  # false for nan
    return pc.and_(small, pc.equal(pc.floor(column), column))


def _is_small(column: pa.Array) -> pa.Array:
    return pc.less(pc.abs(column), 2.0**62)


def _truncated(column: pa.Array) -> pa.Array:
    return pc.trunc(column).cast(pa.int64())


def _float(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if types.is_string(kind):
        whole = cast_whole(column, target)
        if whole is not None:
            return Coerced(whole)
        usual = ((matching(USUAL_FLOAT), to(target)),)
        parse = scalars.lenient_float_of if lenient else scalars.float_of
        return _numbers(column, odd_texts(column, FRACTIONAL), (usual, parse, target))
    if types.is_integer(kind) and not lenient and _is_wide(column):
        return in_pieces(column, ((_is_exact, to(target)),), scalars.float_of, target)
    if types.is_decimal(kind):
        # Arrow rounds text to the nearest double, a decimal not always.
        column = column.cast(pa.string())
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if number or (lenient and types.is_boolean(kind)):
        return Coerced(fitted(column, target))
    return None


def _is_wide(column: pa.Array) -> bool:
    """Say whether there are integers that a double might round."""
    extremes = pc.min_max(column).as_py()
    low, high = extremes["min"] or 0, extremes["max"] or 0
    return bool(low < -EXACT_INT_MAX or high > EXACT_INT_MAX)


def _is_exact(column: pa.Array) -> pa.Array:
    high = pc.less_equal(column, pa.scalar(EXACT_INT_MAX, pa.int64()).cast(column.type))
    if pa.types.is_unsigned_integer(column.type):
        return high
    return pc.and_(high, pc.greater_equal(column, -EXACT_INT_MAX))


def _bool(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if types.is_boolean(kind):
        return Coerced(column)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if types.is_string(kind) or (lenient and number):
        parse = scalars.lenient_bool_of if lenient else scalars.bool_of
        return in_pieces(column, (), parse, target)
    return None


def _str(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if types.is_string(kind):
        return Coerced(column)
    if types.is_binary(kind):
        whole = cast_whole(column, target)
        return in_pieces(column, (), scalars.str_of, target) if whole is None else Coerced(whole)
    return _told(column, target) if lenient else None


def _told(column: pa.Array, target: pa.DataType) -> Coerced | None:
    """Return numbers, booleans, dates and times as their text."""
    types, kind = pa.types, column.type
    if types.is_integer(kind) or types.is_boolean(kind):
        return Coerced(column.cast(target))
    if types.is_timestamp(kind):
        instants = _instants(column, lenient=True)
        told = in_pieces(instants.values, (), scalars.text_of, target)
        return Coerced(told.values, (*instants.failures, *told.failures))
    if types.is_date(kind):
        days = within(column.cast(pa.date32()), DATES)
        told = in_pieces(days.values, (), scalars.text_of, target)
        return Coerced(told.values, (*days.failures, *told.failures))
    if types.is_time(kind):
        column = column.cast(pa.time64("us"), safe=False)
    elif not types.is_floating(kind) and not types.is_decimal(kind):
        return None
    return in_pieces(column, (), scalars.text_of, target)


def _bytes(column: pa.Array, target: pa.DataType, _: Coercion) -> Coerced | None:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return Coerced(fitted(column, target))
    return None


def _date(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if types.is_date(kind):
        return within(fitted(column, target), DATES)
    if types.is_timestamp(kind):
        naive = column.cast(pa.timestamp(kind.unit))
        days = naive.cast(target, safe=False)
        if lenient:
            return within(days, DATES)
        midnight = pc.equal(days.cast(naive.type, safe=False), naive)
        return also_within(only(days, midnight), DATES)
    if types.is_string(kind):
        whole = None if repeats(column) else cast_whole(column, target)
        if whole is not None:
            return within(whole, DATES)
        usual = ((matching(USUAL_DATE), to(target)),)
        parse = scalars.lenient_date_of if lenient else scalars.date_of
        return also_within(in_pieces(column, usual, parse, target), DATES)
    return None


def _datetime(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    if types.is_timestamp(kind):
        return _instants(column, lenient=lenient)
    if types.is_date(kind):
        return _instants(column.cast(pa.date32()).cast(pa.timestamp("s")), lenient=lenient)
    if types.is_string(kind):
        whole = None
        if not repeats(column):
            whole = cast_whole(column, target)
            whole = cast_whole(column, pa.timestamp("us")) if whole is None else whole
        if whole is not None:
            return within(whole.cast(target), INSTANTS)
        usual = ((matching(USUAL_INSTANT), to(target)), (matching(USUAL_NAIVE), _naive))
        parse = scalars.lenient_datetime_of if lenient else scalars.datetime_of
        return also_within(in_pieces(column, usual, parse, target), INSTANTS)
    return None


def _naive(column: pa.Array) -> pa.Array:
    return column.cast(pa.timestamp("us")).cast(INSTANT)


def _instants(column: pa.Array, *, lenient: bool) -> Coerced:
    """Bring timestamps of any unit and zone to microseconds of UTC."""
    unit = column.type.unit
    aware = fitted(column, pa.timestamp(unit, "UTC"))
    if unit == "ns":
        exact = cast_whole(aware, INSTANT)
        if exact is not None:
            return Coerced(exact)
        # Arrow would cut towards 1970, which moves what was before it.
        floor = pc.floor_temporal(aware, unit="microsecond")
        cut = floor.cast(INSTANT)
        return Coerced(cut) if lenient else only(cut, pc.equal(floor, aware), Failed.PRECISION)
    bounded = within(aware, instant_bounds(unit))
    return Coerced(fitted(bounded.values, INSTANT), bounded.failures)


def _time(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    if pa.types.is_time(column.type):
        cut = fitted(column, target)
        if lenient or column.type != pa.time64("ns"):
            return Coerced(cut)
        return only(cut, pc.equal(cut.cast(column.type), column), Failed.PRECISION)
    if pa.types.is_string(column.type):
        parse = scalars.lenient_time_of if lenient else scalars.time_of
        return in_pieces(column, (), parse, target)
    return None


def _decimal(column: pa.Array, target: pa.DataType, policy: Coercion) -> Coerced | None:
    lenient = policy is Coercion.LENIENT
    types, kind = pa.types, column.type
    parse = scalars.decimal_of(target.precision, target.scale, rounds=lenient)
    if types.is_string(kind):
        # Never the whole column at once: Arrow's parser reads past its tables, and the process dies, at an exponent like that of 1e-999999999.
        return in_pieces(column, _usual_decimal(target), parse, target)
    if types.is_floating(kind):
        return in_pieces(column, (), parse, target)
    if lenient and types.is_boolean(kind):
        column = column.cast(pa.int8())
        kind = column.type
    if types.is_integer(kind):
        column = column.cast(pa.decimal128(20, 0))  # the digits of the largest integer
    elif not types.is_decimal(kind):
        return None
    # Arrow does not see every overflow when it moves the point (7 becomes a decimal128(38, 38)), so what is too large never gets there.
    extremes = pc.min_max(column).as_py()
    limit = 10 ** (target.precision - target.scale)
    if has_some(column) and (extremes["min"] <= -limit or extremes["max"] >= limit):
        return in_pieces(column, (), parse, target)
    whole = cast_whole(column, target)
    return in_pieces(column, (), parse, target) if whole is None else Coerced(whole)


def _usual_decimal(target: pa.DataType) -> Forms:
    before, behind = target.precision - target.scale, target.scale
    whole = rf"[0-9]{{1,{before}}}" if before else "0?"
    fraction = rf"\.[0-9]{{1,{behind}}}" if behind else ""
    if before:
        fraction = f"(?:{fraction})?"
    return ((matching(rf"\A[+-]?{whole}{fraction}\z"), to(target)),)


Reader = Callable[[pa.Array, pa.DataType, Coercion], Coerced | None]
_READERS: Final[dict[Kind, Reader]] = {
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.STR: _str,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.TIME: _time,
    Kind.DECIMAL: _decimal,
}
