"""Which type each column of a CSV source is parsed to.

    the source has                 a column is parsed to
    a contract right behind it     its physical type, where parsing straight to it loses no error; else it stays text
    none                           what the first block shows: int64, double, bool, date32, timestamp[us]; else it stays text

With a contract, a column that does not parse in some block is text there, so that the check finds every bad value and
its reason; it is tried again later, because a block is parsed once more for each column that fails.  Without one, the first block's types hold,
and a later value that does not fit is an error that names it.  What is guessed must lose nothing: `007` and a number of 17 digits or more
that is no int64 are text, so is a time of day, and a column without a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

TEXT_BLOCKS_MAX: Final = 256  # for so many blocks a bad column stays text before it is tried again
_KEPT: Final = frozenset({pa.int64(), pa.float64(), pa.bool_(), pa.date32()})
_LEADING_ZERO: Final = r"^[+-]?0[0-9]"
_WIDE_INTEGER: Final = r"^[+-]?[0-9]{17,}$"


class Declared:
    """Types that a contract gives. Each failure of a column doubles the number of blocks for which it stays text."""

    def __init__(self, names: Sequence[str], types: Mapping[str, pa.DataType]) -> None:
        self._types = {name: types.get(name, pa.string()) for name in names}
        self._penalty: dict[str, int] = {}
        self._blocks_left: dict[str, int] = {}

    def next_block(self) -> dict[str, pa.DataType]:
        """Return the types to try with the next block."""
        self._blocks_left = {name: left - 1 for name, left in self._blocks_left.items() if left > 1}
        return {
            name: pa.string() if name in self._blocks_left else kind
            for name, kind in self._types.items()
        }

    def failed(self, name: str) -> None:
        """A column did not parse."""
        self._penalty[name] = min(2 * self._penalty.get(name, 1), TEXT_BLOCKS_MAX)
        self._blocks_left[name] = self._penalty[name]


def guessed(table: pa.Table, text: pa.Table) -> dict[str, pa.DataType]:
    """Return the types for all blocks, from the first one: as Arrow took it, and the same as text."""
    return {name: _guess(table.column(name), text.column(name)) for name in table.column_names}


def _guess(column: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.DataType:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _instant(text, pa.timestamp("us", kind.tz)) or kind
    if kind not in _KEPT:
        return pa.string()
    if kind in (pa.int64(), pa.float64()) and _any(text, _LEADING_ZERO):
        return pa.string()
    if kind == pa.float64() and _any(text, _WIDE_INTEGER):
        return pa.string()
    return kind


def _instant(text: pa.ChunkedArray, kind: pa.DataType) -> pa.DataType | None:
    """Return the type if no value is finer than it."""
    return None if _any(text, r"\.[0-9]{7,}") else kind


def _any(text: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())
