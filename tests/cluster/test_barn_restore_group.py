"""A group of three is backed up while it runs, and another group of three begins from the file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from barn_group import barn_group

pytestmark = pytest.mark.anyio

RUNI = [sys.executable, "-m", "runink.cli.main"]


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; one is enough."""
    return "asyncio"


async def runi(*words: object) -> dict[str, Any]:
    done = await anyio.run_process([*RUNI, *map(str, words), "-o", "json"])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_three_members_begin_from_the_backup_of_another_three(tmp_path: Path):
    file = tmp_path / "barn.rnk"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    async with barn_group(tmp_path / "old") as old, old.client() as barn:
        lease = await barn.grant_lease(3600.0)
        for number in range(50):
            await barn.put(f"/k/{number % 20}", number, lease=lease if number < 5 else 0)
        taken = await runi("barn", "backup", file, "--state", old.state(2))
        digest = await old.equal(taken["revision"])
        await barn.put("/k/0", "after")
    async with barn_group(tmp_path / "new", are_begun=False) as new:
        voters = [word for member in new.members for word in ("--voter", member)]
        for member in new.members:
            words = ("--state", new.state(member), "--cluster", "restored", *voters)
            made = await runi("barn", "restore", file, *words)
            # One more revision: where the old members listened is deleted.
            assert (made["cluster"], made["revision"]) == ("restored", taken["revision"] + 1)
        for member in new.members:
            new.start(member)
        await new.ready()
        await new.leader()
        assert await new.equal(taken["revision"]) == digest
        async with new.client() as barn:
            found = await barn.get("/k/0", int)
            assert found is not None
            assert found.value == 40
            assert (await barn.status()).cluster == "restored"
            other = await barn.grant_lease(3600.0)
            assert other > lease
            revision = await barn.put("/k/new", 1, lease=other)
        assert revision > taken["revision"]
        await new.equal(revision)
