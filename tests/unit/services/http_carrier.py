"""Carries the questions of the two-herd matrix over HTTP: one server for all worlds, with a token for each principal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from runink.api.app import Parts, make_app
from runink.api.limits import Limits
from runink.api.openapi import BASE
from runink.api.serving import Door, serving
from runink.config import Address
from runink.identity.principals import Principal
from runink.identity.vocabulary import Resource, Verb
from runink.operations.answers import Kind
from runink.operations.calls import Caller, Context, Unauthenticated
from runink.operations.catalog.table import CATALOG
from runink.operations.cursors import Cursors
from runink.operations.declarations import JSON, Asked, Operation, Source, sources_of
from runink.operations.idempotency import Record
from runink.services.kept_calls import BarnCalls
from runink.testing.served import Served
from two_herds import ENDED, PRINCIPALS, Outcome, Told, tells_at_once

SOON_S = 10.0
OUTCOMES = {
    HTTPStatus.UNAUTHORIZED: Outcome.UNKNOWN,
    HTTPStatus.FORBIDDEN: Outcome.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Outcome.ABSENT,
}
TOKENS = {
    f"token-{number}": who for number, who in enumerate(PRINCIPALS.values()) if who is not None
}


class OverHttp:
    """A carrier, and to its server the services, the tokens and the rights of the world that is asked now."""

    refuses_ended = True
    wants_tokens = False
    is_in_pairs = True

    def __init__(self) -> None:
        self.world: Served
        self.session: aiohttp.ClientSession
        self.url = ""

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        return await self.world.services.call(operation, request, caller, context)

    async def denied(self, operation: Operation, path: Any, caller: Caller, **said: str) -> None:
        await self.world.services.denied(operation, path, caller, **said)

    async def authenticate(self, token: str) -> Principal:
        who = TOKENS.get(token)
        if who is None or who is ENDED:
            raise Unauthenticated("not known")
        return who

    def allows(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        return self.world.access.allows(principal, verb, resource, herd=herd, name=name)

    def hides(
        self, principal: Principal, verb: Verb, resource: Resource, *, herd: str, name: str
    ) -> bool:
        return self.world.access.hides(principal, verb, resource, herd=herd, name=name)

    def sees(self, principal: Principal, herd: str) -> bool:
        return self.world.access.sees(principal, herd)

    async def read(self, place: str) -> tuple[Record | None, int]:
        return await BarnCalls(self.world.barn).read(place)

    async def write(self, place: str, record: Record, *, version: int) -> int:
        return await BarnCalls(self.world.barn).write(place, record, version=version)

    async def ask(
        self,
        world: Served,
        operation: Operation,
        principal: Principal | None,
        fields: Mapping[str, Any],
        content: bytes | None,
    ) -> Told:
        self.world = world
        async with self.session.request(
            **_request(self.url, operation, principal, fields, content)
        ) as answer:
            if answer.status < HTTPStatus.BAD_REQUEST:
                if operation.kind is not Kind.EVENTS:
                    return Told(Outcome.DONE, "", (await answer.read()).decode(errors="replace"))
                text = await _first_of(answer) if tells_at_once(fields) else ""
                return Told(Outcome.DONE, "", text)
            problem = await answer.json(content_type="application/problem+json")
            outcome = OUTCOMES.get(HTTPStatus(answer.status), Outcome.REFUSED)
            text = f"{problem['title']} {problem['detail']} {problem.get('hint', '')}"
            return Told(outcome, problem["code"], text)


async def _first_of(answer: aiohttp.ClientResponse) -> str:
    """Return the first event of a stream, with its kind."""
    async for line in answer.content:
        if line.startswith(b"event:"):
            return (line + await answer.content.readline()).decode()
    return ""


def _request(
    url: str,
    operation: Operation,
    principal: Principal | None,
    fields: Mapping[str, Any],
    content: bytes | None,
) -> dict[str, Any]:
    """Return what aiohttp is asked with."""
    sources = sources_of(operation)
    parts: dict[Source, dict[str, Any]] = {one: {} for one in Source}
    for name, value in fields.items():
        parts[sources[name]][name] = value
    path = operation.path
    for name, value in parts[Source.PATH].items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    query = [
        (name, one if isinstance(one, str) else msgspec.json.encode(one).decode())
        for name, value in parts[Source.QUERY].items()
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
    headers = {}
    if principal is not None:
        headers["Authorization"] = (
            f"Bearer {next(one for one, who in TOKENS.items() if who is principal)}"
        )
    if operation.is_conditional:
        headers["If-Match"] = "*"
    body = content
    if body is None and parts[Source.BODY]:
        body = msgspec.json.encode(parts[Source.BODY])
    if body is not None:
        headers["Content-Type"] = operation.takes if content is not None else JSON
    return {
        "method": operation.method,
        "url": url + path,
        "params": query,
        "headers": headers,
        "data": body,
    }


@asynccontextmanager
async def over_http() -> AsyncIterator[OverHttp]:
    """Have a server for as long as the block, on loopback."""
    carrier = OverHttp()
    parts = Parts(
        service=carrier,
        authenticate=carrier.authenticate,
        authorize=carrier,
        keys=carrier,
        cursors=Cursors([b"k" * 32]),
        limits=Limits(requests_burst=1_000_000, failures_burst=1_000_000),
    )
    async with (
        serving(make_app(CATALOG, parts), [Door(Address("127.0.0.1", 0))]) as server,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SOON_S)) as carrier.session,
    ):
        carrier.url = f"http://127.0.0.1:{server.addresses[0][1]}{BASE}"
        yield carrier
