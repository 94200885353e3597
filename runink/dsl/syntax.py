"""What a pipeline file says, as written: the tree that the parser gives, every part with its place.

    Document
      feature       Feature: its title and description
      items         annotations and blocks of the file, in order
      background    Background: what every scenario begins with
      rules         Rule: each with its annotations, and a background of its own
      scenarios     in order, each with
        decorations   the annotations above its header
        items         annotations, steps and blocks below it, in order
        examples      the tables of a Scenario Outline:
        rule          the rule that it stands in

    Step            Given/When/Then/And/But/Do/*, its text, and the bullets, table or doc string below it
    Block           Metadata: Assertions: GoldenTest: Notifications: Properties: Then:, and its entries
    Entry           `- text` or `key: value`, and the entries indented below it

Nothing is judged here: an annotation may be unknown, its arguments may be wrong.  What they mean is read by `clauses.py`.
A Scenario Outline: stands here as written; `outlines.py` makes plain scenarios of it, and puts backgrounds into them.
Notes and blank lines are no part of the tree: two files that differ in nothing else have equal trees but for the places.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from runink.errors import Span


class Place(msgspec.Struct, frozen=True, gc=False):
    """From character `start` of a text's value on, characters stand at `line` and `column` onward; if `is_fixed`, all at that one place."""

    start: int
    line: int
    column: int
    is_fixed: bool = False


class Text(msgspec.Struct, frozen=True, gc=False):
    """A quoted text, or a free one to the end of its line: its value (escapes resolved), and where its characters stand in the file."""

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


def kept_places(text: Text, start: int, end: int, size: int) -> list[Place]:
    """Return where the characters from `start` to `end` of a text stand, for a new text in which they begin at `size`."""
    if start == end:
        return []
    span = text.at(start)
    between = (place for place in text.places if start < place.start < end)
    return [
        Place(size, span.line, span.column, _is_fixed_at(text, start)),
        *(Place(size + one.start - start, one.line, one.column, one.is_fixed) for one in between),
    ]


def _is_fixed_at(text: Text, offset: int) -> bool:
    found = bisect_right(text.places, offset, key=lambda place: place.start)
    return bool(found) and text.places[found - 1].is_fixed


class Word(msgspec.Struct, frozen=True, gc=False):
    """A bare name: `planes`, `true`, `overwrite`."""

    value: str
    span: Span


class Number(msgspec.Struct, frozen=True, gc=False):
    """A number or an amount, as written: `4`, `1e-9`, `512Mi`."""

    value: str
    span: Span


class Items(msgspec.Struct, frozen=True, gc=False):
    """A list; `span` is that of its opening bracket."""

    values: tuple[Value, ...]
    span: Span


class Absent(msgspec.Struct, frozen=True, gc=False):
    """Nothing, where a value belongs: `domain=`. `span` is that of the name."""

    span: Span


class Argument(msgspec.Struct, frozen=True, gc=False):
    """`name=value` or `name:value`, a bare value (its name is empty), or a clause: `when "…"`. `span` is the name's, or the value's."""

    name: str
    value: Value
    span: Span
    is_clause: bool = False


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """`@name(…)`; `span` is that of `@name`. Within another one it is the value of an argument without a name."""

    name: str
    arguments: tuple[Argument, ...]
    span: Span


Value = Text | Word | Number | Items | Absent | Annotation


class Header(msgspec.Struct):
    """`Feature: title`, `Scenario: title` and the like; the free lines right below it are its description. `title_text` knows where the title stands."""

    keyword: str
    title: str
    span: Span
    title_text: Text | None = None
    description: list[Text] = []


class Row(msgspec.Struct, frozen=True, gc=False):
    cells: tuple[Text, ...]
    span: Span


class Table(msgspec.Struct):
    """Rows between bars; what the first one means, whoever has the table knows."""

    rows: list[Row]
    span: Span


class DocString(msgspec.Struct, frozen=True):
    '''Text between two lines of `"""` or three backquotes, without the indentation of the first; `media` stands behind that.'''

    text: Text
    media: str
    span: Span


class Entry(msgspec.Struct):
    """A line of a block, or a bullet: its whole text, what it says as `key: value`, and what is indented below it.

    A bullet has no key; says its text `key: value`, then that is the first of its entries.
    """

    text: Text
    span: Span
    key: str = ""
    value: Value | None = None
    entries: list[Entry] = []
    is_bullet: bool = False

    @property
    def texts(self) -> tuple[Text, ...]:
        """The texts behind its key, or on the bullets below it."""
        match self.value:
            case Text():
                return (self.value,)
            case Items(values):
                return tuple(one for one in values if isinstance(one, Text))
            case _:
                return tuple(one.text for one in self.entries)


class Step(msgspec.Struct):
    """A Given/When/Then line, with what stands below it. `span` is that of the keyword."""

    keyword: str
    text: Text
    span: Span
    bullets: list[Entry] = []
    table: Table | None = None
    doc: DocString | None = None

    @property
    def sentence(self) -> str:
        return f"{self.keyword} {self.text.value}"


class Block(msgspec.Struct):
    """`Metadata:` and the like, with its lines. `span` is that of the keyword."""

    keyword: str
    span: Span
    entries: list[Entry] = []


Item = Annotation | Step | Block


class Examples(msgspec.Struct):
    """`Examples:` of an outline, or `Scenarios:`; the first row of the table names the columns."""

    header: Header
    table: Table | None = None


class Background(msgspec.Struct):
    """`Background:` and what stands below it."""

    header: Header
    items: list[Item] = []
    is_broken: bool = False


class RuleBlock(msgspec.Struct):
    """`Rule:`, up to the next one. Its background stands behind the file's."""

    header: Header
    decorations: list[Annotation] = []
    background: Background | None = None


class ScenarioBlock(msgspec.Struct):
    """A scenario. `is_broken` says that a part of it could not be read, so that what seems to be missing may be there."""

    header: Header
    decorations: list[Annotation] = []
    items: list[Item] = []
    examples: list[Examples] = []
    rule: RuleBlock | None = None
    is_broken: bool = False

    @property
    def is_outline(self) -> bool:
        return self.header.keyword in OUTLINES

    @property
    def annotations(self) -> list[Annotation]:
        """All of them: those above the header, then those below it."""
        return [*self.decorations, *(one for one in self.items if isinstance(one, Annotation))]

    @property
    def steps(self) -> list[Step]:
        return [one for one in self.items if isinstance(one, Step)]

    @property
    def blocks(self) -> list[Block]:
        return [one for one in self.items if isinstance(one, Block)]


OUTLINES = ("Scenario Outline", "Scenario Template")


class Document(msgspec.Struct):
    """A whole file. `is_broken` says that a part outside its scenarios could not be read."""

    feature: Header | None = None
    items: list[Item] = []
    background: Background | None = None
    rules: list[RuleBlock] = []
    scenarios: Sequence[ScenarioBlock] = []
    is_broken: bool = False

    @property
    def annotations(self) -> list[Annotation]:
        return [one for one in self.items if isinstance(one, Annotation)]

    @property
    def blocks(self) -> list[Block]:
        return [one for one in self.items if isinstance(one, Block)]
