"""A part of the Barn in memory: loaded, kept up, and loaded anew when changes were missed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import trio.testing
from runink.actors.barn import Barn
from runink.actors.tables import Loaded, Seen, Table, follow, load, load_at_last
from runink.barn.commands import Compact
from runink.barn.keyvalue import Change, KeyValue, Span
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Pages
from runink.errors import TimedOut
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.trio


def item(key: str, value: int, revision: int = 1) -> KeyValue:
    return KeyValue(key, str(value).encode(), revision, revision, 1)


@asynccontextmanager
async def barn_client() -> Any:
    async with supervise() as supervisor:
        disk = FaultyDisk()
        ref = await supervisor.start(ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop)))
        yield BarnClient(ref, new_id=lambda: "t")


async def test_a_table_takes_what_has_its_prefix_and_nothing_else() -> None:
    table = Table("/a/", int)
    table.load((item("/a/1", 1), item("/b/1", 2)))
    assert [(one.key, one.value) for one in table] == [("/a/1", 1)]
    assert table.apply(Change(2, "/a/2", item("/a/2", 3, 2)))
    assert table.apply(Change(3, "/a/1", None))
    assert table.apply(Change(4, "/a/absent", None))
    assert not table.apply(Change(5, "/b/2", item("/b/2", 4, 5)))
    assert [(one.key, one.value, one.revision) for one in table] == [("/a/2", 3, 2)]


async def test_a_table_drops_what_it_does_not_want_any_more() -> None:
    table = Table("/a/", int, keep=lambda value: value < 10)
    table.load((item("/a/1", 1), item("/a/2", 20)))
    assert len(table) == 1
    assert table.apply(Change(2, "/a/1", item("/a/1", 10, 2)))
    assert len(table) == 0
    assert table.apply(Change(3, "/a/1", item("/a/1", 5, 3)))
    assert table.get("/a/1") is not None


class AwayBarn(BarnClient):
    """A Barn that is not heard of the first times that it is asked."""

    def __init__(self, barn: BarnClient, *, times: int) -> None:
        self._there = barn
        self.left = times

    async def read(self, *spans: Span, limit: int = 0, revision: int = 0) -> Pages:
        if self.left:
            self.left -= 1
            raise TimedOut("no answer within 10 s")
        return await self._there.read(*spans, limit=limit, revision=revision)


async def test_who_has_to_begin_with_what_there_is_waits_for_a_barn_that_is_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with barn_client() as barn:
        await barn.put("/a/1", 1)
        away = AwayBarn(barn, times=20)
        loaded = await load_at_last(away, ("/a/",))
        assert [one.key for one in loaded.items] == ["/a/1"]
        assert away.left == 0


async def test_what_is_there_is_told_first_then_every_change(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with barn_client() as barn, anyio.create_task_group() as group:
        await barn.put("/a/1", 1)
        seen: list[Seen] = []

        async def tell(one: Seen) -> None:
            seen.append(one)

        group.start_soon(partial(follow, barn, ("/a/",), tell))
        await anyio.sleep(0.1)
        await barn.put("/a/2", 2)
        await barn.put("/b/1", 2)
        await barn.delete("/a/1")
        await anyio.sleep(0.1)
        assert isinstance(seen[0], Loaded)
        told = [(change.key, change.now is None) for one in seen[1:] for change in one.changes]  # type: ignore[union-attr] # the first alone is no change
        assert told == [("/a/2", False), ("/a/1", True)]
        group.cancel_scope.cancel()


async def test_who_has_loaded_is_told_only_what_came_after(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with barn_client() as barn, anyio.create_task_group() as group:
        await barn.put("/a/1", 1)
        loaded = await load(barn, ("/a/",))
        await barn.put("/a/2", 2)
        seen: list[Seen] = []

        async def tell(one: Seen) -> None:
            seen.append(one)

        group.start_soon(partial(follow, barn, ("/a/",), tell, after_revision=loaded.revision))
        await anyio.sleep(0.1)
        assert [[change.key for change in one.changes] for one in seen] == [["/a/2"]]  # type: ignore[union-attr] # nothing is loaded
        group.cancel_scope.cancel()


async def test_who_was_away_for_too_long_is_told_everything_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with barn_client() as barn, anyio.create_task_group() as group:
        for number in range(10):
            await barn.put(f"/a/{number}", number)
        await barn.propose(Compact(8))
        seen: list[Seen] = []

        async def tell(one: Seen) -> None:
            seen.append(one)

        group.start_soon(partial(follow, barn, ("/a/",), tell, after_revision=3))
        await anyio.sleep(0.1)
        await barn.put("/a/x", 1)
        await anyio.sleep(0.1)
        first, second = seen
        assert isinstance(first, Loaded)
        assert (len(first.items), first.revision) == (10, 10)
        assert [change.key for change in second.changes] == ["/a/x"]  # type: ignore[union-attr] # it is a change
        group.cancel_scope.cancel()
