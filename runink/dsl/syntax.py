"""What a pipeline file says, as written: the tree that the parser gives, every part with its place.

    Document
      feature    Feature: its title, and the annotations above or below it
      scenarios  each with its title, annotations and prose, in order

Nothing is judged here: an annotation may be unknown, its arguments may be wrong.  What they mean is read by `clauses.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from runink.errors import Span


@dataclass(frozen=True, slots=True)
class Place:
    """From character `start` of a text's value on, characters stand at `line` and `column` onward; if `is_fixed`, all at that one place."""

    start: int
    line: int
    column: int
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text: its value (escapes resolved), and where its characters stand in the file."""

    value: str
    span: Span
    places: tuple[Place, ...] = ()

    def at(self, offset: int, length: int = 1) -> Span:
        """Return where a part of the value stands in the file; the whole text's place if that is not known."""
        found = bisect_right(self.places, offset, key=lambda place: place.start)
        if not found:
            return self.span
        place = self.places[found - 1]
        if place.is_fixed:
            return Span(self.span.file, place.line, place.column)
        return Span(self.span.file, place.line, place.column + offset - place.start, max(length, 1))


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name: `planes`, `true`, `overwrite`."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Number:
    """A number or an amount, as written: `4`, `1e-9`, `512Mi`."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Items:
    values: tuple[Value, ...]
    span: Span


Value = Text | Word | Number | Items


@dataclass(frozen=True, slots=True)
class Argument:
    """`name=value`, a bare value (its name is empty), or a clause: `when "…"`. `span` is the name's, or the value's."""

    name: str
    value: Value
    span: Span
    is_clause: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """`@name(…)`; `span` is that of `@name`."""

    name: str
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Header:
    """`Feature: title` or `Scenario: title`."""

    keyword: str
    title: str
    span: Span


@dataclass(frozen=True, slots=True)
class ProseLine:
    """A Given/When/Then line."""

    text: str
    span: Span


@dataclass(slots=True)
class ScenarioBlock:
    """A scenario while it is read. `is_broken` says that a part of it could not be read, so that what seems to be missing may be there."""

    header: Header
    annotations: list[Annotation] = field(default_factory=list)
    prose: list[ProseLine] = field(default_factory=list)
    is_broken: bool = False


@dataclass(slots=True)
class Document:
    """A whole file. `is_broken` says that a part outside its scenarios could not be read."""

    feature: Header | None = None
    annotations: list[Annotation] = field(default_factory=list)
    scenarios: list[ScenarioBlock] = field(default_factory=list)
    is_broken: bool = False
