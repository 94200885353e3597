"""The Arrow types that a contract's fields have: as narrow as its bounds allow, because what is not there need not be moved.

int       int8, int16 or int32 where both bounds say that it fits; else int64        str     string
float     double                                                                     bytes   binary
decimal   decimal128(digits, scale)                                                  bool    bool
datetime  timestamp[us, UTC]        date   date32        time   time64[us]
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from runink.contracts.annotations import DIGITS_MAX, SCALE_DEFAULT
from runink.contracts.fields import ContractSpec, FieldSpec, Kind

INSTANT: Final = pa.timestamp("us", "UTC")
_INTEGERS: Final = ((7, pa.int8()), (15, pa.int16()), (31, pa.int32()))
_TYPES: Final = {
    Kind.INT: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOL: pa.bool_(),
    Kind.STR: pa.string(),
    Kind.BYTES: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: INSTANT,
    Kind.TIME: pa.time64("us"),
}

PREFIXES_MAX: Final = (
    20_000  # two milliseconds of looking; in a block of 4 MB more of them are no accident
)


def digits_of(field: FieldSpec) -> tuple[int, int]:
    """Return all digits of a decimal field and those behind its point."""
    if field.digits is None or field.scale is None:
        return DIGITS_MAX, SCALE_DEFAULT
    return field.digits, field.scale


def physical_type(field: FieldSpec) -> pa.DataType:
    """Return the type that the field's column has behind a check."""
    if field.kind is Kind.DECIMAL:
        return pa.decimal128(*digits_of(field))
    if field.kind is Kind.INT:
        low: Any = field.ge if field.ge is not None else field.gt
        high: Any = field.le if field.le is not None else field.lt
        if field.choices:
            low, high = min(field.choices), max(field.choices)
        if low is not None and high is not None:
            for bits, kind in _INTEGERS:
                if -(1 << bits) <= low and high < 1 << bits:
                    return kind
    return _TYPES[field.kind]


def physical_schema(spec: ContractSpec) -> pa.Schema:
    """Return the schema of what has passed the contract. A field that may not hold nothing says so."""
    return pa.schema([pa.field(field.name, physical_type(field)) for field in spec.fields])


def column_types(spec: ContractSpec) -> dict[str, pa.DataType]:
    """Return the types to which a CSV reader may parse straight: whatever Arrow's CSV parser takes for one of them, the contract takes
    from text for the same value. A decimal's is text: Arrow's parser of decimals ends the process at an exponent like that of 1e-999999999.

    There is one exception, hexadecimal: Arrow reads 0x1F as 31 (and 0xFF as -1, if the type is narrow), a contract rejects it. A reader parses a block in
    which `may_hold_hexadecimal` to text instead, and a column that does not parse.
    """
    return {
        field.name: pa.string() if field.kind is Kind.DECIMAL else physical_type(field)
        for field in spec.fields
    }


def may_hold_hexadecimal(
    text: bytes | bytearray, *, end: int | None = None, delimiter: str = ","
) -> bool:
    """Say whether the first `end` bytes of a CSV text hold what Arrow would read as a number in base 16.

    Such a number begins a value, so what stands behind a letter or a digit (the tail number N390XA) is none. It looks at memory speed: one
    letter is found ten times as fast as two and is mostly absent, and of very many places that look like one only the first are looked at.
    """
    end = len(text) if end is None else end
    return any(
        text.find(letter, 0, end) >= 0 and _begins_value(text, b"0" + letter, end, delimiter)
        for letter in (b"x", b"X")
    )


def _begins_value(text: bytes | bytearray, prefix: bytes, end: int, delimiter: str) -> bool:
    at = -1
    for _ in range(PREFIXES_MAX):
        at = text.find(prefix, at + 1, end)
        if at < 0:
            return False
        before = text[at - 1 : at]
        if not before.isalnum() or before == delimiter.encode():
            return True
    return True
