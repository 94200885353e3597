"""Who is known and who may what at each member, as the Barn changes under it; a member that cannot hear the others lets nobody in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
import trio.testing
from access_world import ANN, HERD, NIGHTLY, access_world, code_of
from runink.actors.access_board import STALE_S, AccessBoard
from runink.actors.access_follower import HEARD_EVERY_S, HEARD_WITHIN_S
from runink.actors.known_people import KnownPeople
from runink.actors.people import People
from runink.barn.keys import ACCOUNTS, BINDINGS, ISSUERS, OF_CLUSTER, herd_key
from runink.clients.herds import delete_herd, get_herd
from runink.clients.identity_requests import SignOut
from runink.errors import Unavailable
from runink.herds.lifecycle import By
from runink.identity.checked_tokens import Check
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.providers import Provider
from runink.identity.roles import Binding, RoleOf
from runink.identity.tokens import UnverifiedToken
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, ProviderId, RoleName
from runink.testing.tokens import NOW_S, URL, Issuer, claims, header

pytestmark = pytest.mark.trio
KEY = ACCOUNTS.key(HERD, NIGHTLY)


async def test_before_the_barn_was_read_nobody_is_known_and_nothing_is_allowed(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        board = AccessBoard(world.barn, KnownPeople(), issuer="x", now_ms=world.now_ms)
        assert await code_of(board.authenticate("x")) == "access_unknown"
        with pytest.raises(Unavailable):
            board.allows(ANN, Verb.GET, Resource.HERDS, herd="sales", name="sales")
        with pytest.raises(Unavailable):
            board.sees(ANN, "sales")


async def test_bindings_of_the_cluster_and_of_herds_count_as_soon_as_they_are_there(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await world.declare()
        asked = (ANN, Verb.GET, Resource.RUNS, "sales", "01A")
        assert not any(member.allows(*asked) for member in world.members)
        await world.bind("readers", "viewer", ANN.subject)
        assert all(member.allows(*asked) for member in world.members)
        assert all(member.allows(ANN, Verb.LIST, Resource.RUNS, "sales") for member in world.members)  # fmt: skip
        await world.delete(BINDINGS.key(OF_CLUSTER, "readers"))
        assert not any(member.allows(*asked) for member in world.members)
        assert not any(member.board.sees(ANN, "sales") for member in world.members)
        of_herd = Binding(BindingName("own"), HERD, RoleName("viewer"), RoleOf.BUILT_IN, (ANN.subject,))  # fmt: skip
        herd = await get_herd(world.barn, HERD)
        await world.put(herd_key(HERD), msgspec.structs.replace(herd.value, bindings=(of_herd,)))
        assert all(member.allows(*asked) for member in world.members)
        assert not any(member.allows(ANN, Verb.GET, Resource.RUNS, "stock", "01A") for member in world.members)  # fmt: skip


async def test_an_index_is_of_the_revision_of_the_last_change_of_rights(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await world.declare()
        await world.bind("readers", "viewer", ANN.subject)
        index = world.first.board.index
        await world.account()
        assert world.first.board.index is index, "accounts give no rights"
        await world.delete(BINDINGS.key(OF_CLUSTER, "readers"))
        assert world.first.board.index.revision > index.revision


async def test_a_token_ends_when_it_says_and_not_with_the_leeway(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await world.declare()
        await world.account()
        await world.bind("nightly", "viewer", "service-account:sales/nightly")
        made = await world.mint(lifetime_s=60)
        principal = await world.first.board.authenticate(made.token)
        assert principal.subject == "service-account:sales/nightly"
        await anyio.sleep(made.expires_s - world.now_ms() / 1000 - 1)
        assert not await world.first.refuses(made.token)
        await anyio.sleep(1.5)
        assert await world.first.refuses(made.token)
        assert not world.first.allows(principal, Verb.GET, Resource.RUNS, "sales", "01A")


@pytest.mark.parametrize("how", ["disabled", "deleted", "another", "herd"])
async def test_tokens_end_with_their_account_everywhere(
    how: str, autojump_clock: trio.testing.MockClock
):
    async with access_world() as world:
        await world.declare()
        account, _ = await world.account()
        await world.bind("nightly", "viewer", "service-account:sales/nightly")
        token = (await world.mint()).token
        principal = await world.first.board.authenticate(token)
        assert world.members[1].allows(principal, Verb.LIST, Resource.RUNS, "sales")
        await anyio.sleep(2)
        match how:
            case "disabled":
                await world.put(KEY, msgspec.structs.replace(account, is_disabled=True))
            case "deleted":
                await world.delete(KEY)
            case "another":
                await world.delete(KEY)
                await world.account()
            case "herd":
                found = await delete_herd(world.barn, HERD, By("x", world.now_ms()), kept_ms=1)
                await world.known(found.revision)
        for member in world.members:
            assert await member.refuses(token)
            assert not member.allows(principal, Verb.LIST, Resource.RUNS, "sales")
            assert not member.board.sees(principal, "sales")


async def test_who_cannot_hear_the_others_lets_nobody_in_until_it_does(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await world.declare()
        await world.account()
        made = await world.mint()
        alone, other = world.members
        alone.line.is_cut = True
        await anyio.sleep(STALE_S + HEARD_EVERY_S + HEARD_WITHIN_S)
        assert await code_of(alone.board.authenticate(made.token)) == "access_unknown"
        with pytest.raises(Unavailable):
            alone.allows(ANN, Verb.GET, Resource.RUNS, "sales", "01A")
        assert not await other.refuses(made.token)
        alone.line.is_cut = False
        await anyio.sleep(60)
        assert not await alone.refuses(made.token)


async def test_an_election_of_some_seconds_shuts_nobody_out(autojump_clock: trio.testing.MockClock):
    async with access_world() as world:
        await world.declare()
        await world.account()
        made = await world.mint()
        world.first.line.is_cut = True
        await anyio.sleep(STALE_S - HEARD_EVERY_S - 1)
        assert not await world.first.refuses(made.token)


async def test_whatever_is_no_token_is_refused_alike(autojump_clock: trio.testing.MockClock):
    async with access_world(members=1) as world:
        await world.declare()
        await world.account()
        good = (await world.mint()).token
        said = set()
        for token in ("", "x", "a.b.c", good[:-4] + "AAAA", good + "."):
            with pytest.raises(Exception) as info:  # noqa: PT011 - all of them are compared
                await world.first.board.authenticate(token)
            said.add((type(info.value), str(info.value)))
        assert len(said) == 1


async def test_nodes_and_operators_are_looked_up_nowhere(autojump_clock: trio.testing.MockClock):
    async with access_world(members=1) as world:
        operator = Principal(PrincipalKind.OPERATOR, "root")
        assert world.first.allows(operator, Verb.DELETE, Resource.HERDS, "sales", "sales")
        node = Principal(PrincipalKind.NODE, "w1")
        assert world.first.allows(node, Verb.GET, Resource.NODES, "", "w1")
        assert not world.first.allows(node, Verb.GET, Resource.NODES, "", "w2")


@asynccontextmanager
async def corp(settings: Iterable[Provider]) -> AsyncIterator[People]:
    """Stand for the people of a provider: by whatever token of it, it is ann who asks."""
    (provider,) = settings

    class Anns:
        async def who_has(self, token: UnverifiedToken, *, now_s: int, check: Check) -> Principal:
            claims = token.members
            return msgspec.structs.replace(
                ANN, token=claims["jti"], issued_s=claims["iat"], until_s=claims["exp"], key="k"
            )

    assert provider.id == "corp"
    yield Anns()  # type: ignore[misc] # what is asked of People, and no more


async def test_a_person_is_known_by_the_provider_that_the_barn_names_until_signed_out(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(know=corp) as world:
        token = Issuer().token(claims(), header())
        assert await world.first.refuses(token), "nobody has named the provider"
        provider = Provider(id=ProviderId("corp"), issuer=URL, client_id="runi")
        await world.put(ISSUERS.key("corp"), provider)
        for member in world.members:
            assert (await member.board.authenticate(token)).subject == ANN.subject
        await world.first.identity.ask(SignOut("x", "corp", "ann"), within=10)
        await anyio.sleep(0.1)
        assert all([await member.refuses(token) for member in world.members])
        await world.delete(ISSUERS.key("corp"))
        assert await world.first.refuses(Issuer().token(claims(iat=NOW_S + 20), header()))
