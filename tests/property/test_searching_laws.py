"""Patterns that match as a whole and patterns that are searched for: both find the same texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.searching import searched, whole

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        r"\$",
        r"\\",
        r"\^",
        "[ab]",
        "[|]",
        "[]a]",
        "[^]]",
        ".",
        "$",
        "^",
        r"\|",
        "a?",
        "(?s:.*)",
    ]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"(?:{one})"),
    ),
    max_leaves=6,
)
TEXTS = st.text("ab$\\^|]", max_size=5)


@given(PATTERNS, TEXTS)
def test_a_search_finds_what_the_whole_pattern_matches(pattern: str, text: str):
    assert bool(re.search(searched(pattern), text)) == bool(re.fullmatch(pattern, text))


@given(PATTERNS, TEXTS)
def test_the_whole_pattern_matches_where_a_search_finds_something(pattern: str, text: str):
    assert bool(re.fullmatch(whole(pattern), text)) == bool(re.search(pattern, text))


@given(PATTERNS, TEXTS)
def test_there_and_back_means_the_same(pattern: str, text: str):
    assert bool(re.fullmatch(whole(searched(pattern)), text)) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize("pattern", ["[A-Z]{2}", "a|b", "", r"a\\", r"\$", "[|]", "(a)|(b)"])
def test_usual_patterns_come_back_as_they_were(pattern: str):
    assert whole(searched(pattern)) == pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^[A-Z]{2}$", "[A-Z]{2}"),
        ("^(?:a|b)$", "a|b"),
        ("^foo", "foo(?s:.*)"),
        ("foo$", "(?s:.*)foo"),
        ("foo", "(?s:.*)foo(?s:.*)"),
        ("^a|b$", "(?s:.*)(?:^a|b$)(?s:.*)"),
        (r"^a\$", r"a\$(?s:.*)"),
    ],
)
def test_patterns_of_others_become_ours(pattern: str, expected: str):
    assert whole(pattern) == expected
    assert whole(searched(expected)) == expected
