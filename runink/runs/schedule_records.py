"""Schedules as they stand in the Barn: what was deployed, how far each schedule has come, and ticks of the past that somebody asked for.

    /deployments/H/NAME     DeploymentRecord   written by `runi deploy`, and never changed but by the next one
    /schedules/H/NAME       ScheduleRecord     `deployed`, paused and resumed by commands; `seen_ms` and `problem` by the keeper
    /backfills/H/NAME/ID    BackfillRecord     put and stopped by commands; `begun` by the keeper

Every change compares the revision that it was decided on, so that a tick is taken by one keeper, once.
"""

from __future__ import annotations

import msgspec

from runink.calendars import Schedule
from runink.dag import Dag
from runink.dsl.recipes import Recipe
from runink.errors import WireError
from runink.names import BundleHash, HerdName, PipelineName


class DeploymentRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pipeline in force: what its runs are made of, whoever is still there of those who deployed it.

    `commit` is what its project was at, with changes of its own if `is_dirty`.
    `recipe` is what the pipeline is compiled from at each tick, where it has parameters that the tick fills; else every run is of `dag`.
    """

    dag: Dag
    project: str
    bundle: BundleHash
    deployed_ms: int
    by: str = ""
    commit: str = ""
    is_dirty: bool = False
    recipe: Recipe | None = None


class ScheduleRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a pipeline is due. `version` is its deployment's hash.

    `seen_ms` only grows: ticks up to it have been decided on. `problem` says why the latest tick made no run.
    """

    herd: HerdName
    pipeline: PipelineName
    version: str
    schedule: Schedule
    seen_ms: int
    paused: bool = False
    problem: WireError | None = None


class BackfillRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ticks to run for, in order, `at_once` of them at a time. The first `begun` of them have been decided on; `stopped` lets no other begin."""

    id: str
    herd: HerdName
    pipeline: PipelineName
    ticks: tuple[int, ...]
    at_once: int
    asked_ms: int
    begun: int = 0
    stopped: bool = False
    problem: WireError | None = None

    @property
    def is_done(self) -> bool:
        """Say whether all its runs have been made, or no other will be."""
        return self.stopped or self.begun == len(self.ticks)
