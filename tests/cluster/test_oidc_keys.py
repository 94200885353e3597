"""Keys of a certified OpenID provider that change, and a provider that goes away: who is let in meanwhile."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from oidc_client import World, kid_of, with_key, world
from oidc_world import SECRET, Browser, Issuer, OidcServer, oidc_server, signing_key
from runink.errors import Unavailable
from runink.identity.denials import Fault
from runink.identity.flows import client_form, read_redirect
from runink.identity.providers import PAUSE_S

pytestmark = pytest.mark.anyio
GROUPS = {"ada": ["team-a", "admins"], "bob": []}


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


@pytest.fixture(scope="module")
def issuer(server: OidcServer) -> Issuer:
    return server.serve(
        keys=[signing_key("ec", "ES256"), signing_key("rsa", "RS256")], groups=GROUPS
    )


class Keys:
    """An issuer whose keys change, a client that asks for tokens, and the cache that the cluster has."""

    def __init__(self, server: OidcServer, our: World, issuer: Issuer) -> None:
        self.server = server
        self.our = our
        self.issuer = issuer

    async def token(self) -> str:
        form = client_form(self.our.provider, self.our.discovery, secret=SECRET)
        return (await self.our.tokens(form)).access_token

    def change(self, *keys: dict[str, Any]) -> None:
        self.server.serve(keys=list(keys), again=self.issuer)

    @property
    def looks(self) -> int:
        return self.our.providers.statistics()[0].looks


@asynccontextmanager
async def changing(server: OidcServer, *keys: dict[str, Any]) -> AsyncIterator[Keys]:
    issuer = server.serve(keys=list(keys))
    async with world(issuer.settings("program")) as our:
        yield Keys(server, our, issuer)
    server.close(issuer)


async def test_keys_change_with_overlap_and_nobody_is_denied(server: OidcServer):
    old, new, rsa = signing_key("old", "ES256"), signing_key("new", "ES256"), signing_key("r", "RS256")  # fmt: skip
    async with changing(server, old, rsa) as keys:
        early = await keys.token()
        assert await keys.our.outcome(early) == "real:program"
        keys.our.clock.later(PAUSE_S)
        keys.change(new, old, rsa)
        late = await keys.token()
        assert kid_of(late) == "new"
        outcomes: list[str] = []

        async def ask(token: str) -> None:
            outcomes.append(await keys.our.outcome(token))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask, early)
                group.start_soon(ask, late)
        assert outcomes == ["real:program"] * 100
        assert keys.looks == 2


async def test_a_key_that_was_taken_away_is_cut(server: OidcServer):
    old, new, rsa = signing_key("old", "ES256"), signing_key("new", "ES256"), signing_key("r", "RS256")  # fmt: skip
    async with changing(server, old, rsa) as keys:
        early = await keys.token()
        assert await keys.our.outcome(early) == "real:program"
        keys.our.clock.later(PAUSE_S)
        keys.change(new, rsa)
        assert await keys.our.outcome(await keys.token()) == "real:program"
        assert await keys.our.outcome(early) == Fault.UNKNOWN_KEY


async def test_keys_serve_while_the_provider_is_away(server: OidcServer):
    old, new, rsa = signing_key("old", "ES256"), signing_key("new", "ES256"), signing_key("r", "RS256")  # fmt: skip
    async with changing(server, old, rsa) as keys:
        early = await keys.token()
        keys.change(new, old, rsa)
        late = await keys.token()
        keys.change(old, rsa)
        assert await keys.our.outcome(early) == "real:program"
        keys.server.close(keys.issuer)
        keys.our.clock.later(PAUSE_S)
        assert await keys.our.outcome(early) == "real:program"
        assert await keys.our.outcome(late) == "issuer_unreachable"
        assert await keys.our.outcome(early) == "real:program"
        keys.our.clock.later(PAUSE_S)
        keys.change(new, old, rsa)
        assert await keys.our.outcome(late) == "real:program"


async def test_500_tokens_with_made_up_keys_cost_one_fetch(server: OidcServer):
    async with changing(server, signing_key("a", "ES256"), signing_key("r", "RS256")) as keys:
        good = await keys.token()
        assert await keys.our.outcome(good) == "real:program"
        keys.our.clock.later(PAUSE_S)
        outcomes: list[str] = []

        async def ask(number: int) -> None:
            outcomes.append(await keys.our.outcome(with_key(good, f"made up {number}")))

        async with anyio.create_task_group() as group:
            for number in range(500):
                group.start_soon(ask, number)
            assert await keys.our.outcome(good) == "real:program"
        assert outcomes == [Fault.UNKNOWN_KEY] * 500
        assert keys.looks == 2


async def test_only_a_token_that_is_right_but_for_its_key_makes_anybody_look(server: OidcServer):
    async with changing(server, signing_key("a", "ES256"), signing_key("r", "RS256")) as keys:
        good = await keys.token()
        assert await keys.our.outcome(good) == "real:program"
        for bad, fault in (
            (with_key(good, "made up", typ="JWT"), Fault.TYPE),
            (with_key(good, "made up", alg="none"), Fault.ALGORITHM),
            (with_key(good, "made up", jku="https://evil.example"), Fault.HEADER),
            (with_key(good, "a", alg="RS256"), Fault.UNKNOWN_KEY),
            ("no token", Fault.FORM),
        ):
            keys.our.clock.later(PAUSE_S)
            assert await keys.our.outcome(bad) == fault
        assert keys.looks == 1
        assert await keys.our.outcome(with_key(good, "made up")) == Fault.UNKNOWN_KEY
        assert keys.looks == 2


async def test_several_providers_speak_for_their_own(server: OidcServer, issuer: Issuer):
    """Keys of one id at two providers are two keys, and nobody's token is another's."""
    other = server.serve(keys=[signing_key("ec", "ES256"), signing_key("rsa", "RS256")])
    first = issuer.settings("program")
    second = other.settings("program", id="other")
    stranger = server.serve(keys=[signing_key("ec", "ES256"), signing_key("rsa", "RS256")])
    names, tokens = [], []
    for settings in (first, second, stranger.settings("program", id="stranger")):
        async with world(settings) as one:
            form = client_form(settings, one.discovery, secret=SECRET)
            tokens.append((await one.tokens(form)).access_token)
    async with world(first, second) as our:
        names = [await our.outcome(token) for token in tokens]
        assert names == ["real:program", "other:program", Fault.ISSUER]
        # One's claims under the other's signature.
        (head, claims, _), (_, _, signature) = (token.split(".") for token in tokens[:2])
        assert await our.outcome(f"{head}.{claims}.{signature}") == Fault.SIGNATURE
        assert [one.id for one in our.providers.statistics()] == ["real", "other"]
        assert [one.looks for one in our.providers.statistics()] == [1, 1]
    server.close(other)
    server.close(stranger)


async def test_a_provider_with_a_certificate_of_its_companys_authority(
    server: OidcServer, tmp_path: Path
):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("127.0.0.1")
    tls = {
        "key": leaf.private_key_pem.bytes().decode(),
        "cert": b"".join(one.bytes() for one in leaf.cert_chain_pems).decode(),
    }
    keys = [signing_key("ec", "ES256"), signing_key("rsa", "RS256")]
    issuer = server.serve(keys=keys, groups=GROUPS, tls=tls)
    assert issuer.url.startswith("https://")
    async with world(issuer.settings("console", authority_file=str(tmp_path / "ca.pem"))) as our:
        flow = our.code_flow()
        browser = Browser(ssl.create_default_context(cafile=tmp_path / "ca.pem"))
        query = await anyio.to_thread.run_sync(partial(browser.log_in, flow.url, "ada"))
        tokens = await our.tokens(our.code_form(flow, read_redirect(flow, query)))
        assert await our.outcome(tokens.access_token) == "real:ada"

    with pytest.raises(ExceptionGroup) as caught:
        async with world(issuer.settings("console")):
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, Unavailable)
    assert "not trusted" in error.text
    server.close(issuer)
