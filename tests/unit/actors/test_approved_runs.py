"""A herd that wants its contracts approved gets no run with one that is not, by whichever way: submitted from a project, or due."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from controlled_world import HERD, Controlled, controlled
from keeper_world import MINUTE, kept
from msgspec.structs import replace as changed
from runink.barn.keys import approval_key, contract_key, herd_key
from runink.calendars import Schedule
from runink.clients.approvals import say
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.contracts.compatibility import ContractPolicy
from runink.contracts.fields import ContractSpec
from runink.dag import Check, Link
from runink.errors import Refused
from runink.governance.approvals import ApprovalRecord, Word
from runink.governance.registry import ContractVersion, Origin

pytestmark = pytest.mark.trio
SPEC = ContractSpec("Flight", "1.0.0", ())
WANTING = changed(HERD, contracts=ContractPolicy(approvals=1))


def with_contract(world: Controlled) -> None:
    """Have the pipeline check what it reads by the contract."""
    dag = world.dag
    links = (Link("a.source", "a.check"), Link("a.check", "a.sink"))
    (home,) = dag.slices
    home = changed(home, nodes=("a.source", "a.check", "a.sink"))
    world.dag = changed(dag, nodes=(*dag.nodes, Check("a.check", "a", SPEC)), links=links, slices=(home,))  # fmt: skip


async def publish(barn: BarnClient) -> None:
    await barn.put(herd_key(HERD.herd), WANTING)
    version = ContractVersion(HERD.herd, SPEC, SPEC.hash, Origin("f.py", "ann", 1))
    await barn.put(contract_key(HERD.herd, SPEC.name, SPEC.version), version)


async def approve(barn: BarnClient) -> None:
    word = Word("user:corp:bob", 1, SPEC.hash, approves=True)
    await say(barn, HERD.herd, SPEC.name, SPEC.version, word)


async def test_a_project_whose_file_wants_approval_is_run_when_its_contract_is_approved(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        with_contract(world)
        with pytest.raises(Refused, match=r"Flight 1\.0\.0 is not published"):
            await world.client.submit(world.request(WANTING))
        await publish(world.client.barn)
        with pytest.raises(Refused, match=r"published by operator:ann"):
            await world.client.submit(world.request(WANTING))
        tried = changed(world.request(WANTING), rehearsal=True)
        assert (await world.client.submit(tried)).rehearsal
        await approve(world.client.barn)
        assert (await world.client.submit(world.request(WANTING))).herd == HERD.herd


async def test_a_rejection_that_comes_while_a_run_is_submitted_keeps_it_out(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with controlled() as world:
        with_contract(world)
        await publish(world.client.barn)
        await approve(world.client.barn)
        barn = world.controllers[0]._barn
        commit = barn.commit
        outcomes: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not outcomes:
                word = Word("user:corp:eve", 2, SPEC.hash, approves=False, reason="pii")
                record = ApprovalRecord(HERD.herd, SPEC.name, SPEC.version, (word,))
                await world.client.barn.put(approval_key(HERD.herd, SPEC.name, SPEC.version), record)  # fmt: skip
            outcomes.append(await commit(transaction))
            return outcomes[-1]

        monkeypatch.setattr(barn, "commit", late)
        with pytest.raises(Refused, match="rejected by user:corp:eve: pii"):
            await world.client.submit(world.request(WANTING))
        assert [one.succeeded for one in outcomes] == [False]


async def test_a_tick_makes_no_run_while_the_contract_is_not_approved_and_says_why(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with kept() as world:
        with_contract(world.world)
        await publish(world.barn)
        await world.deploy(Schedule("* * * * *"))
        await anyio.sleep(1.5 * MINUTE / 1000)
        assert await world.runs() == []
        problem = (await world.record()).problem
        assert problem is not None
        assert problem.code == "contract_not_approved"
        await approve(world.barn)
        await anyio.sleep(MINUTE / 1000)
        assert len(await world.runs()) == 1
