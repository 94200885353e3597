"""What stands in an annotation where something else belongs, told in the words of the language: lark says where, and what it would have taken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from runink.dsl.diagnostics import Findings
from runink.dsl.statements import Statement

_TERMINALS: Final = {
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "SIGN": "=",
    "NAME": "a name",
    "STRING": 'a text in "quotes"',
    "NUMBER": "a number",
    "ANNOTATION": "an @annotation",
    "$END": "the end of the line",
}


def depths(text: str) -> tuple[int, int]:
    """Return how many brackets are open at the end of a text, and how many were at most."""
    depth = deepest = 0
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (char in "([") - (char in ")]")
        deepest = max(deepest, depth)
    return depth, deepest


def tell(error: Any, statement: Statement, findings: Findings) -> None:
    """Tell of what lark has met (`UnexpectedInput`) where it stands in the file."""
    lines = statement.text.split("\n")
    token = getattr(error, "token", None)
    expected = sorted(getattr(error, "expected", None) or getattr(error, "allowed", None) or ())
    if token is not None and token.type == "$END":
        last = next(at for at in range(len(lines) - 1, -1, -1) if lines[at].strip())
        line, column, said = statement.line + last, len(lines[last].rstrip()) + 1, ""
    else:
        line, column = statement.line + error.line - 1, error.column
        said = str(token) if token is not None else _run(lines[error.line - 1], error.column - 1)
    shown = said.split("\n", 1)[0]
    what = f"{shown[:40]} does not belong here" if said else "the line ends too early"
    above = lines[: line - statement.line]
    before = "\n".join((*above, lines[line - statement.line][: column - 1]))
    hint = _expectation(said, expected, is_within=depths(before)[0] > 0)
    findings.add("D002", what, findings.span(line, column, len(shown)), hint)


def _run(line: str, at: int) -> str:
    """Return what begins at a character that begins nothing, to be shown as one."""
    found = re.compile(r"[^\s,()\[\]]+|.").match(line, at)
    return found[0] if found else ""


def _expectation(said: str, expected: Iterable[str], *, is_within: bool) -> str:
    """Return how to mend it that `said` stands where one of `expected` belongs; `is_within` brackets or behind an annotation."""
    names = set(expected)
    for pattern, hint in _IN_PLACE_OF_A_VALUE if is_within else _BEHIND:
        if re.match(pattern, said):
            return hint
    if is_within and "COMMA" in names and said[:1] not in {"", ")", "]", "="}:
        return "put a comma between arguments"
    listed = list(dict.fromkeys(told for name, told in _TERMINALS.items() if name in names))
    if not listed:
        return ""
    return f"expected {' or '.join((', '.join(listed[:-1]), listed[-1]) if len(listed) > 1 else listed)}"


# What people write, and what they should.
_IN_PLACE_OF_A_VALUE: Final = (
    ("'", 'text stands in double quotes: "…"'),
    ("@$", "the annotation's name stands right behind @"),
    ("@", "an annotation stands in brackets, as a value of its own"),
    (r"<[^<>]+>$", 'put it in quotes: "<name>"'),
    (r"[:/*${.]", 'text stands in quotes: "csv://data/x.csv"'),
    (r"[<>=!&|+%]", 'a condition stands in quotes: "records > 0"'),
    (r"[0-9]+[^0-9]", "a number is digits, with its unit right behind it"),
    (r"[)\]]", "there is one bracket too many, or nothing before it"),
)
_BEHIND: Final = (
    ("@$", "the annotation's name stands right behind @"),
    (r"[)\]]", "there is one bracket too many, or nothing before it"),
    (r"#|//", "put a blank before the note"),
    (r"@.", "a name begins with a letter from A to Z"),
    (r".", "behind an annotation stands another one, or a note that begins with #"),
)
