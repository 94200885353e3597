"""`@timeout` is of the step's process, of the scenario's, or of the run; and it changes nothing of who shares a process."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import Dag, Limit
from runink.dsl.difference import difference

PLAIN = '@step("plain")'
ALONE = '@step("plain", isolate=true)'


def times(dag: Dag) -> list[int | None]:
    found = [spec.limits.wall_time for spec in dag.slices]
    return [None if one is None else one.amount for one in found]


def test_behind_a_step_it_is_of_that_steps_process() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@timeout(30m)", ALONE, SINK)
    assert times(dag) == [1_800_000, None, None]
    assert dag.slices[0].limits.wall_time == Limit(1_800_000, 5)


def test_before_the_first_step_it_is_of_all_processes_that_say_nothing_else() -> None:
    dag = compile_lines(SOURCE, "@timeout(10m)", PLAIN, ALONE, "@timeout(30m)", SINK)
    assert times(dag) == [600_000, 1_800_000, 600_000]


def test_above_the_scenario_it_is_the_scenarios() -> None:
    assert times(compile_lines(SOURCE, SINK, head="Feature: F\n@timeout(1m)")) == [60_000]


@pytest.mark.parametrize("order", [("30m", "10m"), ("10m", "30m")])
def test_where_steps_share_a_process_the_least_counts(order: tuple[str, str]) -> None:
    first, second = order
    dag = compile_lines(SOURCE, PLAIN, f"@timeout({first})", PLAIN, f"@timeout({second})", SINK)
    assert times(dag) == [600_000]


def test_a_default_counts_for_the_steps_that_say_nothing() -> None:
    dag = compile_lines(SOURCE, "@timeout(10m)", PLAIN, PLAIN, "@timeout(30m)", SINK)
    assert times(dag) == [600_000]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_it_stands_beside_what_the_step_requires_in_either_order(order: tuple[int, int]) -> None:
    lines = ("@timeout(30m)", "@requires(cpu=2)")
    dag = compile_lines(SOURCE, "@timeout(1m)", PLAIN, *(lines[at] for at in order), SINK)
    assert times(dag) == [1_800_000]
    assert dag.slices[0].limits.amounts[0] == 2000


def test_above_the_feature_it_is_the_runs_and_no_processs() -> None:
    dag = compile_lines(SOURCE, SINK, head="@timeout(2h)\nFeature: F")
    assert dag.deadline == Limit(7_200_000, 1)
    assert times(dag) == [None]


def test_a_pipeline_is_the_same_wherever_it_says_so_and_as_ever_where_it_does_not() -> None:
    assert b"deadline" not in msgspec.json.encode(compile_lines(SOURCE, SINK))
    assert b"wall_time" not in msgspec.json.encode(compile_lines(SOURCE, SINK))
    one = compile_lines(SOURCE, PLAIN, "@timeout(1m)", SINK, head="@timeout(2h)\nFeature: F")
    other = compile_lines(
        SOURCE, PLAIN, "", "@timeout(1m)", SINK, head="\n@timeout(2h)\nFeature: F"
    )
    assert one.hash == other.hash


def test_a_difference_of_time_is_told() -> None:
    before = compile_lines(SOURCE, PLAIN, SINK, head="@timeout(2h)\nFeature: F")
    now = compile_lines(SOURCE, PLAIN, "@timeout(1m)", SINK)
    assert [one.text for one in difference(before, now)] == [
        "a run must have ended after 2h, and now after any time",
        "s.plain: the most time any time is now 1m",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@timeout", ["D014"]),
        ("@timeout(0s)", ["D015"]),
        ("@timeout(5)", ["D015"]),
        ("@timeout(400d)", ["D015"]),
        ("@timeout(1m, grace=1s)", ["D011"]),
        ("@timeout(1m) @timeout(2m)", ["D016"]),
    ],
)
def test_what_is_wrong_with_it_is_told(line: str, expected: list[str]) -> None:
    assert codes(SOURCE, PLAIN, line, SINK) == expected
