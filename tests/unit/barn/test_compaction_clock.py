"""Compaction by time: what is old is forgotten, a little late and never early."""

from __future__ import annotations

from runink.barn.commands import Compact
from runink.barn.compaction import CompactionClock


def test_a_revision_is_due_when_it_is_as_old_as_changes_are_kept():
    clock = CompactionClock(600.0)
    assert clock.due(now_s=0.0, revision=5, compacted=0) is None
    for second in range(1, 600):
        assert clock.due(now_s=float(second), revision=5 + second, compacted=0) is None
    assert clock.due(now_s=600.0, revision=700, compacted=0) == Compact(5)
    assert clock.due(now_s=601.0, revision=701, compacted=5) is None
    assert clock.due(now_s=611.0, revision=702, compacted=5) == Compact(15)


def test_what_is_compacted_already_is_not_proposed():
    clock = CompactionClock(60.0)
    clock.due(now_s=0.0, revision=5, compacted=0)
    assert clock.due(now_s=70.0, revision=5, compacted=5) is None


def test_after_a_pause_the_newest_of_the_old_notes_counts():
    clock = CompactionClock(60.0)
    for second in range(30):
        clock.due(now_s=float(second), revision=second, compacted=0)
    assert clock.due(now_s=500.0, revision=99, compacted=0) == Compact(29)
    assert clock.due(now_s=501.0, revision=99, compacted=29) is None
