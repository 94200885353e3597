"""What STRICT lets through: typed values of the kind, and of text its one canonical form (`scalars.py` has both tables)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from runink.contracts.casting import Coerced, only
from runink.contracts.fields import Kind

_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_CANONICAL: Final[dict[Kind, str]] = {
    Kind.INT: r"0|-?[1-9][0-9]*",
    Kind.FLOAT: rf"{_NUMBER}(?:[eE][+-]?[0-9]+)?|nan|-?inf",
    Kind.BOOL: "true|false",
    Kind.DATE: _DAY,
    Kind.DATETIME: rf"{_DAY}T{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})",
    Kind.TIME: _CLOCK,
    Kind.DECIMAL: _NUMBER,
}
_OF_KIND: Final[dict[Kind, Callable[[Any], bool]]] = {
    Kind.INT: pa.types.is_integer,
    Kind.FLOAT: pa.types.is_floating,
    Kind.BOOL: pa.types.is_boolean,
    Kind.STR: pa.types.is_string,
    Kind.BYTES: pa.types.is_binary,
    Kind.DATE: pa.types.is_date,
    Kind.DATETIME: lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    Kind.TIME: pa.types.is_time,
    Kind.DECIMAL: pa.types.is_decimal,
}


def sieved(column: pa.Array, kind: Kind) -> Coerced:
    """Return the column with nothing where STRICT takes nothing, and where that is."""
    if _OF_KIND[kind](column.type):
        return Coerced(column)
    if not pa.types.is_string(column.type):
        return only(column, pa.repeat(pa.scalar(False), len(column)))
    if kind not in _CANONICAL:  # any text is bytes, and the text of them
        return Coerced(column)
    return only(column, pc.match_substring_regex(column, rf"\A(?:{_CANONICAL[kind]})\z"))
