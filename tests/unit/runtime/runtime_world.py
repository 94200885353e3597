"""Actors for tests of the runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from runink.errors import NotFound, Unavailable
from runink.runtime.actor import Actor, Context, Later, Request
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, RestartPolicy, supervise


class Put(Request[int], frozen=True):
    """Answered with how many keys there are."""

    key: str
    value: bytes = b""


class Get(Request[bytes], frozen=True):
    key: str


class Crash(Request[None], frozen=True):
    text: str = "boom"


class Hang(Request[None], frozen=True):
    """Received for ever."""


class Promise(Request[str], frozen=True):
    """Answered later, by `Keep`."""

    name: str


class Keep(Request[None], frozen=True):
    name: str
    answer: str


class Spawn(Request[None], frozen=True):
    """Start a child task that waits for the gate, then crashes."""


class Finish(Request[None], frozen=True):
    pass


StoreMessage = Put | Get | Crash | Hang | Promise | Keep | Spawn | Finish


class Diary:
    """What happened to all lives of an actor, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gate = anyio.Event()


class Store(Actor[StoreMessage]):
    def __init__(self, diary: Diary | None = None) -> None:
        self.diary = diary or Diary()
        self.kept: dict[str, bytes] = {}
        self.promised: dict[str, Later] = {}
        self.context: Context[StoreMessage]

    async def started(self, context: Context[StoreMessage]) -> None:
        self.context = context
        self.diary.lines.append("started")

    async def stopped(self) -> None:
        self.diary.lines.append("stopped")

    async def receive(self, message: StoreMessage) -> object:
        match message:
            case Put(key, value):
                self.kept[key] = value
                return len(self.kept)
            case Get(key):
                if key not in self.kept:
                    raise NotFound(f"no key {key}")
                return self.kept[key]
            case Crash(text):
                raise RuntimeError(text)
            case Hang():
                self.diary.lines.append("hangs")
                await anyio.sleep_forever()
            case Promise(name):
                self.promised[name] = Later()
                return self.promised[name]
            case Keep(name, answer):
                self.promised.pop(name).answer(answer)
            case Spawn():
                self.context.spawn(self._wait_and_crash)
            case Finish():
                self.context.finish()
        return None

    async def _wait_and_crash(self) -> None:
        try:
            await self.diary.gate.wait()
        except BaseException:
            self.diary.lines.append("child cancelled")
            raise
        raise Unavailable("the child broke")


SOON = RestartPolicy(delay_s=0.001, delay_s_max=0.001)


@asynccontextmanager
async def one_store(
    make: Callable[[], Actor[Any]] = Store, **spec: Any
) -> AsyncIterator[LocalRef[StoreMessage]]:
    """Run one supervised actor, `store`."""
    async with supervise() as supervisor:
        yield await supervisor.start(ChildSpec("store", make, **{"policy": SOON, **spec}))
