"""A pipeline that is compiled again from what its project once answered is the one that its project would give."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import PROJECT
from runink.dsl.compiler import SourceText, compiled
from runink.dsl.recipes import Recipe
from runink.dsl.recorded import compiled_again, compiled_and_recorded, looked_through
from runink.errors import Invalid

TEXT = """@herd("a")
@param("day")
@param("how", default="plain")
@param("golden", default="g.csv")
@schedule(daily)
Feature: F
  Scenario: S
    @source("csv://in/${day}.csv")
    @contract("contracts/x.py:X")
    @step("${how}")
    @step(run="./bin/p ${day}")
    @sink("csv://out/${day}.csv")
    @golden("${golden}")
    @deadletter("jsonl://dead/${day}.jsonl")
"""
SOURCE = SourceText(TEXT, "features/f.dsl", "features/f.dsl", "/p")


def recorded(**given: str) -> Recipe:
    _, recipe = compiled_and_recorded(SOURCE, given, {"day": "1"}, PROJECT)
    return msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe)


def test_it_is_the_same_pipeline_with_what_is_filled_in() -> None:
    again = compiled_again(recorded(), {"day": "2"})
    assert again == compiled(SOURCE, {"day": "2"}, PROJECT).dag
    assert again.hash != compiled(SOURCE, {"day": "1"}, PROJECT).dag.hash


def test_what_was_given_stays_given() -> None:
    again = compiled_again(recorded(golden="g.csv"), {"day": "2"})
    assert again.parameters == {"day": "2", "how": "plain", "golden": "g.csv"}


@pytest.mark.parametrize(
    "filled", [{"day": "2", "golden": "other.csv"}, {"day": "2", "how": "gone"}]
)
def test_what_was_not_asked_for_is_not_there(filled: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        compiled_again(recorded(), filled)


def test_a_contract_that_was_not_asked_for_is_not_there() -> None:
    other = msgspec.structs.replace(recorded(), text=TEXT.replace("x.py:X", "y.py:Y"))
    with pytest.raises(Invalid) as caught:
        compiled_again(other, {"day": "2"})
    assert any("not asked for" in finding.text for finding in caught.value.findings)


def test_a_text_is_looked_through_for_its_schedule_and_parameters_before_they_have_values() -> None:
    schedule, names = looked_through(SOURCE, {})
    assert schedule is not None
    assert (schedule.cron, names) == ("0 0 * * *", {"day", "how", "golden"})
    broken = SourceText("@@@", "f.dsl", "f.dsl")
    assert looked_through(broken, {}) == (None, frozenset())
