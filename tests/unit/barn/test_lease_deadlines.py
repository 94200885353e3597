"""When leases are due: never early, and not because their owner stood still."""

from __future__ import annotations

from runink.barn.commands import ExpireLease
from runink.barn.leases import AGAIN_S, TICK_S, LeaseDeadlines
from runink.barn.store import LeaseView


def looked_at(deadlines: LeaseDeadlines, begin_s: float, end_s: float) -> list[ExpireLease]:
    """Look every tick, as the owner does, and return what was due."""
    found: list[ExpireLease] = []
    ticks = int((end_s - begin_s) / TICK_S)
    for tick in range(ticks + 1):
        found += deadlines.due(now_s=begin_s + tick * TICK_S)
    return found


def test_a_lease_is_due_when_its_time_has_passed_and_not_before():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(7, 2000, 3), now_s=100.0)
    assert looked_at(deadlines, 100.0, 101.75) == []
    assert deadlines.due(now_s=102.0) == [ExpireLease(7, 3)]


def test_a_renewal_moves_the_deadline():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(7, 2000, 0), now_s=100.0)
    assert looked_at(deadlines, 100.0, 101.5) == []
    deadlines.renewed(LeaseView(7, 2000, 1), now_s=101.5)
    assert looked_at(deadlines, 101.75, 103.25) == []
    assert deadlines.due(now_s=103.5) == [ExpireLease(7, 1)]


def test_an_expiry_that_did_not_show_is_proposed_again():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(7, 1000, 0), now_s=0.0)
    assert len(looked_at(deadlines, 0.0, 1.0 + AGAIN_S)) == 2


def test_an_ended_lease_is_forgotten():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(7, 1000, 0), now_s=0.0)
    deadlines.ended(7)
    deadlines.ended(7)
    assert len(deadlines) == 0
    assert looked_at(deadlines, 0.0, 3.0) == []


def test_a_pause_of_the_owner_is_given_back_to_every_lease():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(7, 5000, 0), now_s=0.0)
    assert looked_at(deadlines, 0.0, 2.0) == []
    assert deadlines.due(now_s=62.0) == []
    assert looked_at(deadlines, 62.25, 64.5) == []
    assert looked_at(deadlines, 64.75, 65.0) == [ExpireLease(7, 0)]


def test_a_new_owner_begins_every_lease_anew():
    deadlines = LeaseDeadlines()
    deadlines.renewed(LeaseView(1, 1000, 0), now_s=0.0)
    deadlines.begin([LeaseView(2, 1000, 5), LeaseView(3, 1000, 0)], now_s=50.0)
    assert looked_at(deadlines, 50.0, 50.75) == []
    assert deadlines.due(now_s=51.0) == [ExpireLease(2, 5), ExpireLease(3, 0)]
