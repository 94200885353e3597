"""Runs come into a herd as that is declared, and into none that is deleted, whoever makes them and whenever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from controlled_world import HERD, controlled
from keeper_world import MINUTE, kept
from msgspec.structs import replace as changed
from runink.barn.keys import RUNS, herd_key
from runink.barn.keyvalue import key_prefix, one_key
from runink.calendars import Overlap, Schedule
from runink.clearances import ClearancePolicy, HerdMask
from runink.clients.barn import Committed, Transaction, decode_value
from runink.clients.herds import create_herd, delete_herd, get_herd, undelete_herd
from runink.contracts.hidden import Clearance
from runink.dag import Dag, Sink
from runink.errors import Conflict, QuotaExceeded, Refused
from runink.herds.lifecycle import By
from runink.herds.record import Declared, Deletion, HerdRecord, SliceBounds
from runink.runs.records import RunRecord

pytestmark = pytest.mark.trio

DECLARED = changed(HERD, cpu_m=500, priority_max=3, declared=Declared(1, 1, "ann"))
GONE = changed(HERD, deletion=Deletion(1, 2, "ann"))
SOON_S = 0.5


async def test_a_project_does_not_widen_what_was_declared(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.client.barn.put(herd_key(HERD.herd), DECLARED)
        request = changed(world.request(changed(HERD, cpu_m=0)), priority=9)
        record = await world.client.submit(request)
        assert record.priority == 3
        found = await world.client.barn.get(herd_key(HERD.herd), HerdRecord)
        assert found is not None
        assert found.value == DECLARED


async def test_without_a_declaration_the_newest_run_says_what_the_herd_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        for cpu_m in (500, 700):
            await world.client.submit(world.request(changed(HERD, cpu_m=cpu_m)))
            found = await world.client.barn.get(herd_key(HERD.herd), HerdRecord)
            assert found is not None
            assert found.value.cpu_m == cpu_m


async def test_what_is_out_of_the_herds_bounds_makes_no_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request(changed(HERD, bounds=SliceBounds(cpu_max_m=50)))
        with pytest.raises(QuotaExceeded, match="slice a asks for cpu 100m, 50m at most"):
            await world.client.submit(request)
        assert await world.client.barn.get(herd_key(HERD.herd), HerdRecord) is None


async def test_no_run_comes_into_a_deleted_herd_but_one_that_was_there_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        request = world.request()
        before = await world.client.submit(request)
        await world.client.barn.put(herd_key(HERD.herd), GONE)
        await anyio.sleep(SOON_S)
        with pytest.raises(Conflict, match="was deleted by ann"):
            await world.client.submit(world.request())
        assert (await world.client.submit(request)).run == before.run


async def test_a_herd_that_is_deleted_while_a_run_is_submitted_takes_it_no_more(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        await world.client.submit(world.request())
        await anyio.sleep(SOON_S)
        barn = world.controllers[0]._barn
        commit = barn.commit
        outcomes: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not outcomes:
                await world.client.barn.put(herd_key(HERD.herd), GONE)
            outcomes.append(await commit(transaction))
            return outcomes[-1]

        monkeypatch.setattr(barn, "commit", late)
        with pytest.raises(Conflict) as caught:
            await world.client.submit(world.request())
        assert caught.value.code == "herd_deleted"
        assert [one.succeeded for one in outcomes] == [False]


async def test_schedules_of_a_deleted_herd_stand_still_and_go_on_when_it_is_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        await world.deploy(Schedule("* * * * *", overlap=Overlap.ALLOW))
        await world.barn.put(herd_key(HERD.herd), GONE)
        before = await world.record()
        await anyio.sleep(3 * MINUTE / 1000)
        assert await world.runs() == []
        assert await world.record() == before
        await world.barn.put(herd_key(HERD.herd), HERD)
        await anyio.sleep(1.5 * MINUTE / 1000)
        assert len(await world.runs()) >= 1


def relying(dag: Dag) -> Dag:
    """Return the pipeline with sinks whose mask is the herd's."""
    relied = Clearance(by_herd=(HerdMask("Staff", "email", "truncate(3)"),))
    nodes = tuple(
        changed(one, clearance=relied) if isinstance(one, Sink) else one for one in dag.nodes
    )
    return changed(dag, nodes=nodes)


async def test_what_was_compiled_under_another_mask_makes_no_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        client, dag = world.world.client, relying(world.world.dag)
        said = changed(DECLARED, clearances=ClearancePolicy("truncate(3)"))
        await world.barn.put(herd_key(HERD.herd), said)
        await client.submit(changed(world.world.request(said), dag=dag))
        now = changed(said, clearances=ClearancePolicy("redact"))
        await world.barn.put(herd_key(HERD.herd), now)
        await anyio.sleep(SOON_S)
        with pytest.raises(Refused) as caught:
            await client.submit(changed(world.world.request(now), dag=dag))
        assert caught.value.code == "not_cleared"
        world.world.dag = dag
        await world.deploy(Schedule("* * * * *", overlap=Overlap.ALLOW))
        await anyio.sleep(1.5 * MINUTE / 1000)
        assert len(await world.runs()) == 1
        problem = (await world.record()).problem
        assert problem is not None
        assert problem.code == "not_cleared"


@pytest.mark.parametrize("seed", range(3))
async def test_at_no_moment_a_deleted_herd_has_a_run_that_lives_whoever_is_quicker(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)

    def late(commit: Callable[[Transaction], Awaitable[Committed]]) -> Any:
        """Let time pass between what was read and what is written."""

        async def committed(transaction: Transaction) -> Committed:
            await anyio.sleep(random.uniform(0, 0.2))
            return await commit(transaction)

        return committed

    ended: Counter[str] = Counter()  # submissions, by what has become of them
    async with controlled() as world, anyio.create_task_group() as group:
        barn = world.client.barn
        await world.add_node()
        group.start_soon(world.work)
        await create_herd(barn, HERD, By("ann", 1))
        begun = (await get_herd(barn, HERD.herd)).revision
        for client in (barn, world.controllers[0]._barn):
            monkeypatch.setattr(client, "commit", late(client.commit))

        async def submits() -> None:
            # Which of them come too late is chance, trio's own as well.
            while ended.total() < 20 or not ended["herd_deleted"] or not ended["taken"]:
                await anyio.sleep(random.uniform(0, 2))
                try:
                    await world.client.submit(world.request())
                except Conflict as error:
                    ended[error.code] += 1
                else:
                    ended["taken"] += 1

        async def deletes() -> None:
            for turn in count():
                await anyio.sleep(random.uniform(0, 0.5))
                with suppress(Conflict):
                    if turn % 2:
                        await undelete_herd(barn, HERD.herd)
                    else:
                        await delete_herd(barn, HERD.herd, By("bob", turn), kept_ms=1)

        async with anyio.create_task_group() as deleting:
            deleting.start_soon(deletes)
            async with anyio.create_task_group() as racing:
                racing.start_soon(submits)
                racing.start_soon(submits)
            deleting.cancel_scope.cancel()
        last = (await barn.status()).revision
        for revision in range(begun, last + 1):
            pages = await barn.read(one_key(herd_key(HERD.herd)), key_prefix(RUNS.prefix(HERD.herd)), revision=revision)  # fmt: skip
            herd, runs = (page.items for page in pages.pages)
            living = [one for item in runs if not (one := decode_value(item, RunRecord).value).state.is_over]  # fmt: skip
            is_deleted = decode_value(herd[0], HerdRecord).value.deletion is not None
            assert not (is_deleted and living), (revision, living)
        group.cancel_scope.cancel()
