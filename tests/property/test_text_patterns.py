"""Texts that are made for a pattern match it, as RE2 has it; what cannot be made says so."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runink.contracts.text_patterns import Unreadable, text_maker

LITERALS = st.sampled_from(["a", "Z", "0", " ", "é", r"\.", r"\\", r"\-", r"\n", r"\x41", r"\x{1F600}", "{", "}", "]", ",", "-", "日"])  # fmt: skip
CLASSES = st.sampled_from([".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\pL", r"\PL", r"\p{Lu}", r"\p{^Ll}", "[a-z]", "[^a-z]", "[]a]", "[^]a]", "[a-]", "[-a]", r"[\d_-]", r"[^\s]", "[[:alpha:]]", "[[:^digit:]x]", r"[\x00-\x{10FFFF}]", "[À-ž]", r"(?i)[k-m]", r"\Qa.b\E"])  # fmt: skip
ATOMS = st.one_of(LITERALS, CLASSES)
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,}", "*?", "+?", "{2,}?"])


def composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.builds(lambda kind, text: f"({kind}{text})", st.sampled_from(["", "?:", "?P<n>", "?s:", "?-m:"]), inner)  # fmt: skip
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{}|{}".format, inner, inner),
        st.builds("{}{}".format, st.one_of(ATOMS.filter(lambda one: one != "{"), group), REPEATS),
        st.builds("^{}$".format, inner),
        group,
    )


PATTERNS = st.recursive(ATOMS, composed, max_leaves=12)


def is_re2(pattern: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), rf"\A(?:{pattern})\z")
    except pa.ArrowInvalid:
        return False
    return True


def matches(pattern: str, texts: list[str]) -> list[bool]:
    return pc.match_substring_regex(pa.array(texts), rf"\A(?:{pattern})\z").to_pylist()


@given(PATTERNS.filter(is_re2), st.integers(0, 2**32), st.integers(0, 9))
def test_what_is_made_matches(pattern: str, seed: int, more: int) -> None:
    # An anchor in the middle matches nothing, in whatever text.
    if "^" in pattern.replace("[^", "").replace("[[:^", "").replace(r"\p{^", "")[1:] or "$" in pattern[:-1]:  # fmt: skip
        return
    # Where case does not count, categories are beyond the reader: it says so.
    if "(?i)" in pattern and r"\p" in pattern.lower():
        return
    make = text_maker(pattern)
    chance = Random(seed)
    texts = [make(chance, more) for _ in range(5)]
    assert all(matches(pattern, texts)), texts


@given(PATTERNS.filter(is_re2), st.integers(0, 2**32))
def test_the_same_seed_makes_the_same(pattern: str, seed: int) -> None:
    one, other = (text_maker(pattern)(Random(seed), 5) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    "pattern",
    [r"\p{Greek}", "a)", "(" * 300 + ")" * 300, "[[:nothing:]]", r"[^\x00-\x{10FFFF}]"],
)
def test_what_cannot_be_made_says_so(pattern: str) -> None:
    with pytest.raises(Unreadable):
        text_maker(pattern)


@example(r"\xQQ")
@example(r"\x{110000}")
@given(st.text(r"ab\[](){}|*+?^$.,-:dpQx0", max_size=20))
def test_no_pattern_is_too_odd_to_be_read_or_refused(pattern: str) -> None:
    try:
        text_maker(pattern)
    except Unreadable:
        return


def test_a_flag_is_passed_over() -> None:
    texts = [text_maker("(?i)ab(?s:.)(?-i:c)?")(Random(seed), 1) for seed in range(9)]
    assert all(matches("(?i)ab(?s:.)(?-i:c)?", texts))


def test_a_text_without_bounds_is_refused() -> None:
    with pytest.raises(Unreadable):
        text_maker("(((a{1000}){1000}){1000})")(Random(1), 0)
