"""The characters of a file: what cannot be seen is refused, because a terminal would obey it, and a reviewer would read another text than we do."""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings

MISTAKES_MAX: Final = 500  # a file of more is no pipeline, and nobody reads that far
# Control characters but for the tab, ends of lines that are none here, marks that turn the direction of writing, and what has no width.
# What joins letters and emojis (U+200C, U+200D, U+FE0F) shows in how they look, and is left.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
    r"|\r(?!\n|\Z)"
)


def check_characters(text: str, findings: Findings, *, first: int = 1) -> None:
    """Tell characters that cannot be seen, one for each line, up to MISTAKES_MAX."""
    line, at, told = first, 0, 0
    for found in _UNSEEN.finditer(text):
        between = text.count("\n", at, found.start())
        line, at = line + between, found.start()
        if line == told:
            continue
        told = line
        column = found.start() - text.rfind("\n", 0, found.start())
        what = f"a character that cannot be seen (U+{ord(found[0]):04X})"
        hint = "lines end in LF or CRLF" if found[0] == "\r" else "take it away"
        findings.add("D007", what, findings.span(line, column), hint)
        if len(findings) > MISTAKES_MAX:
            return
