"""The priority of a run: what its pipeline says, or who starts it, and no more than its herd has."""

from __future__ import annotations

from runink.dag import Dag
from runink.herds.record import HerdRecord


def priority_of(dag: Dag, herd: HerdRecord | None, *, asked: int | None = None) -> int:
    """Return the priority of a run: `asked` counts before what the pipeline says, 0 is that of a run that says nothing."""
    said = asked if asked is not None else dag.priority or 0
    most = herd.priority_max if herd is not None else None
    return said if most is None else min(said, most)
