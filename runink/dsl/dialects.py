"""Notations of other tools that look like pipelines: each file gets one mistake that says what to write instead.

    transform clean (command: "…", after: load)      a line a step, in brackets
    DAG flights { node load { … } edge { … } }        blocks in braces

They are taken out before the text is read, so that none of their lines is told by itself.  Line numbers stay.
"""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings

MIGRATION: Final = "write Scenario: and a title, and below it @source(…), @step(…, after=…), @sink(…): docs/reference/dsl.md"
_WORDS: Final = re.compile(r"^[ \t]*(?:transform|DAG|dag|pipeline|node|edge)\b", re.MULTILINE)
_TRANSFORM: Final = re.compile(r"[ \t]*(transform)[ \t]+[\w.-]+[ \t]*\((?=\s*$|\s*\w+\s*:)")
_BLOCK: Final = re.compile(r"[ \t]*(DAG|dag|pipeline|node|edge)\b(?:[ \t]+[\w.-]+)?[ \t]*\{")
_OURS: Final = re.compile(r"^[ \t]*(?:@\w|Feature:|Scenario)", re.MULTILINE)
_PIECE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[(){}]')
_OPENS: Final = {"(": ")", "{": "}"}


def without_dialects(text: str, findings: Findings) -> str:
    """Return the text with such lines made empty; the first of them is told. Nothing is left where none of the text is ours."""
    if not _WORDS.search(text):
        return text
    lines = text.split("\n")
    at = 0
    is_told = is_quoted = False
    while at < len(lines):
        found = None if is_quoted else _TRANSFORM.match(lines[at]) or _BLOCK.match(lines[at])
        if found is None:
            is_quoted ^= bool(lines[at].count('"""') % 2)
            at += 1
            continue
        if not is_told:
            is_told = True
            span = findings.span(at + 1, found.start(1) + 1, len(found[1]))
            findings.add("D900", f"{found[1]} is another tool's notation", span, MIGRATION)
        end = _end(lines, at)
        lines[at:end] = [""] * (end - at)
        at = end
    left = "\n".join(lines)
    return left if not is_told or _OURS.search(left) else ""


def _end(lines: list[str], start: int) -> int:
    """Return the line behind the one on which all brackets are closed; the next one if none is."""
    open_ones: list[str] = []
    for at in range(start, len(lines)):
        for piece in _PIECE.findall(lines[at]):
            if piece in _OPENS:
                open_ones.append(_OPENS[piece])
            elif open_ones and piece == open_ones[-1]:
                open_ones.pop()
        if not open_ones:
            return at + 1
    return start + 1
