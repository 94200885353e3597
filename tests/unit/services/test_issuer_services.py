"""Providers of identities: read as their file is, told apart by their URLs, and what reaches into the machine said by its operator only."""

from __future__ import annotations

import pytest
from runink.errors import Conflict, Forbidden, Invalid, NotFound
from runink.identity.provider_files import provider_table, read_provider
from runink.operations.calls import Condition
from runink.operations.catalog import issuers
from runink.testing.served import bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
CHIEFS = [bound("chiefs", "cluster-admin", ANN.subject)]
CORP = {"id": "corp", "issuer": "https://login.example.com", "client_id": "runink"}
ANY = Condition(is_any=True)
EVERY_KEY = CORP | {
    "client_secret_file": "/etc/runink/corp.secret",
    "audience": "https://runink.example.com",
    "expected": {"hd": "example.com", "email_verified": True},
    "token_types": ["at+jwt", "jwt"],
    "header_members": ["x5t"],
    "algorithms": ["RS256"],
    "scopes": ["openid", "groups"],
    "resource": "https://runink.example.com",
    "origins": ["https://keys.example.com"],
    "authority_file": "/etc/runink/corp.pem",
    "claims": {"subject": "oid", "groups": "roles", "display": ["name"]},
    "private_addresses": True,
    "loopback": True,
    "keys_fresh": "10m",
    "keys_stale": "12h",
    "look_pause": "20s",
}


@pytest.mark.parametrize("table", [CORP, EVERY_KEY], ids=["what is needed", "every key"])
def test_a_table_is_told_as_it_was_said(table):
    provider = read_provider(table, where="says")
    assert provider_table(provider) == table
    assert read_provider(provider_table(provider), where="says") == provider


async def test_a_provider_that_was_made_can_be_logged_in_with():
    async with served(bindings=CHIEFS) as cluster:
        made = await cluster.ask(issuers.CREATE, ANN, says=CORP)
        assert (made.issuer, made.says) == ("corp", CORP)
        said = await cluster.ask(issuers.PROVIDERS, None)
        assert [(one.id, one.issuer, one.client_id, one.scopes) for one in said.providers] == [
            ("corp", "https://login.example.com", "runink", ("openid",))
        ]
        more = CORP | {"scopes": ["openid", "email"]}
        del more["id"]
        as_read = Condition(frozenset({made.revision}))
        await cluster.ask(issuers.UPDATE, ANN, issuer="corp", says=more, condition=as_read)
        with pytest.raises(Conflict):
            await cluster.ask(issuers.UPDATE, ANN, issuer="corp", says=more, condition=as_read)
        with pytest.raises(Invalid):
            await cluster.ask(issuers.UPDATE, ANN, issuer="corp", says=CORP | {"id": "x"}, condition=ANY)  # fmt: skip
        await cluster.ask(issuers.DELETE, ANN, issuer="corp", condition=ANY)
        with pytest.raises(NotFound):
            await cluster.ask(issuers.GET, ANN, issuer="corp")
        assert (await cluster.ask(issuers.PROVIDERS, None)).providers == ()


async def test_two_issuers_do_not_share_a_name_or_a_url():
    async with served() as cluster:
        await cluster.ask(issuers.CREATE, says=CORP, once="1")
        await cluster.ask(issuers.CREATE, says=CORP, once="1")
        for said in (CORP | {"issuer": "https://other.example.com"}, CORP | {"id": "corp2"}):
            with pytest.raises(Conflict) as refused:
                await cluster.ask(issuers.CREATE, says=said)
            assert refused.value.code == "exists"


@pytest.mark.parametrize(
    "more",
    [
        {"client_secret_file": "/var/lib/runink/root.key"},
        {"authority_file": "/etc/runink/corp.pem"},
        {"private_addresses": True},
        {"loopback": True},
    ],
)
async def test_what_reaches_into_the_machine_is_said_by_its_operator_only(more):
    async with served(bindings=CHIEFS) as cluster:
        with pytest.raises(Forbidden) as refused:
            await cluster.ask(issuers.CREATE, ANN, says=CORP | more)
        assert refused.value.code == "operators_only"
        await cluster.ask(issuers.CREATE, says=CORP | more)
        elsewhere = CORP | {"issuer": "https://evil.example.com"}
        for said in (elsewhere, elsewhere | more):
            with pytest.raises(Forbidden):
                await cluster.ask(issuers.UPDATE, ANN, issuer="corp", says=said, condition=ANY)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"issuer": "http://login.example.com"}, "http://"),
        ({"issuer": "file:///etc/passwd"}, "https"),
        ({"client_secret": "x"}, "secret does not stand"),
        ({"algorithms": ["HS256"]}, "HS256"),
        ({"issure": "x"}, "no issure"),
        ({"claims": [1]}, "claims is a table"),
    ],
)
async def test_mistakes_are_those_of_a_file(more, told):
    async with served() as cluster:
        with pytest.raises(Invalid) as refused:
            await cluster.ask(issuers.CREATE, says=CORP | more)
        assert refused.value.code == "providers_invalid"
        assert told in " ".join(one.text for one in refused.value.findings)
