"""What of a run may still be wanted of a machine that has done a part of it: what its slices wrote aside, and its folder.

    the run                                what slices wrote aside there                  its folder (logs, rejected rows)
    is not over                            stays: its end may lie there                   stays
    has ended, keeps something             stays, until that is over                      stays
    has ended, another goes on from it     stays of slices that this one has taken over   stays
                                           and still has
    has ended otherwise                    goes                                           stays
    was forgotten                          goes                                           goes

A machine that was away while a run went elsewhere and ended does not take part in its end, so it is cleared by these rules when it is back.
"""

from __future__ import annotations

from collections.abc import Mapping

from runink.names import RunId, SliceId
from runink.runs.records import RunRecord, RunState


def is_wanted(run: RunId, name: SliceId, runs: Mapping[RunId, RunRecord]) -> bool:
    """Say whether what a slice has written aside may be published, kept or taken over yet. `runs` are all that are known."""
    seen: set[RunId] = set()
    record = runs.get(run)
    while record is not None and record.run not in seen:  # ends: no run twice
        seen.add(record.run)
        if not record.state.is_over or record.kept_until_ms:
            return True
        if record.state is RunState.SUCCEEDED or name not in record.kept:
            return False
        if record.resumed_by is None:
            return True
        record = runs.get(record.resumed_by)
    return False
