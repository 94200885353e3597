"""Requests that are answered beside a mailbox: so many at once, and each gives its place back, however it ends."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
import trio.testing
from runink.actors.in_hand import InHand
from runink.errors import NotFound, Overloaded
from runink.runtime.actor import Actor, Context, Later, Request
from runink.runtime.supervisor import ChildSpec, supervise

pytestmark = pytest.mark.trio


class Wait(Request[str], frozen=True):
    seconds: float
    is_refused: bool = False


class Waiting(Actor[Wait]):
    def __init__(self) -> None:
        self._in_hand = InHand(2, "too much at once")
        self._context: Context[Any]

    async def started(self, context: Context[Any]) -> None:
        self._context = context

    async def receive(self, message: Wait) -> Later:
        return self._in_hand.take(self._context, partial(self._wait, message))

    async def _wait(self, message: Wait) -> str:
        await anyio.sleep(message.seconds)
        if message.is_refused:
            raise NotFound("there is nothing")
        return "done"


async def test_who_comes_when_all_places_are_taken_is_refused_and_later_is_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("waiting", Waiting))

        async def is_refused() -> None:
            with pytest.raises(NotFound):
                await ref.ask(Wait(5.0, is_refused=True), within=9.0)

        async with anyio.create_task_group() as group:
            group.start_soon(is_refused)
            group.start_soon(partial(ref.ask, Wait(5.0), within=9.0))
            await anyio.sleep(1.0)
            with pytest.raises(Overloaded, match="too much at once"):
                await ref.ask(Wait(1.0), within=9.0)
        assert await ref.ask(Wait(1.0), within=9.0) == "done"
