"""The notes of `notebook.py` behind the desk of the wire, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from notebook import OPERATIONS, Guests, Notebook
from runink.clients.api_requests import Call, Called, Leave, Next, Part
from runink.clock import now_ms
from runink.runtime.connections import Peer, connect_tcp
from runink.services.desk import DeskParts
from runink.testing.wire_door import WireDoor, desk_parts, wire_door

SOON_S = 30.0  # what takes longer hangs


@dataclass
class Client:
    peer: Peer

    async def ask(self, message: Any) -> Any:
        return await self.peer.ref("api").ask(message, within=SOON_S)

    async def call(self, operation: str, *, if_match: str = "", key: str = "", **fields: Any) -> Called:  # fmt: skip
        called: Called = await self.ask(Call(operation, fields, if_match, key))
        return called

    async def document(self, operation: str, **asked: Any) -> Any:
        return (await self.call(operation, **asked)).document

    async def part(self, stream: int, part: int) -> Part:
        told: Part = await self.ask(Next(stream, part))
        return told

    async def leave(self, stream: int) -> None:
        await self.ask(Leave(stream))


@dataclass
class Clock:
    ms: int

    def __call__(self) -> int:
        return self.ms


class WireWorld:
    """A desk that listens. `clock` is the wall clock by which tokens end."""

    def __init__(self, **changes: Any) -> None:
        self.notebook, self.guests, self.clock = Notebook(), Guests(), Clock(now_ms())
        changes = {"now_ms": self.clock} | changes
        self.parts: DeskParts = desk_parts(self.guests, self.notebook, self.guests, OPERATIONS, **changes)  # fmt: skip
        self.door: WireDoor

    @asynccontextmanager
    async def client(
        self, token: bytes = b"anna-token", *, herd: str = ""
    ) -> AsyncIterator[Client]:
        async with connect_tcp("127.0.0.1", self.door.port, credentials=token, herd=herd) as peer:
            yield Client(peer)


@asynccontextmanager
async def wire_world(**changes: Any) -> AsyncIterator[WireWorld]:
    made = WireWorld(**changes)
    async with wire_door(made.parts) as made.door:
        yield made
