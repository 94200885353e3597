"""Tokens and keys over the API: made once, listed without what they are, taken back; and the first administrator."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlencode

import msgspec
import pytest
from runink.barn.keys import BOOTSTRAP
from runink.clients.herds import create_herd
from runink.errors import Forbidden, Invalid, NotFound, Refused, RuninkError
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.bootstrap import RECORD, SECRET_BYTES, make_word
from runink.names import HerdName
from runink.operations.calls import Caller, Condition, Unauthenticated
from runink.operations.catalog import accounts, bindings, identity, tokens
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, program, served

pytestmark = pytest.mark.anyio
ANN, BEN, CY = person("ann"), person("ben"), person("cy")
NIGHTLY = program("sales", "nightly")
OF = {"herd": "sales", "account": "nightly"}
BOUND = [
    bound("admins", "admin", ANN.subject, herd="sales"),
    bound("viewers", "viewer", BEN.subject, herd="sales"),
    bound("nightly", "operator", NIGHTLY.subject, herd="sales"),
]


async def begun(cluster: Served) -> str:
    """Have a herd with a program, and return the program's secret."""
    await create_herd(cluster.barn, HerdRecord(HerdName("sales")), By("operator:root", NOW_MS))
    await cluster.ask(accounts.CREATE, ANN, **OF)
    secret: str = (await cluster.ask(accounts.CREATE_SECRET, ANN, **OF)).client_secret
    return secret


def form(secret: str, **said: str) -> bytes:
    fields = {"grant_type": "client_credentials", "client_id": "sales/nightly", "client_secret": secret}  # fmt: skip
    return urlencode(fields | said).encode()


async def is_good(cluster: Served, token: str) -> bool:
    assert cluster.board is not None
    try:
        await cluster.board.authenticate(token)
    except Unauthenticated:
        return False
    return True


async def test_a_token_is_minted_listed_without_itself_and_taken_back():
    async with served(bindings=BOUND, signs=True) as cluster:
        await begun(cluster)
        made = await cluster.ask(tokens.MINT, ANN, lifetime_s=60, description="a look", **OF)
        assert await is_good(cluster, made.access_token)
        assert made.until_ms == NOW_MS + 60_000
        (listed,) = (await cluster.ask(tokens.LIST, ANN, herd="sales")).items
        assert (listed.token, listed.state, listed.made_by, listed.description) == (made.token, "good", ANN.subject, "a look")  # fmt: skip
        assert made.access_token not in msgspec.json.encode(listed).decode()
        taken = await cluster.ask(tokens.REVOKE, ANN, token=made.token, **OF)
        assert (taken.state, taken.revoked_by) == ("revoked", ANN.subject)
        assert not await is_good(cluster, made.access_token)
        assert taken.revision > listed.revision


async def test_a_token_is_taken_back_by_the_account_that_it_is_of():
    async with served(bindings=BOUND, signs=True) as cluster:
        await begun(cluster)
        await cluster.ask(accounts.CREATE, ANN, herd="sales", account="other")
        made = await cluster.ask(tokens.MINT, ANN, **OF)
        with pytest.raises(NotFound):
            await cluster.ask(tokens.REVOKE, ANN, herd="sales", account="other", token=made.token)
        assert await is_good(cluster, made.access_token)


async def test_all_that_a_program_has_is_taken_back():
    async with served(bindings=BOUND, signs=True) as cluster:
        secret = await begun(cluster)
        made = [(await cluster.ask(tokens.MINT, ANN, **OF)).access_token for _ in range(2)]
        await cluster.ask(tokens.REVOKE_ALL, ANN, **OF)
        assert not any([await is_good(cluster, one) for one in made])
        listed = (await cluster.ask(tokens.LIST, ANN, herd="sales")).items
        assert [one.state for one in listed] == ["revoked", "revoked"]
        issued = await cluster.ask(tokens.ISSUE, None, content=form(secret))
        assert await is_good(cluster, issued.access_token)


async def test_the_tokens_of_an_account_that_is_taken_away_end_with_it():
    async with served(bindings=BOUND, signs=True) as cluster:
        secret = await begun(cluster)
        issued = await cluster.ask(tokens.ISSUE, None, content=form(secret))
        await cluster.ask(accounts.DELETE, ANN, condition=Condition(is_any=True), **OF)
        await cluster.ask(accounts.CREATE, ANN, **OF)
        other = await cluster.ask(tokens.MINT, ANN, **OF)
        assert await is_good(cluster, other.access_token)
        assert not await is_good(cluster, issued.access_token)


async def test_only_who_may_speak_for_a_program_has_its_token_and_only_who_may_sees_them():
    async with served(bindings=BOUND, signs=True) as cluster:
        await begun(cluster)
        with pytest.raises(Forbidden):
            await cluster.ask(tokens.MINT, BEN, **OF)
        with pytest.raises(Forbidden):
            await cluster.ask(tokens.LIST, BEN, herd="sales")
        with pytest.raises(NotFound):
            await cluster.ask(tokens.MINT, CY, **OF)


async def test_a_program_has_a_token_for_its_secret_as_clients_of_oauth_ask():
    async with served(bindings=BOUND, signs=True) as cluster:
        secret = await begun(cluster)
        issued = await cluster.ask(tokens.ISSUE, None, content=form(secret, scope="all of it"))
        assert (issued.token_type, issued.expires_in) == ("Bearer", 3600)
        assert await is_good(cluster, issued.access_token)
        with pytest.raises(Refused) as refused:
            await cluster.ask(tokens.ISSUE, None, content=form(secret[:-1]))
        assert refused.value.code == "invalid_client"


def shown(client: str, secret: str) -> Caller:
    return Caller(None, basic=b64encode(f"{client}:{secret}".encode()).decode())


async def test_a_program_may_show_its_secret_by_the_scheme_basic():
    async with served(bindings=BOUND, signs=True) as cluster:
        secret = await begun(cluster)
        grant = b"grant_type=client_credentials"
        for client in ("sales/nightly", "sales%2Fnightly"):  # as written, and as RFC 6749 has it
            issued = await cluster.ask(tokens.ISSUE, shown(client, secret), content=grant)
            assert await is_good(cluster, issued.access_token)
        with pytest.raises(Invalid):  # two words for one client
            await cluster.ask(tokens.ISSUE, shown(client, secret), content=form(secret))
        wrong = shown("sales/nightly", secret[:-1])
        with pytest.raises(Refused) as refused:
            await cluster.ask(tokens.ISSUE, wrong, content=grant)
        assert refused.value.code == "invalid_client"
        for bad in ("====", "bm9uZQ==", "/w==", "eDp"):
            with pytest.raises(Invalid):
                await cluster.ask(tokens.ISSUE, Caller(None, basic=bad), content=grant)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"grant_type=client_credentials",
        b"grant_type=password&client_id=a&client_secret=b",
        b"grant_type=client_credentials&client_id=a&client_id=b&client_secret=c",
        b"grant_type=client_credentials&client_id=a&client_secret=c&assertion=d",
        b"grant_type=client_credentials&client_id=%ff&client_secret=c",
        b"\xff\xfe",
        b"&".join(b"a%d=1" % number for number in range(50)),
    ],
)
async def test_a_form_that_asks_for_no_token_is_refused(content: bytes):
    async with served(signs=True) as cluster:
        with pytest.raises(Invalid):
            await cluster.ask(tokens.ISSUE, None, content=content)


async def test_where_nobody_signs_that_is_said():
    async with served() as cluster:
        with pytest.raises(Refused) as refused:
            await cluster.ask(identity.PUBLISHED, None)
        assert refused.value.code == "no_tokens"


async def test_keys_are_published_rotated_and_revoked():
    async with served(signs=True) as cluster:
        published = await cluster.ask(identity.PUBLISHED, None)
        assert [set(one) for one in published.keys] == [{"alg", "crv", "kid", "kty", "use", "x", "y"}]  # fmt: skip
        after = await cluster.ask(identity.ROTATE)
        assert [one.state for one in after.keys] == ["active", "upcoming"]
        with pytest.raises(RuninkError) as refused:
            await cluster.ask(identity.ROTATE)
        assert refused.value.code == "rotation_under_way"
        revoked = await cluster.ask(identity.REVOKE, key=after.keys[0].key)
        assert [one.state for one in revoked.keys] == ["active"]
        assert revoked.keys[0].key not in {one.key for one in after.keys}


async def test_the_first_administrator_is_made_once():
    word, kept = make_word(bytes(SECRET_BYTES), now_s=NOW_MS // 1000)
    async with served() as cluster:
        await cluster.barn.put(BOOTSTRAP.key(RECORD), kept)
        with pytest.raises(Forbidden):
            await cluster.ask(bindings.CLUSTER_LIST, ANN)
        for token, code in (("rna1.x", "bootstrap_unknown"), (word, "")):
            asked = {"token": token, "subject": ANN.subject}
            if code:
                with pytest.raises(Forbidden) as refused:
                    await cluster.ask(identity.BOOTSTRAP, None, **asked)
                assert refused.value.code == code
            else:
                made = await cluster.ask(identity.BOOTSTRAP, None, **asked)
                assert (made.subject, made.role) == (ANN.subject, "cluster-admin")
        (listed,) = (await cluster.ask(bindings.CLUSTER_LIST, ANN)).items
        assert listed.subjects == (ANN.subject,)
        assert await cluster.ask(identity.BOOTSTRAP, None, token=word, subject=ANN.subject)
        with pytest.raises(Forbidden) as used:
            await cluster.ask(identity.BOOTSTRAP, OPERATOR, token=word, subject=BEN.subject)
        assert used.value.code == "bootstrap_used"
