"""How a table differs from the one that was expected, as values that cross from a slice to whoever asks, and as lines that people read.

Arrow-free: agents and the run controller carry these without knowing what a table is.  All lists are bounded where they are made (`golden.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

import msgspec

from runink.errors import WireError

VALUE_CHARACTERS_MAX: Final = 60  # of a value that is shown
Shown = int | float | str | bool | None  # a value as JSON has it; what JSON does not have is text


class Cell(msgspec.Struct, frozen=True):
    """A field of a row that differs. `off_by` is how far two numbers are apart, which their digits hide."""

    field: str
    expected: Shown
    actual: Shown
    off_by: float | None = None


class RowKind(Enum):
    """MISSING was expected and did not come, UNEXPECTED came, DIFFERENT is both with cells that differ."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


class RowDifference(msgspec.Struct, frozen=True):
    """One row. `values` are those of its key where it is different, else all of it; `columns_left` counts those that are not shown."""

    kind: RowKind
    values: tuple[tuple[str, Shown], ...]
    cells: tuple[Cell, ...] = ()
    columns_left: int = 0


class Differences(msgspec.Struct, frozen=True):
    """How many rows are missing, unexpected and different; the first of each; and `notes` on columns and on order. Empty where the tables are equal."""

    missing: int = 0
    unexpected: int = 0
    different: int = 0
    notes: tuple[str, ...] = ()
    rows: tuple[RowDifference, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.different or self.notes)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(told(self))


class GoldenResult(msgspec.Struct, frozen=True):
    """What came of one golden that did not hold: the differences, or why it could not be compared."""

    path: str
    sink: str
    differences: Differences | None = None
    error: WireError | None = None


Paint = Callable[[str, str], str]  # what a part is (`missing`, `expected`, `actual` …), its text


def _plain(_: str, text: str) -> str:
    return text


def told(found: Differences, paint: Paint = _plain) -> Iterator[str]:
    """Yield the differences in lines: notes first, then the rows of each kind, then how many more there are."""
    yield from (paint("note", note) for note in found.notes)
    for kind in RowKind:
        rows = [row for row in found.rows if row.kind is kind]
        for row in rows:
            yield f"{paint(kind.value, kind.value)}: {_row(row, paint)}"
        left = getattr(found, kind.value) - len(rows)
        if rows and left > 0:
            yield f"{paint(kind.value, kind.value)}: and {left:,} more rows"


def _row(row: RowDifference, paint: Paint) -> str:
    values = [f"{name}={text_of(value)}" for name, value in row.values]
    if row.kind is not RowKind.DIFFERENT:
        shown = " ".join([*values, *_more(row.columns_left)])
        return paint("expected" if row.kind is RowKind.MISSING else "actual", shown)
    cells = [_cell(cell, paint) for cell in row.cells]
    return f"{' '.join(values)}: {', '.join([*cells, *_more(row.columns_left)])}"


def _cell(cell: Cell, paint: Paint) -> str:
    off = "" if cell.off_by is None else f" (off by {cell.off_by:.3g})"
    actual = paint("actual", text_of(cell.actual))
    expected = paint("expected", text_of(cell.expected))
    return f"{cell.field} is {actual}, expected {expected}{off}"


def _more(left: int) -> list[str]:
    return [f"and {left} more columns"] if left > 0 else []


def text_of(value: Shown) -> str:
    """Return a value as people read it: text in quotes, nothing as such."""
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, str) else str(value)


def shown(value: Any) -> Shown:
    """Return a value as it is shown: JSON's own as they are, others as text, and no text longer than VALUE_CHARACTERS_MAX."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"
