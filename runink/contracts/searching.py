"""Patterns between two habits: ours must match the whole text, those of ODCS and JSON Schema are searched for anywhere in it.

`[A-Z]{2}` of a contract is `^[A-Z]{2}$` there, and `foo` from there is `(?s:.*)foo(?s:.*)` here.  What is written so is read back as it was.
"""

from __future__ import annotations

from typing import Final

from runink.expressions.patterns import PatternError, tree

ANYTHING: Final = "(?s:.*)"


def searched(pattern: str) -> str:
    """Return the pattern to search for that finds what `pattern` matches as a whole."""
    if pattern.startswith(ANYTHING) and pattern.endswith(ANYTHING):
        inner = pattern[len(ANYTHING) : -len(ANYTHING)]
        if len(pattern) >= 2 * len(ANYTHING) and whole(inner) == pattern:
            return inner
    inner = f"(?:{pattern})" if _has_alternatives(pattern) else pattern
    return f"^{inner}$"


def whole(pattern: str) -> str:
    """Return the pattern that matches as a whole where a search for `pattern` finds something."""
    if _has_alternatives(pattern):
        return f"{ANYTHING}(?:{pattern}){ANYTHING}"
    begins, ends = pattern.startswith("^"), _ends(pattern)
    inner = pattern[1 if begins else 0 : len(pattern) - 1 if ends else None]
    if begins and ends:
        return _bare(inner)
    return ("" if begins else ANYTHING) + inner + ("" if ends else ANYTHING)


def _ends(pattern: str) -> bool:
    """Say whether the pattern ends with a `$` that means the end."""
    before = pattern[:-1]
    escapes = len(before) - len(before.rstrip("\\"))
    return pattern.endswith("$") and escapes % 2 == 0


def _bare(pattern: str) -> str:
    """Take off the group that `searched` puts around alternatives."""
    inner = pattern[3:-1]
    is_ours = pattern.startswith("(?:") and pattern.endswith(")") and _has_alternatives(inner)
    return inner if is_ours and _compiles(inner) else pattern


def _compiles(pattern: str) -> bool:
    try:
        tree(pattern)
    except PatternError:
        return False
    return True


def _has_alternatives(pattern: str) -> bool:
    """Say whether a `|` stands outside of all groups and classes; one that cannot be read is taken to have some."""
    depth, in_class, place = 0, False, 0
    while place < len(pattern):  # ends: the place moves on
        character = pattern[place]
        if character == "\\":
            place += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            # A ] that stands first in a class is a member of it.
            place += 1 if pattern[place + 1 : place + 2] == "^" else 0
            place += 1 if pattern[place + 1 : place + 2] == "]" else 0
        elif character == "|" and depth == 0:
            return True
        depth += (character == "(") - (character == ")") if not in_class else 0
        place += 1
    return False
