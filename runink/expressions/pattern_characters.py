"""Sets of characters that patterns have names for, and what differs only by case; all as RE2 has them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

DIGITS: Final = frozenset("0123456789")
WORD: Final = DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
BLANK: Final = frozenset("\t\n\f\r ")
_ASCII: Final = [chr(code) for code in range(128)]
SETS: Final = {"d": DIGITS, "w": WORD, "s": BLANK}
CONTROLS: Final = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
POSIX: Final = {
    "alnum": frozenset(one for one in _ASCII if one.isalnum()),
    "alpha": frozenset(one for one in _ASCII if one.isalpha()),
    "ascii": frozenset(_ASCII),
    "blank": frozenset("\t "),
    "cntrl": frozenset(one for one in _ASCII if ord(one) < 32 or ord(one) == 127),
    "digit": DIGITS,
    "graph": frozenset(one for one in _ASCII if 32 < ord(one) < 127),
    "lower": frozenset(one for one in _ASCII if one.islower()),
    "print": frozenset(one for one in _ASCII if 32 <= ord(one) < 127),
    "punct": frozenset(one for one in _ASCII if 32 < ord(one) < 127 and not one.isalnum()),
    "space": frozenset("\t\n\v\f\r "),
    "upper": frozenset(one for one in _ASCII if one.isupper()),
    "word": WORD,
    "xdigit": frozenset("0123456789abcdefABCDEF"),
}


def folded(character: str) -> str:
    """Return what all that differ from a character only by case have in common (simple folding, as RE2 does)."""
    for form in (character.casefold(), character.lower()):
        if len(form) == 1:
            return form
    return character


def of_category(name: str) -> Callable[[str], bool] | None:
    """Return the test for a general category of Unicode (`L`, `Lu`), or nothing if there is none such."""
    if name not in _CATEGORIES:
        return None
    return lambda character: unicodedata.category(character).startswith(name)


_CATEGORIES: Final = frozenset(
    [
        "C",
        "Cc",
        "Cf",
        "Co",
        "Cs",
        "L",
        "Ll",
        "Lm",
        "Lo",
        "Lt",
        "Lu",
        "M",
        "Mc",
        "Me",
        "Mn",
        "N",
        "Nd",
        "Nl",
        "No",
        "P",
        "Pc",
        "Pd",
        "Pe",
        "Pf",
        "Pi",
        "Po",
        "Ps",
        "S",
        "Sc",
        "Sk",
        "Sm",
        "So",
        "Z",
        "Zl",
        "Zp",
        "Zs",
    ]
)
