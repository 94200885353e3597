"""Golden tables: is what came out what was expected, and if not, where is the difference?

- Columns are compared by name; their order does not matter. A column that only one side has is told, and rows are compared by the others.
- Expected values are brought to the actual table's types first (a golden file is CSV, so they come as text). What cannot be is told as it stands.
- With a key, rows are matched by it. Rows with the same key are paired in their order.
- Without a key rows are matched whole, as multisets, because a sink promises no order. What differs is then missing on one side and unexpected on
  the other; only a key can say that two rows are meant to be one.
- Where their order counts, rows without a key are matched as lines of a text are: in order, with as few left over as can be; what stands between two
  matches is paired. With a key, the order of the rows that both have is told beside their differences.
- Floats are equal within an absolute tolerance, or a relative one (a part of the larger of both); nan equals nan, and nothing (null) equals nothing.

Both tables are held whole; a golden table is one that a person has looked at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, pairwise
from math import inf
from typing import Any, Final

import pyarrow as pa

from runink.contracts.differences import Cell, Differences, RowDifference, RowKind, shown

LINES_MAX: Final = 20  # of one kind of difference: who mends the first twenty has mended the rest
COLUMNS_SHOWN_MAX: Final = 20  # of a row
CANDIDATES_MAX: Final = (
    1_000  # rows that differ in floats only, looked at for one partner: more would take for ever
)
ALIGNED_ROWS_MAX: Final = (
    2_000  # aligned like lines of a text, which is quadratic; more are compared by their places
)
ROW: Final = "row"  # what an ordered row is called that has no key

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two tables are compared; see above."""

    key: tuple[str, ...] = ()
    tolerance: float = 0.0
    relative: float = 0.0
    ignore: tuple[str, ...] = ()
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """An expected row and the one that came; `place` is its number where rows have one."""

    expected: Row
    actual: Row
    place: int | None = None


@dataclass(slots=True)
class _Matched:
    missing: list[Row]
    unexpected: list[Row]
    different: list[_Pair]
    notes: list[str]


def compare(expected: pa.Table, actual: pa.Table, how: Comparison) -> Differences:
    """Say how `actual` differs from `expected`. Never raises about the data: all that is wrong with them is a difference."""
    expected, actual = (_without(table, how.ignore) for table in (expected, actual))
    notes = _column_notes(expected, actual, how.key)
    names = [name for name in actual.schema.names if name in expected.schema.names]
    key = tuple(name for name in how.key if name in names)
    names = [*key, *(name for name in names if name not in key)]
    if not names:
        return _without_columns(expected, actual, notes)
    ours, theirs = _rows(expected, actual, names)
    same = _sameness(how)
    if key:
        matched = _by_key(ours, theirs, key, same, is_ordered=how.ordered)
    elif how.ordered:
        matched = _in_order(ours, theirs, same)
    else:
        matched = _as_multisets(ours, theirs, same)
    return Differences(
        len(matched.missing),
        len(matched.unexpected),
        len(matched.different),
        (*notes, *matched.notes),
        tuple(_told(matched, names, len(key), same)),
    )


def _without(table: pa.Table, names: Sequence[str]) -> pa.Table:
    found = [name for name in names if name in table.schema.names]
    return table.drop_columns(found) if found else table


def _column_notes(expected: pa.Table, actual: pa.Table, key: tuple[str, ...]) -> list[str]:
    had, has = expected.schema.names, actual.schema.names
    lines = [f"column {name} is missing" for name in had if name not in has]
    lines += [f"column {name} is unexpected" for name in has if name not in had]
    lines += [
        f"key {name} is no column of either" for name in key if name not in had and name not in has
    ]
    return lines


def _without_columns(expected: pa.Table, actual: pa.Table, notes: list[str]) -> Differences:
    if expected.num_rows != actual.num_rows:
        notes = [*notes, f"{actual.num_rows:,} rows, not {expected.num_rows:,}"]
    missing = max(0, expected.num_rows - actual.num_rows)
    unexpected = max(0, actual.num_rows - expected.num_rows)
    return Differences(missing, unexpected, 0, tuple(notes))


def _rows(expected: pa.Table, actual: pa.Table, names: Sequence[str]) -> tuple[list[Row], ...]:
    pairs = [_both(expected.column(name), actual.column(name)) for name in names]
    return tuple(list(zip(*columns, strict=True)) for columns in zip(*pairs, strict=True))


def _both(expected: pa.ChunkedArray, actual: pa.ChunkedArray) -> tuple[list[Any], list[Any]]:
    kind = actual.type
    if not has_nanoseconds(kind):
        try:
            return _values(expected, kind), _values(actual, kind)
        except (ValueError, OverflowError):
            pass  # Python has no year 10,000
    text = text_kind(kind)
    return _values(_as_text(expected, kind), text), _values(_as_text(actual, kind), text)


def has_nanoseconds(kind: pa.DataType) -> bool:
    """Say whether values of a type have parts of which Python has none. Arrow refuses to give them, or gives pandas' own, where that is installed."""
    if pa.types.is_list(kind):
        return has_nanoseconds(kind.value_type)
    if pa.types.is_struct(kind):
        return any(has_nanoseconds(one.type) for one in kind)
    return pa.types.is_temporal(kind) and getattr(kind, "unit", "") == "ns"


def _as_text(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return the column with its times as text, those that can be read in one form."""
    try:
        return column.cast(kind).cast(text_kind(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def text_kind(kind: pa.DataType) -> pa.DataType:
    """Return the type with text for times and decimals."""
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(text_kind(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(one.name, text_kind(one.type)) for one in kind])
    return kind


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


def _sameness(how: Comparison) -> Same:
    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float) and isinstance(other, float):
            if one == other or (one != one and other != other):  # noqa: PLR0124 - nan is not itself
                return True
            room = max(how.tolerance, how.relative * max(abs(one), abs(other)))
            return abs(one - other) <= room < inf
        if isinstance(one, tuple) and isinstance(other, tuple):
            return len(one) == len(other) and all(map(same, one, other))
        return type(one) is type(other) and bool(one == other)

    return same


def _identity(value: Any) -> Any:
    """Return what stands for the value in a dictionary: nan is itself there, and 1 is not 1.0 and not true."""
    if isinstance(value, tuple):
        return tuple(map(_identity, value))
    return (type(value), None if value != value else value)  # noqa: PLR0124 - nan is not itself


# Matching rows.


def _by_key(
    expected: list[Row], actual: list[Row], key: Sequence[str], same: Same, *, is_ordered: bool
) -> _Matched:
    width = len(key)
    left: dict[Any, deque[tuple[int, Row]]] = {}
    for place, row in enumerate(actual):
        left.setdefault(_identity(row[:width]), deque()).append((place, row))
    found = _Matched([], [], [], [])
    places: list[int] = []
    for row in expected:
        candidates = left.get(_identity(row[:width]))
        if not candidates:
            found.missing.append(row)
            continue
        place, other = candidates.popleft()
        places.append(place)
        if not same(row[width:], other[width:]):
            found.different.append(_Pair(row, other))
    rest = sorted(one for rows in left.values() for one in rows)
    found.unexpected = [row for _, row in rest]
    if is_ordered:
        found.notes += _order_note(places, actual, key)
    return found


def _order_note(places: Sequence[int], actual: Sequence[Row], key: Sequence[str]) -> list[str]:
    """Tell the first row that comes before one that was expected earlier."""
    for earlier, later in pairwise(places):
        if later < earlier:
            names = [
                " ".join(
                    f"{name}={value!r}" for name, value in zip(key, actual[place], strict=False)
                )
                for place in (later, earlier)
            ]
            return [f"order: {names[0]} comes before {names[1]}, not behind it"]
    return []


def _in_order(expected: list[Row], actual: list[Row], same: Same) -> _Matched:
    """Match like lines of a text: what is equal at both ends first, then the longest runs between."""
    found = _Matched([], [], [], [])
    shorter = min(len(expected), len(actual))
    begin = next((at for at in range(shorter) if not same(expected[at], actual[at])), shorter)
    behind = next(
        (at for at in range(shorter - begin) if not same(expected[-1 - at], actual[-1 - at])),
        shorter - begin,
    )
    ours = expected[begin : len(expected) - behind]
    theirs = actual[begin : len(actual) - behind]
    for first, last, other_first, other_last in _unequal(ours, theirs):
        both = min(last - first, other_last - other_first)
        for at in range(both):
            row, other = ours[first + at], theirs[other_first + at]
            if not same(row, other):  # within the tolerance, which the alignment does not know
                found.different.append(_Pair(row, other, begin + other_first + at + 1))
        found.missing += ours[first + both : last]
        found.unexpected += theirs[other_first + both : other_last]
    return found


def _unequal(ours: list[Row], theirs: list[Row]) -> list[tuple[int, int, int, int]]:
    """Return the stretches that are not equal, of both sides."""
    if max(len(ours), len(theirs)) > ALIGNED_ROWS_MAX:
        return [(0, len(ours), 0, len(theirs))]
    matcher = SequenceMatcher(
        None, list(map(_identity, ours)), list(map(_identity, theirs)), autojunk=False
    )
    return [(a, b, c, d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]


def _as_multisets(expected: list[Row], actual: list[Row], same: Same) -> _Matched:
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
    return _Matched(missing, [row for rows in near.values() for row in rows], [], [])


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


# Telling.


def _told(
    matched: _Matched, names: Sequence[str], width: int, same: Same
) -> Iterable[RowDifference]:
    for kind, rows in (
        (RowKind.MISSING, matched.missing),
        (RowKind.UNEXPECTED, matched.unexpected),
    ):
        for row in rows[:LINES_MAX]:
            values = tuple(
                (name, shown(value))
                for name, value in zip(names[:COLUMNS_SHOWN_MAX], row, strict=False)
            )
            yield RowDifference(kind, values, columns_left=max(0, len(names) - COLUMNS_SHOWN_MAX))
    for pair in matched.different[:LINES_MAX]:
        yield _pair(pair, names, width, same)


def _pair(pair: _Pair, names: Sequence[str], width: int, same: Same) -> RowDifference:
    """Tell the key (or the place), and of the other columns those that differ."""
    cells = [
        Cell(name, shown(wanted), shown(is_), _apart(wanted, is_))
        for name, wanted, is_ in zip(names, pair.expected, pair.actual, strict=True)
        if not same(wanted, is_)
    ]
    values = tuple(
        (name, shown(value))
        for name, value in zip(names[:width], pair.expected[:width], strict=True)
    )
    return RowDifference(
        RowKind.DIFFERENT,
        values if pair.place is None else ((ROW, pair.place),),
        tuple(cells[:COLUMNS_SHOWN_MAX]),
        max(0, len(cells) - COLUMNS_SHOWN_MAX),
    )


def _apart(wanted: Any, is_: Any) -> float | None:
    if isinstance(wanted, float) and isinstance(is_, float):
        apart = abs(wanted - is_)
        return apart if apart - apart == 0 else None
    return None
