"""Lines that begin with nothing that there is: what was probably meant."""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings
from runink.dsl.statements import KEYWORDS, Statement
from runink.dsl.syntax import Block
from runink.dsl.vocabulary import ANNOTATIONS
from runink.suggestions import near

_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_HEADS: Final = tuple(one for one in KEYWORDS if one.endswith(":"))


def is_call(statement: Statement) -> bool:
    """Say whether a free line is an annotation that lacks its @: it must not pass for a description."""
    found = _CALL.match(statement.text.strip())
    return found is not None and found[1] in ANNOTATIONS


def is_misspelt(statement: Statement) -> bool:
    """Say whether a line like `Scenaro: x` looks like a header: it must not pass for a description."""
    return bool(near(statement.word, _HEADS))


def meant_scenario(statement: Statement) -> bool:
    """Say whether a line like `Scenaro: x` was meant to begin a scenario: what stands below it is that one's."""
    return near(statement.word, _HEADS).endswith(("Scenario:?", "Scenario Outline:?", "Example:?"))


def tell_unknown(statement: Statement, block: Block | None, findings: Findings) -> None:
    """Tell a line that begins with nothing that there is; `block` is the one that it stands in."""
    bare = statement.text.strip()
    word = re.match(r"[^\s(:]+:?", bare)
    said = word[0] if word else bare[:1]
    span = findings.span(statement.line, statement.column, len(said))
    text = f"a line cannot begin with {said}"
    findings.add("D001", text, span, _hint(said, bare, block))


def _hint(said: str, line: str, block: Block | None) -> str:
    if re.match(r"[a-z]+\(", line):
        return f"an annotation begins with @: @{said}"
    if block is not None:
        return f"a line of {block.keyword}: is `- text` or `key: value`"
    return (
        near(said, KEYWORDS)
        or "a line is an annotation (@…), a header, Given/When/Then, or a note that begins with #"
    )
