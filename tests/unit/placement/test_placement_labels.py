"""What people may ask of a node's labels."""

from __future__ import annotations

import pytest
from runink.placement.labels import LabelRule, label_rule, label_rules, value_of

LABELS = frozenset({"gpu", "zone=eu", "disk=ssd"})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("gpu", True),
        ("!gpu", False),
        ("spot", False),
        ("!spot", True),
        ("zone", True),
        ("zone=eu", True),
        ("zone = us", False),
        ("zone!=us", True),
        ("disk in (nvme, ssd)", True),
        ("disk not in (nvme, ssd)", False),
        ("disk in (nvme)", False),
        ("two words", False),
        ("disk in ()", False),
    ],
)
def test_an_expression_holds_or_not(text: str, *, holds: bool) -> None:
    assert label_rule(text).holds(LABELS) is holds


def test_text_that_is_no_expression_is_a_label_as_it_stands() -> None:
    assert label_rule("a b: c").holds({"a b: c"})


def test_a_rule_is_written_as_it_is_read() -> None:
    for text in (
        "gpu",
        "!spot",
        "zone=eu",
        "zone!=eu",
        "disk in (nvme, ssd)",
        "disk not in (a, b)",
    ):
        assert str(label_rule(text)) == text


def test_rules_are_told_once_and_in_order() -> None:
    assert label_rules(["b", "a", "b"]) == (LabelRule("a"), LabelRule("b"))


def test_of_two_values_of_a_label_the_first_by_name_counts() -> None:
    assert value_of({"zone=b", "zone=a", "rack=0"}, "zone") == "a"
    assert value_of({"rack=0"}, "zone") == ""
