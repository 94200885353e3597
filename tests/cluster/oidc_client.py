"""What the cluster knows of a provider, and what it asks of it: the parts of single sign-on put together as a test wants them."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from oidc_world import BACK_TO, SECRET, Browser
from runink.actors.people import People, knowing
from runink.errors import RuninkError
from runink.identity.denials import Unauthenticated
from runink.identity.flow_answers import Tokens, read_tokens
from runink.identity.flows import (
    CodeFlow,
    Form,
    begin_code_flow,
    code_form,
    read_redirect,
    refresh_form,
)
from runink.identity.principals import Principal
from runink.identity.provider_tokens import identity_policy
from runink.identity.providers import Discovery, Provider
from runink.identity.tokens import Claims, read, verify
from runink.outgoing.http_messages import Answer


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def later(self, seconds: float) -> None:
        self.now_s += seconds


class World:
    """What the cluster knows of one provider, for one of its clients."""

    def __init__(
        self, provider: Provider, people: People, discovery: Discovery, clock: Clock
    ) -> None:
        self.provider = provider
        self.people = people
        self.providers = people.providers
        self.discovery = discovery
        self.clock = clock
        self.secret = "" if provider.client_id == "command-line" else SECRET

    async def sent(self, form: Form) -> Answer:
        return await self.providers.send(self.provider.issuer, form)

    async def tokens(self, form: Form) -> Tokens:
        answer = await self.sent(form)
        return read_tokens(answer.status, answer.body)

    async def refused(self, form: Form) -> RuninkError:
        with pytest.raises(RuninkError) as caught:
            await self.tokens(form)
        return caught.value

    def code_flow(self) -> CodeFlow:
        return begin_code_flow(
            self.provider, self.discovery, redirect_uri=BACK_TO, entropy=os.urandom(96)
        )

    def code_form(self, flow: CodeFlow, code: str) -> Form:
        return code_form(self.provider, self.discovery, flow, code=code, secret=self.secret)

    def refresh_form(self, token: str) -> Form:
        return refresh_form(self.provider, self.discovery, refresh_token=token, secret=self.secret)

    async def logged_in(self, user: str) -> Tokens:
        flow = self.code_flow()
        code = read_redirect(flow, Browser().log_in(flow.url, user))
        return await self.tokens(self.code_form(flow, code))

    async def who(self, token: str) -> Principal:
        return await self.people.who(token, now_s=int(time.time()))

    async def outcome(self, token: str) -> str:
        """Return whom a token speaks for, or why it is not taken."""
        try:
            return (await self.who(token)).name
        except Unauthenticated as error:
            return error.fault
        except RuninkError as error:
            return error.code

    async def identity(self, token: str, nonce: str) -> Claims:
        """Return what the ID token says that ends the login with this nonce."""
        held = await self.providers.keys(self.provider.issuer, kid_of(token))
        policy = identity_policy(self.provider, nonce=nonce)
        return verify(token, held.ring, policy, now_s=int(time.time()))


def kid_of(token: str) -> str:
    return str(read(token).header["kid"])


def with_key(token: str, kid: str, **others: str) -> str:
    """Return the token with another key in its header, which has not signed it."""
    header = json.dumps({**read(token).header, "kid": kid, **others}).encode()
    _, _, rest = token.partition(".")
    return f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.{rest}"


@asynccontextmanager
async def world(*providers: Provider) -> AsyncIterator[World]:
    """Know people of some providers, the first of which is the one that is spoken to."""
    clock = Clock()
    async with knowing(providers, now=lambda: clock.now_s) as people:
        discovery = await people.providers.discovery(providers[0].issuer)
        yield World(providers[0], people, discovery, clock)
