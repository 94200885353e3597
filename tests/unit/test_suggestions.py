"""What is like a word is found whatever its case, and not looked for where the word is none."""

from __future__ import annotations

from runink.suggestions import WORD_MAX, near, near_or_all, nearest


def test_a_name_is_found_in_other_letters() -> None:
    assert near("Airlnie", ("origin", "airline")) == "did you mean airline?"


def test_all_names_are_listed_where_none_is_like_the_word() -> None:
    assert near_or_all("quux", ("origin", "airline")) == "there are origin, airline"


def test_a_name_that_is_the_only_one_is_told_as_that() -> None:
    assert near_or_all("quux", ("says",)) == "there is only says"


def test_what_is_longer_than_names_are_is_like_nothing() -> None:
    word = "a" * WORD_MAX
    assert nearest(word, [word]) == word
    assert not nearest(word + "a", [word + "a"])
