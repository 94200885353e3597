"""The keeper under both event loops, and with a thread that compiles: a tick that has passed makes its run at once."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from runink.actors.barn import Barn
from runink.actors.schedules import ScheduleKeeper
from runink.barn.keys import RUNS, deployment_key, schedule_key
from runink.calendars import Schedule, moment
from runink.clients.barn import BarnClient, Transaction
from runink.dsl.compiler import SourceText
from runink.dsl.recorded import compiled_and_recorded
from runink.names import BundleHash
from runink.runs.records import RunRecord
from runink.runs.schedule_records import DeploymentRecord, ScheduleRecord
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.projects import MemoryProject

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

pytestmark = pytest.mark.anyio

TEXT = """@param("interval_date")
@schedule("0 6 * * *")
Feature: F
  Scenario: S
    @source("csv://in/${interval_date}.csv")
    @sink("csv://out/${interval_date}.csv")
"""
NOW = moment("2026-11-29T12:00", "UTC")
WITHIN_S = 20.0


async def test_a_tick_that_has_passed_makes_its_run_of_the_pipeline_compiled_for_it() -> None:
    source = SourceText(TEXT, "features/f.dsl", "features/f.dsl", "/p")
    filled = {"interval_date": "2000-01-01"}
    compilation, recipe = compiled_and_recorded(source, {}, filled, MemoryProject())
    dag = compilation.dag
    assert isinstance(dag.schedule, Schedule)
    record = ScheduleRecord(dag.herd, dag.pipeline, dag.hash, dag.schedule, NOW - 86_400_000)
    deployment = DeploymentRecord(dag, "/p", BundleHash("b"), 1, recipe=recipe)
    async with supervise() as supervisor:
        disk = FaultyDisk()
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        client = BarnClient(barn)
        transaction = Transaction().put(schedule_key(dag.herd, dag.pipeline), record)
        transaction = transaction.put(deployment_key(dag.herd, dag.pipeline), deployment)
        revision = (await client.commit(transaction)).revision
        keeper = ChildSpec("keeper", lambda: ScheduleKeeper(BarnClient(barn), now_ms=lambda: NOW))
        await supervisor.start(keeper)
        with anyio.fail_after(WITHIN_S):
            async with aclosing(client.watch(RUNS.prefix(), after_revision=revision)) as changes:
                assert (await anext(changes)).changes
        (run,) = (await client.range(RUNS.prefix(), RunRecord)).items
        assert run.value.parameters == {"interval_date": "2026-11-28"}
        assert run.value.occasion is not None
        assert run.value.occasion.tick_ms == moment("2026-11-29T06:00", "UTC")
