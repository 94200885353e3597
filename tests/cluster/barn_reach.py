"""A client's connections to a group that changes: to the members that it wants, whoever they are at the moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import anyio
from runink.clients.members import Connect, Members
from runink.runtime.ref import Ref


@asynccontextmanager
async def following(
    connect: Callable[[int], AbstractAsyncContextManager[Ref[Any]]],
    wanted: Callable[[], Iterable[int]],
    changed: Callable[[], anyio.Event],
) -> AsyncIterator[Members]:
    """Keep connections to those who are wanted for as long as the block; `changed` is set when these are others."""
    connects: dict[int, Connect] = {}
    members = Members(connects)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_follow, members, connects, connect, wanted, changed)
        try:
            yield members
        finally:
            tasks.cancel_scope.cancel()


async def _follow(
    members: Members,
    connects: dict[int, Connect],
    connect: Callable[[int], AbstractAsyncContextManager[Ref[Any]]],
    wanted: Callable[[], Iterable[int]],
    changed: Callable[[], anyio.Event],
) -> None:
    kept: dict[int, anyio.CancelScope] = {}
    async with anyio.create_task_group() as tasks:
        while True:  # ends by being cancelled
            event = changed()
            now = set(wanted())
            for member in now - kept.keys():
                connects[member] = partial(connect, member)
                kept[member] = scope = anyio.CancelScope()
                tasks.start_soon(_keep, members, member, scope)
            for member in kept.keys() - now:
                kept.pop(member).cancel()
            await event.wait()


async def _keep(members: Members, member: int, scope: anyio.CancelScope) -> None:
    with scope:
        await members.keep(member)
