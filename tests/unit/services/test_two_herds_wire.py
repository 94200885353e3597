"""The two-herd matrix by the wire: each principal with a link of its own, let in by its token, and asked as a program asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from http_carrier import TOKENS, OverHttp
from runink.clients.api_requests import Call, Leave, Next
from runink.errors import RuninkError
from runink.identity.principals import Principal
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import Operation, Source, sources_of
from runink.operations.purses import Budget
from runink.operations.rates import Rates
from runink.runtime.connections import Peer, connect_tcp
from runink.runtime.remote import RemoteRef
from runink.testing.served import NOW_MS, Served
from runink.testing.wire_door import desk_parts, wire_door
from two_herds import BY_NAME, ENDED, Outcome, Told, mistakes_of, outcome_of, tells_at_once

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Who may what has nothing to do with the loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def carrier(anyio_backend: str) -> AsyncIterator[ByWire]:
    """One door for all worlds, with a link for each principal."""
    del anyio_backend
    async with by_wire() as made:
        yield made


class ByWire(OverHttp):
    """A carrier, and to its desk what its like for HTTP is to a server: the services, the tokens and the rights of the world that is asked now."""

    wants_tokens = True  # nobody comes in unknown, not even for what is public

    def __init__(self) -> None:
        super().__init__()
        self.desks: dict[str, RemoteRef[Any]] = {}
        self.come: Callable[[str], AbstractAsyncContextManager[Peer]]

    async def ask(
        self,
        world: Served,
        operation: Operation,
        principal: Principal | None,
        fields: Mapping[str, Any],
        content: bytes | None,
    ) -> Told:
        self.world = world
        said = msgspec.to_builtins(dict(fields), builtin_types=(bytes,))
        if content is not None:
            sources = sources_of(operation)
            said |= {name: content for name in sources if sources[name] is Source.BODY}
        call = Call(operation.name, said, "*" if operation.is_conditional else "")
        try:
            token = next((one for one, who in TOKENS.items() if who is principal), "made-up")
            desk = self.desks.get(token) or await self._refused(token)
            called = await desk.ask(call, within=30)
            text = msgspec.json.encode(called.document).decode()
            if called.stream and tells_at_once(fields):
                part = await desk.ask(Next(called.stream, 1), within=30)
                text = msgspec.json.encode(part.events).decode()
            if called.stream:
                await desk.ask(Leave(called.stream), within=30)
        except RuninkError as error:
            outcome = Outcome.UNKNOWN if error.code == "unauthenticated" else outcome_of(error)
            return Told(outcome, error.code, f"{error.text} {error.hint}")
        return Told(Outcome.DONE, "", text)

    async def _refused(self, token: str) -> RemoteRef[Any]:
        """Come with a token that is not valid. Raises what that is refused with."""
        async with self.come(token) as peer:
            return peer.ref("api")


@asynccontextmanager
async def by_wire() -> AsyncIterator[ByWire]:
    often = Rates(per_s=1e6, burst=10**6)
    budget = Budget().times(10**6)
    carrier = ByWire()
    parts = desk_parts(
        carrier.authenticate,
        carrier,
        carrier,
        CATALOG,
        keys=carrier,
        budget=budget,
        failed=often,
        now_ms=lambda: NOW_MS,
    )
    async with wire_door(parts) as door, AsyncExitStack() as links:

        def come(token: str) -> AbstractAsyncContextManager[Peer]:
            return connect_tcp("127.0.0.1", door.port, credentials=token.encode())

        carrier.come = come
        for token, who in TOKENS.items():
            if who is not ENDED:
                carrier.desks[token] = (await links.enter_async_context(come(token))).ref("api")
        yield carrier


@pytest.mark.parametrize("name", BY_NAME)
async def test_by_the_wire_too_who_is_let_in_is_whom_the_plain_rules_let_in(
    name: str, carrier: ByWire
):
    assert await mistakes_of(BY_NAME[name], carrier) == []
