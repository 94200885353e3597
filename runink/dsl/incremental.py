"""A file that is read again and again while somebody writes it: only the scenarios that have changed are read anew.

    text --cut at headers--> pieces --by their text--> scenarios as they were read before, or read now --> Document

A scenario's lines are read by themselves, and what came out is kept by their text.  Where they stand is added when somebody looks: a line
that is put in at the top moves all that is below it, and nobody looks at all of that.  What a piece leaves for the next header (annotations that may
be its own) is decided where the two meet, exactly as `parser.py` does.

What is not so simple is read whole: a file with a text that is open at the end of a piece (it may go on over the next header), or with more
mistakes than anybody reads.  So the result is always that of `parsed`: `tests/property/test_dsl_incremental.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

import msgspec

from runink.dsl.characters import MISTAKES_MAX, check_characters
from runink.dsl.decorations import Pending, above_next
from runink.dsl.diagnostics import Findings
from runink.dsl.parser import Assembly, Seam, parsed
from runink.dsl.statements import Cutter
from runink.dsl.syntax import Annotation, Document, Header, Place, RuleBlock, ScenarioBlock
from runink.errors import Finding, Span
from runink.keywords import HEADERS

_OF_SCENARIOS: Final = ("Scenario", "Example", "Scenario Outline", "Scenario Template")
_PIECES: Final = re.compile(
    rf"^[^\S\n]*({'|'.join(one for one in HEADERS if one not in {'Examples', 'Scenarios'})}):",
    re.MULTILINE,
)


class Piece(msgspec.Struct):
    """A scenario as it was read at line `first`: itself, and what it leaves for what follows."""

    first: int
    seam: Seam
    scenario: ScenarioBlock
    findings: tuple[Finding, ...]
    is_file_broken: bool


class Placed(msgspec.Struct):
    """A piece where it stands now, `by` lines further down than where it was read."""

    piece: Piece
    by: int
    decorations: list[Annotation]
    rule: RuleBlock | None
    left: int = 0  # how many of the annotations at its end stay its own


class Scenarios(Sequence[ScenarioBlock]):
    """The scenarios of a file, each put in its place when it is looked at."""

    def __init__(self, placed: list[Placed]) -> None:
        self._placed = placed
        self._made: list[ScenarioBlock | None] = [None] * len(placed)

    def __len__(self) -> int:
        return len(self._placed)

    @overload
    def __getitem__(self, at: int) -> ScenarioBlock: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[ScenarioBlock]: ...
    def __getitem__(self, at: int | slice) -> ScenarioBlock | Sequence[ScenarioBlock]:
        if isinstance(at, slice):
            return [self[one] for one in range(len(self))[at]]
        made = self._made[at]
        if made is None:
            made = self._made[at] = _in_place(self._placed[at])
        return made


class Incremental:
    """Reads versions of one file, one after the other."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._kept: dict[str, Piece] = {}  # of the version that was read last, by their text

    def parse(self, text: str) -> tuple[Document, Findings]:
        """Return the tree of a text and what is wrong with it; the tree is never changed by a later call."""
        findings = Findings(self._file, text)
        reading = _Reading(self._file, findings, self._kept)
        if reading.pieces(text) and len(findings) <= MISTAKES_MAX:
            self._kept = reading.kept
            return reading.document, findings
        whole = Findings(self._file, text)
        return parsed(text, whole), whole


class _Reading:
    def __init__(self, file: str, findings: Findings, known: dict[str, Piece]) -> None:
        self.kept: dict[str, Piece] = {}
        self._file = file
        self._findings = findings
        self._known = known
        self._assembly = Assembly(findings)
        self._placed: list[Placed] = []
        self._last: Placed | None = None  # what was read last, if it was a scenario

    @property
    def document(self) -> Document:
        return msgspec.structs.replace(self._assembly.document, scenarios=Scenarios(self._placed))

    def pieces(self, text: str) -> bool:
        """Read all pieces, and return whether that could be done."""
        for first, piece, keyword in _cut(text):
            read = self._scenario if keyword in _OF_SCENARIOS else self._others
            if not read(piece, first):
                return False
        section = self._rejoined()
        self._assembly.finish()
        self._part(section)
        return True

    def _others(self, text: str, first: int) -> bool:
        """Read what is no scenario: it is little, and what comes after depends on it."""
        section = self._rejoined()
        cutter = Cutter(text, self._findings, first)
        check_characters(text, self._findings, first=first)
        before = len(self._assembly.document.scenarios)
        for statement in cutter.cut():
            self._assembly.add(statement)
            if len(self._findings) > MISTAKES_MAX:
                return False
        self._part(section)
        has_begun = len(self._assembly.document.scenarios) > before  # by a misspelt header
        return not (cutter.is_open or has_begun)

    def _scenario(self, text: str, first: int) -> bool:
        piece = self._known.get(text) or self.kept.get(text)
        if piece is None:
            piece = self._read(text, first)
            if piece is None:
                return False
        self.kept[text] = piece
        by = first - piece.first
        self._findings.take(_moved(one, by) for one in piece.findings)
        header: Header = _moved(piece.scenario.header, by)
        placed = Placed(
            piece, by, self._above(header), self._assembly.rule, len(piece.seam.pending)
        )
        self._placed.append(placed)
        self._last = placed
        self._assembly.document.is_broken |= piece.is_file_broken
        # The assembly asks of those before whether there are any, and of which rule: the last one says it.
        self._assembly.document.scenarios = [ScenarioBlock(header, rule=self._assembly.rule)]
        return True

    def _read(self, text: str, first: int) -> Piece | None:
        """Read a scenario by itself, or return nothing if a text is open at its end, a misspelt header begins another one, or there are too many mistakes."""
        findings = Findings(self._file, text, first=first)
        assembly = Assembly(findings)
        cutter = Cutter(text, findings, first)
        check_characters(text, findings, first=first)
        for statement in cutter.cut():
            assembly.add(statement)
            if len(findings) > MISTAKES_MAX:
                return None
        scenario, *begun = assembly.document.scenarios
        if cutter.is_open or begun:
            return None
        is_broken = assembly.document.is_broken
        return Piece(first, assembly.seam(), scenario, findings.told(), is_broken)

    # Where two pieces meet.

    def _above(self, header: Header) -> list[Annotation]:
        """Take the annotations above a header that belong to it from what was read last."""
        last = self._last
        if last is None:
            return self._assembly.decorations(header)
        seam = last.piece.seam
        pending = list(seam.pending)
        if seam.is_cut:
            own, pending = [one.annotation for one in pending], []
        else:
            told = Findings(self._file, "")
            items = last.piece.scenario.items
            own = above_next(pending, header, items, told, is_apart=seam.is_apart)
            self._tell(told, last.by)
        last.left = len(pending)
        return [_moved(one, last.by) for one in own]

    def _tell(self, told: Findings, by: int) -> None:
        for one in told.told():
            span = _moved(one.span, by)
            self._findings.add(one.code, one.text, span, one.hint)

    def _rejoined(self) -> ScenarioBlock | None:
        """Let the assembly go on behind the scenario that was read last, and return that, as far as it is decided."""
        last = self._last
        if last is None:
            return None
        seam = last.piece.seam
        scenario = last.piece.scenario
        pending = [
            Pending(_moved(one.annotation, last.by), is_apart=one.is_apart) for one in seam.pending
        ]
        section = msgspec.structs.replace(scenario, items=list(scenario.items))
        self._assembly.resume(Seam(section, pending, seam.is_cut, seam.is_apart))
        return section

    def _part(self, section: ScenarioBlock | None) -> None:
        """Note what that scenario was left with: its end is decided."""
        if section is not None and self._last is not None:
            self._last.left = len(section.items) - len(self._last.piece.scenario.items)
        self._last = None


def _in_place(placed: Placed) -> ScenarioBlock:
    piece, by = placed.piece, placed.by
    made: ScenarioBlock = _moved(piece.scenario, by)
    own = (_moved(one.annotation, by) for one in piece.seam.pending[: placed.left])
    return msgspec.structs.replace(
        made, decorations=placed.decorations, items=[*made.items, *own], rule=placed.rule
    )


def _moved(node: Any, by: int) -> Any:
    """Return a part of the tree `by` lines further down."""
    if by == 0:
        return node
    if isinstance(node, Span):
        return Span(node.file, node.line + by, node.column, node.length)
    if isinstance(node, Place):
        return Place(node.start, node.line + by, node.column, node.is_fixed)
    if isinstance(node, list | tuple):
        return type(node)(_moved(one, by) for one in node)
    if isinstance(node, msgspec.Struct):
        return type(node)(*(_moved(getattr(node, name), by) for name in node.__struct_fields__))
    return node


def _cut(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the pieces of a text: the number of the first line, the lines, and the keyword of the header that they begin with."""
    start, first, keyword = 0, 1, ""
    for found in _PIECES.finditer(text):
        if found.start() > start or keyword:
            yield first, text[start : found.start() - 1], keyword
            first += text.count("\n", start, found.start())
        start, keyword = found.start(), found[1]
    yield first, text[start:], keyword
