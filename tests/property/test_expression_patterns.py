"""Patterns: our reader and RE2 (Arrow's) take the same texts, and find them in the same."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import example, given, settings
from hypothesis import strategies as st
from runink.expressions.pattern_matching import matches
from runink.expressions.patterns import BeyondReader, PatternError, program

BEYOND = "beyond what is read here"
atoms = st.sampled_from(
    [
        "a", "b", "k", "s", "é", "ß", ".", "^", "$", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\b", "\\B", "\\A", "\\z",
        "\\n", "\\t", "\\.", "\\\\", "\\x41", "\\x{e9}", "\\101", "\\07", "\\pL", "\\p{Lu}", "\\PN", "\\p{^Nd}", "\\Qa.b\\E", "[ab]",
        "[^ab]", "[a-c]", "[^\\d]", "[[:alpha:]]", "[[:^digit:]]", "[]a]", "[a-]", "[-a]", "[\\]\\-]", "[é-ü]", "{", "}", "a{2", "]", "-", "/",
    ]
)  # fmt: skip
repeats = st.sampled_from(
    ["", "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{3,}?", "{0}"]
)
patterns = st.recursive(
    st.builds(lambda atom, repeat: atom + repeat, atoms, repeats),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.builds(
            lambda opening, part, repeat: f"({opening}{part}){repeat}",
            st.sampled_from(
                ["", "?:", "?i:", "?s:", "?m:", "?-i:", "?P<x>", "?<y>", "?im-s:", "?U:"]
            ),
            inner,
            repeats,
        ),
        st.builds(lambda part: f"(?i){part}", inner),
    ),
    max_leaves=6,
)
letters = "abcABCksKS\u212a\u017féÉßẞ \n\t.\\-]09_٣"
texts = st.one_of(st.text(letters, max_size=8), st.text(max_size=5))
anything = st.text("ab\\dwpQEx1{},2^$.|()[]?*+-:<>=!P#imsU \n", max_size=10)


def by_re2(text: str, pattern: str) -> bool | None:
    try:
        return pc.match_substring_regex(pa.array([text]), pattern)[0].as_py()
    except pa.ArrowInvalid:
        return None


def ours(text: str, pattern: str) -> bool | str:
    try:
        return matches(text, pattern)
    except PatternError as error:
        if not 0 <= error.at <= len(pattern):
            return "out of place"
        return BEYOND if isinstance(error, BeyondReader) else error.text


@settings(max_examples=600)
@given(st.one_of(patterns, anything), texts)
@example("(?i)k", "\u212a")
@example("(a{100}){11}", "")
@example("a{1001}", "")
@example("x**", "")
@example("[a-\\d]", "")
@example("(?P<n>a)(?P<n>b)", "")
@example("\\8", "")
@example("a|*", "")
@example("(?i)[^k]", "\u212a")
@example("[[:word:]-z]", "-")
@example("[a-c-e]", "-")
@example("(|a)*", "")
@example("\\pN{2}", "12")
@example("a(?i){", "")
@example("a(?i)*", "")
@example("{2}", "")
def test_a_pattern_means_what_it_means_to_re2(pattern: str, text: str) -> None:
    expected, found = by_re2(text, pattern), ours(text, pattern)
    if isinstance(found, str):
        assert found != "out of place"
        assert expected is None or found is BEYOND, found
    else:
        assert found is expected


def test_no_pattern_takes_for_ever() -> None:
    text = "a" * 3_000
    for pattern in ("(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)(.*)x", "(a?){50}a{50}b"):
        assert matches(text, pattern) is False
    assert len(program("(a{10}){100}")) < 2_000
