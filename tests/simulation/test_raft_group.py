"""Whole groups of Raft members on bad days, from seeds: nothing acknowledged is lost, what clients see is linearizable, and it goes on when the day is over.

`RUNINK_SEEDS=7,100-200` runs others than those of the test suite; `scripts/raft_seeds.py` runs many.  A seed is the same world for as long as the simulation
stays as it is, so what one found is kept in its smallest form: in `test_raft_found.py`, and among the core's own tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from runink.testing.raft_group import simulate
from runink.testing.raft_group_member import Kind
from runink.testing.raft_group_world import Statistics

SEEDS = os.environ.get("RUNINK_SEEDS", "0-299")
POWER_CUTS = {  # the operations of a disk, and the places in between, before each of which the power went
    *("create", "pwrite", "fdatasync", "rename", "fsync_directory", "remove"),
    *("send", "apply", "advance"),
}
LEAST = {  # over the seeds of the test suite; a simulation that stays where nothing happens proves nothing
    "elections": 200,
    "crashes": 300,
    "torn_tails": 1,
    "failed_syncs": 10,
    "full_disks": 10,
    "pauses": 20,
    "partitions": 50,
    "snapshots_written": 500,
    "snapshots_installed": 50,
    "conf_changes": 200,
    "joint_changes": 50,
    "learners": 50,
    "transfers": 100,
    "lost": 2_000,
    "doubled": 1_000,
    "reads": 500,
    "writes": 500,
    "swaps_held": 50,
    "retries_answered": 100,
    "dropped_proposals": 100,
    "unknown_outcomes": 20,
}

total = Statistics()


def seeds() -> Iterator[int]:
    for part in SEEDS.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", list(seeds()))
def test_a_group_loses_nothing_and_goes_on(seed: int) -> None:
    total.add(simulate(seed).statistics)


def test_the_simulation_comes_to_the_hard_places() -> None:
    ours = total if total.events and "RUNINK_SEEDS" not in os.environ else Statistics()
    for seed in range(0 if ours.events else 60):  # none but this test was asked for
        ours.add(simulate(seed).statistics)
    assert ours.disk_crashes.keys() == POWER_CUTS
    seldom = {
        name: getattr(ours, name) for name, least in LEAST.items() if getattr(ours, name) < least
    }
    assert not seldom, f"{seldom}\n{ours}"
    assert min(ours.lives[kind.value] for kind in Kind) > 100
    assert ours.undecided_histories == 0


@pytest.mark.parametrize("seed", [3, 5])
def test_a_seed_is_a_world(seed: int) -> None:
    first, second = simulate(seed), simulate(seed)
    assert first.digest == second.digest
    assert first.history == second.history
    assert simulate(seed + 1).digest != first.digest
