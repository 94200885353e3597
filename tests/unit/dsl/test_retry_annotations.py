"""`@retry` is the step's above it, or the scenario's, or the file's; and it changes nothing of who shares a process."""

from __future__ import annotations

import msgspec
import pytest
from dsl_world import SINK, SOURCE, codes, compile_lines
from runink.dag import Dag
from runink.dsl.difference import difference
from runink.tries import Retry

PLAIN = '@step("plain")'
THREE = Retry(3, 10_000, 60_000)


def retries(dag: Dag) -> dict[str, Retry]:
    return {} if isinstance(dag.retries, msgspec.UnsetType) else dag.retries


def test_behind_a_step_it_is_that_steps() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@retry(3, delay=10s)", PLAIN, SINK)
    assert retries(dag) == {"s.plain": THREE}


def test_before_the_first_step_it_is_of_all_that_say_nothing_else() -> None:
    dag = compile_lines(SOURCE, "@retry(3, delay=10s)", PLAIN, PLAIN, "@retry(0)", SINK)
    assert retries(dag) == dict.fromkeys(("s.source", "s.plain", "s.sink"), THREE)


def test_above_a_header_it_is_the_scenarios_and_above_the_feature_the_files() -> None:
    above = compile_lines(SOURCE, PLAIN, SINK, head="Feature: F\n@retry(2)")
    assert set(retries(above)) == {"s.source", "s.plain", "s.sink"}
    dag = compile_lines(SOURCE, "@retry(2)", SINK, head="@retry(1)\nFeature: F")
    assert retries(dag)["s.source"].times == 2
    dag = compile_lines(SOURCE, SINK, head="@retry(1)\nFeature: F")
    assert retries(dag)["s.source"].times == 1


def test_steps_of_different_patience_share_a_process() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@retry(3)", PLAIN, "@retry(5)", SINK)
    assert len(dag.slices) == 1


def test_it_stays_with_what_the_step_requires_in_either_order() -> None:
    lines = ("@retry(3, delay=10s)", "@requires(cpu=2)")
    for order in (lines, lines[::-1]):
        dag = compile_lines(SOURCE, PLAIN, *order, SINK)
        assert retries(dag) == {"s.plain": THREE}
        assert dag.slices[0].resources.cpu_m == 2000


def test_the_longest_wait_is_never_less_than_the_first_one() -> None:
    dag = compile_lines(SOURCE, PLAIN, "@retry(1, delay=5m)", SINK)
    assert retries(dag)["s.plain"] == Retry(1, 300_000, 300_000)


def test_a_pipeline_without_it_has_the_hash_that_it_always_had() -> None:
    assert b"retries" not in msgspec.json.encode(compile_lines(SOURCE, SINK))
    assert (
        compile_lines(SOURCE, PLAIN, "@retry(0)", SINK).hash
        == compile_lines(SOURCE, PLAIN, SINK).hash
    )


def test_a_difference_of_patience_is_told() -> None:
    before = compile_lines(SOURCE, PLAIN, SINK)
    now = compile_lines(SOURCE, PLAIN, "@retry(1)", SINK)
    [change] = difference(before, now)
    assert (
        change.text
        == "s.plain: when it fails it was not tried again, and is tried again 1 time at most, after 500ms"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@retry", ["D014"]),
        ("@retry(-1)", ["D015"]),
        ("@retry(1.5)", ["D015"]),
        ("@retry(1001)", ["D015"]),
        ("@retry(3, wait=1s)", ["D011"]),
        ("@retry(3, delay=soon)", ["D015"]),
        ("@retry(3, delay=0s)", ["D015"]),
        ("@retry(3, delay=25h)", ["D015"]),
        ("@retry(3, delay=2m, delay_max=1m)", ["D015"]),
        ("@retry(3) @retry(2)", ["D016"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_told(line: str, expected: list[str]) -> None:
    assert codes(SOURCE, PLAIN, line, SINK) == expected


def test_a_file_says_it_once() -> None:
    assert codes(SOURCE, SINK, head="@retry(1)\n@retry(2)\nFeature: F") == ["D016"]
