"""Whatever providers and browsers bring: a value, or an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from runink.errors import RuninkError
from runink.identity.flow_answers import (
    Pending,
    Tokens,
    read_device,
    read_device_tokens,
    read_tokens,
)
from runink.identity.flows import begin_code_flow, read_redirect
from runink.identity.provider_files import read_providers
from runink.identity.providers import Discovery, Provider, read_discovery
from runink.names import ProviderId
from runink.reach import Reach, checked_url

ISSUER = "https://login.example.com"
PROVIDER = Provider(id=ProviderId("x"), issuer=ISSUER, client_id="y")
DISCOVERY = Discovery(
    issuer=ISSUER, jwks_uri=f"{ISSUER}/keys", authorization_endpoint=f"{ISSUER}/auth"
)
MEMBERS = [
    "access_token", "token_type", "id_token", "refresh_token", "expires_in", "error",
    "error_description", "device_code", "user_code", "verification_uri", "interval", "issuer",
    "jwks_uri", "token_endpoint", "sub", "groups", "email", "exp", "jti",
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["Bearer", "invalid_grant", "slow_down", ISSUER]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=8)
bodies = st.binary(max_size=60) | objects.map(msgspec.json.encode)
statuses = st.sampled_from([200, 201, 400, 401, 404, 429, 500])


def told(call: Callable[[], Any], *codes: str) -> Any:
    """Return what comes of a call, nothing where it is an error of ours with one of these codes, or with any where none are named."""
    try:
        return call()
    except RuninkError as error:
        if (codes and error.code not in codes) or not error.text.isprintable():
            raise
        return None


@given(statuses, bodies)
@settings(max_examples=50)
def test_an_answer_of_a_provider_is_read_or_refused(status: int, body: bytes):
    found = told(lambda: read_tokens(status, body))
    assert found is None or found.access_token
    found = told(lambda: read_device(status, body))
    assert found is None or found.device_code
    found = told(lambda: read_device_tokens(status, body, interval_s=5))
    assert found is None or isinstance(found, Tokens | Pending)


@given(bodies)
def test_a_discovery_document_is_read_or_refused(body: bytes):
    found = told(lambda: read_discovery(PROVIDER, body), "discovery_refused")
    assert found is None or found.issuer == ISSUER


@given(st.text(max_size=200), st.binary(min_size=96, max_size=96))
def test_no_query_that_was_made_up_is_of_a_login(query: str, entropy: bytes):
    flow = begin_code_flow(PROVIDER, DISCOVERY, redirect_uri="https://a.example", entropy=entropy)
    assert told(lambda: read_redirect(flow, query), "login_foreign") is None


@given(st.text(max_size=300) | st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True))
def test_a_url_is_taken_apart_or_refused_and_is_the_same_when_it_is_put_together(text: str):
    reach = Reach(private=True, loopback=True)
    url = told(lambda: checked_url(text, reach), "url_refused")
    if url is not None:
        assert checked_url(url.origin + url.target, reach) == url
        assert not set(url.host) & set(" @#/?\\")
        assert (url.origin + url.target).isprintable()


KEYS = [
    "id", "issuer", "client_id", "audience", "token_types", "header_members", "algorithms", "scopes", "claims", "origins",
    "loopback", "keys_fresh", "keys_stale", "look_pause", "what",
]  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), values), max_size=3))
def test_settings_are_read_or_every_mistake_has_its_words(tables: list[dict[str, Any]]):
    text = msgspec.json.encode({"providers": tables}).decode()
    found = told(lambda: read_providers(text, file="p.json"), "providers_invalid")
    assert found is None or len(found) == len(tables)
