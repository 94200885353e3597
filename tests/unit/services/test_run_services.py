"""Runs over the API: lists from the newest on, what is told of one, and what may be done with it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from run_records import PIPELINE, RUN, put_failed, put_run, run_at, run_record, slice_record
from runink.barn.keys import run_key
from runink.errors import Conflict, NotFound
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, PipelineName, RoleName, RunId
from runink.operations.calls import Position
from runink.operations.catalog import runs
from runink.runs.clearing import PUBLISH
from runink.runs.records import Occasion, RunRecord, RunState, Task
from runink.services.other_herds import OTHER
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
VIEWER = [bound("ann", "viewer", ANN.subject, herd="sales")]


async def put_some(cluster: Served, count: int, herd: str = "sales") -> list[str]:
    """Put runs, the first of them failed, and return their ids, the newest first."""
    for place in range(count):
        state = RunState.FAILED if place == 0 else RunState.RUNNING
        await put_run(cluster.barn, run_record(herd, run_at(place), state=state))
    return [run_at(place) for place in reversed(range(count))]


async def listed(cluster: Served, **asked: object) -> list[str]:
    return [one.run for one in (await cluster.ask(runs.LIST, herd="sales", **asked)).items]


async def test_runs_are_listed_from_the_newest_on_and_all_parts_are_of_one_revision():
    async with served() as cluster:
        ids = await put_some(cluster, 5)
        first = await cluster.ask(runs.LIST, herd="sales", limit=2)
        assert [one.run for one in first.items] == ids[:2]
        await put_run(cluster.barn, run_record("sales", run_at(9)))
        await cluster.barn.delete(run_key(HerdName("sales"), RunId(ids[2])))
        after = Position(first.revision, first.after)
        rest = await cluster.ask(runs.LIST, herd="sales", limit=9, position=after)
        assert [one.run for one in rest.items] == ids[2:], "as the list was when it began"
        assert rest.after == ""


async def test_a_list_is_of_states_pipelines_and_times_that_are_asked_for():
    async with served() as cluster:
        ids = await put_some(cluster, 4)
        other = run_record("sales", run_at(7), pipeline=PipelineName("other"))
        await put_run(cluster.barn, other)
        await put_some(cluster, 2, herd="stock")
        assert await listed(cluster, state=["failed"]) == [ids[-1]]
        assert await listed(cluster, state=["failed", "running"], pipeline=PIPELINE) == ids
        assert await listed(cluster, since_ms=NOW_MS + 2000) == [other.run, *ids[:2]]
        assert await listed(cluster, until_ms=NOW_MS + 2000) == ids[2:]
        assert await listed(cluster, since_ms=NOW_MS + 1000, until_ms=NOW_MS + 1001) == [ids[2]]


async def test_a_page_in_which_little_is_shown_ends_early_and_says_that_there_is_more():
    async with served() as cluster:
        await put_some(cluster, 1)
        for place in range(1, 1100):
            await cluster.barn.put(
                run_key(HerdName("sales"), run_at(place)), run_record("sales", run_at(place))
            )
        first = await cluster.ask(runs.LIST, herd="sales", state=["failed"], limit=1)
        assert first.items == ()
        assert first.after
        rest = await cluster.ask(
            runs.LIST,
            herd="sales",
            state=["failed"],
            limit=1,
            position=Position(first.revision, first.after),
        )
        assert [one.run for one in rest.items] == [run_at(0)]


async def test_only_runs_are_listed_that_the_caller_may_read():
    rule = Rule((Verb.GET, Verb.LIST), (Resource.RUNS,), (run_at(1),))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        await put_some(cluster, 3)
        page = await cluster.ask(runs.LIST, ANN, herd="sales")
        assert [one.run for one in page.items] == [run_at(1)]


async def test_a_run_is_told_as_the_command_line_tells_it_with_its_revision():
    async with served() as cluster:
        occasion = Occasion(NOW_MS - 5, NOW_MS - 10)
        await put_run(cluster.barn, run_record("sales", occasion=occasion, parameters={"day": "1"}))
        told = await cluster.ask(runs.GET, herd="sales", run=RUN)
        assert (told.run, told.state, told.tick_ms) == (RUN, RunState.RUNNING, NOW_MS - 5)
        assert (told.parameters, told.error, told.outputs) == ({"day": "1"}, None, ())
        found = await cluster.barn.get(run_key(HerdName("sales"), RUN), RunRecord)
        assert found is not None
        assert told.revision == found.revision


async def test_a_run_of_another_herd_is_as_one_that_is_not_there():
    async with served() as cluster:
        await put_run(cluster.barn, run_record("stock"))
        await cluster.seen(RUN)
        for operation in (runs.GET, runs.CANCEL, runs.PAUSE, runs.RETRY, runs.DROP, runs.PROGRESS):
            with pytest.raises(NotFound) as refused:
                await cluster.ask(operation, herd="sales", run=RUN)
            assert refused.value.code == "no_such_run"
        found = await cluster.barn.get(run_key(HerdName("stock"), RUN), RunRecord)
        assert found is not None
        assert not found.value.cancel


async def test_what_a_run_waits_for_names_runs_of_its_own_herd_only():
    async with served(bindings=VIEWER) as cluster:
        await put_run(cluster.barn, run_record("stock", run_at(1)))
        await put_run(cluster.barn, run_record("sales", run_at(2)))
        waits = {
            3: (f"a of {run_at(1)} needs its place", f"{OTHER} needs its place"),
            4: (f"a of {run_at(2)} needs its place", f"a of {run_at(2)} needs its place"),
            5: (f"run {run_at(1)} is publishing", f"{OTHER} is publishing"),
            6: ("w1 is for stock only; w2 has cpu 1", "w1 is for other herds only; w2 has cpu 1"),
            7: ("w1 is for all herds, and sales uses its own nodes only",) * 2,
        }
        for place, (said, _) in waits.items():
            record = run_record(
                "sales", run_at(place), state=RunState.CANCELLED, waits_for=said
            )  # over, so that nobody says another thing
            await put_run(cluster.barn, record)
        page = await cluster.ask(runs.LIST, ANN, herd="sales")
        told = {one.run: one.waits_for for one in page.items}
        assert {place: told[run_at(place)] for place in waits} == {
            place: expected for place, (_, expected) in waits.items()
        }


async def test_the_last_lines_of_a_failed_slice_are_for_who_may_read_logs():
    rule = Rule((Verb.GET,), (Resource.RUNS,))
    role = Role(RoleName("runs"), "sales", (rule,))
    ben = person("ben")
    binding = Binding(BindingName("ben"), "sales", role.name, RoleOf.HERD, (ben.subject,))
    async with served(roles=[role], bindings=[*VIEWER, binding]) as cluster:
        await put_failed(cluster.barn, "sales")
        told = await cluster.ask(runs.GET, ANN, herd="sales", run=RUN)
        assert (told.error.code, told.error.log_tail) == ("step_failed", ("last words",))
        told = await cluster.ask(runs.GET, ben, herd="sales", run=RUN)
        assert (told.error.code, told.error.log_tail) == ("step_failed", ())


async def test_a_run_is_cancelled_and_once_more_is_no_mistake():
    async with served() as cluster:
        record = run_record("sales")
        await put_run(cluster.barn, record, slice_record(record))
        await cluster.seen(RUN)
        for _ in range(2):
            await cluster.ask(runs.CANCEL, herd="sales", run=RUN)
        found = await cluster.barn.get(run_key(HerdName("sales"), RUN), RunRecord)
        assert found is not None
        assert found.value.cancel


async def test_what_is_over_or_publishing_is_not_cancelled_and_the_reason_is_said():
    async with served() as cluster:
        for place, (state, code) in enumerate(
            [(RunState.SUCCEEDED, "run_over"), (RunState.COMMITTING, "run_committing")]
        ):
            record = run_record("sales", run_at(place), state=state)
            publish = slice_record(record, PUBLISH, task=Task.PUBLISH)
            await put_run(cluster.barn, record, publish)
            await cluster.seen(record.run)
            for operation in (runs.CANCEL, runs.PAUSE):
                with pytest.raises(Conflict) as refused:
                    await cluster.ask(operation, herd="sales", run=record.run)
                assert refused.value.code == code


async def test_a_run_is_paused_and_goes_on():
    async with served() as cluster:
        record = run_record("sales")
        await put_run(cluster.barn, record, slice_record(record))
        await cluster.seen(RUN)
        first = await cluster.ask(runs.PAUSE, herd="sales", run=RUN)
        second = await cluster.ask(runs.UNPAUSE, herd="sales", run=RUN)
        assert (first.paused, second.paused) == (True, False)
        assert second.revision > first.revision


async def test_what_a_run_keeps_is_dropped_unless_it_lives_or_another_goes_on_with_it():
    async with served() as cluster:
        record = await put_failed(cluster.barn, "sales")
        await cluster.seen(RUN)
        taken = changed(record, run=run_at(1), resumed_by=run_at(2))
        await put_run(cluster.barn, taken)
        living = run_record("sales", run_at(3))
        await put_run(cluster.barn, living, slice_record(living))
        before = await cluster.ask(runs.GET, herd="sales", run=RUN)
        after = await cluster.ask(runs.DROP, herd="sales", run=RUN)
        assert before.kept_until_ms
        assert after.revision > before.revision
        for run, code in ((taken.run, "resumed_already"), (living.run, "conflict")):
            with pytest.raises(Conflict) as refused:
                await cluster.ask(runs.DROP, herd="sales", run=run)
            assert refused.value.code == code


async def test_progress_says_how_many_slices_stand_where():
    async with served() as cluster:
        record = run_record("sales", state=RunState.RUNNING)
        await put_run(cluster.barn, record, slice_record(record))
        await cluster.seen(RUN)
        told = await cluster.ask(runs.PROGRESS, herd="sales", run=RUN)
        assert sum(told.slices.values()) == 1
        assert [one.name for one in told.steps] == ["gold"]
