"""Actors of a simulation: they can be crashed, and their wall clock goes with the loop's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
import msgspec

from runink.runtime.actor import Actor, Context
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, RestartPolicy, Supervisor

EPOCH_MS: Final = 1_700_000_000_000
FOR_EVER: Final = RestartPolicy(restarts_max=1_000_000)  # a test decides how often is too often
MESSAGES_MAX: Final = 1024  # as in `control.py`


class Crash(msgspec.Struct, frozen=True):
    """Told to an actor of a simulated cluster it ends its life with an error."""


class CrashWanted(Exception):
    """What the life ends with."""


class CrashingActor(Actor[Any]):
    """An actor that can be crashed, around a real one."""

    def __init__(self, actor: Actor[Any]) -> None:
        self._actor = actor

    async def started(self, context: Context[Any]) -> None:
        await self._actor.started(context)

    async def receive(self, message: Any) -> object:
        if not isinstance(message, Crash):
            return await self._actor.receive(message)
        raise CrashWanted

    async def stopped(self) -> None:
        await self._actor.stopped()


def now_ms() -> int:
    """The wall clock of a simulation: it goes with the loop's."""
    return EPOCH_MS + round(anyio.current_time() * 1000)


@dataclass(frozen=True, slots=True)
class Lives:
    """Starts actors that can be crashed, and remembers where they are."""

    supervisor: Supervisor
    refs: dict[str, LocalRef[Any]]

    async def start(self, address: str, make: Callable[[], Actor[Any]]) -> LocalRef[Any]:
        made = ChildSpec(
            address,
            lambda: CrashingActor(make()),
            policy=FOR_EVER,
            messages_max=MESSAGES_MAX,
        )
        self.refs[address] = await self.supervisor.start(made)
        return self.refs[address]
