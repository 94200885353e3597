"""Tokens of programs: who gets one, that it is good at every member until it is taken back, and that the keys that sign them change under way."""

from __future__ import annotations

import anyio
import anyio.abc
import msgspec
import pytest
import trio.testing
from access_world import (
    ANN,
    BEGAN_MS,
    HERD,
    NIGHTLY,
    OPERATOR,
    WITHIN_S,
    AccessWorld,
    access_world,
    code_of,
)
from msgspec.structs import replace as changed
from runink.actors.identity import KEEP_EVERY_S
from runink.actors.taking_back import OWN_S
from runink.barn.keys import ACCOUNTS, BINDINGS, OF_CLUSTER, REVOCATIONS, SIGNING, TOKENS
from runink.barn.keyvalue import key_prefix
from runink.clients.access import taking
from runink.clients.barn import Transaction
from runink.clients.identity_requests import (
    GiveBack,
    KeysOf,
    RevokeAccount,
    RevokeKey,
    RevokeToken,
    RotateKeys,
    SigningFacts,
    SigningKeysOf,
    SignOut,
)
from runink.errors import Invalid, RuninkError
from runink.identity.accounts import without_secret
from runink.identity.algorithms import Algorithm
from runink.identity.failed_tries import TRIES_MAX, WINDOW_S
from runink.identity.issued import TOKENS_MAX, IssuedToken
from runink.identity.key_records import ROTATED_AFTER_S, KeyState, SigningRecord
from runink.identity.keys import KeyRing
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.rotation import PUBLISHED_AHEAD_S, RETIRES_AFTER_S
from runink.identity.signing import service_account_tokens
from runink.identity.tokens import verify

pytestmark = pytest.mark.trio
NIGHTLY_SUBJECT = "service-account:sales/nightly"


async def begun(world: AccessWorld) -> str:
    """Have a herd with one program, and return the program's secret."""
    await world.declare()
    _, secret = await world.account()
    return secret


async def keys_of(world: AccessWorld, member: int = 0) -> SigningFacts:
    return await world.members[member].identity.ask(SigningKeysOf(), within=WITHIN_S)


async def test_members_that_begin_together_make_one_key_that_lies_sealed(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=3) as world:
        listing = await world.barn.range(SIGNING.prefix(), SigningRecord)
        (record,) = [one.value for one in listing.items]
        assert (record.state, record.made_s) == (KeyState.ACTIVE, BEGAN_MS // 1000)
        assert len(record.sealed) > 32
        said = {(await one.identity.ask(KeysOf(), within=WITHIN_S)).keys[0]["kid"] for one in world.members}  # fmt: skip
        assert said == {record.kid}


async def test_a_token_of_one_member_is_good_at_another_until_it_is_taken_back_anywhere(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=3) as world:
        await begun(world)
        made, other = await world.mint(0), await world.mint(1)
        for member in world.members:
            principal = await member.board.authenticate(made.token)
            assert (principal.subject, principal.herd, principal.token) == (NIGHTLY_SUBJECT, HERD, made.id)  # fmt: skip
        taken = await world.members[2].identity.ask(RevokeToken("user:corp:ann", HERD, NIGHTLY, made.id), within=WITHIN_S)  # fmt: skip
        assert taken.token.revoked is not None
        assert taken.token.revoked.by == "user:corp:ann"
        assert await world.members[2].refuses(made.token), "at once where it was asked for"
        await anyio.sleep(0.1)
        assert all([await one.refuses(made.token) for one in world.members])
        assert not any([await one.refuses(other.token) for one in world.members])
        assert await code_of(world.first.identity.ask(RevokeToken("x", HERD, NIGHTLY, "01A"), within=WITHIN_S)) == "no_such_token"  # fmt: skip


async def test_all_that_an_account_has_is_taken_back_and_what_it_is_given_then_is_good(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        secret = await begun(world)
        old = [await world.mint(), await world.token(secret, 1)]
        revoke = RevokeAccount("operator:root", HERD, NIGHTLY)
        await world.members[1].identity.ask(revoke, within=WITHIN_S)
        new = await world.token(secret, 1)  # in the same second
        for member in world.members:
            assert all([await member.refuses(one.token) for one in old])
            assert not await member.refuses(new.token)


async def test_a_person_is_signed_out_of_what_was_made_up_to_now(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        last_s = await world.first.identity.ask(SignOut("operator:root", "corp", "ann"), within=WITHIN_S)  # fmt: skip
        facts = world.first.board.facts

        def why(name: str, issued_s: int) -> str:
            return facts.why_refused(Principal(PrincipalKind.USER, name, issued_s=issued_s))

        assert why("corp:ann", last_s)
        assert not why("corp:ann", last_s + 1)
        assert not why("corp:ben", last_s)
        assert not why("other:ann", last_s)


async def test_who_has_a_token_may_have_nobody_take_it_any_more(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        facts = world.first.board.facts

        async def give_back(one: Principal) -> None:
            await world.members[1].identity.ask(GiveBack(one), within=WITHIN_S)

        lost = Principal(PrincipalKind.USER, "corp:ann", token="lost", issued_s=9, until_s=900)
        other = changed(lost, token="other")
        await give_back(lost)
        assert facts.why_refused(lost)
        assert not facts.why_refused(other)
        assert not facts.why_refused(changed(lost, name="else:ann"))
        nameless = changed(lost, token="", issued_s=7)  # without a jti
        await give_back(nameless)
        assert facts.why_refused(nameless)
        assert not facts.why_refused(changed(nameless, issued_s=8))
        with pytest.raises(Invalid) as refused:
            await give_back(Principal(PrincipalKind.OPERATOR, "root"))
        assert refused.value.code == "no_token"


async def test_a_token_of_a_program_that_is_given_back_is_refused_by_all_members(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await begun(world)
        one, other = await world.mint(), await world.mint()
        who = Principal(PrincipalKind.SERVICE_ACCOUNT, f"{HERD}/{NIGHTLY}", herd=HERD, token=one.id, issued_s=one.issued_s, until_s=one.expires_s)  # fmt: skip
        await world.first.identity.ask(GiveBack(who), within=WITHIN_S)
        for member in world.members:
            assert await member.refuses(one.token)
            assert not await member.refuses(other.token)


async def test_a_program_gets_a_token_for_its_secret_and_for_no_other(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        secret = await begun(world)
        made = await world.token(secret)
        assert not await world.members[1].refuses(made.token)
        record = await world.barn.get(TOKENS.key(HERD, made.id), IssuedToken)
        assert record is not None
        assert (record.value.made_by, record.value.secret) == (NIGHTLY_SUBJECT, secret.split(".")[1])  # fmt: skip
        for client, shown in (
            ("sales/nightly", secret[:-1]),
            ("sales/other", secret),
            ("stock/nightly", secret),
            ("nightly", secret),
            ("", ""),
        ):
            assert await code_of(world.token(shown, client=client)) == "invalid_client"


async def test_who_tries_secrets_is_made_to_wait_and_shuts_nobody_else_out(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=1) as world:
        secret = await begun(world)
        for _ in range(TRIES_MAX):
            assert await code_of(world.token("wrong", address="evil")) == "invalid_client"
        assert await code_of(world.token(secret, address="evil")) == "too_many_failures"
        assert await world.token(secret, address="good")
        await anyio.sleep(WINDOW_S)
        assert await world.token(secret, address="evil")


async def test_a_secret_that_was_taken_back_gives_no_token_at_any_member(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await world.declare()
        account, secret = await world.account()
        await world.put(ACCOUNTS.key(HERD, NIGHTLY), without_secret(account, secret.split(".")[1]))
        for member in (0, 1):
            assert await code_of(world.token(secret, member)) == "invalid_client"


async def test_only_who_holds_what_a_program_may_gets_a_token_of_it(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await begun(world)
        await world.bind("nightly", "operator", NIGHTLY_SUBJECT)
        assert await code_of(world.mint(by=ANN)) == "forbidden"
        await world.bind("ann", "viewer", ANN.subject)
        assert await code_of(world.mint(by=ANN)) == "forbidden"
        await world.bind("admins", "admin", ANN.subject)
        assert await world.mint(by=ANN)


async def test_a_right_that_was_taken_away_gives_no_token_where_that_is_not_known_yet(
    autojump_clock: trio.testing.MockClock,
):
    """The board is a moment behind; the transaction is not. To delete a binding leaves no key that could be compared, so that is written down apart."""
    async with access_world(members=1) as world:
        await begun(world)
        await world.bind("admins", "admin", ANN.subject)
        key = BINDINGS.key(OF_CLUSTER, "admins")
        found: list[str] = []

        async def ask() -> None:
            try:
                await world.mint(by=ANN)
            except RuninkError as error:
                found.append(error.code)
            else:
                found.append("minted")

        async with anyio.create_task_group() as group:
            taken = taking(Transaction(), key)
            group.start_soon(world.barn.commit, taken)
            for _ in range(5):
                group.start_soon(ask)
        tokens = await world.barn.range(TOKENS.prefix(), IssuedToken)
        deleted = (await world.barn.range("/rights/", str)).items[0].revision
        assert all(one.revision < deleted for one in tokens.items), "none was made behind it"
        assert set(found) <= {"forbidden", "minted"}
        assert await code_of(world.mint(by=ANN)) == "forbidden"


async def test_an_account_has_so_many_tokens_and_no_more(autojump_clock: trio.testing.MockClock):
    async with access_world(members=1) as world:
        await begun(world)
        made = [await world.mint(lifetime_s=300) for _ in range(TOKENS_MAX)]
        assert await code_of(world.mint()) == "too_many_tokens"
        await world.first.identity.ask(RevokeToken("x", HERD, NIGHTLY, made[0].id), within=WITHIN_S)
        assert await world.mint(lifetime_s=300)
        await anyio.sleep(301)
        assert await world.mint()


@pytest.mark.parametrize("lifetime_s", [0, -5, 3601])
async def test_a_token_lives_an_hour_at_most(
    lifetime_s: int, autojump_clock: trio.testing.MockClock
):
    async with access_world(members=1) as world:
        await begun(world)
        assert await code_of(world.mint(lifetime_s=lifetime_s)) == "bad_lifetime"
        assert await world.mint(lifetime_s=3600)


async def test_what_has_expired_is_forgotten(autojump_clock: trio.testing.MockClock):
    async with access_world() as world:
        await begun(world)
        made = await world.mint(lifetime_s=60)
        await world.first.identity.ask(RevokeToken("x", HERD, NIGHTLY, made.id), within=WITHIN_S)
        await world.first.identity.ask(RevokeAccount("x", HERD, NIGHTLY), within=WITHIN_S)
        await world.pass_s(OWN_S + 2 * KEEP_EVERY_S)
        spans = [key_prefix(one.prefix()) for one in (TOKENS, REVOCATIONS)]
        pages = await world.barn.read(*spans)
        assert [page.items for page in pages.pages] == [(), ()]
        assert len(world.first.board.facts.revocations) == 0


async def test_a_rotation_refuses_no_token_at_any_member(autojump_clock: trio.testing.MockClock):
    """A program that has a token for a quarter of an hour, always, from a month before a rotation begins by itself to when the old key is gone."""
    async with access_world() as world:
        secret = await begun(world)
        first = (await keys_of(world)).keys[0].kid
        await world.pass_s(ROTATED_AFTER_S - 600)
        signed_by = set()
        ends_ms = world.now_ms() + 1000 * (1200 + PUBLISHED_AHEAD_S + RETIRES_AFTER_S)
        number = 0
        while world.now_ms() < ends_ms:
            number += 1
            made = await world.token(secret, member=number % 2)
            for _ in range(3):
                for member in world.members:
                    principal = await member.board.authenticate(made.token)
                    signed_by.add(principal.key)
                await world.pass_s(290)
        (now,) = (await keys_of(world)).keys
        assert signed_by == {first, now.kid}
        assert first != now.kid


async def test_a_rotation_is_begun_by_hand_and_one_at_a_time(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        facts = await world.first.identity.ask(RotateKeys("operator:root"), within=WITHIN_S)
        assert [one.state for one in facts.keys] == ["active", "upcoming"]
        again = world.members[1].identity.ask(RotateKeys("operator:root"), within=WITHIN_S)
        assert await code_of(again) == "rotation_under_way"
        await world.pass_s(PUBLISHED_AHEAD_S + 2 * KEEP_EVERY_S)
        assert [one.state for one in (await keys_of(world)).keys] == ["active", "retiring"]


async def test_a_stolen_key_is_cut_at_once_and_another_one_signs(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=3) as world:
        secret = await begun(world)
        old = await world.token(secret)
        await world.first.identity.ask(RotateKeys("operator:root"), within=WITHIN_S)
        kid = (await keys_of(world)).keys[0].kid
        facts = await world.members[1].identity.ask(RevokeKey("operator:root", kid), within=WITHIN_S)  # fmt: skip
        assert [(one.state, one.kid != kid) for one in facts.keys] == [("active", True)]
        await anyio.sleep(0.1)
        assert all([await one.refuses(old.token) for one in world.members])
        new = await world.token(secret, member=2)
        assert not any([await one.refuses(new.token) for one in world.members])
        assert await code_of(world.first.identity.ask(RevokeKey("x", kid), within=WITHIN_S)) == "no_such_key"  # fmt: skip


async def test_who_reads_the_published_keys_can_check_tokens(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=1) as world:
        secret = await begun(world)
        made = await world.token(secret)
        keys = await world.first.identity.ask(KeysOf(), within=WITHIN_S)
        document = msgspec.json.encode({"keys": keys.keys})
        ring = KeyRing.read(document, {Algorithm.ES256})
        policy = service_account_tokens(keys.issuer, keys.audience)
        claims = verify(made.token, ring, policy, now_s=world.now_ms() // 1000)
        assert claims.subject == "sales/nightly"


async def test_without_a_root_key_nothing_is_signed_and_the_member_goes_on(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=1, has_root=False) as world:
        await anyio.sleep(2)
        secret = await begun(world)
        assert await code_of(world.token(secret)) == "no_signing_key"
        assert world.first.allows(OPERATOR, "get", "herds", "sales", "sales")  # type: ignore[arg-type] # words
