"""How an annotation is written: on one line if it fits, else an argument a line; with the notes that stand between its brackets.

    @source("csv://data/flights.csv", nulls=["NA", ""])

    @source(
      "csv://data/flights-of-the-year.csv",
      # what the airport writes where it knows nothing
      nulls=["NA", ""],
      @window(sliding=10m, every=2m),
    )

A single text stays beside its annotation however long it is: a line of its own would not make it shorter.  Values stay as they are written: a text keeps its escapes, an amount its unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from runink.dsl.statements import Statement
from runink.dsl.syntax import Absent, Annotation, Argument, Items, Number, Text, Value, Word

WIDTH_MAX: Final = 100  # characters of a line; what is longer is broken where it can be
STEP: Final = "  "
FAR: Final = (1 << 60, 0)  # a place behind all others


class Note(msgspec.Struct, frozen=True):
    """A note between brackets: where it stands, and whether on a line of its own."""

    line: int
    column: int
    text: str
    is_alone: bool


def notes_within(statement: Statement, lines: Sequence[str]) -> list[Note]:
    """Return the notes that were cut off from an annotation statement whose lines in the file these are."""
    found = []
    for number, (whole, kept) in enumerate(zip(lines, statement.text.split("\n"), strict=True)):
        rest = whole[len(kept) :].strip()
        if rest:
            column = len(whole) - len(whole[len(kept) :].lstrip()) + 1
            found.append(Note(statement.line + number, column, rest, not kept.strip()))
    return found


class Writer:
    """Writes the annotations of a statement anew; `notes` are those between their brackets."""

    def __init__(self, statement: Statement, notes: Sequence[Note]) -> None:
        self._lines = statement.text.split("\n")
        self._first = statement.line
        self._notes = notes

    def annotation(self, one: Annotation, until: tuple[int, int], indent: str) -> list[str]:
        """Return the lines of an annotation that ends before the place `until`."""
        start = (one.span.line, one.span.column)
        mine = [note for note in self._notes if start < (note.line, note.column) < until]
        line = indent + self._short(one)
        is_long = "\n" in line or len(line) > WIDTH_MAX
        is_one = len(one.arguments) == 1 and isinstance(one.arguments[0].value, Text)
        if not mine and not (is_long and one.arguments and not is_one):
            return line.split("\n")
        return self._broken(one, mine, indent)

    def _broken(self, one: Annotation, notes: list[Note], indent: str) -> list[str]:
        inner = indent + STEP
        told = [f"{indent}@{one.name}("]
        left = list(notes)
        starts = [(argument.span.line, argument.span.column) for argument in one.arguments]
        ends = [*starts[1:], FAR]
        for argument, start, end in zip(one.arguments, starts, ends, strict=False):
            last = self._last_line(argument)
            while left and (left[0].line, left[0].column) < start:
                told.append(inner + left.pop(0).text)
            within = [note for note in left if (note.line, note.column) < end]
            behind = [note for note in within if note.line == last and not note.is_alone]
            above = [note for note in within if note.line < last]
            told += [inner + note.text for note in above]
            tail = f"  {behind[0].text}" if behind else ""
            told += f"{inner}{self._argument(argument)},{tail}".split("\n")
            left = [note for note in left if note not in (*behind, *above)]
        told += [inner + note.text for note in left]
        return [*told, f"{indent})"]

    def _short(self, one: Annotation) -> str:
        inner = ", ".join(self._argument(argument) for argument in one.arguments)
        return f"@{one.name}({inner})" if inner else f"@{one.name}"

    def _argument(self, argument: Argument) -> str:
        value = self._value(argument.value)
        if argument.is_clause:
            return f"{argument.name} {value}"
        return f"{argument.name}={value}" if argument.name else value

    def _value(self, value: Value) -> str:
        match value:
            case Text():
                return self._raw(value)
            case Word(text) | Number(text):
                return text
            case Items(values):
                return f"[{', '.join(self._value(one) for one in values)}]"
            case Annotation():
                return self._short(value)
            case Absent():
                return ""

    def _raw(self, text: Text) -> str:
        """Return a text as it is written, with its quotes."""
        line, at = text.span.line - self._first, text.span.column - 1
        raw = self._lines[line][at:]
        if not raw.startswith('"""'):
            return raw[: text.span.length]
        rest = "\n".join((raw, *self._lines[line + 1 :]))
        return rest[: rest.index('"""', 3) + 3]

    def _last_line(self, argument: Argument) -> int:
        return max(_lines_of(argument.value, argument.span.line))


def _lines_of(value: Value, line: int) -> list[int]:
    match value:
        case Text(text, span):
            is_long = bool(value.places) and value.places[0].column - span.column == 3
            return [span.line + (text.count("\n") if is_long else 0)]
        case Items(values, span):
            return [span.line, *(one for inner in values for one in _lines_of(inner, line))]
        case Annotation(_, arguments, span):
            told = (one for inner in arguments for one in _lines_of(inner.value, line))
            return [span.line, *told]
        case _:
            return [value.span.line]
