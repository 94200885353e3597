"""The most that a herd's runs have of priority, and what a run has of what its pipeline and its starter say."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_world import staged_dag
from runink.errors import Invalid
from runink.herds.file import read_herd
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.runs.priorities import priority_of


@pytest.mark.parametrize(("line", "most"), [("", None), ("priority = 0", 0), ("priority = -5", -5)])
def test_a_herd_says_the_most(line: str, most: int | None) -> None:
    text = f'[herd]\nid = "h"\n[quotas]\n{line}\n'
    assert read_herd(text, file="herds/h.toml").priority_max == most


@pytest.mark.parametrize("value", ["101", "true", '"high"', "1.5"])
def test_a_most_that_is_no_priority_is_told(value: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_herd(f'[herd]\nid = "h"\n[quotas]\npriority = {value}\n', file="herds/h.toml")
    assert "-100 to 100" in caught.value.findings[0].text


def test_a_herd_says_its_weight_among_herds() -> None:
    text = '[herd]\nid = "h"\n[quotas]\nweight = {}\n'
    assert read_herd(text.format(3), file="herds/h.toml").weight == 3
    for value in ("0", "1001", "true"):
        with pytest.raises(Invalid, match="1 mistake"):
            read_herd(text.format(value), file="herds/h.toml")


@pytest.mark.parametrize(
    ("said", "asked", "most", "is_"),
    [
        (None, None, None, 0),
        (5, None, None, 5),
        (5, 7, None, 7),
        (5, 0, None, 0),
        (5, 7, 6, 6),
        (None, None, -2, -2),
        (-9, None, 6, -9),
    ],
)
def test_who_starts_a_run_counts_before_its_pipeline_and_its_herd_bounds_both(
    said: int | None, asked: int | None, most: int | None, is_: int
) -> None:
    dag = staged_dag("a")
    if said is not None:
        dag = changed(dag, priority=said)
    herd = HerdRecord(HerdName("h"), priority_max=most)
    assert priority_of(dag, herd, asked=asked) == is_
    if most is None:
        assert priority_of(dag, None, asked=asked) == is_
