"""Formatting changes nothing but how a file looks, and does it once and for all."""

from __future__ import annotations

import re
from contextlib import suppress
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from runink.dsl.diagnostics import Findings
from runink.dsl.formatting import formatted, meaning
from runink.dsl.parser import parsed
from runink.errors import Invalid
from runink.testing.pipeline_texts import damaged_text, whole_text

NOTE = re.compile(r"(?:#|//) ?(?:a )?note")


def tree(text: str) -> object:
    return meaning(parsed(text, Findings("x.dsl", text)))


def check(text: str) -> None:
    made = ""
    with suppress(Invalid):
        made = formatted(text, "x.dsl")
    if not made:
        return
    assert formatted(made, "x.dsl") == made
    assert tree(made) == tree(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    assert sorted(NOTE.findall(made)) == sorted(NOTE.findall(text))
    assert not re.search(r"\n\n\n\Z|\r", made)


@settings(max_examples=200)
@given(st.integers(0, 2**64))
def test_a_formatted_file_says_the_same_with_all_its_notes_and_is_formatted(seed: int) -> None:
    check(whole_text(Random(seed)))


@settings(max_examples=200)
@given(st.integers(0, 2**64))
def test_a_damaged_file_is_formatted_or_told(seed: int) -> None:
    check(damaged_text(Random(seed)))
