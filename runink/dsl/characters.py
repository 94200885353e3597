"""The characters of a file: what cannot be seen is refused, because a terminal would obey it, and a reviewer would read another text than we do."""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings

MISTAKES_MAX: Final = 500  # a file of more is no pipeline, and nobody reads that far
# Control characters but for the tab, ends of lines that are none here, and marks that turn the direction of writing.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\r(?!\n|\Z)"
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
        findings.add("D007", what, findings.span(line, column), "take it away")
        if len(findings) > MISTAKES_MAX:
            return
