r"""Regular expressions as RE2 reads them, from text to a program; `pattern_matching.py` runs it in linear time.

Arrow and DuckDB bring RE2 itself.  Where a single value is looked at, neither is there, and Python's `re` is another language that can take for ever: so here is
a reader of RE2's own syntax (github.com/google/re2/wiki/Syntax), for conditions and for contracts.  It refuses what RE2 refuses (look-arounds, references back), and a
little more, which is `BeyondReader`: `\C`, names of scripts, and what a case-blind class would need whole tables of Unicode for.

A program is a list of instructions; `next_at` is where it goes on.

    One(test, next_at)        take one character that passes
    Fork(first, second)       go on at both
    Where(place, next_at)     go on if this is such a place: a begin, an end, an edge of a word
    Found                     matched
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

NESTING_MAX: Final = 100
REPEATS_MAX: Final = 1_000  # RE2's own, of repetitions within each other multiplied
PROGRAM_MAX: Final = 10_000  # instructions

Test = Callable[[str], bool]
Range = tuple[int, int]  # of characters, by their numbers, both ends within


class PatternError(Exception):
    """What is wrong with a pattern, and at which of its characters."""

    def __init__(self, text: str, at: int, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.at = at
        self.hint = hint


class BeyondReader(PatternError):
    """RE2 may take the pattern; this reader does not."""


class Place(Enum):
    TEXT_BEGIN = r"\A"
    TEXT_END = r"\z"
    LINE_BEGIN = "^"
    LINE_END = "$"
    EDGE = r"\b"
    NO_EDGE = r"\B"


# The tree.


@dataclass(frozen=True, slots=True)
class Char:
    """One character that passes. `likely` is where such are, if somebody wants one; nothing where they are all over."""

    test: Test
    likely: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class At:
    place: Place


@dataclass(frozen=True, slots=True)
class Chain:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Either:
    branches: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Part
    least: int
    most: int | None


Part = Char | At | Chain | Either | Repeat


# The program.


@dataclass(frozen=True, slots=True)
class One:
    test: Test
    next_at: int


@dataclass(frozen=True, slots=True)
class Fork:
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Where:
    place: Place
    next_at: int


@dataclass(frozen=True, slots=True)
class Found:
    pass


Instruction = One | Fork | Where | Found


def tree(pattern: str) -> Part:
    """Return the tree of a pattern. Raises PatternError."""
    from runink.expressions.pattern_reading import Reader  # noqa: PLC0415 - only who asks for patterns reads them

    return Reader(pattern).whole()


def program(pattern: str) -> list[Instruction]:
    """Return the program of a pattern. Raises PatternError."""
    written: list[Instruction] = []
    _write(tree(pattern), written, len(pattern))
    written.append(Found())
    return written


def _write(part: Part, written: list[Instruction], at: int) -> None:
    """Append a part's instructions, which go on behind them."""
    if len(written) > PROGRAM_MAX:
        raise BeyondReader("this pattern is too large", at, "repeat less")
    match part:
        case Char(test, _):
            written.append(One(test, len(written) + 1))
        case At(place):
            written.append(Where(place, len(written) + 1))
        case Chain(parts):
            for one in parts:
                _write(one, written, at)
        case Either(branches):
            _write_either(branches, written, at)
        case Repeat(inner, least, most):
            _write_repeat(inner, (least, most), written, at)


def _write_either(branches: tuple[Part, ...], written: list[Instruction], at: int) -> None:
    leaps: list[int] = []
    for branch in branches[:-1]:
        fork = len(written)
        written.append(Fork(0, 0))
        _write(branch, written, at)
        leaps.append(len(written))
        written.append(Fork(0, 0))
        written[fork] = Fork(fork + 1, len(written))
    _write(branches[-1], written, at)
    for leap in leaps:
        written[leap] = Fork(len(written), len(written))


def _write_repeat(
    part: Part, times: tuple[int, int | None], written: list[Instruction], at: int
) -> None:
    least, most = times
    for _ in range(least):
        _write(part, written, at)
    if most is None:
        fork = len(written)
        written.append(Fork(0, 0))
        _write(part, written, at)
        written.append(Fork(fork, fork))
        written[fork] = Fork(fork + 1, len(written))
        return
    forks: list[int] = []
    for _ in range(most - least):
        forks.append(len(written))
        written.append(Fork(0, 0))
        _write(part, written, at)
    for fork in forks:
        written[fork] = Fork(fork + 1, len(written))
