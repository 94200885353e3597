"""Data-driven tests: text files of commands and what they print, as CockroachDB's `datadriven` made common.

    # A comment, up to the command that it is about.
    command word key=value key=(value, value)
    input, if the command takes any
    ----
    what it prints, up to an empty line

A long command goes on behind a backslash. What has empty lines in it stands between doubled separators:

    command
    ----
    ----
    first

    third
    ----
    ----
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = "----"
_ARGUMENT: Final = re.compile(
    r"(?P<key>[^\s=]+)(?:=(?:\((?P<several>[^)]*)\)|(?P<one>\S*)))?(?:\s+|$)"
)


class TranscriptError(Exception):
    """The file is no transcript, or a command has not the arguments that it takes. Says where, or what is missing."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A word of a command, and what it is set to: nothing, a value, or several in brackets."""

    key: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Directive:
    """One command: `line` is where it stands, `head` the lines from behind the last one up to its separator, as they are."""

    line: int
    head: tuple[str, ...]
    command: str
    arguments: tuple[Argument, ...]
    input: str
    expected: str

    def words(self) -> list[str]:
        """Return the arguments that are set to nothing: names and numbers."""
        return [argument.key for argument in self.arguments if not argument.values]

    def values(self, key: str) -> tuple[str, ...]:
        """Return what an argument is set to, nothing if it is not given."""
        return tuple(
            value for argument in self.arguments if argument.key == key for value in argument.values
        )

    def value(self, key: str) -> str:
        """Return the one value of an argument. Raises TranscriptError."""
        values = self.values(key)
        if len(values) != 1:
            raise TranscriptError(f"{self.command} takes {key}=VALUE, once")
        return values[0]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A file's commands in order, and the lines behind the last one."""

    directives: tuple[Directive, ...]
    tail: tuple[str, ...] = ()

    def rewritten(self, outputs: Sequence[str]) -> str:
        """Return the file as it is when the commands print these."""
        lines: list[str] = []
        for directive, output in zip(self.directives, outputs, strict=True):
            lines += [*directive.head, SEPARATOR]
            if "" in output.split("\n"):
                lines += [SEPARATOR, output, SEPARATOR, SEPARATOR]
            else:
                lines.append(output)
        return "\n".join([*lines, *self.tail]).rstrip("\n") + "\n"


def parsed(text: str) -> Transcript:
    """Return the transcript that a text is. Raises TranscriptError."""
    lines = text.split("\n")
    directives = []
    place = 0
    while (start := _next_command(lines, place)) < len(lines):
        end = _separator(lines, start)
        expected, behind = _expected(lines, end + 1)
        command, given = _command(lines[start:end])
        name, _, rest = command.partition(" ")
        directives.append(
            Directive(
                line=start + 1,
                head=tuple(lines[place:end]),
                command=name,
                arguments=tuple(_arguments(rest, start + 1)),
                input="\n".join(given),
                expected=expected,
            )
        )
        place = behind
    return Transcript(tuple(directives), tuple(lines[place:]))


def _next_command(lines: Sequence[str], place: int) -> int:
    while place < len(lines) and (not lines[place].strip() or lines[place].startswith("#")):
        place += 1
    return place


def _separator(lines: Sequence[str], start: int) -> int:
    for place in range(start, len(lines)):
        if lines[place] == SEPARATOR:
            return place
    raise TranscriptError(f"line {start + 1}: no {SEPARATOR} behind the command")


def _expected(lines: Sequence[str], start: int) -> tuple[str, int]:
    """Return what is to be printed, and the line behind it."""
    if start < len(lines) and lines[start] == SEPARATOR:
        for place in range(start + 1, len(lines) - 1):
            if lines[place] == lines[place + 1] == SEPARATOR:
                return "\n".join(lines[start + 1 : place]), place + 2
        raise TranscriptError(f"line {start + 1}: no second pair of {SEPARATOR}")
    place = start
    while place < len(lines) and lines[place].strip():
        place += 1
    return "\n".join(lines[start:place]), place


def _command(lines: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the command, its continued lines joined, and its input."""
    for place, line in enumerate(lines):
        if not line.endswith("\\"):
            words = [part.rstrip("\\").strip() for part in lines[: place + 1]]
            return " ".join(words), lines[place + 1 :]
    return " ".join(part.rstrip("\\").strip() for part in lines), ()


def _arguments(text: str, line: int) -> Iterator[Argument]:
    text = text.strip()
    place = 0
    while place < len(text):
        match = _ARGUMENT.match(text, place)
        if match is None:
            raise TranscriptError(f"line {line}: no argument: {text[place:]}")
        if (several := match["several"]) is not None:
            values = tuple(value.strip() for value in several.split(",") if value.strip())
        else:
            values = (match["one"],) if match["one"] is not None else ()
        yield Argument(match["key"], values)
        place = match.end()
