"""Masks applied to whole columns: what stays of values that somebody may not see (`masks.py` says what each mask means).

The column is in its field's type, as a plan gives it.  Nothing stays nothing, whatever the mask: that there is no value is no secret of a value.
A keyed mask takes each different value once.  Of what it is made, the text of the value, is written down here, because a hash must not change
with a release: ISO 8601 for dates and times (instants in UTC with microseconds), plain digits for numbers, `true` and `false`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.masks import REDACTED, TOKEN_PREFIX, Mask, masked_field, read_mask, width_of
from runink.contracts.physical import physical_type
from runink.contracts.values import INT64_MIN
from runink.errors import Refused

KEY_BYTES_MIN: Final = 16  # a shorter key is guessed together with the values
TOKEN_BYTES: Final = 12  # 24 hexadecimal digits: two in 10^12 values meet once in 60,000 tables
BUCKET_DIGITS: Final = 100  # more than a value and a width can have together
INT_TOKEN_MAX: Final = (1 << 63) - 1
_HASHED: Final = b"runink.hash\0"
_TOKEN: Final = b"runink.token\0"


def masked(column: pa.Array, field: FieldSpec, key: bytes = b"") -> pa.Array:
    """Return the column as the field's mask leaves it, in the type of `masked_field`.

    Raises Refused if the mask needs a key and `key` is too short to be one.
    """
    mask = read_mask(field.mask, field.kind)
    if mask.is_keyed and len(key) < KEY_BYTES_MIN:
        raise Refused(
            f"{field.name} is masked by {mask.name}, which needs a key of {KEY_BYTES_MIN} bytes or more",
            code="mask_key",
            hint="give the herd a key for its masks",
        )
    target = physical_type(masked_field(field))
    if field.kind is Kind.DATETIME:
        # Without a zone: who looks into an instant looks for the database of time zones, which a small machine does not have.
        column = column.cast(pa.int64()).cast(pa.timestamp("us"))
    match mask.name:
        case "redact":
            return _redacted(column, target)
        case "hash":
            return _each(column, target, lambda value: _hashed(value, target, key))
        case "tokenise":
            return _each(column, target, lambda value: _token(value, key))
        case "truncate":
            return _truncated(column, mask.first)
        case _:
            return _generalised(column, field, mask, target)


def _redacted(column: pa.Array, target: pa.DataType) -> pa.Array:
    if not pa.types.is_string(target):
        return pa.nulls(len(column), target)
    return pc.if_else(column.is_valid(), pa.scalar(REDACTED), pa.scalar(None, pa.string()))


def _each(column: pa.Array, target: pa.DataType, make: Callable[[Any], Any]) -> pa.Array:
    """Make each different value once, and put the results where the values are."""
    encoded = column.dictionary_encode()
    made = [None if value is None else make(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(made, target).take(encoded.indices)


def _hashed(value: Any, target: pa.DataType, key: bytes) -> str | bytes:
    digest = hmac.digest(key, _HASHED + written(value), hashlib.sha256)
    return digest if pa.types.is_binary(target) else digest.hex()


def _token(value: Any, key: bytes) -> str | bytes | int:
    digest = hmac.digest(key, _TOKEN + written(value), hashlib.sha256)
    if isinstance(value, str):
        return TOKEN_PREFIX + digest[:TOKEN_BYTES].hex()
    if isinstance(value, bytes):
        return digest[:TOKEN_BYTES]
    return int.from_bytes(digest[:8]) & INT_TOKEN_MAX


def written(value: Any) -> bytes:
    """Return the bytes that stand for a value in a keyed mask."""
    match value:
        case bytes():
            return value
        case bool():
            return b"true" if value else b"false"
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0").encode()
        case date():
            return value.isoformat().encode()
        case time():
            return value.isoformat("microseconds").encode()
        case Decimal():
            return format(value.normalize(), "f").encode() if value else b"0"
        case float():
            return b"0.0" if value == 0 else repr(value).encode()
        case _:
            return str(value).encode()


def _truncated(column: pa.Array, first: int) -> pa.Array:
    if pa.types.is_string(column.type):
        return pc.utf8_slice_codeunits(column, 0, first)
    return pc.binary_slice(column, 0, first)


def _generalised(column: pa.Array, field: FieldSpec, mask: Mask, target: pa.DataType) -> pa.Array:
    if field.kind in (Kind.DATETIME, Kind.TIME):
        ticks = pc.floor_temporal(column.cast(pa.int64()).cast(pa.timestamp("us")), unit=mask.unit)
        return ticks.cast(pa.int64()).cast(target)
    if mask.unit:
        return pc.floor_temporal(column, unit=mask.unit).cast(target)
    width = width_of(mask, field.kind)
    if field.kind is Kind.FLOAT:
        # nan stays nan and an infinity itself: they have no bucket, and say nothing about anybody.
        return pc.multiply(pc.floor(pc.divide(column, width)), width)
    return _each(column, target, lambda value: _bucket(value, width, target))


def _bucket(value: Any, width: Any, target: pa.DataType) -> Any:
    """Return where the value's bucket begins, nothing where the type cannot hold that: of each different value once, because Arrow floors no decimals."""
    if isinstance(value, int):
        begin = value // width * width
        return begin if begin >= INT64_MIN else None
    with localcontext(prec=BUCKET_DIGITS):
        decimal: Decimal = width * (Fraction(value) // Fraction(width))
    return decimal if abs(decimal) < 10 ** (target.precision - target.scale) else None
