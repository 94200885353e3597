"""A listener of a member for programs, in this process: the desk of the wire behind a cluster's entrance, with services and tokens that the test gives.

tokens = Tokens({"ann-token": ANN})
async with wire_door(desk_parts(tokens, world.services, world.access, CATALOG)) as door:
    with PlainClient(connect_tcp("127.0.0.1", door.port), credentials=b"ann-token") as client: ...
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import anyio.lowlevel

from runink.actors.trust_board import TrustBoard
from runink.clients.api_requests import ApiRequest
from runink.clients.cluster import API
from runink.clock import now_ms
from runink.identity.principals import Principal
from runink.loops import now_s
from runink.operations.calls import Authenticate, Authorize, Service, Unauthenticated
from runink.operations.cursors import Cursors
from runink.operations.declarations import Operation, Table
from runink.operations.hearing import Hearing
from runink.operations.idempotency import Record
from runink.runtime.connections import TlsContext, serve_tcp
from runink.runtime.directory import Directory
from runink.runtime.supervisor import ChildSpec, supervise
from runink.services.desk import ApiDesk, DeskParts
from runink.trust.entrance import ClusterEntrance
from runink.trust.programs import Programs

CLUSTER: Final = "farm"


@dataclass
class Tokens:
    """Knows tokens by heart. `asked` counts how often it was asked."""

    known: dict[str, Principal] = field(default_factory=dict)
    asked: int = 0

    async def __call__(self, token: str) -> Principal:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if token not in self.known:
            raise Unauthenticated(f"the token {token} was made up")
        return self.known[token]


class KeysInMemory:
    """Keeps records of calls with a key."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Record, int]] = {}
        self._versions = 0

    async def read(self, place: str) -> tuple[Record | None, int]:
        return self._kept.get(place, (None, 0))

    async def write(self, place: str, record: Record, *, version: int) -> int:
        await (
            anyio.lowlevel.checkpoint()
        )  # another call may come between, as in a store that is elsewhere
        if self._kept.get(place, (None, 0))[1] != version:
            return 0
        self._versions += 1
        self._kept[place] = (record, self._versions)
        return self._versions


def desk_parts(
    tokens: Authenticate,
    service: Service,
    authorize: Authorize,
    operations: Iterable[Operation],
    **changes: Any,
) -> DeskParts:
    """Return what a desk of a test is made of. `changes` are of the other fields, and `budget` and `failed` for who is heard."""
    rates = {name: changes.pop(name, None) for name in ("budget", "failed")}
    settings: dict[str, Any] = {
        "hearing": Hearing(tokens, clock=now_s, **rates),
        "keys": KeysInMemory(),
        "cursors": Cursors([b"k" * 32]),
        "now_ms": now_ms,
        "entropy": os.urandom,
    }
    return DeskParts(
        table=Table(operations), service=service, authorize=authorize, **(settings | changes)
    )


@dataclass(frozen=True)
class WireDoor:
    """Made by `wire_door`. `statistics` are the desk's."""

    port: int
    statistics: Callable[[], dict[str, int]]


@asynccontextmanager
async def wire_door(
    parts: DeskParts, *, board: TrustBoard | None = None, tls: TlsContext | None = None
) -> AsyncIterator[WireDoor]:
    """Listen on loopback while the block runs, for programs and for nodes that stand on the board."""
    desks: list[ApiDesk] = []

    def make() -> ApiDesk:
        desks.append(ApiDesk(parts))
        return desks[-1]

    programs = Programs(parts.hearing, now_ms=parts.now_ms)
    entrance = ClusterEntrance(
        CLUSTER, board or TrustBoard(), now_s=lambda: now_ms() // 1000, programs=programs
    )
    async with supervise() as supervisor:
        directory = Directory("member-1")
        directory.serve(await supervisor.start(ChildSpec(API, make)), ApiRequest)
        async with (
            serve_tcp("127.0.0.1", 0, directory, entrance=entrance, tls=tls) as port,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(programs.watch)
            yield WireDoor(port, desks[-1].statistics)
            tasks.cancel_scope.cancel()
