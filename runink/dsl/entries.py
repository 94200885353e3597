"""The lines of a block, and bullets: what hangs below what, by how far it is indented.

    - text                    a bullet; says its text `key: value`, then that is its first entry
    key: value                a pair; a value may stand in quotes, or be a list: [a, "b"]
    key:                      a pair without a value, for what is indented below it

A line belongs to the nearest line above it that is indented less.  That is a small part of YAML and no more: there are no anchors, no
texts over several lines, no maps in one line.  A bullet's text is free: `- Route them (sink: target/x.csv)` is one text.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from runink.dsl.annotations import short_text
from runink.dsl.diagnostics import Findings
from runink.dsl.statements import Kind, Statement
from runink.dsl.syntax import Entry, Items, Place, Text, Value

DEPTH_MAX: Final = 16  # of entries below entries; nobody reads what is deeper

_KEY: Final = re.compile(r"([A-Za-z_][\w.-]*):(?=\s|$)\s*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"$')
_NOTE: Final = re.compile(r"\s+(?:#|//).*")
_ITEM: Final = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",\[\]](?:[^",\[\]]*[^\s",\[\]])?))\s*[,\]]'
)
_WHOLE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:"(?:[^"\\]|\\.)*"|[^"\]])*\]')
_CLOSE: Final = re.compile(r"\s*\]")


def free_text(statement: Statement, column: int, findings: Findings) -> Text:
    """Return the text from a column of a statement's line on, without blanks around it."""
    raw = statement.text
    start = column - 1
    while start < len(raw) and raw[start].isspace():
        start += 1
    return _text_at(raw[start:].rstrip(), statement.line, start + 1, findings)


def _text_at(value: str, line: int, column: int, findings: Findings) -> Text:
    return Text(value, findings.span(line, column, len(value)), (Place(0, line, column),))


def check_texts(entry: Entry, findings: Findings) -> None:
    """Tell what stands below a key that says its texts already, or below it and is no text; and a key that says none."""
    for one in entry.entries:
        if entry.value is not None:
            hint = f"write it behind {entry.key}: or below it, not both"
            findings.add("D011", f"{entry.key} has a value already", one.span, hint)
        elif not one.is_bullet or one.entries:
            hint = f"below {entry.key}: stands - text, a line each"
            findings.add("D011", f"this is no text of {entry.key}", one.span, hint)
    if not entry.texts:
        hint = f"write it behind the colon, or take {entry.key} away"
        findings.add("D014", f"{entry.key} has no value", entry.span, hint)


def _agree(indent: str, other: str) -> bool:
    """Say whether one of two indentations goes on where the other ends: else which is deeper depends on how wide a tab is."""
    return indent.startswith(other) or other.startswith(indent)


class Level(msgspec.Struct):
    """Entries that stand equally deep; `indent` is that of the line which began them."""

    column: int
    entries: list[Entry]
    indent: str


class Tree:
    """Takes lines one by one, and hangs each where it belongs."""

    def __init__(self, entries: list[Entry], findings: Findings) -> None:
        self._root = entries
        self._levels: list[Level] = []
        self._findings = findings

    def add(self, statement: Statement) -> bool:
        """Take a bullet or a pair; return whether it could be read."""
        before = len(self._findings)
        is_bullet = statement.kind is Kind.BULLET
        behind = statement.column + (len(statement.word) if is_bullet else 0)
        text = free_text(statement, behind, self._findings)
        self._hang(statement, self._entry(text, statement, is_bullet=is_bullet), text)
        return len(self._findings) == before

    def _entry(self, text: Text, statement: Statement, *, is_bullet: bool) -> Entry:
        span = self._findings.span(statement.line, statement.column, len(statement.word))
        found = _KEY.match(text.value)
        if not text.value:
            hint = "write something behind it, or take it away"
            self._findings.add("D002", "this bullet says nothing", span, hint)
        if found is None:
            return Entry(text, span, is_bullet=is_bullet)
        start = text.span.column
        place = self._findings.span(statement.line, start, len(found[1]) + 1)
        raw = text.value[found.end() :]
        value = self._value(raw, statement.line, start + found.end(), is_free=is_bullet)
        pair = Entry(text, place, found[1], value)
        return Entry(text, span, entries=[pair], is_bullet=True) if is_bullet else pair

    def _hang(self, statement: Statement, entry: Entry, text: Text) -> None:
        column, indent = statement.column, statement.text[: statement.column - 1]
        if not all(_agree(indent, level.indent) for level in self._levels):
            hint = "indent it by the same tabs or blanks as the lines around it"
            told = "it is not clear how deep this line stands"
            self._findings.add("D013", told, self._findings.span(statement.line, 1, column), hint)
        while self._levels and self._levels[-1].column > column:
            self._levels.pop()
        if not self._levels or self._levels[-1].column < column:
            above = self._levels[-1].entries[-1].entries if self._levels else self._root
            self._levels.append(Level(column, above, indent))
            if len(self._levels) > DEPTH_MAX:
                hint = "say it with fewer levels"
                self._findings.add("D002", "lines within lines", entry.span, hint)
                self._levels.pop()
                return
        self._levels[-1].entries.append(entry)
        if entry.is_bullet and entry.entries:
            # `- name: id`, and `type: integer` below `name`
            self._levels.append(Level(text.span.column, entry.entries, indent))

    def _value(self, raw: str, line: int, column: int, *, is_free: bool) -> Value | None:
        """Read what stands behind a key; what a bullet says is free, so it may be no value at all."""
        raw = raw.rstrip()
        if not raw:
            return None
        if raw[0] in '["':
            raw = self._without_note(raw)
        quoted = _QUOTED.match(raw)
        if quoted is not None:
            span = self._findings.span(line, column, len(raw))
            return short_text(quoted[1], line, column + 1, span)
        if raw.startswith("["):
            values, at = self._items(raw, line, column)
            span = self._findings.span(line, column)
            if at == len(raw) and raw[-1] == "]":
                return Items(values, span)
            if not is_free:
                self._tell_list(raw, line, column, at)
        elif raw.startswith('"') and not is_free:
            hint = 'end it with " on the same line, and with nothing behind it'
            span = self._findings.span(line, column, len(raw))
            self._findings.add("D004", "this text is never closed", span, hint)
        return _text_at(raw, line, column, self._findings)

    def _without_note(self, raw: str) -> str:
        """Cut off a note behind a quoted text or a list; behind a plain text it is part of it."""
        at = _WHOLE.match(raw)
        if at is not None and _NOTE.fullmatch(raw, at.end()):
            return raw[: at.end()]
        return raw

    def _tell_list(self, raw: str, line: int, column: int, at: int) -> None:
        if not raw.endswith("]"):
            span = self._findings.span(line, column)
            self._findings.add("D003", "this [ is never closed", span, "put ] where it ends")
            return
        span = self._findings.span(line, column + at, len(raw) - at)
        self._findings.add("D002", "this is no list", span, 'write it as [a, "b"]')

    def _items(self, raw: str, line: int, column: int) -> tuple[tuple[Value, ...], int]:
        """Return the values of a list, and up to where it could be read."""
        values: list[Value] = []
        at = 1
        while (found := _ITEM.match(raw, at)) is not None:
            group = 1 if found[1] is not None else 2
            start, end = found.span(group)
            if group == 1:
                start, end = start - 1, end + 1
            span = self._findings.span(line, column + start, end - start)
            inner = column + found.start(group)
            values.append(
                short_text(found[group], line, inner, span)
                if group == 1
                else _text_at(found[2], line, inner, self._findings)
            )
            at = found.end()
            if raw[at - 1] == "]":
                return tuple(values), at
        closed = _CLOSE.match(raw, at)
        return tuple(values), closed.end() if closed is not None else at
