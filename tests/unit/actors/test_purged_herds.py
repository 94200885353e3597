"""A purge takes all keys of one herd away and none of another's, also where it was cut before."""

from __future__ import annotations

import anyio
import pytest
import trio
import trio.testing
from controlled_world import controlled
from msgspec.structs import replace as changed
from runink.barn.commands import Delete
from runink.barn.keys import HERDS, OF_HERD, RIGHTS, herd_key, lineage_key, run_key, slice_key
from runink.barn.keyvalue import Span
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.clients.herds import begin_purge, purge
from runink.errors import Conflict, NotFound, Unavailable
from runink.herds.record import Declared, Deletion, HerdRecord
from runink.names import BundleHash, HerdName, PipelineName, RunId, SliceId
from runink.runs.records import RunRecord, RunState

pytestmark = pytest.mark.trio

CRM, LIKE = HerdName("crm"), HerdName("crm2")
RUNS = [RunId("01A"), RunId("01B")]


def run_of(herd: HerdName, run: RunId) -> RunRecord:
    made = RunRecord(run, herd, PipelineName("p"), "v", "P", "p.dsl", "/p", BundleHash("b"), RunState.SUCCEEDED, 1)  # fmt: skip
    return changed(made, ended_ms=2)


async def all_keys(barn: BarnClient) -> list[str]:
    items = (await barn.read(Span("/", "0"))).pages[0].items
    return [item.key for item in items if not item.key.startswith(RIGHTS.prefix())]


async def filled(barn: BarnClient, herd: HerdName) -> None:
    """Put a key of every kind that a herd has."""
    deletion = Deletion(1, 5, "ann")
    await barn.put(herd_key(herd), HerdRecord(herd, declared=Declared(1, 1, "ann"), deletion=deletion))  # fmt: skip
    for run in RUNS:
        await barn.put(run_key(herd, run), run_of(herd, run))
        await barn.put(lineage_key(herd, run), b"{}")
        await barn.put(slice_key(herd, run, SliceId("a")), b"{}")
    for kind in OF_HERD:
        if not (await barn.range(kind.prefix(herd), bytes)).items:
            await barn.put(kind.key(herd, *("x" for _ in range(kind.parts - 1))), b"{}")


class Cut(BarnClient):
    """A client whose machine is gone after so many deletions."""

    left = 0

    def _spend(self) -> None:
        if not self.left:
            raise Unavailable("the machine is gone")
        self.left -= 1

    async def delete(self, key: str) -> bool:
        self._spend()
        return await super().delete(key)

    async def delete_prefix(self, prefix: str) -> int:
        self._spend()
        return await super().delete_prefix(prefix)

    async def commit(self, transaction: Transaction) -> Committed:
        if any(isinstance(one, Delete) for one in transaction.operations):
            self._spend()
        return await super().commit(transaction)


async def test_a_purge_leaves_no_key_of_the_herd_wherever_it_was_cut_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        barn = world.client.barn
        await filled(barn, LIKE)
        others = await all_keys(barn)
        cut = Cut(barn._barn, new_id=lambda: "cut")
        is_cut, after = True, 0
        while is_cut:
            await filled(barn, CRM)
            await begin_purge(barn, CRM, now_ms=5)
            cut.left, is_cut = after, False
            try:
                await purge(cut, CRM)
            except Unavailable:
                is_cut = True
                assert (await barn.get(herd_key(CRM), HerdRecord)) is not None, (
                    "its name stays taken"
                )
                await begin_purge(barn, CRM, now_ms=0)
                assert await purge(barn, CRM) > 0
            assert await all_keys(barn) == others
            after += 1
        assert after > len(OF_HERD)
        assert [key for key in others if key.startswith(HERDS.prefix())] == [herd_key(LIKE)]


async def test_what_is_not_deleted_or_kept_still_is_not_purged(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        barn = world.client.barn
        with pytest.raises(NotFound):
            await begin_purge(barn, CRM, now_ms=5)
        await filled(barn, CRM)
        with pytest.raises(Conflict) as caught:
            await begin_purge(barn, CRM, now_ms=4)
        assert caught.value.code == "herd_kept"
        await anyio.lowlevel.checkpoint()
