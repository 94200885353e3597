"""What ends a run from outside: the process that it lives with is gone, somebody cancels it, its deadline has come, or that of its pipeline.

None of it ends one that is publishing already: what is committed is rolled forward.
"""

from __future__ import annotations

from msgspec.structs import replace as changed

from runink.dag import Dag
from runink.runs.failures import CANCELLED, CUT, LATE, too_late
from runink.runs.records import Failure, RunRecord, RunState


def to_end(record: RunRecord, dag: Dag, *, now_ms: int, session: str) -> RunRecord:
    """Return the run with what it will become and why, if something outside of it ends it now; else as it is. `session` is this cluster's."""
    if record.ending is not None:
        return record
    if record.session and record.session != session:
        return changed(record, ending=RunState.FAILED, failure=Failure(CUT))
    if record.cancel:
        why = record.failure or Failure(CANCELLED)
        return changed(record, ending=RunState.CANCELLED, failure=why)
    if record.deadline_ms and now_ms >= record.deadline_ms:
        return changed(record, ending=RunState.CANCELLED, failure=Failure(LATE))
    late_ms = deadline_ms(record, dag)
    if dag.deadline and late_ms and now_ms >= late_ms:
        return changed(record, ending=RunState.FAILED, failure=Failure(too_late(dag.deadline)))
    return record


def deadline_ms(record: RunRecord, dag: Dag) -> int:
    """Return when a run must have ended because its pipeline says so, 0 for never."""
    return record.submitted_ms + dag.deadline.amount if dag.deadline else 0


def sooner(one_ms: int, other_ms: int) -> int:
    """Return the earlier of two moments to look at a run again, of which 0 is never."""
    return min(one_ms, other_ms) if one_ms and other_ms else one_ms or other_ms
