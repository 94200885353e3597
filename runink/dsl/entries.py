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
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*$')
_ITEM: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",\[\]]*[^",\[\]\s]))\s*(,|$)')


def free_text(statement: Statement, column: int, findings: Findings) -> Text:
    """Return the text from a column of a statement's line on, without blanks around it."""
    raw = statement.text
    start = column - 1
    while start < len(raw) and raw[start].isspace():
        start += 1
    return _text_at(raw[start:].rstrip(), statement.line, start + 1, findings)


def _text_at(value: str, line: int, column: int, findings: Findings) -> Text:
    return Text(value, findings.span(line, column, len(value)), (Place(0, line, column),))


class Level(msgspec.Struct):
    """Entries that stand equally deep."""

    column: int
    entries: list[Entry]


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
        value = self._value(text.value[found.end() :], statement.line, start + found.end())
        pair = Entry(text, place, found[1], value)
        return Entry(text, span, entries=[pair], is_bullet=True) if is_bullet else pair

    def _hang(self, statement: Statement, entry: Entry, text: Text) -> None:
        column = statement.column
        while self._levels and self._levels[-1].column > column:
            self._levels.pop()
        if not self._levels or self._levels[-1].column < column:
            above = self._levels[-1].entries[-1].entries if self._levels else self._root
            self._levels.append(Level(column, above))
            if len(self._levels) > DEPTH_MAX:
                hint = "say it with fewer levels"
                self._findings.add("D002", "lines within lines", entry.span, hint)
                self._levels.pop()
                return
        self._levels[-1].entries.append(entry)
        if entry.is_bullet and entry.entries:
            # `- name: id`, and `type: integer` below `name`
            self._levels.append(Level(text.span.column, entry.entries))

    def _value(self, raw: str, line: int, column: int) -> Value | None:
        raw = raw.rstrip()
        if not raw:
            return None
        quoted = _QUOTED.match(raw)
        span = self._findings.span(line, column, len(raw))
        if quoted is not None:
            return short_text(quoted[1], line, column + 1, span)
        if raw.startswith("["):
            return self._items(raw, line, column)
        if raw.startswith('"'):
            hint = 'end it with " on the same line, and with nothing behind it'
            self._findings.add("D004", "this text is never closed", span, hint)
        return _text_at(raw, line, column, self._findings)

    def _items(self, raw: str, line: int, column: int) -> Items:
        values: list[Value] = []
        span = self._findings.span(line, column)
        at, end = 1, len(raw) - 1
        if not raw.endswith("]"):
            self._findings.add("D003", "this [ is never closed", span, "put ] where it ends")
            return Items((), span)
        while raw[at:end].strip():
            found = _ITEM.match(raw, at, end)
            if found is None:
                told = "this is no list"
                place = self._findings.span(line, column + at, end - at)
                self._findings.add("D002", told, place, 'write it as [a, "b"]')
                break
            group = found.lastindex and (1 if found[1] is not None else 2)
            start = found.start(group or 0)
            where = self._findings.span(line, column + start, len(found[group or 0]))
            values.append(short_text(found[group or 0], line, column + start, where))
            at = found.end()
        return Items(tuple(values), span)
