"""The one way in which a pipeline file is written (`runi fmt`).

    Feature and what stands before it at the first column; scenarios and what decorates them two deeper, or at the first column where there is no
    Feature:; those of a rule two more; the lines of a scenario two deeper than its header, what hangs below a line two deeper than that
    a blank line above every header and its annotations, never two, none at the beginning, one end of line at the end
    annotations as `layout.py` writes them; tables with their bars below each other
    notes stay where they are, indented like what follows them

Nothing else changes: not the order of lines, not a word, not a value.  Formatting twice gives the same as once, and the tree before and
after is the same but for the places, which is checked each time, because a file that means something else would be worse than an ugly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from runink.dsl.diagnostics import Findings
from runink.dsl.layout import FAR, STEP, WIDTH_MAX, Writer, notes_within
from runink.dsl.parser import parsed
from runink.dsl.statements import Kind, Statement, statements
from runink.dsl.syntax import (
    Annotation,
    Background,
    Block,
    DocString,
    Document,
    Entry,
    Item,
    Place,
    RuleBlock,
    ScenarioBlock,
    Step,
    Table,
    Text,
)
from runink.errors import Invalid, InvariantBroken, Span

_PLACES: Final = (Span, Place)


def formatted(text: str, file: str) -> str:
    """Return the text as it is written. Raises Invalid with all findings if it cannot be read; what it means may be wrong."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    findings = Findings(file, plain)
    document = parsed(plain, findings)
    if findings:
        told = findings.told()
        hint = "mend what is told above; nothing was changed"
        raise Invalid(f"{file} cannot be formatted", findings=told, code="not_formatted", hint=hint)
    found = list(statements(plain, findings))
    made = _Formatter(plain.split("\n"), document, found).text()
    again = Findings(file, made)
    if meaning(parsed(made, again)) != meaning(document) or again:
        raise InvariantBroken(f"formatting {file} would change what it says; it was left as it is")
    return made


def meaning(node: Any) -> Any:
    """Return a part of the tree without its places, to be compared."""
    if isinstance(node, msgspec.Struct):
        names = node.__struct_fields__
        if isinstance(node, Entry) and node.key:
            names = tuple(name for name in names if name != "text")  # key and value say it
        values = (getattr(node, name) for name in names)
        return (type(node).__name__, *(meaning(one) for one in values if not _is_place(one)))
    if isinstance(node, list | tuple):
        return [meaning(one) for one in node if not _is_place(one)]
    return node


def _is_place(value: object) -> bool:
    return isinstance(value, _PLACES)


class Chunk(msgspec.Struct):
    """Lines that stand together; `indent` is nothing for a note that waits for what follows it."""

    lines: list[str]
    is_note: bool = False
    is_apart: bool = False  # a blank line stands above it
    header: int = 0  # the line of the header that it decorates
    is_loose: bool = False  # annotations that decorate none


class _Formatter:
    def __init__(
        self, lines: Sequence[str], document: Document, found: Sequence[Statement]
    ) -> None:
        self._lines = lines
        self._statements = found
        self._tree = _Shape(document, lines)
        self._chunks: list[Chunk] = []
        self._is_apart = False
        self._base = ""  # how deep the lines of what is read stand
        self._depth = ""  # how deep what hangs below a line stands
        self._has_feature = self._has_rule = False
        self._is_describing = False

    def text(self) -> str:
        for statement in self._statements:
            if statement.kind is Kind.BLANK:
                self._is_apart = True
            else:
                self._add(statement)
        self._settle_notes(self._base)
        told: list[str] = []
        for chunk in self._chunks:
            if chunk.is_apart and told:
                told.append("")
            told += chunk.lines
        return "\n".join(told).rstrip("\n") + "\n" if told else ""

    def _put(self, lines: list[str], *, is_note: bool = False, header: int = 0) -> None:
        is_loose = bool(lines) and lines[0].startswith("@")
        self._chunks.append(Chunk(lines, is_note, self._is_apart, header, is_loose))
        self._is_apart = False

    def _settle_notes(self, indent: str) -> None:
        """Indent the notes that stand above what comes now."""
        for chunk in reversed(self._chunks):
            if not chunk.is_note:
                return
            chunk.lines = [indent + chunk.lines[0].strip()]

    def _line(self, indent: str, text: str) -> None:
        self._settle_notes(indent)
        self._put([(indent + text).rstrip()])

    def _add(self, statement: Statement) -> None:
        word, rest = statement.word, statement.rest
        match statement.kind:
            case Kind.NOTE:
                self._put([statement.text.strip()], is_note=True)
                return
            case Kind.HEADER:
                self._header(statement)
                return
            case Kind.ANNOTATIONS:
                self._annotations(statement)
            case Kind.STEP:
                self._line(self._base, f"{word} {rest}")
                self._depth = self._base + STEP
            case Kind.BLOCK:
                self._line(self._base, f"{word}  {rest}" if rest else word)
                self._depth = self._base + STEP
            case Kind.CUT:
                self._is_apart = True
                self._line("", "---")
                self._is_apart = True
            case Kind.ROW:
                self._line(self._depth, self._tree.rows[statement.line])
            case Kind.DOC:
                self._doc(statement)
            case Kind.BULLET | Kind.PAIR if not self._is_describing:
                deep = self._depth + STEP * self._tree.depths[statement.line]
                self._line(deep, f"{word} {rest}")
            case _:
                self._line(self._depth, statement.text.strip())
                return
        self._is_describing = False

    def _header(self, statement: Statement) -> None:
        keyword = statement.word.rstrip(":")
        title = f"{statement.word} {statement.rest}".rstrip()
        if keyword in {"Examples", "Scenarios"}:
            self._line(self._base, title)
            self._depth = self._base + STEP
        else:
            if keyword == "Rule":
                self._has_rule = False
            indent = "" if keyword == "Feature" else STEP * (self._has_feature + self._has_rule)
            self._line(indent, title)
            self._part(statement.line, is_feature=keyword == "Feature")
            self._has_feature |= keyword == "Feature"
            self._has_rule |= keyword == "Rule"
            self._base = self._depth = indent + STEP
        self._is_describing = True

    def _part(self, line: int, *, is_feature: bool) -> None:
        """Put a blank line above a header that was just written, and above what belongs to it."""
        at = len(self._chunks) - 1
        while at:
            above = self._chunks[at - 1]
            goes_with = above.is_note or (is_feature and above.is_loose)
            if above.header != line and (not goes_with or self._chunks[at].is_apart):
                break
            at -= 1
        self._chunks[at].is_apart = True

    def _doc(self, statement: Statement) -> None:
        doc = self._tree.docs[statement.line]
        inner = doc.text.value.split("\n") if doc.text.places else []
        told = [f"{self._depth}{statement.word}{doc.media}"]
        told += [f"{self._depth}{line}" if line else "" for line in inner]
        self._settle_notes(self._depth)
        self._put([*told, f"{self._depth}{statement.word}"])

    def _annotations(self, statement: Statement) -> None:
        first = statement.line - 1
        whole = self._lines[first : first + statement.lines]
        notes = notes_within(statement, whole)
        last = statement.line + statement.lines - 1
        tail = next((f"  {one.text}" for one in notes if one.line == last), "")
        inner = [one for one in notes if one.line != last]
        found = self._tree.of_statement(statement)
        writer = Writer(statement, inner)
        ends = [(one.span.line, one.span.column) for one in found[1:]]
        groups: list[tuple[int, str, list[list[str]]]] = []
        for one, until in zip(found, [*ends, FAR], strict=True):
            header = self._tree.headers.get((one.span.line, one.span.column), 0)
            indent = self._indent_of(header)
            told = writer.annotation(one, until, indent)
            if not groups or groups[-1][0] != header:
                groups.append((header, indent, []))
            groups[-1][2].append(told)
        for place, (header, indent, pieces) in enumerate(groups):
            lines = _joined(pieces, indent)
            if place == len(groups) - 1:
                lines[-1] += tail
            self._settle_notes(indent)
            self._put(lines, header=header)

    def _indent_of(self, header: int) -> str:
        if not header:
            return self._base
        keyword = self._tree.keywords[header]
        return STEP * (self._has_feature + (self._has_rule and keyword != "Rule"))


def _joined(pieces: list[list[str]], indent: str) -> list[str]:
    """Put annotations that are a line each on one line, if they fit."""
    line = indent + " ".join(piece[0].strip() for piece in pieces)
    if all(len(piece) == 1 for piece in pieces) and len(line) <= WIDTH_MAX:
        return [line]
    return [one for piece in pieces for one in piece]


class _Shape:
    """What the tree says of the file's lines, by their numbers."""

    def __init__(self, document: Document, lines: Sequence[str]) -> None:
        self.depths: dict[int, int] = {}  # of entries
        self.rows: dict[int, str] = {}  # of tables, as they are written
        self.docs: dict[int, DocString] = {}
        self.annotations: dict[int, list[Annotation]] = {}
        self.headers: dict[tuple[int, int], int] = {}  # of decorations, whose they are
        self.keywords: dict[int, str] = {}  # of those headers
        self._lines = lines
        parts: list[Background | RuleBlock | ScenarioBlock | None] = [
            document.background,
            *document.rules,
            *(one.background for one in document.rules),
            *document.scenarios,
        ]
        self._items(document.items)
        for part in parts:
            if isinstance(part, RuleBlock | ScenarioBlock):
                self._decorations(part)
            if isinstance(part, Background | ScenarioBlock):
                self._items(part.items)
            if isinstance(part, ScenarioBlock):
                for examples in part.examples:
                    self._table(examples.table)

    def of_statement(self, statement: Statement) -> list[Annotation]:
        """Return the annotations of a statement in their order."""
        numbers = range(statement.line, statement.line + statement.lines)
        found = [one for number in numbers for one in self.annotations.get(number, ())]
        return sorted(found, key=lambda one: (one.span.line, one.span.column))

    def _annotation(self, one: Annotation) -> None:
        self.annotations.setdefault(one.span.line, []).append(one)

    def _decorations(self, part: RuleBlock | ScenarioBlock) -> None:
        line = part.header.span.line
        self.keywords[line] = part.header.keyword
        for one in part.decorations:
            self._annotation(one)
            self.headers[one.span.line, one.span.column] = line

    def _items(self, items: Iterable[Item]) -> None:
        for item in items:
            match item:
                case Annotation():
                    self._annotation(item)
                case Block():
                    self._entries(item.entries, 0)
                case Step():
                    self._entries(item.bullets, 0)
                    self._table(item.table)
                    if item.doc is not None:
                        self.docs[item.doc.span.line] = item.doc

    def _entries(self, entries: Iterable[Entry], depth: int) -> None:
        for one in entries:
            self.depths.setdefault(one.span.line, depth)
            self._entries(one.entries, depth + 1)

    def _table(self, table: Table | None) -> None:
        rows = table.rows if table is not None else []
        told = [(row.span.line, [self._cell(cell) for cell in row.cells]) for row in rows]
        widths = [
            max(map(len, column)) for column in zip(*(cells for _, cells in told), strict=True)
        ]
        for line, cells in told:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            self.rows[line] = f"| {' | '.join(padded)} |"

    def _cell(self, cell: Text) -> str:
        """Return a cell as it is written, with its backslashes."""
        start = cell.span.column - 1
        raw = self._lines[cell.span.line - 1][start : start + cell.span.length]
        return raw if cell.value else ""
