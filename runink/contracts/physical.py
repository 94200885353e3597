"""The Arrow types that a contract's fields have: as narrow as its bounds allow, because what is not there need not be moved.

int       int8, int16 or int32 where both bounds say that it fits; else int64        str     string
float     double                                                                     bytes   binary
decimal   decimal128(digits, scale)                                                  bool    bool
datetime  timestamp[us, UTC]        date   date32        time   time64[us]
record    struct of its fields      list   list of its items
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.values import bits_of, digits_of

INSTANT: Final = pa.timestamp("us", "UTC")
_INTEGERS: Final = ((7, pa.int8()), (15, pa.int16()), (31, pa.int32()), (63, pa.int64()))
_TYPES: Final = {
    Kind.FLOAT: pa.float64(),
    Kind.BOOL: pa.bool_(),
    Kind.STR: pa.string(),
    Kind.BYTES: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: INSTANT,
    Kind.TIME: pa.time64("us"),
}

TRUE_WORDS: Final = ("true", "True", "TRUE")  # in a CSV file; 1 is a number, but to a lenient field
FALSE_WORDS: Final = ("false", "False", "FALSE")
LETTERS_MAX: Final = 10_000  # a millisecond of looking
PREFIXES_MAX: Final = 20_000  # two more; in a block of 4 MB more of them are no accident
ZERO: Final = ord("0")


def physical_type(field: FieldSpec) -> pa.DataType:
    """Return the type that the field's column has behind a check."""
    if field.kind is Kind.RECORD:
        return pa.struct([(inner.name, physical_type(inner)) for inner in field.fields])
    if field.kind is Kind.LIST:
        assert field.items is not None, "a list says what it holds"
        return pa.list_(physical_type(field.items))
    if field.kind is Kind.DECIMAL:
        return pa.decimal128(*digits_of(field))
    if field.kind is Kind.INT:
        return next(kind for bits, kind in _INTEGERS if bits >= bits_of(field))
    return _TYPES[field.kind]


def wide_type(field: FieldSpec) -> pa.DataType:
    """Return a type that also holds whole numbers which the field does not take."""
    return pa.int64() if field.kind is Kind.INT else physical_type(field)


def physical_schema(spec: ContractSpec) -> pa.Schema:
    """Return the schema of what has passed the contract. A field that may not hold nothing says so."""
    return pa.schema([pa.field(field.name, physical_type(field)) for field in spec.fields])


def column_types(spec: ContractSpec) -> dict[str, pa.DataType]:
    """Return the types to which a CSV reader may parse straight: whatever Arrow's CSV parser takes for one of them, the contract takes
    from text for the same value. A decimal's is text: Arrow's parser of decimals ends the process at an exponent like that of 1e-999999999.
    So is every STRICT field's: Arrow takes blanks and leading zeros, too.

    There are two exceptions. Hexadecimal: Arrow reads 0x1F as 31 (and 0xFF as -1, if the type is narrow), a contract rejects it; a reader parses a block in
    which `may_hold_hexadecimal` to text instead, and a column that does not parse. Booleans: a reader says that only TRUE_WORDS and FALSE_WORDS are some.
    """
    return {field.name: _straight(spec, field) for field in spec.fields}


def _straight(spec: ContractSpec, field: FieldSpec) -> pa.DataType:
    policy = spec.coercion if field.coercion is None else field.coercion
    if policy is Coercion.STRICT or field.kind in (Kind.DECIMAL, Kind.RECORD, Kind.LIST):
        return pa.string()
    return physical_type(field)


def may_hold_hexadecimal(
    text: bytes | bytearray, *, end: int | None = None, delimiter: str = ","
) -> bool:
    """Say whether the first `end` bytes of a CSV text hold what Arrow would read as a number in base 16.

    Such a number begins a value, so what stands behind a letter or a digit (the tail number N390XA) is none. It looks at memory speed: from one x
    to the next, which is four times as fast as looking for two letters where they are as rare as in data, and for two letters where they are as
    common as in prose. Of very many places that look like a number only the first are looked at.
    """
    end = len(text) if end is None else end
    return any(_begins_value(text, letter, end, delimiter.encode()) for letter in (b"x", b"X"))


def _begins_value(text: bytes | bytearray, letter: bytes, end: int, delimiter: bytes) -> bool:
    at = text.find(letter, 0, end)
    for _ in range(LETTERS_MAX):
        if at < 0:
            return False
        if at and text[at - 1] == ZERO and _is_first(text, at - 1, delimiter):
            return True
        at = text.find(letter, at + 1, end)
    return at >= 0 and _begins_value_in_prose(text, b"0" + letter, at, end, delimiter)


def _begins_value_in_prose(
    text: bytes | bytearray, prefix: bytes, start: int, end: int, delimiter: bytes
) -> bool:
    at = max(start - len(prefix), -1)  # find counts what is below 0 from the end
    for _ in range(PREFIXES_MAX):
        at = text.find(prefix, at + 1, end)
        if at < 0:
            return False
        if _is_first(text, at, delimiter):
            return True
    return True


def _is_first(text: bytes | bytearray, at: int, delimiter: bytes) -> bool:
    """Say whether a value may begin there."""
    before = text[at - 1 : at]
    return not before.isalnum() or before == delimiter
