"""Golden tables: is what came out what was expected, and if not, where is the difference?

- Columns are compared by name; their order does not matter. A column that only one side has is told, and rows are compared by the others.
- Expected values are brought to the actual table's types first (a golden file is CSV, so they come as text). What cannot be is told as it stands.
- With a key, rows are matched by it. Rows with the same key are paired in their order.
- Without a key rows are matched whole, as multisets, because a sink promises no order. What differs is then missing on one side and unexpected on
  the other; only a key can say that two rows are meant to be one.
- Floats are equal within an absolute tolerance; nan equals nan, and nothing (null) equals nothing.

Both tables are held whole; a golden table is one that a person has looked at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any, Final

import pyarrow as pa

LINES_MAX: Final = 20  # of one kind of difference: who mends the first twenty has mended the rest
VALUE_CHARACTERS_MAX: Final = 60
COLUMNS_SHOWN_MAX: Final = 20  # of a row
CANDIDATES_MAX: Final = (
    1_000  # rows that differ in floats only, looked at for one partner: more would take for ever
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """How many rows are missing, unexpected and different, and lines that say which; no lines where the tables are equal."""

    missing: int = 0
    unexpected: int = 0
    different: int = 0
    lines: tuple[str, ...] = ()


def compare(
    expected: pa.Table, actual: pa.Table, *, key: tuple[str, ...], tolerance: float
) -> Differences:
    """Say how `actual` differs from `expected`. Never raises about the data: all that is wrong with them is a difference."""
    lines = _column_lines(expected, actual, key)
    names = [name for name in actual.schema.names if name in expected.schema.names]
    key = tuple(name for name in key if name in names)
    names = [*key, *(name for name in names if name not in key)]
    if not names:
        return _without_columns(expected, actual, lines)
    ours = _rows(expected, names, actual.schema)
    theirs = _rows(actual, names, actual.schema)
    same = _sameness(tolerance)
    compared = _by_key(ours, theirs, len(key), same) if key else _as_multisets(ours, theirs, same)
    missing, unexpected, different = compared
    lines += _listed("missing", missing, lambda row: _row_text(row, names))
    lines += _listed("unexpected", unexpected, lambda row: _row_text(row, names))
    lines += _listed("different", different, lambda pair: _pair_text(pair, names, len(key), same))
    return Differences(len(missing), len(unexpected), len(different), tuple(lines))


def _column_lines(expected: pa.Table, actual: pa.Table, key: tuple[str, ...]) -> list[str]:
    had, has = expected.schema.names, actual.schema.names
    lines = [f"column {name} is missing" for name in had if name not in has]
    lines += [f"column {name} is unexpected" for name in has if name not in had]
    lines += [
        f"key {name} is no column of either" for name in key if name not in had and name not in has
    ]
    return lines


def _without_columns(expected: pa.Table, actual: pa.Table, lines: list[str]) -> Differences:
    if expected.num_rows != actual.num_rows:
        lines = [*lines, f"{actual.num_rows:,} rows, not {expected.num_rows:,}"]
    return Differences(
        max(0, expected.num_rows - actual.num_rows),
        max(0, actual.num_rows - expected.num_rows),
        0,
        tuple(lines),
    )


def _rows(table: pa.Table, names: Sequence[str], types: pa.Schema) -> list[Row]:
    columns = [_values(table.column(name), types.field(name).type) for name in names]
    return list(zip(*columns, strict=True))


def _values(column: pa.ChunkedArray, kind: pa.DataType) -> list[Any]:
    """Return the column's values in the wanted type; where some do not fit, those stay as they are."""
    try:
        return [_hashable(value) for value in column.cast(kind).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [_cast(value, kind) for value in column.to_pylist()]


def _cast(value: Any, kind: pa.DataType) -> Any:
    try:
        return _hashable(pa.scalar(value).cast(kind).as_py())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _hashable(value)


def _hashable(value: Any) -> Any:
    """Make nested values comparable and hashable."""
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _hashable(item)) for name, item in value.items())
    return value


Same = Callable[[Any, Any], bool]
Compared = tuple[list[Row], list[Row], list[tuple[Row, Row]]]


def _sameness(tolerance: float) -> Same:
    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float) and isinstance(other, float):
            both_nan = one != one and other != other  # noqa: PLR0124 - nan is not itself
            return both_nan or one == other or abs(one - other) <= tolerance
        if isinstance(one, tuple) and isinstance(other, tuple):
            return len(one) == len(other) and all(map(same, one, other))
        return type(one) is type(other) and bool(one == other)

    return same


def _identity(value: Any) -> Any:
    """Return what stands for the value in a dictionary: nan is itself there, and 1 is not 1.0 and not true."""
    if isinstance(value, tuple):
        return tuple(map(_identity, value))
    return (type(value), None if value != value else value)  # noqa: PLR0124 - nan is not itself


def _by_key(expected: list[Row], actual: list[Row], width: int, same: Same) -> Compared:
    left: dict[Any, deque[Row]] = {}
    for row in actual:
        left.setdefault(_identity(row[:width]), deque()).append(row)
    missing: list[Row] = []
    different: list[tuple[Row, Row]] = []
    for row in expected:
        candidates = left.get(_identity(row[:width]))
        if not candidates:
            missing.append(row)
            continue
        other = candidates.popleft()
        if not same(row[width:], other[width:]):
            different.append((row, other))
    return missing, [row for rows in left.values() for row in rows], different


def _as_multisets(expected: list[Row], actual: list[Row], same: Same) -> Compared:
    """Match equal rows first, then those that floats within the tolerance make equal."""
    left = Counter(map(_identity, actual))
    unmatched = []
    for row in expected:
        if left[_identity(row)]:
            left[_identity(row)] -= 1
        else:
            unmatched.append(row)
    near: dict[Any, deque[Row]] = {}
    for row in sorted(actual, key=_floats):
        if left[_identity(row)]:
            left[_identity(row)] -= 1
            near.setdefault(_without_floats(row), deque()).append(row)
    unmatched.sort(key=_floats)  # so that a partner stands among the first candidates
    missing = [row for row in unmatched if not _took(near.get(_without_floats(row)), row, same)]
    return missing, [row for rows in near.values() for row in rows], []


def _floats(row: Row) -> tuple[float, ...]:
    return tuple(-inf if value != value else value for value in row if isinstance(value, float))  # noqa: PLR0124 - nan is not itself


def _without_floats(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_without_floats, value))
    return (float, None) if isinstance(value, float) else _identity(value)


def _took(candidates: deque[Row] | None, row: Row, same: Same) -> bool:
    """Take the first of the candidates that is the same, if one is."""
    for place, other in enumerate(islice(candidates or (), CANDIDATES_MAX)):
        if same(row, other):
            assert candidates is not None
            del candidates[place]
            return True
    return False


def _listed(what: str, rows: Sequence[Any], told: Callable[[Any], str]) -> list[str]:
    lines = [f"{what}: {told(row)}" for row in rows[:LINES_MAX]]
    more = len(rows) - LINES_MAX
    return lines if more <= 0 else [*lines, f"{what}: and {more:,} more rows"]


def _row_text(row: Row, names: Sequence[str]) -> str:
    shown = [f"{name}={_shown(value)}" for name, value in zip(names, row, strict=True)]
    more = len(shown) - COLUMNS_SHOWN_MAX
    return " ".join(
        [*shown[:COLUMNS_SHOWN_MAX], *([f"and {more} more columns"] if more > 0 else [])]
    )


def _pair_text(pair: tuple[Row, Row], names: Sequence[str], width: int, same: Same) -> str:
    """Tell the key, and of the other columns those that differ."""
    expected, actual = pair
    found = [
        f"{name} is {_shown(is_)}, expected {_shown(wanted)}{_by(wanted, is_)}"
        for name, wanted, is_ in zip(names, expected, actual, strict=True)
        if not same(wanted, is_)
    ]
    more = len(found) - COLUMNS_SHOWN_MAX
    tail = [f"and {more} more columns"] if more > 0 else []
    return f"{_row_text(expected[:width], names[:width])}: {', '.join([*found[:COLUMNS_SHOWN_MAX], *tail])}"


def _by(wanted: Any, is_: Any) -> str:
    """Say how far two floats are apart, which their digits hide."""
    if isinstance(wanted, float) and isinstance(is_, float):
        return f" (off by {abs(wanted - is_):.3g})"
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, (str, bytes, tuple)) else str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        return f"{text[:VALUE_CHARACTERS_MAX]}…"
    return text
