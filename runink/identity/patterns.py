"""Patterns of names, as shells have them: `*` stands for any characters, also none and also `/`; `?` for one. There is nothing else in them.

A rule of a role may speak of some names only. To decide, a name is held against patterns; to know whether somebody may give a rule away, patterns are
held against patterns: `covers` (all that one takes, the other takes) and `overlaps` (something that both take). `covers` may say no of two that mean
the same in different words (`?*` and `*?`), never yes of two that do not: who asks is refused too much, not too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runink.identity.vocabulary import EVERYTHING

PATTERN_MAX: Final = 128  # characters: no name in the cluster is as long, and to compare two costs up to the product of their lengths
STARS_MAX: Final = 4  # in one pattern; "*sales*" has two
_USUAL: Final = re.compile(r"[A-Za-z0-9._/@:+*?-]+")


def mistake_in(pattern: str) -> str:
    """Say what is wrong with a pattern, or nothing."""
    if not pattern or len(pattern) > PATTERN_MAX:
        return f"a pattern of names is 1 to {PATTERN_MAX} characters"
    if _USUAL.fullmatch(pattern) is None:
        return f"{pattern!r} has characters that no name has: letters, digits, . _ / @ : + - are there, and * and ?"
    if pattern.count("*") > STARS_MAX:
        return f"{pattern!r} has more than {STARS_MAX} stars"
    return ""


class Patterns:
    """A set of patterns, of which a name must match one. Its time grows with the length of the name, and never faster.

    Most patterns are names, beginnings or ends; these are asked without a regular expression, which takes three times as long and is made when the first name needs it.
    """

    __slots__ = ("_beginnings", "_ends", "_literal", "_others", "_wild", "texts")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts: Final = tuple(patterns)
        one_star = [one for one in self.texts if one.count(EVERYTHING) == 1 and "?" not in one]
        begins = [one for one in one_star if one.endswith(EVERYTHING)]
        ends = [one for one in one_star if one.startswith(EVERYTHING)]
        self._literal = frozenset(one for one in self.texts if not {"*", "?"} & set(one))
        self._beginnings = tuple(one[:-1] for one in begins)
        self._ends = tuple(one[1:] for one in ends)
        simple = {*self._literal, *begins, *ends}
        self._others = [one for one in self.texts if one not in simple]
        self._wild: re.Pattern[str] | None = None

    def takes(self, name: str) -> bool:
        """Say whether one of the patterns matches the whole name."""
        if name in self._literal or name.startswith(self._beginnings) or name.endswith(self._ends):
            return True
        if not self._others:
            return False
        if self._wild is None:
            self._wild = re.compile("|".join(map(_expression, self._others)), re.DOTALL)
        return self._wild.fullmatch(name) is not None


def _expression(pattern: str) -> str:
    """Return it as a regular expression. What stands between two stars is sought once, at its first place: a later one could not help (so `(?>…)`)."""
    first, *rest = (
        "".join("." if c == "?" else re.escape(c) for c in part) for part in pattern.split("*")
    )
    if not rest:
        return first
    *between, last = rest
    return first + "".join(f"(?>.*?{part})" for part in between if part) + ".*" + last


def covers(wide: str, narrow: str) -> bool:
    """Say whether `wide` takes all that `narrow` takes.

    `narrow` is read as a name in which a star can be met by a star only, and `?` by `?` or a star. `states` are the places in `wide` that what was read may have come to.
    """
    states = _past_stars(wide, {0})
    for token in narrow:
        moved = set()
        for state in states:
            if state == len(wide):
                continue
            if wide[state] == EVERYTHING:
                moved.add(state)
            elif token != EVERYTHING and wide[state] in {"?", token}:
                moved.add(state + 1)
        states = _past_stars(wide, moved)
        if not states:
            return False
    return len(wide) in states


def _past_stars(pattern: str, states: set[int]) -> set[int]:
    """Return the places with those behind the stars that stand at them: a star may stand for nothing."""
    found = set(states)
    for state in states:
        place = state
        while place < len(pattern) and pattern[place] == EVERYTHING:
            place += 1
            found.add(place)
    return found


def overlaps(one: str, other: str) -> bool:
    """Say whether some name is taken by both. `row[j]` says whether `one` up to here, and `other` up to j, have a text in common."""
    row = [True]
    row += [
        all(token == EVERYTHING for token in other[:place]) for place in range(1, len(other) + 1)
    ]
    for ours in one:
        below = [row[0] and ours == EVERYTHING]
        for place, theirs in enumerate(other):
            if EVERYTHING in {
                ours,
                theirs,
            }:  # it stands for nothing, or takes what the other side has
                is_common = row[place + 1] or below[place]
            else:
                is_common = row[place] and (ours == theirs or "?" in {ours, theirs})
            below.append(is_common)
        row = below
    return row[-1]
