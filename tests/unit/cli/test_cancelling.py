"""What `runi cancel` says of a run."""

from __future__ import annotations

import pytest
from cli_world import a_run
from runink.cli.runs import cancel_told
from runink.runs.records import RunState


@pytest.mark.parametrize(
    ("met", "state", "told"),
    [
        (RunState.RUNNING, RunState.CANCELLED, ": cancelled"),
        (RunState.SUCCEEDED, RunState.SUCCEEDED, " has succeeded already"),
        (RunState.RUNNING, RunState.FAILED, " has failed already"),
        (RunState.COMMITTING, RunState.SUCCEEDED, " was publishing already, which is seen through so that its output is whole: it has succeeded"),
    ],
)  # fmt: skip
def test_what_became_of_it_is_told_and_why_it_was_not_cancelled(
    met: RunState, state: RunState, told: str
) -> None:
    record = a_run(state)
    assert cancel_told(met, record).endswith(told)
