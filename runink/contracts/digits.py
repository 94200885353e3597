"""Which texts of a column are certainly no numbers of the usual form, by their bytes: one look at all bytes at once costs a fifth of a cast.

Nearly all texts of a column of numbers hold digits, some with a minus before them.  So the bytes that stand in no such number are looked for; they are few, and each
tells the row that it spoils.  What is left need not be a number yet (`5-5` is not): that is for Arrow's cast to say, which then has few reasons to say no.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

DIGITS_MAX: Final = 18  # any number of so many digits fits in 64 bits
ODD_FEW: Final = 16  # so many spoilt rows are few in any column
ODD_SHARE: Final = 64  # and one of so many in a long one; more are found by other means for less
_ODD: Final = b"\1"
Classes = bytes  # 256 of them, one for each byte: 1 where it stands in no number


def _all_but(usual: bytes) -> Classes:
    return bytes(byte not in usual for byte in range(256))


WHOLE: Final = _all_but(b"0123456789-")
FRACTIONAL: Final = _all_but(b"0123456789-+.eE")


def text_bytes(column: pa.Array) -> tuple[pa.Array, int]:
    """Return the bytes of all texts of a column, one behind the other, and where they begin in its buffer. Bytes of nulls are among them."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return pa.array([], pa.uint8()), 0
    ends = pa.Array.from_buffers(pa.int32(), len(column) + 1, [None, offsets], offset=column.offset)
    begin, end = ends[0].as_py(), ends[-1].as_py()
    return pa.Array.from_buffers(pa.uint8(), end - begin, [None, data], offset=begin), begin


def odd_texts(column: pa.Array, classes: Classes, bytes_max: int | None = None) -> pa.Array | None:
    """Return a mask of the texts that have an odd byte, none at all or too many; nothing if odd bytes spoil more than a few.

    Nulls may be among them.
    """
    rows = _spoilt(column, classes)
    if rows is None:
        return None
    mask = _marked(len(column), rows)
    lengths = pc.binary_length(column)
    extremes = pc.min_max(lengths).as_py()
    if (extremes["min"] or 0) < 1:
        mask = pc.or_(mask, pc.fill_null(pc.equal(lengths, 0), False))
    if bytes_max is not None and (extremes["max"] or 0) > bytes_max:
        mask = pc.or_(mask, pc.fill_null(pc.greater(lengths, bytes_max), False))
    return mask


def _spoilt(column: pa.Array, classes: Classes) -> list[int] | None:
    """Return the rows that hold an odd byte, ascending, nothing if they are many."""
    every, begin = text_bytes(column)
    rows: list[int] = []
    if not len(every):
        return rows
    looked = every.buffers()[1].slice(begin, len(every)).to_pybytes().translate(classes)
    place, row, end = looked.find(_ODD), column.offset, column.offset + len(column)
    rows_max = max(ODD_FEW, len(column) // ODD_SHARE)
    with memoryview(column.buffers()[1]) as raw, raw.cast("i") as ends:
        while place >= 0:
            if len(rows) == rows_max:
                return None
            row = bisect_right(ends, begin + place, row, end + 1)
            rows.append(row - 1 - column.offset)
            place = looked.find(_ODD, ends[row] - begin)
    return rows


def _marked(rows: int, some: list[int]) -> pa.Array:
    """Return a mask that is true in some rows."""
    bits = bytearray((rows + 7) // 8)
    for row in some:
        bits[row >> 3] |= 1 << (row & 7)
    return pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(bits)])
