"""What a command does where the cluster that it asks in its own process leaves."""

from __future__ import annotations

import pytest
from runink.cli.inside import is_asked_again
from runink.errors import OutcomeUnknown, Unavailable
from runink.operations.catalog import runs


@pytest.mark.parametrize("code", ["link_lost", "stopping"])
def test_whatever_was_not_done_is_asked_again_of_a_cluster_that_leaves(code: str) -> None:
    left = Unavailable("it leaves", code=code)
    assert is_asked_again(runs.GET, left)
    assert is_asked_again(runs.CANCEL, left)


def test_what_may_have_been_done_is_asked_again_only_if_it_changes_nothing() -> None:
    unknown = OutcomeUnknown("it has left")
    assert is_asked_again(runs.GET, unknown)
    assert not is_asked_again(runs.SUBMIT, unknown)


def test_a_cluster_that_stays_and_cannot_is_not_asked_again() -> None:
    assert not is_asked_again(runs.GET, Unavailable("no leader", code="no_leader"))
