"""Access is the same whether each member signs tokens and asks providers, or a node of its own does (`runi identity`); and what goes on while that node is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from barn_group import until
from oidc_client import world
from oidc_world import AUDIENCE, SECRET, Issuer, OidcServer, oidc_server, signing_key
from runink.client import AsyncClient
from runink.errors import RuninkError
from runink.identity.flows import client_form
from test_tokens_of_programs import FORCE_S, OF, all_say, asking, code_at, issued
from test_trusted_nodes import Farm, farm

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

SIGNS = "signs"  # the node, where there is one
PERSON = "user:real:program"  # whom the provider's own program is to us


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


async def token_of(issuer: Issuer) -> str:
    """Have a token of the provider."""
    async with world(issuer.settings("program")) as our:
        form = client_form(our.provider, our.discovery, secret=SECRET, scopes=())
        return str((await our.tokens(form)).access_token)


@asynccontextmanager
async def begun(folder: Path, issuer: Issuer, *, elsewhere: bool) -> AsyncIterator[tuple[Farm, str]]:  # fmt: skip
    """Have a cluster that knows the provider, and a program of a herd with a secret."""
    with farm(folder) as made:
        made.member("--init", *(("--identity", SIGNS) if elsewhere else ()))
        await made.says("m1", "ready")
        if elsewhere:
            token = made.runi("node", "token", "--role", "identity", "--name", SIGNS)["token"]
            made.start(SIGNS, "identity", "--server", made.place, "--join", token)
            await made.says(SIGNS, "ready in")
        async with asking(made, "m1") as operator:
            yield made, await _filled(operator, issuer)


async def _filled(operator: AsyncClient, issuer: Issuer) -> str:
    await operator.herds.create(says={"herd": {"id": "sales"}})
    await operator.accounts.create(**OF)
    secret = (await operator.accounts.secrets.create(**OF)).client_secret
    subjects = ["service-account:sales/nightly", PERSON]
    await operator.bindings.create(herd="sales", binding="all", role="viewer", subjects=subjects)
    says = {"id": "real", "issuer": issuer.url, "client_id": "program", "audience": AUDIENCE}
    await operator.issuers.create(says=says | {"loopback": True, "look_pause": "1s"})
    return str(secret)


async def refusal(ask: Any) -> str:
    with pytest.raises(RuninkError) as refused:
        await ask
    return refused.value.code


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_access_is_the_same_wherever_tokens_are_signed(
    tmp_path: Path, server: OidcServer, *, elsewhere: bool
) -> None:
    issuer = server.serve(keys=[signing_key("a", "ES256"), signing_key("r", "RS256")])
    async with begun(tmp_path, issuer, elsewhere=elsewhere) as (made, secret):
        # A program by its secret, one whose token somebody asks for, a person.
        program = await issued(made, "m1", secret)
        async with asking(made, "m1") as operator:
            minted = await operator.tokens.mint(**OF, lifetime_s=600)
            keys = await operator.signing_keys.get()
        assert [one.state for one in keys.keys] == ["active"]
        for token in (program, minted.access_token, await token_of(issuer)):
            await all_say(made, token, "", "m1")
        # Nobody else, and nobody any more.
        form = b"grant_type=client_credentials&client_id=sales%2Fnightly&client_secret=x"
        async with asking(made, "m1") as client:
            assert await refusal(client.tokens.issue(form=form)) == "invalid_client"
        async with asking(made, "m1", program) as client:
            assert await refusal(client.tokens.mint(**OF, lifetime_s=600)) == "forbidden"
        assert await code_at(made, "m1", program[:-4] + "AAAA") == "unauthenticated"
        async with asking(made, "m1") as operator:
            await operator.tokens.revoke(token=minted.token, **OF)
        began_s = time.monotonic()
        await all_say(made, minted.access_token, "unauthenticated", "m1")
        assert time.monotonic() - began_s < FORCE_S
        assert await code_at(made, "m1", program) == ""


async def test_while_who_signs_is_away_those_are_let_in_who_are_known_and_nobody_gets_anything_new(
    tmp_path: Path, server: OidcServer
) -> None:
    keys = [signing_key("a", "ES256"), signing_key("r", "RS256")]
    issuer = server.serve(keys=keys)
    async with begun(tmp_path, issuer, elsewhere=True) as (made, secret):
        program, person = await issued(made, "m1", secret), await token_of(issuer)
        for token in (program, person):
            await all_say(made, token, "", "m1")

        made.kill(SIGNS)
        form = f"grant_type=client_credentials&client_id=sales%2Fnightly&client_secret={secret}"

        async def is_missed() -> bool:
            async with asking(made, "m1") as client:
                return await refusal(client.tokens.issue(form=form.encode())) == "identity_away"

        await until(is_missed, "a member that misses who signs")
        for token in (program, person):
            assert await code_at(made, "m1", token) == ""
        async with asking(made, "m1") as operator:
            assert await refusal(operator.tokens.mint(**OF, lifetime_s=60)) == "identity_away"
        # The provider signs with a key that nobody has seen.
        issuer = server.serve(keys=[signing_key("b", "ES256"), *keys], again=issuer)
        newer = await token_of(issuer)
        assert await code_at(made, "m1", newer) != ""
        assert await code_at(made, "m1", person) == ""

        made.start(SIGNS, "identity", "--server", made.place)
        await made.says(SIGNS, "ready in", times=2)
        await all_say(made, await issued(made, "m1", secret), "", "m1")
        await all_say(made, newer, "", "m1")
