"""Victims that go on for a while when they are told: when their room is expected, and who is spared."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from placement_world import NOW_MS, node, running, unit
from runink.placement.plans import Plan, Policy, Running, Snapshot
from runink.placement.solver import decide

POLICY = Policy(grace_ms=3000)
URGENT = unit("urgent", cpu_m=800, priority=2)


@dataclass(frozen=True)
class Stopped:
    """Who is stopped, how long each has, and when the room is expected."""

    graces: dict[str, int]
    at_ms: int


def stopped(*standing: Running, nodes: tuple[str, ...] = ("a",)) -> Stopped:
    views = tuple(node(name, 1000) for name in nodes)
    plan: Plan = decide(
        Snapshot(views, waiting=(URGENT,), placed=standing, now_ms=NOW_MS, policy=POLICY)
    )
    (kept,) = plan.reservations
    return Stopped({one.unit[1]: one.grace_ms for one in plan.preempted}, kept.at_ms)


def test_a_victim_has_its_own_grace_before_what_anything_has_for_its_end() -> None:
    found = stopped(running("low", "a", cpu_m=900, grace_ms=60_000))
    assert found == Stopped({"low": 63_000}, NOW_MS + 63_000)


def test_room_is_expected_when_the_last_of_the_victims_is_gone() -> None:
    found = stopped(
        running("short", "a", cpu_m=450), running("long", "a", cpu_m=450, grace_ms=60_000)
    )
    assert found == Stopped({"short": 3000, "long": 63_000}, NOW_MS + 63_000)


@pytest.mark.parametrize(("here", "there"), [(0, 60_000), (60_000, 0)])
def test_of_nodes_that_are_equal_otherwise_the_one_is_emptied_that_is_sooner(
    here: int, there: int
) -> None:
    found = stopped(
        running("here", "a", cpu_m=900, grace_ms=here),
        running("there", "b", cpu_m=900, grace_ms=there),
        nodes=("a", "b"),
    )
    assert found == Stopped({"there" if here else "here": 3000}, NOW_MS + 3000)


def test_work_that_is_lost_counts_for_more_than_the_time_to_wait() -> None:
    found = stopped(
        running("old", "a", cpu_m=900, started_ms=NOW_MS - 5000),
        running("young", "b", cpu_m=900, started_ms=NOW_MS - 1, grace_ms=60_000),
        nodes=("a", "b"),
    )
    assert found.graces == {"young": 63_000}
