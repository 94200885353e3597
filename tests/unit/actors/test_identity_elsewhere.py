"""A member whose tokens are signed by another node: it asks the first that is connected, and says so where none is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from runink.actors.identity_elsewhere import FetchedThere, IdentityElsewhere
from runink.clients.identity_requests import (
    Fetch,
    Fetched,
    IdentityRequest,
    KeysOf,
    PublishedKeys,
)
from runink.errors import LinkLost, NotFound, OutcomeUnknown, Refused, RuninkError, Unavailable
from runink.identity.providers import Provider
from runink.names import ProviderId
from runink.outgoing.http_messages import Answer, Request
from runink.runtime.actor import Actor
from runink.runtime.ref import LocalRef, Ref
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise

pytestmark = pytest.mark.anyio
URL = "https://login.example.com"
AWAY = LinkLost("there is no connection")


class Node(Actor[IdentityRequest]):
    """Answers, or is in a state in which it does not."""

    def __init__(self, name: str, trouble: RuninkError | None = None) -> None:
        self._name = name
        self._trouble = trouble

    async def receive(self, message: IdentityRequest) -> Any:
        if self._trouble is not None:
            raise self._trouble
        if isinstance(message, Fetch):
            return Fetched(200, f"{message.issuer} {message.url}".encode(), "application/json")
        return PublishedKeys(self._name, self._name, ())


async def started(supervisor: Supervisor, address: str, make: Callable[[], Actor[Any]]) -> LocalRef[Any]:  # fmt: skip
    return await supervisor.start(ChildSpec(address, make))


@asynccontextmanager
async def door(*troubles: RuninkError | None) -> AsyncIterator[Ref[IdentityRequest]]:
    async with supervise() as supervisor:
        nodes = [
            await started(supervisor, f"n{at}", lambda at=at, one=one: Node(f"n{at}", one))  # type: ignore[misc] # of a loop
            for at, one in enumerate(troubles)
        ]
        yield await started(supervisor, "identity", lambda: IdentityElsewhere(nodes))


async def who_answers(door: Ref[IdentityRequest]) -> str:
    found = await door.ask(KeysOf(), within=5)
    return found.issuer


async def test_the_first_node_that_is_connected_is_asked() -> None:
    async with door(None, None) as at:
        assert await who_answers(at) == "n0"
    async with door(AWAY, None) as at:
        assert await who_answers(at) == "n1"


async def test_where_none_is_connected_that_is_said() -> None:
    async with door(AWAY, AWAY) as at:
        with pytest.raises(Unavailable) as refused:
            await who_answers(at)
    assert refused.value.code == "identity_away"


@pytest.mark.parametrize("trouble", [Refused("no", code="no_signing_key"), OutcomeUnknown("it may have"), NotFound("x")])  # fmt: skip
async def test_what_a_node_answers_with_and_what_may_have_happened_is_asked_of_no_other(
    trouble: RuninkError,
) -> None:
    async with door(trouble, None) as at:
        with pytest.raises(type(trouble)):
            await who_answers(at)


async def test_a_providers_keys_are_fetched_by_the_node_that_has_its_settings() -> None:
    provider = Provider(id=ProviderId("corp"), issuer=URL, client_id="runink")
    async with door(None) as at:
        client = FetchedThere(provider, at)
        found = await client.ask(Request(f"{URL}/jwks"), within_s=5)
    assert found == Answer(200, f"{URL} {URL}/jwks".encode(), "application/json")
