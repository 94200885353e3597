r"""Tables and doc strings, as they stand below steps and examples.

A row's cells stand between bars; in a cell \| is a bar, \\ a backslash, \n the end of a line.  A doc string is the text between two lines of three
quotes or backquotes, without as many blanks as the first of the two begins with; what stands behind the first is its media type.
"""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings
from runink.dsl.statements import Statement
from runink.dsl.syntax import DocString, Place, Row, Table, Text

_CELL: Final = re.compile(r"((?:[^|\\]|\\.|\\$)*)(\||$)")
_ESCAPE: Final = re.compile(r"\\([n|\\])")


def row(statement: Statement, findings: Findings) -> Row | None:
    """Return a table's row, or nothing if it does not end with a bar."""
    raw = statement.text.rstrip()
    whole = findings.span(statement.line, statement.column, len(raw) - statement.column + 1)
    cells: list[Text] = []
    at = statement.column
    while at < len(raw):
        found = _CELL.match(raw, at)
        assert found is not None, "the pattern fits everywhere"
        if not found[2]:
            end = findings.span(statement.line, len(raw), 1)
            findings.add("D002", "a table's row ends with |", end, "put | behind its last cell")
            return None
        inner = found[1].strip()
        start = at + len(found[1]) - len(found[1].lstrip())
        value = _ESCAPE.sub(lambda one: "\n" if one[1] == "n" else one[1], inner)
        span = findings.span(statement.line, start + 1, len(inner))
        cells.append(Text(value, span, (Place(0, statement.line, start + 1),)))
        at = found.end()
    if not cells:
        findings.add("D002", "this row has no cells", whole, "write | a | b |")
        return None
    return Row(tuple(cells), whole)


def add_row(table: Table, one: Row, findings: Findings) -> bool:
    """Put a row into a table; return whether it has as many cells as the first."""
    table.rows.append(one)
    first = table.rows[0]
    if len(one.cells) == len(first.cells):
        return True
    text = f"this row has {len(one.cells)} cells, and the first has {len(first.cells)}"
    hint = "a table has equally many in each row"
    findings.add("D018", text, one.span, hint, labels=[(first.span, "the first row")])
    return False


def doc_string(statement: Statement, findings: Findings) -> DocString:
    """Return the text between the quotes, less the indentation of the first line."""
    first, *inner = statement.text.split("\n")
    inner.pop()
    indent = statement.column - 1
    lines: list[str] = []
    places: list[Place] = []
    size = 0
    for number, line in enumerate(inner, statement.line + 1):
        cut = len(line[:indent]) - len(line[:indent].lstrip())
        lines.append(line[cut:])
        places.append(Place(size, number, cut + 1))
        size += len(line) - cut + 1
    span = findings.span(statement.line, statement.column, len(statement.word))
    media = first[statement.column - 1 + len(statement.word) :].strip()
    return DocString(Text("\n".join(lines), span, tuple(places)), media, span)
