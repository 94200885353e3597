"""Lines that begin with nothing that there is, or stand below nothing they could belong to: what was probably meant."""

from __future__ import annotations

import re
from typing import Final

from runink.dsl.diagnostics import Findings
from runink.dsl.statements import KEYWORDS, Kind, Statement
from runink.dsl.syntax import Block
from runink.dsl.vocabulary import ANNOTATIONS
from runink.suggestions import near, nearest

SAID_MAX: Final = 80  # characters of a word that is shown: it may be as long as a file
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_WORDS: Final = re.compile(r"([A-Za-z ]{1,24}):")
_ALIKE_RATIO: Final = 0.9  # of words before a colon: a description may hold some, too
_HEADS: Final = tuple(one for one in KEYWORDS if one.endswith(":"))
_BELONGS: Final = {
    Kind.BULLET: (
        "a bullet stands below a step or in a block",
        "write Given, When or Then above it, or a block like Assertions:",
    ),
    Kind.ROW: ("a table stands below a step or below Examples:", "write a step above it"),
    Kind.DOC: ("a doc string stands below a step", "write Given, When or Then above it"),
}


def is_call(statement: Statement) -> bool:
    """Say whether a free line is an annotation that lacks its @: it must not pass for a description."""
    found = _CALL.match(statement.text.strip())
    return found is not None and found[1] in ANNOTATIONS


def meant(statement: Statement) -> str:
    """Return the head that a line like `Scenaro: x` or `scenario outline: x` was meant to be, or nothing: it must not pass for a description."""
    if statement.word:
        return nearest(statement.word, _HEADS)
    words = _WORDS.match(statement.text.strip())
    plain = " ".join(words[1].split()) if words else ""
    return nearest(f"{plain}:", _HEADS, ratio=_ALIKE_RATIO) if plain else ""


def tell_unknown(statement: Statement, block: Block | None, findings: Findings) -> None:
    """Tell a line that begins with nothing that there is; `block` is the one that it stands in."""
    bare = statement.text.strip()
    word = re.match(r"[^\s(:]+:?", bare)
    said = word[0] if word else bare[:1]
    span = findings.span(statement.line, statement.column, len(said))
    text = f"a line cannot begin with {said[:SAID_MAX]}"
    findings.add("D001", text, span, _hint(said, bare, block))


def _hint(said: str, line: str, block: Block | None) -> str:
    if re.match(r"[a-z]+\(", line):
        return f"an annotation begins with @: @{said}"
    if re.match(r"-[^\s-]", line):
        return "a bullet has a blank behind its -"
    if block is not None:
        return f"a line of {block.keyword}: is `- text` or `key: value`"
    return (
        near(said, KEYWORDS)
        or "a line is an annotation (@…), a header, Given/When/Then, or a note that begins with #"
    )


def tell_stray(statement: Statement, findings: Findings) -> None:
    """Tell a bullet, a row or a doc string that stands below nothing it could belong to."""
    text, hint = _BELONGS[statement.kind]
    span = findings.span(statement.line, statement.column, len(statement.word))
    findings.add("D013", text, span, hint)
