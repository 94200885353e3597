"""Logins at a certified OpenID provider: every flow, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from oidc_client import kid_of, world
from oidc_world import BACK_TO, SECRET, Browser, Issuer, OidcServer, oidc_server, signing_key
from runink.errors import Forbidden, Refused
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.flow_answers import (
    Pending,
    Tokens,
    read_device,
    read_device_tokens,
)
from runink.identity.flows import (
    client_form,
    device_form,
    device_token_form,
    logout_url,
    read_redirect,
)

pytestmark = pytest.mark.anyio
GROUPS = {"ada": ["team-a", "admins"], "bob": []}


@pytest.fixture(scope="module")
def server() -> Iterator[OidcServer]:
    with oidc_server() as server:
        yield server


@pytest.fixture(scope="module")
def issuer(server: OidcServer) -> Issuer:
    kinds = {"ec": "ES256", "rsa": "RS256", "ed": "EdDSA"}
    return server.serve(keys=[signing_key(*kind) for kind in kinds.items()], groups=GROUPS)


async def test_a_program_has_a_token_of_its_own(issuer: Issuer):
    async with world(issuer.settings("program")) as our:
        scopes = ("runs:read",)
        form = client_form(our.provider, our.discovery, secret=SECRET, scopes=scopes)
        tokens = await our.tokens(form)
        assert (tokens.scope, tokens.refresh_token, tokens.expires_s) == ("runs:read", "", 300)
        assert (await our.who(tokens.access_token)).name == "real:program"

        wrong = await our.refused(client_form(our.provider, our.discovery, secret="another"))
        assert (type(wrong), wrong.code) == (Refused, "client_refused")


async def test_keys_for_algorithms_that_are_not_checked_are_passed_over(issuer: Issuer):
    async with world(issuer.settings("program")) as our:
        held = await our.providers.keys(issuer.url)
        assert [kid for kid in ("ec", "rsa", "ed") if kid in held.ring] == ["ec", "rsa"]
        assert [one.kid for one in held.ring.skipped] == ["ed"]
    async with world(issuer.settings("program", algorithms=("RS256",))) as our:
        held = await our.providers.keys(issuer.url)
        assert "rsa" in held.ring
        assert "ec" not in held.ring


async def test_somebody_logs_in_with_a_browser_and_is_named_with_their_groups(issuer: Issuer):
    async with world(issuer.settings("console")) as our:
        flow = our.code_flow()
        query = Browser().log_in(flow.url, "ada")
        tokens = await our.tokens(our.code_form(flow, read_redirect(flow, query)))

        identity = await our.identity(tokens.id_token, flow.nonce)
        assert (identity.subject, identity.audiences) == ("ada", ("console",))
        assert (kid_of(tokens.id_token), kid_of(tokens.access_token)) == ("rsa", "ec")
        principal = await our.who(tokens.access_token)
        assert principal.name == "real:ada"
        assert principal.groups == ("real:admins", "real:team-a")
        assert principal.display == "ada@example.com"

        # Who has logged in is no token for the API, and nobody ends a login that is not theirs.
        assert await our.outcome(tokens.id_token) == Fault.TYPE
        with pytest.raises(Unauthenticated) as caught:
            await our.identity(tokens.id_token, our.code_flow().nonce)
        assert caught.value.fault is Fault.NONCE

        # A code serves once, and whoever tries it again spoils what came of it (RFC 6749 §4.1.2).
        again = await our.refused(our.code_form(flow, read_redirect(flow, query)))
        assert (type(again), again.code) == (Forbidden, "login_again")
        assert (await our.refused(our.refresh_form(tokens.refresh_token))).code == "login_again"


async def test_a_code_without_its_verifier_is_worth_nothing(issuer: Issuer):
    async with world(issuer.settings("console")) as our:
        flow, other = our.code_flow(), our.code_flow()
        code = read_redirect(flow, Browser().log_in(flow.url, "ada"))
        stolen = msgspec.structs.replace(flow, verifier=other.verifier)
        assert (await our.refused(our.code_form(stolen, code))).code == "login_again"


async def test_what_a_browser_brings_back_is_of_the_login_that_was_begun(issuer: Issuer):
    async with world(issuer.settings("console")) as our:
        flow, other = our.code_flow(), our.code_flow()
        query = Browser().log_in(flow.url, "ada")
        for attempt, text in (
            (other, query),
            (flow, query.replace("iss=http", "iss=https")),
            (flow, query.partition("&iss=")[0]),
        ):
            with pytest.raises(Forbidden) as caught:
                read_redirect(attempt, text)
            assert caught.value.code == "login_foreign"


async def test_who_says_no_is_not_logged_in(issuer: Issuer):
    async with world(issuer.settings("console")) as our:
        flow = our.code_flow()
        with pytest.raises(Forbidden) as caught:
            read_redirect(flow, Browser().log_in(flow.url, "ada", denies=True))
        assert caught.value.code == "login_denied"


async def test_a_refresh_token_is_changed_and_the_old_one_spoils_all(issuer: Issuer):
    async with world(issuer.settings("command-line")) as our:
        first = await our.logged_in("ada")
        second = await our.tokens(our.refresh_form(first.refresh_token))
        assert second.refresh_token not in {"", first.refresh_token}
        assert await our.outcome(second.access_token) == "real:ada"

        replayed = await our.refused(our.refresh_form(first.refresh_token))
        assert (type(replayed), replayed.code) == (Forbidden, "login_again")
        assert replayed.hint == "log in again"
        # Somebody has a copy: what came of it ends, too.
        assert (await our.refused(our.refresh_form(second.refresh_token))).code == "login_again"


async def test_somebody_logs_in_on_another_device(issuer: Issuer):
    async with world(issuer.settings("command-line")) as our:
        answer = await our.sent(device_form(our.provider, our.discovery))
        device = read_device(answer.status, answer.body)
        assert device.user_code in device.complete_uri
        form = device_token_form(our.provider, our.discovery, device_code=device.device_code)

        early = await our.sent(form)
        assert read_device_tokens(early.status, early.body, interval_s=5) == Pending(5)
        Browser().approve(device.complete_uri, "bob")
        late = await our.sent(form)
        tokens = read_device_tokens(late.status, late.body, interval_s=5)
        assert isinstance(tokens, Tokens)
        principal = await our.who(tokens.access_token)
        assert (principal.name, principal.groups) == ("real:bob", ())

        assert (await our.refused(form)).code == "login_again"


async def test_a_device_that_is_denied_or_unknown_is_told_so(issuer: Issuer):
    async with world(issuer.settings("command-line")) as our:
        answer = await our.sent(device_form(our.provider, our.discovery))
        device = read_device(answer.status, answer.body)
        Browser().approve(device.complete_uri, "bob", denies=True)
        for code, expected in ((device.device_code, "login_denied"), ("made-up", "login_again")):
            form = device_token_form(our.provider, our.discovery, device_code=code)
            assert (await our.refused(form)).code == expected


async def test_a_logout_is_begun_at_the_provider(issuer: Issuer):
    async with world(issuer.settings("console")) as our:
        tokens = await our.logged_in("ada")
        url = logout_url(
            our.provider, our.discovery, id_token=tokens.id_token, return_uri=BACK_TO, state="s"
        )
        back = Browser().log_in(url, "ada")
        assert back == "state=s"
        assert urlsplit(url).path == urlsplit(our.discovery.end_session_endpoint).path
        assert parse_qs(urlsplit(url).query)["client_id"] == ["console"]
