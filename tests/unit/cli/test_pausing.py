"""What `runi pause` and `runi unpause` say of a run."""

from __future__ import annotations

import pytest
from cli_world import a_run
from runink.cli.pausing import may_change, pause_told
from runink.runs.records import RunState


@pytest.mark.parametrize(
    ("state", "paused", "told"),
    [
        (RunState.RUNNING, True, ": paused; runi unpause goes on with it"),
        (RunState.RUNNING, False, ": goes on"),
        (RunState.COMMITTING, False, " is publishing already, which is seen through"),
        (RunState.FAILED, False, " has failed already"),
        (RunState.CANCELLED, False, " was cancelled already"),
    ],
)
def test_it_is_told_how_it_is_with_the_run(state: RunState, *, paused: bool, told: str) -> None:
    record = a_run(state, paused=paused)
    assert pause_told(record).endswith(told)
    assert may_change(record) == (state is RunState.RUNNING)
