"""The kinds of words that editors are told of (semantic tokens), and how one answer is said as a change of the last.

    keyword     what a line begins with, clauses, true and false          decorator   an annotation that there is
    parameter   an argument's name                property   a block's    function    a step, a function in a condition
    class       a contract                                                variable    a stream, a parameter, a field in a condition
    enumMember  a word that a parameter takes     comment    a note; with `documentation` a sentence that nothing enforces

Names are `definition` where something gets its name.  Titles have no token: an editor's own grammar colours them.
"""

from __future__ import annotations

from typing import Final

TYPES: Final = (
    *("keyword", "decorator", "parameter", "property", "function", "class"),
    *("variable", "enumMember", "string", "number", "operator", "comment"),
)
MODIFIERS: Final = ("definition", "documentation")


def changes(old: list[int], new: list[int]) -> tuple[int, int, list[int]] | None:
    """Return what makes the old numbers the new ones: where, how many go, and which come; nothing if they are the same."""
    if old == new:
        return None
    least = min(len(old), len(new))
    first = _alike(old, new, least)
    behind = _alike(old[::-1], new[::-1], least - first)
    return first, len(old) - behind - first, new[first : len(new) - behind]


def _alike(old: list[int], new: list[int], most: int) -> int:
    """Return how many numbers at the beginning are the same, up to `most`; lists are compared as a whole, by halves."""
    low, high = 0, most
    while low < high:  # each turn halves what is between them
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
