"""Patterns read without RE2 are read as RE2 (Arrow's) reads them: the same ones are refused, and the others match the same texts."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.contracts.patterns import check_pattern, is_match, whole
from runink.expressions.patterns import PatternError

TOKENS = [
    *"ab1_ \n\väéK\u212a\u017f.*+?|()[]^$-{}/~", "(?:", "(?i)", "(?m)", "(?s)", "(?i:", "(?-s:", "(?P<n>", "(?<q>", "[^", "a-z", "[a-z]", "*?", "++",
    r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\b", r"\B", r"\A", r"\z", r"\Z", r"\Q", r"\E", r"\x41", r"\x{e4}", r"\n", r"\.", r"\1", r"\07", r"\12", r"\101",
    "{2}", "{1,2}", "{,3}", "[:alpha:]", "[[:space:]]", "[[:^digit:]]", r"\pL", r"[\d_]", r"[\S]", "(?=", "(?>", r"\_", r"\e", r"\8", r"\-", r"\C", "(?U)", r"\é",
    "&&", "--", "[[", r"\v", r"\a", "(?", "(?)", "(?#a)", r"\G",
]  # fmt: skip
TEXTS = [
    *["", "a", "b", "ab", "aB", "AB", "1", "a1", "a\n", "\n", "\v", " ", "ä", "Ä", "K", "k", "\u212a", "\u017f", "s", "_", "-", "]", "^"],
    *["aa", "aab", "é", "a b", "1a\n", "n", "A", "e", "[", "{", "}", "{,3}", "b\nb", "ab\nab", "\\", "\u0663", "z", "&", "|", "~", "/", "8"],
]  # fmt: skip
COLUMN = pa.array(TEXTS)


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6).map("".join))
@settings(max_examples=1500)
def test_a_pattern_means_here_what_it_means_to_re2(pattern):
    try:
        pc.match_substring_regex(COLUMN, pattern)
        expected = pc.match_substring_regex(COLUMN, whole(pattern)).to_pylist()
    except pa.ArrowInvalid:
        expected = None
    try:
        check_pattern(pattern)
    except PatternError:
        assert expected is None
    else:
        found = [is_match(pattern, text) for text in TEXTS]
        assert found == expected or set(found) == {None}
