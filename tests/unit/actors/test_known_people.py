"""People of the providers that the Barn names: known while their provider's settings stand, whatever becomes of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
import pytest
from runink.actors.known_people import AGAIN_S, KnownPeople
from runink.actors.people import People
from runink.errors import Refused, Unavailable
from runink.identity.checked_tokens import Check
from runink.identity.denials import Unauthenticated
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.providers import Provider
from runink.identity.tokens import UnverifiedToken, read
from runink.names import ProviderId
from runink.testing.tokens import Issuer, claims, header

pytestmark = pytest.mark.trio
ONE = Provider(id=ProviderId("one"), issuer="https://one.example", client_id="runi")
TWO = Provider(id=ProviderId("two"), issuer="https://two.example", client_id="runi")


class Fake:
    """Stands for the people of one provider: whoever asks is its user."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    async def who_has(self, token: UnverifiedToken, *, now_s: int, check: Check) -> Principal:
        return Principal(PrincipalKind.USER, f"{self.provider.id}:{self.provider.audience}")


class Knowing:
    """Counts how often the people of a provider were begun with, and which are broken."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.broken: set[str] = set()

    @asynccontextmanager
    async def __call__(self, settings: Iterable[Provider]) -> AsyncIterator[People]:
        (provider,) = settings
        self.begun.append(provider.id)
        if provider.id in self.broken:
            raise Refused("no such file", code="bad_certificate")
        try:
            yield Fake(provider)  # type: ignore[misc] # what is asked of People, and no more
        finally:
            self.ended.append(provider.id)


def token_of(provider: Provider) -> UnverifiedToken:
    return read(Issuer().token(claims(iss=provider.issuer), header()))


async def test_people_are_known_by_their_issuer_and_of_no_other(autojump_clock: object):
    know = Knowing()
    people = KnownPeople(know)
    people.become([ONE, TWO])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(people.run)
        for provider in (ONE, TWO):
            found = await people.who_has(token_of(provider), now_s=0)
            assert found.name == f"{provider.id}:"
        people.become([TWO])
        with pytest.raises(Unauthenticated):
            await people.who_has(token_of(ONE), now_s=0)
        assert (await people.who_has(token_of(TWO), now_s=0)).name == "two:"
        assert know.begun.count("two") == 1, "the keys of who has not changed are kept"
        await anyio.wait_all_tasks_blocked()
        assert know.ended == ["one"]
        tasks.cancel_scope.cancel()


async def test_a_provider_with_other_settings_begins_anew(autojump_clock: object):
    know = Knowing()
    people = KnownPeople(know)
    people.become([ONE])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(people.run)
        await people.who_has(token_of(ONE), now_s=0)
        changed = Provider(id=ONE.id, issuer=ONE.issuer, client_id="runi", audience="api")
        people.become([changed])
        assert (await people.who_has(token_of(ONE), now_s=0)).name == "one:api"
        tasks.cancel_scope.cancel()


async def test_settings_that_cannot_be_used_shut_out_their_own_people_alone_and_are_tried_again(
    autojump_clock: object,
):
    know = Knowing()
    know.broken = {"one"}
    people = KnownPeople(know)
    people.become([ONE, TWO])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(people.run)
        with pytest.raises(Unavailable) as info:
            await people.who_has(token_of(ONE), now_s=0)
        assert info.value.code == "issuer_unusable"
        assert await people.who_has(token_of(TWO), now_s=0)
        know.broken = set()
        await anyio.sleep(AGAIN_S + 1)
        assert await people.who_has(token_of(ONE), now_s=0)
        tasks.cancel_scope.cancel()


async def test_who_begins_anew_knows_the_same_people(autojump_clock: object):
    people = KnownPeople(Knowing())
    people.become([ONE])
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(people.run)
            assert await people.who_has(token_of(ONE), now_s=0)
            tasks.cancel_scope.cancel()
