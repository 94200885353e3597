"""What is not there yet is checked all the same, and never accepted in silence."""

from __future__ import annotations

import pytest
from dsl_world import SINK, SOURCE, codes


@pytest.mark.parametrize(
    "line",
    [
        "@window(5m)",
        "@window(session:15m)",
        "@window(sliding:10m, every:2m)",
        '@trigger(pipeline="flights")',
        "@emits(alerts.late)",
    ],
)
def test_what_is_right_is_only_not_there_yet(line: str) -> None:
    assert codes(SOURCE, line, SINK) == ["D012"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("@window", "D014"),
        ("@window(5)", "D015"),
        ("@window(0s)", "D015"),
        ("@window(5x)", "D015"),
        ("@window(5m, session=1m)", "D016"),
        ("@window(sliding=5m)", "D014"),
        ("@window(size=5m, every=1m)", "D014"),
        ("@window(hopping=5m)", "D011"),
        ("@emits", "D014"),
        ('@emits("two words")', "D015"),
        ('@auto(["x"])', "D015"),
    ],
)
def test_what_is_wrong_with_it_is_told_beside(line: str, code: str) -> None:
    assert sorted(codes(SOURCE, line, SINK)) == sorted([code, "D012"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('@source("csv://b.csv" @window(5m))', ["D012"]),
        ('@source("csv://b.csv", @window(5), @meta(a=1))', ["D012", "D015"]),
        ('@source("csv://b.csv" @timeout(5m))', ["D011"]),
        ('@sink("csv://b.csv" with "role=ops")', ["D082"]),
        ('@sink("csv://b.csv", with "ops")', ["D015"]),
        ('@source("csv://b.csv" with "role=ops")', ["D011"]),
        ("@feature(x)", ["D013"]),
    ],
)
def test_what_stands_within_another_one_is_checked_there(line: str, expected: list[str]) -> None:
    assert sorted(codes(SOURCE, line, SINK)) == expected
