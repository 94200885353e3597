"""Supervision: children start in order, stop in the reverse order, and a crashed one is started anew.

    async with supervise() as supervisor:
        barn = await supervisor.start(ChildSpec("barn", Barn))             # returns its Ref when `started` has returned
        runs = await supervisor.start(ChildSpec("runs", partial(Runs, barn)))

    a life ends        permanent    transient    temporary
    by itself          anew         over         over
    by a crash         anew         anew         over
    by a stop          over         over         over

A crash is followed by a pause that doubles with every crash in the policy's window; one crash too many ends the supervisor: the body of `supervise` is
cancelled, all children are stopped in order, and the error is raised.  That is the child's own error where it is one of ours, else Broken
(`actor_crashed`).  At its first start a child is tried again only if it failed with Unavailable; any other error is raised by `start` at once.
Cancelling the body stops the children in order too: their tasks are shielded from it, and every stop has a limit.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.abc

from runink.errors import Broken, Conflict, NotFound, RuninkError, Unavailable
from runink.runtime.actor import Actor
from runink.runtime.cell import Cell, first_error
from runink.runtime.mailbox import MESSAGES_MAX
from runink.runtime.ref import LocalRef

M = TypeVar("M")

STOP_S_MAX: Final = 5.0  # what a mailbox full of ordinary messages takes, many times over
CHILDREN_MAX: Final = (
    1000  # of one supervisor; more are not services but work, and work is a child task
)

_log = logging.getLogger(__name__)


class Restart(Enum):
    """After which ends a child is started anew: see the module's table."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"

    def follows(self, error: Exception | None) -> bool:
        """Say whether another life follows on one that ended with this error, or with none."""
        match self:
            case Restart.PERMANENT:
                return True
            case Restart.TRANSIENT:
                return error is not None
            case Restart.TEMPORARY:
                return False


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`restarts_max` new lives within any `window_s`, the first after `delay_s`, each next after twice as long, up to `delay_s_max`."""

    restarts_max: int = 5
    window_s: float = 30.0
    delay_s: float = 0.1
    delay_s_max: float = 5.0

    def __post_init__(self) -> None:
        assert self.restarts_max >= 0
        assert 0 < self.delay_s <= self.delay_s_max


@dataclass(frozen=True, slots=True)
class ChildSpec(Generic[M]):
    """A child: `make` is called for every life. `stop_s_max` is for receiving what is in its mailbox; then it is cut."""

    address: str
    make: Callable[[], Actor[M]]
    restart: Restart = Restart.PERMANENT
    policy: RestartPolicy = RestartPolicy()
    messages_max: int = MESSAGES_MAX
    stop_s_max: float = STOP_S_MAX


@dataclass(frozen=True, slots=True)
class ChildStatistics:
    """A child in numbers. `restarts` are those within its policy's window."""

    address: str
    waiting: int
    restarts: int


@dataclass(eq=False, slots=True)
class _Child:
    spec: ChildSpec[Any]
    cell: Cell[Any]
    scope: anyio.CancelScope
    settled: anyio.Event = field(default_factory=anyio.Event)  # it has begun, or never will
    stopping: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)
    has_begun: bool = False
    restarts: deque[float] = field(default_factory=deque)
    failure: Exception | None = None

    def begun(self) -> None:
        self.has_begun = True
        self.settled.set()

    def pause_s(self, now_s: float) -> float | None:
        """Count a restart and return the pause before it, or nothing if there were too many."""
        policy = self.spec.policy
        while self.restarts and now_s - self.restarts[0] >= policy.window_s:
            self.restarts.popleft()
        if len(self.restarts) >= policy.restarts_max:
            return None
        self.restarts.append(now_s)
        return min(policy.delay_s * 2.0 ** (len(self.restarts) - 1), policy.delay_s_max)


class Supervisor:
    """Made by `supervise`."""

    def __init__(self, group: anyio.abc.TaskGroup, body: anyio.CancelScope) -> None:
        self._group = group
        self._body = body
        self._children: dict[str, _Child] = {}
        self._failure: Exception | None = None

    async def start(self, spec: ChildSpec[M]) -> LocalRef[M]:
        """Start a child and return its Ref when `started` has returned. Raises what made the start impossible."""
        if spec.address in self._children:
            raise Conflict(f"{spec.address} is here already", code="actor_exists")
        assert len(self._children) < CHILDREN_MAX
        cell = Cell(spec.address, spec.make, messages_max=spec.messages_max)
        child = _Child(spec, cell, anyio.CancelScope(shield=True))
        self._children[spec.address] = child
        self._group.start_soon(self._keep, child, name=spec.address)
        await child.settled.wait()
        if not child.has_begun:
            raise child.failure or Unavailable(f"{spec.address} was stopped", code="stopping")
        return cell.ref

    async def stop(self, address: str) -> None:
        """Stop a child: its mailbox closes, what is in it is received, then it ends. Not cancelled in the middle; it has a limit."""
        child = self._children.get(address)
        if child is None:
            raise NotFound(f"there is no child {address}", code="no_such_actor")
        with anyio.CancelScope(shield=True):
            await self._stop(child)

    def statistics(self) -> tuple[ChildStatistics, ...]:
        return tuple(
            ChildStatistics(address, len(child.cell.mailbox), len(child.restarts))
            for address, child in self._children.items()
        )

    async def _stop_all(self) -> None:
        with anyio.CancelScope(shield=True):
            for child in reversed(tuple(self._children.values())):
                await self._stop(child)

    async def _stop(self, child: _Child) -> None:
        child.stopping.set()
        child.cell.close()
        with anyio.move_on_after(child.spec.stop_s_max):
            await child.over.wait()
        child.scope.cancel()
        await child.over.wait()

    def _fail(self, error: Exception) -> None:
        """End the supervisor with the first error that comes here."""
        if self._failure is None:
            self._failure = error
        self._body.cancel()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    # A child's task.

    async def _keep(self, child: _Child) -> None:
        try:
            with child.scope:
                await self._live_again(child)
        finally:
            dropped = child.cell.end()
            del self._children[child.spec.address]
            child.settled.set()
            child.over.set()
            _log.debug(
                "actor stopped", extra={"address": child.spec.address, "messages_dropped": dropped}
            )

    async def _live_again(self, child: _Child) -> None:
        while True:  # ends with a stop, or when the policy allows no other life
            error = await self._live(child)
            if child.stopping.is_set() or not child.spec.restart.follows(error):
                break
            if not child.has_begun and not isinstance(error, Unavailable):
                break
            pause_s = child.pause_s(anyio.current_time())
            if pause_s is None:
                break
            with anyio.move_on_after(pause_s):
                await child.stopping.wait()
                return
        if error is not None:
            self._give_up(child, error)

    async def _live(self, child: _Child) -> Exception | None:
        """Live one life and return what it crashed with, or nothing."""
        try:
            await child.cell.live(child.begun)
        except Exception as error:  # noqa: BLE001 - whatever an actor crashes with, its supervisor decides
            _log.warning(
                "actor crashed",
                extra={"address": child.spec.address, "error": repr(error)},
                exc_info=None if isinstance(error, RuninkError) else error,
            )
            return error
        return None

    def _give_up(self, child: _Child, error: Exception) -> None:
        if not isinstance(error, RuninkError):
            crashed = Broken(
                f"{child.spec.address} crashed: {type(error).__name__}: {error}",
                code="actor_crashed",
                hint="this is a bug of ours; please report it with the log",
            )
            crashed.__cause__ = error
            error = crashed
        if not child.has_begun:
            child.failure = error  # raised by `start`
        elif child.spec.restart is not Restart.TEMPORARY:
            self._fail(error)


@asynccontextmanager
async def supervise() -> AsyncIterator[Supervisor]:
    """Open a supervisor for the body; on its end all children are stopped, the last one first. Raises the error that a child gave up with."""
    try:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as body:
                supervisor = Supervisor(group, body)
                try:
                    yield supervisor
                finally:
                    await supervisor._stop_all()  # noqa: SLF001 - the two are one
                    supervisor._raise_failure()  # noqa: SLF001 - as above
    except BaseExceptionGroup as errors:
        first = first_error(errors)
        if first is errors:
            raise
        raise first from first.__cause__
