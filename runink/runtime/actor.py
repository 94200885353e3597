"""Actors: all state in one place, one message at a time.

    started(context)   before the first message, of every life; the supervisor starts the next child when it has returned
    receive(message)   returns within about 10 ms; what takes longer is a child task that sends a message back
    stopped()          after every life, however it ended, also if `started` failed; shielded, STOPPED_S_MAX at most

A life ends in one of three ways:

    stop     the mailbox closes, what is in it is received; child tasks are cancelled, then `stopped` runs
    crash    an error in `started`, in `receive` or in a child task: what runs is cancelled, then `stopped` runs
    cut      the stop took too long: as a crash, without an error

Refused and Unavailable that `receive` raises are the answer to a Request, and no crash.  Raised on a message that nobody can be
answered for, they are: an actor that could not do what it was told starts anew from a known state.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio.abc

from runink.errors import Unavailable
from runink.runtime.envelope import Envelope, Later, Request
from runink.runtime.mailbox import STOPPING
from runink.runtime.ref import Ref

__all__ = ["Actor", "Context", "Envelope", "Later", "Request"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Context(Generic[M]):
    """What an actor may do about itself, for one life."""

    me: Ref[M]
    _group: anyio.abc.TaskGroup
    _finish: Callable[[], None]
    _is_closed: Callable[[], bool]
    _unread: Callable[[], int]

    @property
    def unread(self) -> int:
        """How many messages wait: an actor that does much for each may wait with it for the last of them."""
        return self._unread()

    def spawn(self, task: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start a child task. It is cancelled when the actor ends, and its crash is the actor's.

        A task that tells its own actor something while that is stopping is not heard, and just ends.
        """
        self._group.start_soon(self._child, task)

    async def _child(self, task: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await task()
        except Unavailable as error:
            if error.code != STOPPING or not self._is_closed():
                raise

    def finish(self) -> None:
        """End this life when the current message is done. Whether another begins is up to the child's `Restart`."""
        self._finish()


class Actor(Generic[M]):
    """Subclass it, write `receive`, and keep all state inside. A life is one object: after a crash a new one is made."""

    async def started(self, context: Context[M]) -> None:
        """Begin. Raises what makes it impossible."""

    async def receive(self, message: M) -> object:
        """Do what a message asks and return the answer, a Later, or nothing."""
        raise NotImplementedError

    async def stopped(self) -> None:
        """Give back what `started` took, as far as it came."""
