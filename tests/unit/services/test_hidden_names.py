"""What a rule hides by its name is told of by nothing else either: not by what stands under it, by counts, by texts, by hints, nor by where a list ends."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from run_records import (  # fmt: skip
    PIPELINE,
    RUN,
    put_failed,
    put_run,
    run_at,
    run_record,
    slice_record,
    write_log,
)
from runink.barn.keys import node_key, placement_key, run_key, schedule_key
from runink.calendars import Schedule
from runink.clients.herds import create_herd
from runink.dag import Resources
from runink.errors import Forbidden, NotFound, Refused
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import EVERYTHING, Resource, Verb
from runink.names import BindingName, HerdName, NodeId, RoleName, SliceId
from runink.operations.answers import Bookmark, Event
from runink.operations.calls import Condition, Position
from runink.operations.catalog import (
    audit,
    bindings,
    facts,
    herds,
    logs,
    nodes,
    questions,
    roles,
    run_events,
    runs,
    samples,
    schedules,
    slices,
)
from runink.runs.records import NodeRecord, Occasion, Placement, RunRecord, RunState, SliceState
from runink.runs.schedule_records import ScheduleRecord
from runink.services.pages import READ_MIN, READS_MAX
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
SALES = HerdName("sales")
READS = (Verb.GET, Verb.LIST, Verb.WATCH)
DONE = run_record("sales", state=RunState.CANCELLED)
OTHER = run_at(5)
WITHIN_S = 20.0


def hidden(
    resource: Resource, *names: str, verbs: Iterable[Verb] = READS, role: str = "viewer"
) -> dict[str, Any]:
    """Return roles and bindings by which Ann may see a herd, but for these names of a kind."""
    rule = Rule(tuple(verbs), (resource,), names, effect=Effect.DENY)
    blind = Role(RoleName("blind"), "", (rule,))
    cluster = (ANN.subject,)
    return {
        "roles": [blind],
        "bindings": [
            bound("ann", role, ANN.subject),
            Binding(BindingName("blind"), EVERYTHING, blind.name, RoleOf.CLUSTER, cluster),
        ],
    }


async def put(world: Served, *records: RunRecord) -> None:
    for one in records:
        await world.barn.put(run_key(one.herd, one.run), one)


async def test_of_a_hidden_run_nothing_is_read_by_another_way():
    async with served(**hidden(Resource.RUNS, RUN)) as world:
        await put_failed(world.barn, "sales")
        await put_failed(world.barn, "sales", OTHER)
        for operation in (
            slices.LIST,
            slices.PLACEMENTS,
            slices.WHY,
            logs.LIST,
            logs.FOLLOW,
            facts.LINEAGE,
            facts.QUALITY,
            facts.DEAD_LETTERS,
            samples.LIST,
            run_events.FOLLOW,
        ):
            with pytest.raises(Forbidden):
                await world.ask(operation, ANN, herd="sales", run=RUN)
        for operation, asked in (
            (facts.OF_DATASET, {"uri": "csv://orders.csv"}),
            (facts.QUALITY_LIST, {}),
        ):
            page = await world.ask(operation, ANN, herd="sales", **asked)
            assert [one.run for one in page.items] == [OTHER]


async def test_a_run_tells_of_no_hidden_one():
    async with served(**hidden(Resource.RUNS, OTHER)) as world:
        said = {"resumes": OTHER, "resumed_by": OTHER, "waits_for": f"run {OTHER} has cpu 1"}
        await put(world, changed(DONE, **said), changed(DONE, run=OTHER))
        told = await world.ask(runs.GET, ANN, herd="sales", run=RUN)
        (listed,) = (await world.ask(runs.LIST, ANN, herd="sales")).items
        for one in (told, listed):
            assert (one.resumes, one.resumed_by) == (None, None)
            assert one.waits_for == "another run has cpu 1"
        (other, whole) = (await world.ask(runs.LIST, herd="sales")).items
        assert (other.run, whole.resumes, whole.waits_for) == (OTHER, OTHER, said["waits_for"])


async def test_a_hidden_slice_is_counted_and_told_of_nowhere(tmp_path: Path):
    (tmp_path / "w1").mkdir()
    rules = hidden(Resource.SLICES, f"{RUN}/silver")
    async with served(nodes={"w1": tmp_path / "w1"}, **rules) as world:
        part = slice_record(DONE, state=SliceState.SUCCEEDED)
        await put_run(world.barn, DONE, part, changed(part, slice=SliceId("silver")))
        for name in ("gold", "silver"):
            write_log(tmp_path / "w1", RUN, name, f"printed by {name}")
            placement = Placement(RUN, SliceId(name), SALES, "gang", 1)
            await world.barn.put(placement_key(NodeId("w1"), RUN, SliceId(name)), placement)
        await world.barn.put(node_key(NodeId("w1")), NodeRecord(NodeId("w1"), Resources(1, 1)))
        of_run: dict[str, Any] = {"herd": "sales", "run": RUN}
        for operation in (slices.LIST, slices.PLACEMENTS, logs.LIST):
            page = await world.ask(operation, ANN, **of_run)
            assert [one.slice for one in page.items] == ["gold"]
        placed = await world.ask(nodes.PLACEMENTS, ANN, node="w1")
        assert [one.slice for one in placed.items] == ["gold"]
        async with aclosing(await world.ask(logs.FOLLOW, ANN, **of_run)) as stream:
            assert [one.data.text async for one in stream] == ["printed by gold"]
        for operation in (logs.LIST, logs.FOLLOW):
            with pytest.raises(NotFound) as refused:
                await world.ask(operation, ANN, slice="silver", **of_run)
            assert "silver" not in refused.value.hint
        with pytest.raises(NotFound):
            await world.ask(slices.WHY, ANN, slice="silver", **of_run)


async def test_a_failure_does_not_tell_of_the_hidden_slice_that_failed():
    async with served(**hidden(Resource.SLICES, f"{RUN}/gold")) as world:
        await put_failed(world.barn, "sales")
        whole = (await world.ask(runs.GET, herd="sales", run=RUN)).error
        assert (whole.slice, whole.step, whole.log_tail) == ("gold", "gold.sink", ("last words",))
        told = (await world.ask(runs.GET, ANN, herd="sales", run=RUN)).error
        assert (told.code, told.slice, told.step, told.log_tail) == (whole.code, "", "", ())


async def test_how_far_a_run_is_counts_no_hidden_slice():
    async with served(**hidden(Resource.SLICES, f"{RUN}/silver")) as world:
        part = slice_record(run_record("sales"))
        await put_run(world.barn, run_record("sales"), part, changed(part, slice=SliceId("silver")))
        await world.seen(RUN)
        told = await world.ask(runs.PROGRESS, ANN, herd="sales", run=RUN)
        assert sum(told.slices.values()) == 1


async def told_of(stream: Any) -> set[str]:
    """Return which runs a stream tells of, up to OTHER."""
    found: set[str] = set()
    with anyio.fail_after(WITHIN_S):
        while OTHER not in found:
            event = await anext(stream)
            found |= {event.data.run} if isinstance(event, Event) else set()
    return found


@pytest.mark.parametrize("kind", [Resource.RUNS, Resource.EVENTS])
async def test_what_happens_to_a_hidden_run_and_its_slices_is_not_told(kind: Resource):
    async with (
        served(**hidden(kind, RUN)) as world,
        aclosing(await world.ask(run_events.EVENTS, ANN, herd="sales")) as stream,
    ):
        await put_run(world.barn, DONE, slice_record(DONE))
        await put(world, changed(DONE, run=OTHER))
        assert await told_of(stream) == {OTHER}


@pytest.mark.parametrize("verb", READS)
async def test_what_may_not_be_got_listed_or_watched_by_its_name_is_not(verb: Verb):
    async with (
        served(**hidden(Resource.RUNS, RUN, verbs=[verb])) as world,
        aclosing(await world.ask(run_events.WATCH, ANN, herd="sales")) as stream,
    ):
        await put(world, DONE, changed(DONE, run=OTHER))
        assert (RUN in await told_of(stream)) is (verb is Verb.LIST)
        listed = (await world.ask(runs.LIST, ANN, herd="sales")).items
        assert (RUN in {one.run for one in listed}) is (verb is Verb.WATCH)


async def test_a_schedule_tells_of_no_hidden_run():
    async with served(**hidden(Resource.RUNS, RUN)) as world:
        schedule = ScheduleRecord(SALES, PIPELINE, "v", Schedule(every_ms=3_600_000), NOW_MS)
        await world.barn.put(schedule_key(SALES, PIPELINE), schedule)
        ticked = changed(DONE, occasion=Occasion(NOW_MS, NOW_MS))
        await put(world, ticked, changed(ticked, run=OTHER))
        told = await world.ask(schedules.GET, ANN, herd="sales", pipeline=PIPELINE)
        assert [one.run for one in told.runs] == [OTHER]


async def test_the_audit_tells_of_nothing_that_is_hidden_by_its_name():
    async with served(**hidden(Resource.ROLES, "reader", role="cluster-admin")) as world:
        await create_herd(world.barn, HerdRecord(SALES), By("operator:root", NOW_MS))
        for name in ("reader", "writer"):
            await world.ask(
                roles.CREATE,
                herd="sales",
                role=name,
                rules=[{"verbs": ["get"], "resources": ["runs"]}],
            )
        page = await world.ask(audit.LIST, ANN, herd="sales")
        assert [one.what["role"] for one in page.items] == ["writer"]
        watched = await world.ask(audit.WATCH, ANN, herd="sales", outcome="done", since=1)
        async with aclosing(watched) as stream:
            one = await anext(stream)
            while isinstance(one, Bookmark):  # up to what it has to tell
                one = await anext(stream)
        assert one.data.entry.what["role"] == "writer"


async def test_a_herd_that_is_hidden_is_in_no_list():
    async with served(**hidden(Resource.HERDS, "stock")) as world:
        for name in ("sales", "stock"):
            await create_herd(world.barn, HerdRecord(HerdName(name)), By("operator:root", NOW_MS))
        page = await world.ask(herds.LIST, ANN)
        assert [one.herd for one in page.items] == ["sales"]
        assert (await world.ask(questions.WHOAMI, ANN)).herds == ("sales",)


async def test_a_list_of_herds_counts_runs_that_its_reader_may_read_and_no_others():
    async with served(**hidden(Resource.RUNS, RUN)) as world:
        await create_herd(world.barn, HerdRecord(SALES), By("operator:root", NOW_MS))
        living = run_record("sales", paused=True)
        await put(world, living, changed(living, run=OTHER))
        for who, count in ((None, 2), (ANN, 1)):
            asked = [] if who is None else [who]
            (one,) = (await world.ask(herds.LIST, *asked, living=True)).items
            assert one.living == count


async def test_who_may_is_told_without_hidden_bindings():
    async with served(**hidden(Resource.BINDINGS, "blind")) as world:
        await create_herd(world.barn, HerdRecord(SALES), By("operator:root", NOW_MS))
        asked = {"herd": "sales", "verb": "get", "resource": "runs", "name": "x"}
        told = await world.ask(questions.WHO_CAN, ANN, **asked)
        assert [one.binding for one in told.allowed] == ["ann"]


async def test_a_node_that_is_hidden_is_not_found_by_asking_what_if():
    async with served(**hidden(Resource.NODES, "secret")) as world:
        await put_run(world.barn, DONE)
        for change in ("drain secret", "lose secret", "node secret cpu=1"):
            with pytest.raises(NotFound) as refused:
                await world.ask(slices.WHY, ANN, herd="sales", run=RUN, **{"if": [change]})
            assert refused.value.code == "no_such_node"


# Where a list ends.


async def test_a_page_has_a_next_one_only_where_there_is_more_to_show():
    rules = hidden(Resource.RUNS, *(run_at(place) for place in range(3)))
    async with served(**rules) as world:
        await put(world, *(changed(DONE, run=run_at(place)) for place in range(5)))
        page = await world.ask(runs.LIST, ANN, herd="sales", limit=2)
        assert [one.run for one in page.items] == [run_at(4), run_at(3)]
        assert page.after == ""


async def test_where_very_much_in_a_row_is_hidden_the_list_goes_on_behind_it():
    count = READ_MIN * READS_MAX
    async with served(**hidden(Resource.RUNS, f"{run_at(9)[:4]}*")) as world:
        shown = changed(DONE, run=type(RUN)("0" * 26))
        await put(world, shown, *(changed(DONE, run=run_at(place)) for place in range(count)))
        first = await world.ask(runs.LIST, ANN, herd="sales", limit=1)
        assert (first.items, bool(first.after)) == ((), True)
        after = Position(first.revision, first.after)
        rest = await world.ask(runs.LIST, ANN, herd="sales", limit=1, position=after)
        assert [one.run for one in rest.items] == [shown.run]
        assert rest.after == ""


# What a herd's document says.

ANY = Condition(is_any=True)
RULES = [{"verbs": ["get"], "resources": ["runs"]}]


async def with_roles(world: Served, *names: str) -> None:
    """Have a herd with roles, each bound under its own name."""
    await create_herd(world.barn, HerdRecord(SALES), By("operator:root", NOW_MS))
    for name in names:
        await world.ask(roles.CREATE, herd="sales", role=name, rules=RULES)
        said = {"binding": name, "role": name, "subjects": ["user:corp:zed"]}
        await world.ask(bindings.CREATE, herd="sales", **said)


async def test_a_herd_is_shown_without_hidden_roles_and_declared_without_taking_them_away():
    async with served(**hidden(Resource.ROLES, "secret", role="cluster-admin")) as world:
        await with_roles(world, "plain", "secret")
        told = await world.ask(herds.GET, ANN, herd="sales")
        assert [one["name"] for one in told.says["roles"]] == ["plain"]
        said = {"herd": {"id": "sales", "description": "new"}}
        await world.ask(herds.UPDATE, ANN, herd="sales", says=said, condition=ANY)
        whole = await world.ask(herds.GET, herd="sales")
        assert [one["name"] for one in whole.says["roles"]] == ["plain", "secret"]
        assert whole.says["herd"]["description"] == "new"


async def test_a_herd_is_shown_without_rights_to_who_may_not_read_them():
    rule = Rule((Verb.GET,), (Resource.HERDS,))
    role = Role(RoleName("plain-reader"), "", (rule,))
    binding = Binding(BindingName("one"), EVERYTHING, role.name, RoleOf.CLUSTER, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as world:
        await with_roles(world, "plain")
        told = await world.ask(herds.GET, ANN, herd="sales")
        assert {"roles", "bindings"}.isdisjoint(told.says)


async def test_what_was_written_by_itself_is_not_taken_away_by_the_file_and_goes_by_itself():
    async with served() as world:
        await with_roles(world, "own")
        asked: dict[str, Any] = {"herd": "sales", "condition": ANY}
        filed = {"name": "filed", **RULES[0]}
        for says in ({"roles": [filed]}, {}):
            await world.ask(herds.UPDATE, says=says, **asked)
            page = await world.ask(roles.LIST, herd="sales")
            assert {one.role for one in page.items} == {"own", *(["filed"] if says else [])}
        await world.ask(bindings.DELETE, binding="own", **asked)
        await world.ask(roles.DELETE, role="own", **asked)
        assert (await world.ask(roles.LIST, herd="sales")).items == ()


async def test_hints_name_no_hidden_role_or_binding():
    hides = hidden(Resource.ROLES, "secret", role="cluster-admin")
    async with served(**hides) as world:
        await with_roles(world, "secret")
        said = {"binding": "new", "role": "secre", "subjects": ["user:corp:zed"]}
        with pytest.raises(Refused) as refused:
            await world.ask(bindings.CREATE, ANN, herd="sales", **said)
        assert "secret" not in refused.value.hint
    async with served(**hidden(Resource.BINDINGS, "secret", role="cluster-admin")) as world:
        await with_roles(world, "secret")
        with pytest.raises(Refused) as refused:
            await world.ask(roles.DELETE, ANN, herd="sales", role="secret", condition=ANY)
        assert (refused.value.code, refused.value.hint) == ("role_in_use", "")
