"""The services of a cluster, called as HTTP and the wire call them, without either: a Barn in memory, what stands beside it, and roles and bindings that the test gives.

async with served(bindings=[bound("viewers", "viewer", "user:corp:ann", herd="sales")]) as cluster:
    page = await cluster.ask(herds.LIST, ANN)
    herd = await cluster.ask(herds.GET, ANN, herd="sales")
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio.lowlevel
import msgspec

from runink.actors.access_board import AccessBoard
from runink.actors.access_follower import AccessFollower
from runink.actors.barn import Barn
from runink.actors.governance import Governance
from runink.actors.identity import Identity
from runink.actors.known_people import KnownPeople
from runink.actors.runs import RunController
from runink.actors.signing_keys import Means
from runink.clients.access import read_index
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import Cluster
from runink.clients.identity_requests import IdentityRequest
from runink.errors import NotFound, Refused
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, Role, RoleOf
from runink.identity.vocabulary import EVERYTHING
from runink.names import BindingName, RoleName, RunId
from runink.operations.answers import Items, Kind
from runink.operations.calls import Caller, Condition, Context, Position
from runink.operations.declarations import (
    Asked,
    AskedPage,
    Method,
    Operation,
    Source,
    fields_of,
    sources_of,
)
from runink.operations.decoding import decode, path_values
from runink.operations.permission import check_may
from runink.runtime.ref import Ref
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise
from runink.secrets.seal import KEY_BYTES, RootKey
from runink.services.all import unaudited
from runink.services.auditing import Auditing
from runink.services.behind import Behind
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.node_shelves import desk_of

OPERATOR: Final = Principal(PrincipalKind.OPERATOR, "root")
NOW_MS: Final = 1_800_000_000_000


def person(name: str, *groups: str) -> Principal:
    """Return a user of the provider `corp`."""
    return Principal(PrincipalKind.USER, f"corp:{name}", tuple(f"corp:{one}" for one in groups))


def program(herd: str, name: str) -> Principal:
    """Return a service account."""
    return Principal(PrincipalKind.SERVICE_ACCOUNT, f"{herd}/{name}", herd=herd)


def bound(name: str, role: str, *subjects: str, herd: str = EVERYTHING) -> Binding:
    """Return a binding of a built-in role to subjects, in a herd or for all of them."""
    return Binding(BindingName(name), herd, RoleName(role), RoleOf.BUILT_IN, subjects)


@dataclass
class IndexAccess:
    """Decides by what a test gives, which it may replace, and by what stands in the Barn: services look there behind each change."""

    given: AccessIndex
    now_ms: int = NOW_MS
    _index: AccessIndex | None = None

    @property
    def index(self) -> AccessIndex:
        return self._index or self.given

    @index.setter
    def index(self, given: AccessIndex) -> None:
        self.given, self._index = given, None

    async def read(self, barn: BarnClient) -> AccessIndex:
        """Return the index as it is now, and go by it from here on."""
        stored, given = await read_index(barn), self.given
        roles, bindings = given.roles | stored.roles, given.bindings | stored.bindings
        self._index = AccessIndex(roles, bindings, stored.revision)
        return self._index

    def allows(
        self, principal: Principal, verb: str, resource: str, *, herd: str, name: str
    ) -> bool:
        if not name:
            return self.index.allows_some(principal, verb, resource, herd, now_ms=self.now_ms)
        return self.index.allows(principal, verb, resource, herd, name, now_ms=self.now_ms)

    def hides(
        self, principal: Principal, verb: str, resource: str, *, herd: str, name: str
    ) -> bool:
        return self.index.hides(principal, verb, resource, herd, name, now_ms=self.now_ms)

    def sees(self, principal: Principal, herd: str) -> bool:
        return bool(self.index.herds_visible(principal, [herd], now_ms=self.now_ms))


class Followed(Auditing):
    """Services whose changes of rights hold at once, as if the board that decides had heard of them."""

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        try:
            return await super().call(operation, request, caller, context)
        finally:
            if operation.method is not Method.GET:
                await self._behind.rights()


@dataclass
class Served:
    """Made by `served`. `access` decides, `now_ms` is the clock of services, `board` knows whose tokens are good, where they are made."""

    cluster: Cluster
    access: IndexAccess
    now_ms: int = NOW_MS
    services: Auditing = field(init=False)
    board: AccessBoard | None = None

    @property
    def barn(self) -> BarnClient:
        return self.cluster.barn

    async def seen(self, run: RunId) -> None:
        """Wait until the run controller has seen a run that a test has put into the Barn."""
        while True:  # ends when its watch has told it
            with suppress(NotFound):
                await self.cluster.look(run)
                return
            await anyio.lowlevel.checkpoint()

    async def ask(
        self,
        operation: Operation,
        by: Principal | Caller | None = OPERATOR,
        *,
        condition: Condition | None = None,
        position: Position | None = None,
        once: str = "",
        content: bytes | None = None,
        **fields: Any,
    ) -> Any:
        """Ask as HTTP does: the path is read, the right is checked, the fields are decoded. `content` is a body of bytes."""
        sources = sources_of(operation)
        unknown = fields.keys() - fields_of(operation.request).keys()
        assert not unknown, f"{operation.name} has no {unknown}"
        path = {name: str(value) for name, value in fields.items() if sources[name] is Source.PATH}
        path = path_values(operation, path)
        caller = by if isinstance(by, Caller) else Caller(by)
        try:
            check_may(self.access, operation, caller.principal, path)
        except Refused as error:
            await self.services.denied(
                operation, path, caller, request_id="request-1", code=error.code
            )
            raise
        query = [
            (name, one if isinstance(one, str) else msgspec.json.encode(one).decode())
            for name, value in fields.items()
            if sources[name] is Source.QUERY
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        body = {name: value for name, value in fields.items() if sources[name] is Source.BODY}
        raw = content if content is not None else msgspec.json.encode(body) if body else b""
        asked = decode(operation, path, query, raw)
        context = Context("request-1", condition=condition, position=position, once=once)
        answer = await self.services.call(operation, asked, caller, context)
        if operation.kind is Kind.PAGE:
            assert isinstance(answer, Items)
            assert isinstance(asked, AskedPage)
            assert len(answer.items) <= asked.limit, "a page has no more than was asked for"
        return answer


@asynccontextmanager
async def served(
    *,
    roles: Iterable[Role] = (),
    bindings: Iterable[Binding] = (),
    disk: FaultyDisk | None = None,
    signs: bool = False,
    nodes: Mapping[str, Path] | None = None,
) -> AsyncIterator[Served]:
    """Have a cluster of one member, without a scheduler: runs stay as they were submitted. One that `signs` has who makes tokens. `nodes` keep files of runs, each in its folder."""
    used = disk or FaultyDisk()
    async with supervise() as supervisor:
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: used, offload=in_loop))
        )
        client = BarnClient(barn)
        governance = await supervisor.start(
            ChildSpec("governance", lambda: Governance(BarnClient(barn)))
        )
        access = IndexAccess(AccessIndex.compiled(roles, bindings))
        made = Served(Cluster(client, governance, None), access)
        controller = ChildSpec("runs", lambda: RunController(BarnClient(barn), session="", now_ms=lambda: made.now_ms))  # fmt: skip
        runs = await supervisor.start(controller)
        identity = await _signing(supervisor, barn, made) if signs else None
        files = await desk_of(supervisor, barn, nodes or {})
        made.cluster = Cluster(client, governance, runs, files=files, identity=identity)
        behind = Behind(
            cluster=made.cluster,
            access=access,
            now_ms=lambda: made.now_ms,
            entropy=os.urandom,
            index_of=access.read,
        )
        made.services = Followed(unaudited(behind), behind)
        yield made


async def _signing(
    supervisor: Supervisor, barn: Ref[BarnRequest], made: Served
) -> Ref[IdentityRequest]:
    """Start who signs tokens, and return it when it has a key."""
    people, root = KnownPeople(), RootKey(1, os.urandom(KEY_BYTES))
    board = made.board = AccessBoard(
        BarnClient(barn), people, issuer="urn:runink:test", now_ms=lambda: made.now_ms
    )
    means = Means(lambda: made.now_ms, os.urandom, lambda: (root,))

    def identity() -> Identity:
        rights = partial(made.access.read, made.barn)
        return Identity(BarnClient(barn), board, means, jitter=lambda: 0.0, rights=rights)

    follower = ChildSpec("access", lambda: AccessFollower(BarnClient(barn), board, people))
    await supervisor.start(follower)
    ref = await supervisor.start(ChildSpec("identity", identity))
    while not len(board.facts.signing):  # ends with the key, which is made at once
        await board.wait_past(board.facts.revision, within=10)
    return ref
