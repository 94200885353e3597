"""If-Match: which revisions it lets a change through for."""

from __future__ import annotations

import pytest
from runink.errors import Conflict, Invalid
from runink.operations.calls import Condition, read_condition


@pytest.mark.parametrize(
    ("text", "revisions"),
    [
        ('"12-5f3a"', {12}),
        ('"12"', {12}),
        (' "12-a" , "13-b"', {12, 13}),
        ('W/"12-5f3a"', set()),
        ('"abc"', set()),
        ('"12x"', set()),
        ('""', set()),
    ],
)
def test_if_match_says_revisions(text: str, revisions: set[int]) -> None:
    assert read_condition(text) == Condition(frozenset(revisions))


@pytest.mark.parametrize(
    "text", ["12", '"12', '"a" "b"', "", ",", '"1",' * 20 + '"2"', '"\n"', '"ä"']
)
def test_what_is_no_list_of_tags_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_condition(text)
    assert caught.value.code == "bad_request"


def test_a_change_goes_through_for_what_was_read_and_for_any() -> None:
    Condition(frozenset({3})).check(3, what="note")
    read_condition("*").check(3, what="note")
    with pytest.raises(Conflict) as caught:
        Condition(frozenset({2})).check(3, what="note")
    assert caught.value.code == "precondition_failed"
