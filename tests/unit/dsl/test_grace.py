"""`@requires(grace=…)`: how long a step goes on that is told to give way. It parts no processes, and all of a gang have the same."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import Dag
from runink.dsl.difference import difference
from runink.wants import GRACE_MS_MAX

PLAIN = '@step("plain")'
ALONE = '@step("plain", isolate=true)'


def graces(dag: Dag) -> list[int]:
    return [spec.wants.grace_ms for spec in dag.slices]


def test_it_is_of_the_steps_process() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@requires(grace=2m)", SINK)
    assert graces(dag) == [120_000]
    assert "grace 2m" in dag.slices[0].why


def test_before_the_first_step_it_is_of_all_that_say_nothing_else() -> None:
    one = compile_lines("@requires(grace=2m)", SOURCE, PLAIN, "@requires(cpu=2)", SINK)
    assert graces(one) == [120_000]
    other = compile_lines("@requires(grace=2m)", SOURCE, PLAIN, "@requires(grace=1s)", SINK)
    assert graces(other) == [1000]


@pytest.mark.parametrize("order", [("30s", "2m"), ("2m", "30s")])
def test_steps_that_differ_in_it_alone_share_a_process_and_the_most_counts(
    order: tuple[str, str],
) -> None:
    first, second = order
    lines = PLAIN, f"@requires(grace={first})", PLAIN, f"@requires(grace={second})"
    assert graces(compile_lines(SOURCE, *lines, SINK)) == [120_000]
    assert graces(compile_lines(SOURCE, PLAIN, *lines, SINK)) == [120_000]


def test_all_of_a_gang_have_the_most_that_one_of_it_asks_for_and_say_why() -> None:
    dag = compile_lines(SOURCE, PLAIN, ALONE, "@requires(grace=2m)", SINK)
    assert len({spec.gang for spec in dag.slices}) == 1
    assert set(graces(dag)) == {120_000}
    assert "grace 2m, as another of its gang asks" in dag.slices[0].why


def test_a_gang_behind_a_checkpoint_has_its_own() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@checkpoint", PLAIN, "@requires(grace=2m)", SINK)
    assert graces(dag) == [0, 120_000]


def test_a_pipeline_without_it_says_nothing_of_it() -> None:
    assert b"grace" not in msgspec.json.encode(compile_lines(SOURCE, PLAIN, SINK))


def test_a_difference_of_it_is_told() -> None:
    before = compile_lines(SOURCE, PLAIN, SINK)
    now = compile_lines(SOURCE, PLAIN, "@requires(grace=90s)", SINK)
    assert [one.text for one in difference(before, now)] == [
        "s.plain: the grace nothing is now 90s"
    ]


@pytest.mark.parametrize("said", ["0s", "5", "11m", "soon"])
def test_what_is_wrong_with_it_is_told(said: str) -> None:
    assert GRACE_MS_MAX == 600_000
    assert codes(SOURCE, PLAIN, f"@requires(grace={said})", SINK) == ["D015"]
