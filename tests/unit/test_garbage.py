"""Garbage in a process that stays."""

from __future__ import annotations

import gc

from runink.garbage import NEW_OBJECTS, collected_seldom


def test_what_is_there_is_not_looked_through_while_a_cluster_runs_and_is_again_behind_it() -> None:
    before = gc.get_threshold()
    with collected_seldom():
        assert gc.get_threshold()[0] == NEW_OBJECTS
        assert gc.get_freeze_count() > NEW_OBJECTS
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_cycles_that_a_cluster_drops_are_found_all_the_same() -> None:
    class Cycle:
        dropped = 0

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            Cycle.dropped += 1

    with collected_seldom():
        for _ in range(2 * NEW_OBJECTS):
            Cycle()
        assert Cycle.dropped > 0
