"""Writes that depend on what is there: read it, decide, and write if nothing has changed since; else again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from runink.errors import Conflict

TURNS_MAX: Final = 20  # each is one in which somebody else has written in between


T = TypeVar("T")


async def in_turns(what: str, turn: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first thing that a turn returns: nothing is said by one that others came before. Raises what a turn raises, Conflict where they always do."""
    for _ in range(TURNS_MAX):
        found = await turn()
        if found is not None:
            return found
    raise Conflict(
        f"others change {what} all the time", code="revision_changed", hint="try it again"
    )
