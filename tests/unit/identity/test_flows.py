"""What is sent to get tokens, and what of a redirect is believed."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
from runink.errors import Forbidden, Refused, RuninkError
from runink.identity.flows import (
    CodeFlow,
    begin_code_flow,
    client_form,
    code_form,
    device_form,
    device_token_form,
    logout_url,
    read_redirect,
    refresh_form,
)
from runink.identity.providers import Discovery, Provider
from runink.names import ProviderId

ISSUER = "https://login.example.com"
BACK = "https://runink.example/back"
SECRET = "a horse/100%:+"
PROVIDER = Provider(
    id=ProviderId("x"), issuer=ISSUER, client_id="run ink", scopes=("openid", "email")
)
DISCOVERY = Discovery(
    issuer=ISSUER,
    jwks_uri=f"{ISSUER}/keys",
    authorization_endpoint=f"{ISSUER}/auth?tenant=1",
    token_endpoint=f"{ISSUER}/token",
    device_authorization_endpoint=f"{ISSUER}/device",
    end_session_endpoint=f"{ISSUER}/end",
    authorization_response_iss_parameter_supported=True,
)


def begun(**changes: Any) -> CodeFlow:
    discovery = msgspec.structs.replace(DISCOVERY, **changes)
    return begin_code_flow(PROVIDER, discovery, redirect_uri=BACK, entropy=bytes(range(96)))


def query(url: str) -> dict[str, str]:
    return {key: value for key, (value,) in parse_qs(urlsplit(url).query).items()}


def refused(flow: CodeFlow, text: str) -> RuninkError:
    with pytest.raises(RuninkError) as caught:
        read_redirect(flow, text)
    return caught.value


def test_a_browser_is_sent_with_a_challenge_a_state_and_a_nonce():
    flow = begun()
    assert flow.url.startswith(f"{ISSUER}/auth?tenant=1&")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest())
    assert query(flow.url) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "run ink",
        "redirect_uri": BACK,
        "scope": "openid email",
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert len({flow.verifier, flow.state, flow.nonce}) == 3
    assert all(len(one) == 43 for one in (flow.verifier, flow.state, flow.nonce))


def test_the_verifier_is_not_sent_with_the_browser_and_nothing_secret_is_shown():
    flow = begun()
    assert flow.verifier not in flow.url
    shown = repr(flow) + repr(code_form(PROVIDER, DISCOVERY, flow, code="c0de", secret=SECRET))
    assert not [one for one in (flow.verifier, flow.state, "c0de", SECRET) if one in shown]


def test_a_code_is_taken_from_the_login_that_was_begun():
    flow = begun()
    text = urlencode({"code": "c0de", "state": flow.state, "iss": ISSUER})
    assert read_redirect(flow, text) == "c0de"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": ""},
        {"state": "another"},
        {"state": "\u00e9"},
        {"iss": None},
        {"iss": ""},
        {"iss": ISSUER + "/"},
        {"iss": "https://evil.example"},
        {"code": None},
        {"code": ""},
        {"error": "access_denied", "state": "another"},
        {"error": "access_denied", "iss": "https://evil.example"},
    ],
)
def test_what_is_of_another_login_is_refused(changes: dict[str, str | None]):
    flow = begun()
    fields = {"code": "c0de", "state": flow.state, "iss": ISSUER} | changes
    text = urlencode({key: value for key, value in fields.items() if value is not None})
    error = refused(flow, text)
    assert isinstance(error, Forbidden)
    assert error.code == "login_foreign"


def test_a_provider_that_does_not_tell_its_issuer_may_leave_it_out_but_not_name_another():
    flow = begun(authorization_response_iss_parameter_supported=False)
    fields = {"code": "c0de", "state": flow.state}
    assert read_redirect(flow, urlencode(fields)) == "c0de"
    assert (
        refused(flow, urlencode(fields | {"iss": "https://evil.example"})).code == "login_foreign"
    )


@pytest.mark.parametrize(
    "tail", ["&code=other", "&state=x", "&x=%ff", "&" + "&".join(f"a{n}=1" for n in range(40)), "&a=" + "x" * 9_000]
)  # fmt: skip
def test_a_query_that_is_ambiguous_or_endless_is_refused(tail: str):
    flow = begun()
    text = urlencode({"code": "c0de", "state": flow.state, "iss": ISSUER}) + tail
    assert refused(flow, text).code == "login_foreign"


def test_a_refusal_of_the_provider_is_told():
    flow = begun()
    fields = {"error": "access_denied", "error_description": "No\x07.", "state": flow.state}
    error = refused(flow, urlencode(fields | {"iss": ISSUER}))
    assert error.code == "login_denied"
    assert error.text == "the provider refuses: access_denied (No.)"


def test_a_code_is_changed_with_its_verifier():
    flow = begun()
    form = code_form(PROVIDER, DISCOVERY, flow, code="c0de")
    assert form.url == f"{ISSUER}/token"
    assert form.authorization == ""
    assert form.fields == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": BACK,
        "code_verifier": flow.verifier,
        "client_id": "run ink",
    }


def test_a_client_with_a_secret_proves_itself_in_a_header():
    form = refresh_form(PROVIDER, DISCOVERY, refresh_token="r", secret=SECRET)
    # Each part as a form would have it (RFC 6749 §2.3.1).
    pair = b"run+ink:a+horse%2F100%25%3A%2B"
    assert form.authorization == f"Basic {base64.b64encode(pair).decode()}"
    assert form.fields == {"grant_type": "refresh_token", "refresh_token": "r"}


def test_or_in_the_form_where_the_provider_takes_nothing_else():
    told = msgspec.structs.replace(
        DISCOVERY, token_endpoint_auth_methods_supported=("client_secret_post",)
    )
    form = client_form(PROVIDER, told, secret=SECRET, scopes=("a", "b"))
    assert form.authorization == ""
    assert form.fields == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "client_id": "run ink",
        "client_secret": SECRET,
    }


def test_a_secret_is_not_sent_where_none_is_taken():
    told = msgspec.structs.replace(
        DISCOVERY, token_endpoint_auth_methods_supported=("private_key_jwt",)
    )
    with pytest.raises(Refused) as caught:
        client_form(PROVIDER, told, secret=SECRET)
    assert caught.value.code == "flow_unsupported"


def test_a_device_asks_for_a_code_and_then_for_tokens():
    provider = msgspec.structs.replace(PROVIDER, resource="https://runink.example")
    form = device_form(provider, DISCOVERY)
    assert form.url == f"{ISSUER}/device"
    assert form.fields == {
        "scope": "openid email",
        "resource": "https://runink.example",
        "client_id": "run ink",
    }
    form = device_token_form(provider, DISCOVERY, device_code="d")
    assert form.fields["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    assert form.fields["device_code"] == "d"


def test_a_logout_comes_back_where_that_is_wanted():
    url = logout_url(PROVIDER, DISCOVERY, id_token="i", return_uri=BACK, state="s")
    assert url.startswith(f"{ISSUER}/end?")
    assert query(url) == {
        "client_id": "run ink",
        "id_token_hint": "i",
        "post_logout_redirect_uri": BACK,
        "state": "s",
    }
    url = logout_url(PROVIDER, DISCOVERY, id_token="i", return_uri="", state="")
    assert query(url).keys() == {"client_id", "id_token_hint"}


def test_what_a_provider_has_not_got_is_told():
    bare = Discovery(issuer=ISSUER, jwks_uri=f"{ISSUER}/keys")
    plain = msgspec.structs.replace(DISCOVERY, code_challenge_methods_supported=("plain",))
    for call in (
        lambda: begin_code_flow(PROVIDER, bare, redirect_uri=BACK, entropy=bytes(96)),
        lambda: begin_code_flow(PROVIDER, plain, redirect_uri=BACK, entropy=bytes(96)),
        lambda: device_form(PROVIDER, bare),
        lambda: refresh_form(PROVIDER, bare, refresh_token="r"),
        lambda: logout_url(PROVIDER, bare, id_token="i", return_uri="", state=""),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "flow_unsupported"
