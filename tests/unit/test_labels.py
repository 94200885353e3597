"""What people may ask of a node's labels."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.errors import Invalid
from runink.labels import (
    LabelRule,
    check_labels,
    contradiction,
    label_rule,
    label_rules,
    parsed,
    value_of,
)

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


@pytest.mark.parametrize("text", ["two words", "disk in ()", "", "=x", "a b: c", "zone=", "!"])
def test_who_writes_no_expression_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(text)
    assert "disk in (nvme, ssd)" in caught.value.hint


@pytest.mark.parametrize("text", ["gpu", "zone=eu", "!spot", "a not in (x, y)"])
def test_an_expression_is_read_alike_by_who_writes_it_and_where_it_is_kept(text: str) -> None:
    assert parsed(text) == label_rule(text)


@pytest.mark.parametrize(
    ("labels", "is_fine"),
    [
        (["gpu", "zone=eu", "gpu"], True),
        (["zone=eu", "zone=us"], False),
        (["gpu", "gpu=a100"], False),
        (["two words"], False),
        (["zone="], False),
        (["!spot"], False),
    ],
)
def test_a_node_has_one_value_of_a_label(labels: list[str], *, is_fine: bool) -> None:
    if is_fine:
        check_labels(labels)
        return
    with pytest.raises(Invalid):
        check_labels(labels)


RULES = st.builds(
    LabelRule,
    st.just("k"),
    st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(lambda one: tuple(sorted(one))),
    st.booleans(),
)


@given(st.lists(RULES, max_size=3))
def test_rules_contradict_each_other_if_no_value_of_the_label_keeps_two_of_them(
    rules: list[LabelRule],
) -> None:
    nodes = [(), ("k",), *((f"k={value}",) for value in "abcd")]

    def can(pair: tuple[LabelRule, LabelRule]) -> bool:
        return any(all(rule.holds(node) for rule in pair) for node in nodes)

    found = contradiction(rules)
    assert (found is None) == all(map(can, combinations(rules, 2)))
    assert found is None or not can(found)
