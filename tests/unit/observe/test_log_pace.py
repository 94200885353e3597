"""How fast what slices print is taken in, with time as a value."""

from __future__ import annotations

import pytest
from runink.observe.log_pace import (
    BURST_S,
    NODE_BYTES,
    SLICE_BYTES,
    SLICE_LINES,
    Pace,
    node_pace,
    slice_pace,
)

TURN_BYTES = 32 << 10


def taken(paces: list[Pace], size: int, lines: int, *, until_s: float) -> list[int]:
    """Return how many bytes each of several readers has taken by then, each as fast as its wait allows."""
    node = node_pace()
    due_s = [0.0] * len(paces)
    found = [0] * len(paces)
    while min(due_s) < until_s:
        one = due_s.index(min(due_s))
        now_s = due_s[one]
        found[one] += size
        waits = (pace.wait_s(size, lines, now_s=now_s) for pace in (paces[one], node))
        due_s[one] = max(now_s + max(waits), now_s + 1e-6)
    return found


def test_who_prints_little_never_waits():
    pace = slice_pace()
    waits = [pace.wait_s(1000, 10, now_s=second / 10) for second in range(600)]
    assert not any(waits)


def test_a_burst_of_a_second_s_worth_is_taken_at_once():
    pace = slice_pace()
    waits = [pace.wait_s(TURN_BYTES, 1, now_s=0.0) for _ in range(SLICE_BYTES // TURN_BYTES)]
    assert not any(waits)
    assert pace.wait_s(TURN_BYTES, 1, now_s=0.0) == pytest.approx(TURN_BYTES / SLICE_BYTES)


def test_lines_count_as_well_as_bytes():
    pace = slice_pace()
    assert pace.wait_s(TURN_BYTES, SLICE_LINES, now_s=0.0) == 0
    assert pace.wait_s(TURN_BYTES, SLICE_LINES, now_s=0.0) == pytest.approx(1.0)


def test_a_flood_is_taken_at_the_pace_of_a_slice():
    (found,) = taken([slice_pace()], TURN_BYTES, 1, until_s=10.0)
    assert found == pytest.approx((10.0 + BURST_S) * SLICE_BYTES, rel=0.01)


def test_many_floods_share_what_the_node_takes_and_none_starves():
    found = taken([slice_pace() for _ in range(50)], TURN_BYTES, 1, until_s=10.0)
    assert sum(found) == pytest.approx((10.0 + BURST_S) * NODE_BYTES, rel=0.02)
    assert max(found) - min(found) <= 2 * TURN_BYTES
