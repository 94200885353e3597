"""What is looked at to decide on a run: the run with its slices, and what of the world it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from runink.dag import Dag, SliceSpec
from runink.names import NodeId, RunId, SliceId
from runink.runs.durations import NOTHING_KNOWN, Durations
from runink.runs.records import RunRecord, SliceRecord
from runink.runs.reservations import GangKey
from runink.wants import GRACE_MS_MAX


class Yielding(NamedTuple):
    """That an attempt of a gang is to be stopped for others: who asks for it, and why."""

    attempt: int
    by: GangKey
    why: str


@dataclass(frozen=True, slots=True)
class World:
    """What a run's next state depends on beside itself.

    `session` is this cluster's, `nodes` are there, or are awaited until `awaited_ms` at least (0: none is), `claims` are targets that some run publishes to, `placed` are the run's slices that have a placement,
    `refused` says why the herd cannot take one more run, `draining` are nodes that are to be emptied,
    `cordoned` those and all others that get nothing new, `yielding` says which of its gangs are to be stopped for which others of higher priority.
    `durations` is how long its pipeline's parts have taken before.
    `keep_ms` is for how long the herd keeps what a failed run has prepared;
    where it `is_crowded`, enough newer ones keep theirs. `store` is the herd's, for runs that are admitted now.
    `told` are those of `placed` that know that they are to give way, and `grace_max_ms` is the longest grace that slices of the herd begin with.
    """

    now_ms: int
    session: str
    nodes: frozenset[NodeId]
    claims: Mapping[str, RunId]
    placed: frozenset[SliceId] = frozenset()
    refused: str = ""
    draining: frozenset[NodeId] = frozenset()
    cordoned: frozenset[NodeId] = frozenset()
    yielding: Mapping[str, Yielding] = field(default_factory=dict)
    durations: Durations = NOTHING_KNOWN
    awaited_ms: int = 0
    keep_ms: int = 0
    is_crowded: bool = False
    store: str = ""
    told: frozenset[SliceId] = frozenset()
    grace_max_ms: int = GRACE_MS_MAX


@dataclass(frozen=True, slots=True)
class RunView:
    record: RunRecord
    dag: Dag
    slices: Mapping[str, SliceRecord]

    def chains(self, specs: Iterable[SliceSpec]) -> list[SliceRecord]:
        """Return the records of these slices, of those that have begun."""
        return [self.slices[SliceId(spec.id)] for spec in specs if spec.id in self.slices]
