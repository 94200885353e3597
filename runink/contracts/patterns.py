r"""A contract's patterns: in RE2's dialect, and all of the text must match.

Arrow has RE2, which decides when a plan is made.  A contract's class is read without Arrow, so what is no pattern is seen by the reader that conditions have,
and a default or a choice is held against a pattern in linear time.
"""

from __future__ import annotations

from typing import Final

from runink.expressions.pattern_matching import matches
from runink.expressions.patterns import BeyondReader, PatternError, program

CHARACTERS_MAX: Final = 10_000  # RE2 gives up on memory somewhere above this


def whole(pattern: str) -> str:
    """Return the pattern that finds, if searched for, what the pattern matches as a whole."""
    return rf"\A(?:{pattern})\z"


def check_pattern(pattern: str) -> None:
    """Raise PatternError if RE2 takes no such pattern. Where only RE2 can tell, nothing is said."""
    if len(pattern) > CHARACTERS_MAX:
        raise PatternError(f"it is longer than {CHARACTERS_MAX:,} characters", CHARACTERS_MAX)
    try:
        program(pattern)
    except BeyondReader:
        return
    try:
        program(whole(pattern))
    except BeyondReader:
        return
    except PatternError:  # what alone goes on to its end
        raise PatternError(r"a \Q is never closed by \E", len(pattern)) from None


def is_match(pattern: str, text: str) -> bool | None:
    """Say whether all of a text matches a pattern that has been checked; nothing where only RE2 can tell."""
    try:
        return matches(text, whole(pattern))
    except BeyondReader:
        return None
