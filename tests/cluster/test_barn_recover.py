"""Three members, two of them lost for good: the third is recovered, two others join it, and what comes back of the old group is refused."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from barn_group import BarnGroup, barn_group, until, votes
from runink.clients.barn import BarnClient
from runink.clients.membership import MembershipAdmin

pytestmark = pytest.mark.anyio

RUNI = [sys.executable, "-m", "runink.cli.main"]
KEYS = 60
OLD = (1, 2)
LEFT = 3


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; one is enough."""
    return "asyncio"


async def recover(group: BarnGroup) -> tuple[int | None, dict[str, Any]]:
    words = ["barn", "recover", str(group.state(LEFT)), "--yes", "-o", "json"]
    done = await anyio.run_process([*RUNI, *words], check=False)
    return done.returncode, json.loads(done.stdout)


async def keys_at(barn: BarnClient) -> dict[str, int]:
    return {found.key: found.value for found in (await barn.range("/k/", int)).items}


async def loses_two(group: BarnGroup) -> dict[str, int]:
    """Write, lose two members, recover the third; return what was acknowledged."""
    async with group.client() as barn:
        for number in range(KEYS):
            await barn.put(f"/k/{number:03}", number)
        await group.equal((await barn.status()).revision)
    for member in OLD:
        group.kill(member)
    code, refused = await recover(group)
    assert (code, refused["error"]["code"]) == (5, "storage_locked")
    group.kill(LEFT)
    code, told = await recover(group)
    assert (code, told["recovered"], told["voters"]) == (0, True, [1, 2, 3])
    group.start(LEFT)
    await group.ready(LEFT)
    return {f"/k/{number:03}": number for number in range(KEYS)}


async def test_the_last_of_three_goes_on_with_two_new_ones_and_without_the_old(tmp_path: Path):
    async with barn_group(tmp_path) as group:
        acknowledged = await loses_two(group)
        async with group.client(LEFT) as barn:
            assert await keys_at(barn) == acknowledged
            admin = MembershipAdmin(barn)
            new = [LEFT]
            for _ in range(2):
                member = await group.hire()
                await admin.add(member, group.place(member))
                group.start(member)
                await until(partial(votes, admin, member), f"vote of member {member}")
                new.append(member)
            revision = await barn.put("/k/new", KEYS)
        acknowledged["/k/new"] = KEYS
        await group.equal(revision, *new)
        lead = await group.leader(*new)
        before = await group.status(lead)
        assert (before.voters, before.learners) == (tuple(new), ())

        group.start(OLD[0])
        await group.ready(OLD[0])
        await until(partial(is_told, group), "word of a stranger")
        assert (await group.status(OLD[0])).lead == 0

        # Two of the old ones make a group again, which nobody can prevent; it stays for itself.
        group.start(OLD[1])
        await group.leader(*OLD)
        async with group.client(*OLD) as theirs, group.client(*new) as ours:
            await theirs.put("/k/old", 1)
            revision = await ours.put("/k/newer", KEYS + 1)
            acknowledged["/k/newer"] = KEYS + 1
            assert await keys_at(ours) == acknowledged
            assert "/k/newer" not in await keys_at(theirs)
        await group.equal(revision, *new)
        after = await group.status(lead)
        assert (after.cluster, after.voters) == (before.cluster, tuple(new))
        group.kill(LEFT)  # the new ones need it no more
        async with group.client(*new[1:]) as ours:
            assert await keys_at(ours) == acknowledged


async def is_told(group: BarnGroup) -> bool:
    return "messages of a stranger" in group.said(LEFT)
