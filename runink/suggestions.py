"""What somebody probably meant: the name that is most like a word, or all there are. Said in every hint of the project in these words."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

NEAR_RATIO: Final = (
    0.6  # how like a word must be: below it a suggestion misleads more than it helps
)
WORD_MAX: Final = 200  # characters: what is longer is no name that somebody has mistyped, and how like it is costs their square


def nearest(word: str, among: Iterable[str], *, ratio: float = NEAR_RATIO) -> str:
    """Return the name that is most like `word`, without regard to case, or nothing; so for a word longer than WORD_MAX."""
    if len(word) > WORD_MAX:
        return ""
    names = {name.lower(): name for name in among}
    found = get_close_matches(word.lower(), names, 1, ratio)
    return names[found[0]] if found else ""


def near(word: str, among: Iterable[str], *, prefix: str = "") -> str:
    """Return `did you mean …?` for the name that is most like `word`, or nothing."""
    found = nearest(word, among)
    return f"did you mean {prefix}{found}?" if found else ""


def listed(among: Iterable[str], *, prefix: str = "") -> str:
    """Return `there are …`, `there is only …` of one, or nothing if there are none."""
    names = list(among)
    verb = "are" if len(names) > 1 else "is only"
    return f"there {verb} {', '.join(f'{prefix}{name}' for name in names)}" if names else ""


def near_or_all(word: str, among: Iterable[str], *, prefix: str = "") -> str:
    """Return the nearest name, or else all there are."""
    names = list(among)
    return near(word, names, prefix=prefix) or listed(names, prefix=prefix)
