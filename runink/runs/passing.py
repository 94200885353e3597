"""Changes of slices that pass a run by: nothing could be decided for them that was not decided before.

A run of a thousand slices sees three changes of each, and deciding looks at all of them: it would be asked three thousand times about a thousand.  Here one change is looked at.  What it
says of a run holds where nothing was decided when that was last looked at, and only time has passed since or changes that passed it by.  The law: what `decide` says then is nothing
(`tests/property/test_passing_changes.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runink.dag import Dag
from runink.gang_parts import writes_files
from runink.names import NodeId
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState, Task

_ON_ITS_WAY = frozenset({SliceState.PLACED, SliceState.LAUNCHING, SliceState.RUNNING})


class SliceChange(NamedTuple):
    """A slice as it stood and as it stands, nothing where it did not or does not any more."""

    before: SliceRecord | None
    after: SliceRecord | None


class Surroundings(NamedTuple):
    """What a change is judged by beside the slice, behind it: its run and pipeline, the nodes that are there, whether something is said of nodes, one that has gone is waited for or places are kept, how many slices
    have not succeeded yet, and what its slices wait for.
    """

    record: RunRecord
    dag: Dag
    nodes: frozenset[NodeId]
    is_anything_said: bool
    left: int
    waits: frozenset[str]


def pass_by(changes: Iterable[SliceChange], around: Surroundings) -> bool:
    """Say whether these changes, and any of placements, surely are none to decide on."""
    return _is_plain(around) and all(_passes_by(change, around) for change in changes)


def _passes_by(change: SliceChange, around: Surroundings) -> bool:
    before, after = change
    if before is None or after is None:
        return False
    is_same = before.attempt == after.attempt and after.task is Task.CHAIN
    if not is_same or after.node not in around.nodes:
        return False
    if after.state in _ON_ITS_WAY:
        return True
    return after.state is SliceState.SUCCEEDED and around.left > 0 and _waits_nobody(around.dag)


def _is_plain(around: Surroundings) -> bool:
    """Say whether the run simply goes on, and its gangs may be anywhere."""
    record = around.record
    if record.state is not RunState.RUNNING or record.ending is not None:
        return False
    if record.cancel or record.paused or around.is_anything_said:
        return False
    # It says what the first of its slices waits for: which that is makes no difference if all say the same.
    if around.waits != (frozenset({record.waits_for}) - {""}):
        return False
    return len(around.nodes) < 2 or not writes_files(around.dag)


def _waits_nobody(dag: Dag) -> bool:
    """Say whether no gang and no assertion waits for a slice's success."""
    return not dag.assertions and not any(dag.gang_needs().values())
