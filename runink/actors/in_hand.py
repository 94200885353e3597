"""Requests that an actor answers beside its mailbox, each in a task of its own, and so many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from runink.errors import Overloaded, RuninkError
from runink.runtime.actor import Context, Later


class InHand:
    """The requests of one life of an actor. Who comes when there are `most` is told `refusal`."""

    def __init__(self, most: int, refusal: str) -> None:
        self._most = most
        self._refusal = refusal
        self._count = 0

    def take(self, context: Context[Any], work: Callable[[], Awaitable[object]]) -> Later:
        """Begin with the work, and return what will be answered with its result or its error. Raises Overloaded."""
        if self._count >= self._most:
            raise Overloaded(self._refusal, hint="try again")
        later = Later()
        self._count += 1
        context.spawn(partial(self._answer, work, later))
        return later

    async def _answer(self, work: Callable[[], Awaitable[object]], later: Later) -> None:
        try:
            later.answer(await work())
        except RuninkError as error:
            later.fail(error)
        finally:
            self._count -= 1
