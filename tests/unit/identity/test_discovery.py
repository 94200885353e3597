"""What a provider says about itself is checked before anything of it is used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from runink.errors import Refused
from runink.identity.providers import Provider, read_discovery
from runink.names import ProviderId
from runink.reach import Reach

ISSUER = "https://login.example.com/realms/a"
PROVIDER = Provider(id=ProviderId("x"), issuer=ISSUER, client_id="runink")
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "jwks_uri": "https://login.example.com/keys",
    "authorization_endpoint": "https://people.example.com/auth",
    "token_endpoint": "https://login.example.com/token",
    "something": {"else": [1, 2]},
}


def read(provider: Provider = PROVIDER, **changes: Any) -> Any:
    document = {key: value for key, value in (DOCUMENT | changes).items() if value is not None}
    return read_discovery(provider, msgspec.json.encode(document))


def refused(provider: Provider = PROVIDER, **changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        read(provider, **changes)
    assert caught.value.code == "discovery_refused"
    return caught.value.text


def test_a_document_is_read_and_what_is_unknown_in_it_passed_over():
    found = read()
    assert found.jwks_uri == "https://login.example.com/keys"
    assert found.device_authorization_endpoint == ""
    assert not found.authorization_response_iss_parameter_supported


@pytest.mark.parametrize(
    "issuer",
    [ISSUER + "/", "https://login.example.com", ISSUER.upper(), "http" + ISSUER[5:], ""],
)
def test_the_issuer_is_equal_letter_by_letter(issuer: str):
    assert "another issuer" in refused(issuer=issuer)


@pytest.mark.parametrize(
    "url",
    [
        "https://keys.example.com/keys",
        "https://login.example.com:8443/keys",
        "https://login.example.com.evil.example/keys",
        "https://169.254.169.254/latest",
        "https://127.0.0.1/keys",
    ],
)
@pytest.mark.parametrize("member", ["jwks_uri", "token_endpoint", "device_authorization_endpoint"])
def test_what_the_cluster_asks_is_at_the_issuers_own_origin(member: str, url: str):
    assert f"{member} at another origin" in refused(**{member: url})


@pytest.mark.parametrize(
    "url",
    ["http://login.example.com/keys", "file:///etc/passwd", "https://a@login.example.com/", "keys"],
)
@pytest.mark.parametrize("member", ["jwks_uri", "authorization_endpoint", "end_session_endpoint"])
def test_an_endpoint_is_a_url_that_may_be_asked(member: str, url: str):
    assert f"a {member} that is not asked" in refused(**{member: url})


def test_other_origins_are_those_that_the_settings_list():
    listed = msgspec.structs.replace(PROVIDER, origins=("https://keys.example.com",))
    assert read(listed, jwks_uri="https://keys.example.com:443/a").jwks_uri
    assert "another origin" in refused(listed, jwks_uri="https://keys.example.com:444/a")


def test_keys_are_needed():
    assert "cannot be read" in refused(jwks_uri=None)
    assert "jwks_uri" in refused(jwks_uri="")


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"issuer": 1}', b"\xff", b"[" * 100_000, b"null"]
)
def test_what_is_no_document_is_refused(document: bytes):
    with pytest.raises(Refused) as caught:
        read_discovery(PROVIDER, document)
    assert caught.value.code == "discovery_refused"


def test_http_is_for_loopback_where_the_settings_say_so():
    local = "http://127.0.0.1:8080"
    provider = msgspec.structs.replace(PROVIDER, issuer=local, reach=Reach(loopback=True))
    urls = {member: f"{local}/x" for member in DOCUMENT if member.endswith(("_uri", "_endpoint"))}
    assert read(provider, issuer=local, **urls).jwks_uri == f"{local}/x"
