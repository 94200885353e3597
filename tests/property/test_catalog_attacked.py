"""The whole API of a cluster against its own document: nothing answers with 5xx, or with what the document does not say."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from api_attack import HEADERS, attacked
from runink.api.app import App, Parts, make_app
from runink.api.limits import Limits
from runink.identity.principals import Principal
from runink.operations.answers import Bookmark, Kind
from runink.operations.calls import Service, Unauthenticated
from runink.operations.cursors import Cursors
from runink.operations.declarations import HERD, Operation, path_names
from runink.services.kept_calls import BarnCalls
from runink.testing.served import OPERATOR

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "services"))
from access_rows import ROWS
from two_herds import BY_NAME, OWN, fields_for, world_of

TOKEN = HEADERS["Authorization"].removeprefix("Bearer ")
# A schema says of a text what it looks like, and not which texts mean something: contracts, archives, what is there and what is allowed now.
NOT_SAID = {"RejectedPositiveData"}


async def authenticate(token: str) -> Principal:
    if token != TOKEN:
        raise Unauthenticated("not known")
    return OPERATOR


class Ending:
    """Carries operations out, with streams that end at once: who is asked by a program that reads to the end would wait for ever."""

    def __init__(self, inner: Service) -> None:
        self._inner = inner

    async def call(self, operation: Operation, *asked: Any) -> Any:
        answer = await self._inner.call(operation, *asked)
        if operation.kind is not Kind.EVENTS:
            return answer
        if isinstance(answer, AsyncGenerator):
            await answer.aclose()
        return one_bookmark()


async def one_bookmark() -> AsyncIterator[Bookmark]:
    yield Bookmark(1)


@asynccontextmanager
async def cluster(name: str, names: dict[str, str]) -> AsyncIterator[App]:
    """Have a cluster in which there is what an operation is about, and that part of its API for somebody who may everything. Add to `names` what that goes by."""
    in_path = path_names(BY_NAME[name].path)
    async with world_of(BY_NAME[name]) as made:
        world = made.served
        known = fields_for(world, made.fields, OWN) | {HERD: OWN}
        names |= {one: str(known[one]) for one in in_path}
        parts = Parts(
            service=Ending(world.services),
            authenticate=authenticate,
            authorize=world.access,
            keys=BarnCalls(world.barn),
            cursors=Cursors([b"k" * 32]),
            limits=Limits(requests_burst=1_000_000, failures_burst=1_000_000),
        )
        yield make_app((BY_NAME[name],), parts)


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_of_the_whole_api_answers_with_5xx_or_with_what_the_document_does_not_say(
    name: str,
) -> None:
    names: dict[str, str] = {}
    operations = (BY_NAME[name],)
    found = attacked(partial(cluster, name, names), operations, names, examples=3, only=name)
    is_away = ROWS[name].told == "node_away"  # 503, which is said: no node is in these clusters
    assert found.get(name, set()) - NOT_SAID - ({"ServerError"} if is_away else set()) == set()
