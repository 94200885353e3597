"""Patterns of names take what a shell's take, and what is said of two of them is true of all names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st
from runink.identity.patterns import PATTERN_MAX, Patterns, covers, mistake_in, overlaps

PATTERN = st.text("ab*?/", min_size=1, max_size=6)
NAMES = ["".join(one) for length in range(7) for one in product("ab", repeat=length)]


def taken(pattern: str) -> set[str]:
    return {name for name in NAMES if fnmatchcase(name, pattern)}


@given(st.lists(PATTERN, min_size=1, max_size=3), st.text("ab/\n", max_size=8))
@example(["*"], "a\nb")
def test_a_name_is_taken_as_a_shell_takes_it(patterns: list[str], name: str) -> None:
    assert Patterns(patterns).takes(name) == any(fnmatchcase(name, one) for one in patterns)


@given(PATTERN, PATTERN)
def test_what_covers_takes_all_that_the_other_takes(wide: str, narrow: str) -> None:
    if covers(wide, narrow):
        assert taken(narrow) <= taken(wide)
        assert overlaps(wide, narrow)
    assert covers(wide, wide)
    assert covers("*", wide)


@given(PATTERN, st.text("ab/", min_size=1, max_size=6))
def test_a_plain_name_is_covered_by_what_takes_it(wide: str, name: str) -> None:
    assert covers(wide, name) == overlaps(wide, name) == fnmatchcase(name, wide)


@given(PATTERN, PATTERN)
def test_what_takes_a_name_in_common_overlaps(one: str, other: str) -> None:
    assert overlaps(one, other) == overlaps(other, one)
    if taken(one) & taken(other):
        assert overlaps(one, other)


@given(st.text("ab*", min_size=1, max_size=3), st.text("ab*", min_size=1, max_size=3))
def test_what_overlaps_takes_a_name_in_common(one: str, other: str) -> None:
    """Of patterns this short the shortest name in common has six characters at most, so it is among NAMES."""
    assert overlaps(one, other) == bool(taken(one) & taken(other))


def test_a_name_that_is_made_to_be_slow_is_not() -> None:
    pattern = "*".join("a" * 5) + "b"
    assert mistake_in(pattern) == ""
    assert not Patterns([pattern]).takes("a" * 200_000)
    assert mistake_in("a" * (PATTERN_MAX + 1))
