"""The keeper of schedules in virtual time: each tick makes one run, whoever looks, and whatever happens to them and to the clock."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing
from keeper_world import MINUTE, NOON, kept
from runink.barn.keys import pipeline_key
from runink.calendars import Missed, Overlap, Schedule, ticks_between
from runink.clients.barn import Committed, Transaction
from runink.dsl.recipes import Answers, Recipe
from runink.runs.records import PipelineRecord, RunState
from runink.runs.schedules import id_of, occasion_of
from runink.testing.lives import now_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

pytestmark = pytest.mark.trio

MINUTELY = Schedule(cron="* * * * *", overlap=Overlap.ALLOW)
SOON_S = 0.5
MINUTE_S = 60.0


async def test_a_run_is_made_when_its_tick_comes_and_not_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(MINUTELY)
        await anyio.sleep(MINUTE_S - 1)
        assert await world.runs() == []
        await anyio.sleep(1 + SOON_S)
        (run,) = await world.runs()
        occasion = occasion_of(MINUTELY, NOON + MINUTE)
        assert (run.occasion, run.run) == (occasion, id_of(run.herd, run.pipeline, occasion))
        assert (run.bundle, run.project, run.session) == ("b", "/p", "")
        assert (await world.record()).seen_ms == NOON + MINUTE
        assert run.submitted_ms - NOON - MINUTE < 1000


async def test_a_tick_makes_one_run_however_many_keepers_look_and_however_often_they_crash(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept(keepers=3) as world:
        await world.deploy(MINUTELY)
        for _ in range(12):
            await anyio.sleep(MINUTE_S / 4)
            await world.crash()
        await anyio.sleep(SOON_S)
        assert await world.ticks() == list(ticks_between(MINUTELY, NOON, world.clock()))


async def test_what_passed_while_nobody_looked_is_run_as_the_schedule_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for missed, ticks in (
        (Missed.SKIP, []),
        (Missed.LAST, [NOON + 25 * MINUTE]),
        (Missed.ALL, [NOON + minute * MINUTE for minute in range(5, 30, 5)]),
    ):
        async with kept() as world:
            world.clock.base_ms = NOON - round(anyio.current_time() * 1000)
            await world.deploy(Schedule("*/5 * * * *", missed=missed, overlap=Overlap.ALLOW))
            world.clock.base_ms += 28 * MINUTE
            await anyio.sleep(31.0)
            assert await world.ticks() == ticks


async def test_a_clock_that_is_put_back_makes_no_run_twice_and_one_put_forward_forgets_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        schedule = Schedule("* * * * *", missed=Missed.ALL, overlap=Overlap.ALLOW)
        await world.deploy(schedule)
        for jump in (0, -3 * MINUTE, 7 * MINUTE, -MINUTE, MINUTE):
            world.clock.base_ms += jump
            await anyio.sleep(MINUTE_S)
        await anyio.sleep(2.7 * MINUTE_S)
        assert await world.ticks() == list(ticks_between(schedule, NOON, world.clock()))


async def test_a_paused_schedule_makes_nothing_and_goes_on_with_what_it_missed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(MINUTELY)
        await world.change(paused=True)
        await anyio.sleep(3.5 * MINUTE_S)
        assert await world.runs() == []
        await world.change(paused=False)
        await anyio.sleep(SOON_S)
        assert await world.ticks() == [NOON + 3 * MINUTE]


async def test_a_run_under_way_holds_the_next_one_back_until_it_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(Schedule("* * * * *"))
        await anyio.sleep(3.2 * MINUTE_S)
        (run,) = await world.runs()
        await world.end(run)
        await anyio.sleep(SOON_S)
        assert await world.ticks() == [NOON + MINUTE, NOON + 3 * MINUTE]


async def test_a_run_whose_place_is_taken_is_cancelled_and_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(Schedule("* * * * *", overlap=Overlap.REPLACE))
        await anyio.sleep(2 * MINUTE_S + SOON_S)
        first, second = await world.runs()
        assert first.state is RunState.CANCELLED
        assert first.failure is not None
        assert first.failure.error.code == "replaced"
        assert not second.state.is_over


async def test_a_run_that_has_not_ended_by_its_deadline_is_cancelled_with_that_reason(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        record = Schedule("0 * * * *", deadline_ms=40_000)
        # The run controller's clock is another one, so the deadline is as far away as it is by that.
        world.clock.base_ms = now_ms() - round(anyio.current_time() * 1000)
        await world.deploy(record)
        await world.backfill(NOON, at_once=1)
        await anyio.sleep(39.0)
        (run,) = await world.runs()
        assert not run.state.is_over
        await anyio.sleep(2.0)
        (run,) = await world.runs()
        assert run.state is RunState.CANCELLED
        assert run.failure is not None
        assert run.failure.error.code == "deadline"


async def test_a_backfill_makes_so_many_runs_at_once_and_leaves_the_schedule_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(Schedule("* * * * *"))
        past = [NOON - minute * MINUTE for minute in (4, 3, 2, 1)]
        await world.backfill(*past, at_once=2)
        await anyio.sleep(SOON_S)
        assert await world.ticks() == past[:2]
        await anyio.sleep(MINUTE_S)
        assert await world.ticks() == [*past[:2], NOON + MINUTE]  # the schedule's own is no other
        await world.crash()
        for count in (3, 4, 4, 4):
            living = [one for one in await world.runs() if not one.state.is_over]
            await world.end(living[0])
            await anyio.sleep(SOON_S)
            made = [one for one in await world.runs() if one.occasion and one.occasion.backfill]
            assert len(made) == count
        assert (await world.backfilled()).is_done


async def test_the_tick_fills_in_the_parameters_that_are_declared(
    autojump_clock: trio.testing.MockClock,
) -> None:
    text = """@param("tick_date")
Feature: F
Scenario: S
  @source("csv://in.csv")
  @sink("csv://out/${tick_date}.csv")
"""
    async with kept() as world:
        recipe = Recipe(text, "p.dsl", "p.dsl", "/p", {}, Answers())
        await world.deploy(Schedule("0 6 * * *", zone="Asia/Tokyo"), recipe=recipe)
        world.clock.base_ms += 9 * 60 * MINUTE
        await anyio.sleep(MINUTE_S)
        (run,) = await world.runs()
        assert run.parameters == {"tick_date": "2026-11-30"}
        view = await world.world.client.look(run.run)
        assert view.record.version == run.version


async def test_a_tick_whose_pipeline_does_not_compile_makes_no_run_and_says_why(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        recipe = Recipe(
            "Feature: F\nScenario: S\n  @step(a)", "p.dsl", "p.dsl", "/p", {}, Answers()
        )
        await world.deploy(MINUTELY, recipe=recipe)
        await anyio.sleep(MINUTE_S + SOON_S)
        record = await world.record()
        assert record.problem is not None
        assert "not asked for when the pipeline was deployed" in record.problem.text
        assert (record.seen_ms, await world.runs()) == (NOON + MINUTE, [])


async def test_a_tick_makes_no_run_of_another_herd_whatever_its_recipe_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    text = """@herd("stock")
@param("tick_date")
Feature: F
Scenario: S
  @source("csv://in.csv")
  @sink("csv://out/${tick_date}.csv")
"""
    async with kept() as world:
        recipe = Recipe(text, "p.dsl", "p.dsl", "/p", {}, Answers())
        await world.deploy(MINUTELY, recipe=recipe)
        await anyio.sleep(MINUTE_S + SOON_S)
        record = await world.record()
        assert record.problem is not None
        assert record.problem.code == "pipeline_differs"
        assert await world.runs() == []


async def test_a_schedule_that_is_often_due_leaves_no_timers_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(Schedule(every_ms=1000, missed=Missed.SKIP))
        await anyio.sleep(40.0)
        await world.end((await world.runs())[0])
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(60):
            await anyio.sleep(1.0)
            for run in await world.runs():
                if not run.state.is_over:
                    await world.end(run)
        assert len(await world.runs()) > 50
        assert trio.lowlevel.current_statistics().tasks_living < before + 20


async def test_what_fails_for_a_key_that_nobody_watches_is_tried_again(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept() as world:
        dag = world.world.dag
        at = pipeline_key(dag.herd, dag.pipeline, dag.hash)
        (client,) = world.clients
        commit = client.commit

        async def overtaken(transaction: Transaction) -> Committed:
            monkeypatch.setattr(client, "commit", commit)
            await world.barn.put(at, PipelineRecord(dag))
            committed = await commit(transaction)
            assert committed.failed == (at,)
            return committed

        monkeypatch.setattr(client, "commit", overtaken)
        await world.deploy(MINUTELY)
        await anyio.sleep(MINUTE_S + 2.0)
        assert await world.ticks() == [NOON + MINUTE]
