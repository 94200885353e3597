"""What a provider answers when tokens are asked for, and what each of its refusals is for us."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from runink.errors import Forbidden, Refused, RuninkError, Unavailable
from runink.identity.flow_answers import (
    INTERVAL_S,
    INTERVAL_S_MAX,
    Pending,
    Tokens,
    read_device,
    read_device_tokens,
    read_tokens,
)

DEVICE = {
    "device_code": "d",
    "user_code": "AB-CD",
    "verification_uri": "https://x.example/device",
    "expires_in": 600,
}


def encoded(**members: Any) -> bytes:
    return msgspec.json.encode(members)


def failure(status: int, body: bytes) -> RuninkError:
    with pytest.raises(RuninkError) as caught:
        read_tokens(status, body)
    return caught.value


def test_tokens_are_read():
    body = encoded(
        access_token="a",
        token_type="bearer",
        id_token="i",
        refresh_token="r",
        expires_in=300,
        scope="openid",
        more={"x": 1},
    )
    assert read_tokens(200, body) == Tokens(
        access_token="a", id_token="i", refresh_token="r", expires_s=300, scope="openid"
    )


def test_a_refresh_token_that_is_not_changed_stays():
    body = encoded(access_token="a", token_type="Bearer")
    assert read_tokens(200, body, refresh_token="old").refresh_token == "old"
    body = encoded(access_token="a", token_type="Bearer", refresh_token="new")
    assert read_tokens(200, body, refresh_token="old").refresh_token == "new"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(300, 300), (300.9, 300), ("300", 300), (None, 0), (-1, 0), ("soon", 0), (1e300, 34_560_000)],
)
def test_how_long_tokens_last_is_a_number_or_not_said(told: Any, seconds: int):
    body = encoded(access_token="a", token_type="Bearer", expires_in=told)
    assert read_tokens(200, body).expires_s == seconds


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        ("invalid_request", 400, Refused, "login_unsupported"),
        ("invalid_client", 401, Refused, "client_refused"),
        ("invalid_grant", 400, Forbidden, "login_again"),
        ("unauthorized_client", 400, Refused, "client_refused"),
        ("unsupported_grant_type", 400, Refused, "login_unsupported"),
        ("invalid_scope", 400, Refused, "scope_refused"),
        ("invalid_target", 400, Refused, "scope_refused"),
        ("access_denied", 400, Forbidden, "login_denied"),
        ("expired_token", 400, Forbidden, "login_again"),
        ("authorization_pending", 400, Refused, "login_unsupported"),
        ("slow_down", 400, Refused, "login_unsupported"),
        ("temporarily_unavailable", 400, Unavailable, "provider_unavailable"),
        ("server_error", 400, Unavailable, "provider_unavailable"),
        ("server_error", 500, Unavailable, "provider_unavailable"),
        ("invalid_grant", 429, Unavailable, "provider_unavailable"),
        ("invalid_grant", 503, Unavailable, "provider_unavailable"),
        ("whatever", 400, Refused, "login_refused"),
        ("invalid_grant", 200, Forbidden, "login_again"),
    ],
)
def test_every_error_of_a_provider_is_one_of_ours_and_says_what_to_do(
    error: str, status: int, kind: type[RuninkError], code: str
):
    found = failure(status, encoded(error=error))
    assert type(found) is kind
    assert found.code == code
    assert found.hint


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b"[" * 60_000),
        (200, encoded(token_type="Bearer")),
        (200, encoded(access_token="", token_type="Bearer")),
        (200, encoded(access_token="a")),
        (200, encoded(access_token="a", token_type="mac")),
        (200, encoded(access_token=7, token_type="Bearer")),
        (200, encoded(access_token="a b", token_type="Bearer")),
        (200, encoded(access_token="a\n", token_type="Bearer")),
        (200, encoded(access_token="é", token_type="Bearer")),
        (200, encoded(access_token="a" * 20_000, token_type="Bearer")),
        (201, encoded(access_token="a", token_type="Bearer")),
        (404, encoded()),
        (429, b"slow"),
        (502, b"<html>"),
    ],
)
def test_what_cannot_be_read_may_be_better_later(status: int, body: bytes):
    assert failure(status, body).code == "provider_unavailable"


def test_no_error_and_no_repr_shows_a_token():
    secret = "s3cret-t0ken"
    body = encoded(access_token=secret, token_type=7)
    assert secret not in repr(failure(200, body)) + failure(200, body).text
    tokens = read_tokens(200, encoded(access_token=secret, token_type="Bearer"))
    assert secret not in repr(tokens)


def test_what_a_provider_says_is_shown_without_what_moves_a_cursor_and_cut_off():
    found = failure(400, encoded(error="x\x1b[2J", error_description="y" * 5_000))
    assert found.text.isprintable()
    assert len(found.text) < 500


def test_a_device_is_told_where_to_log_in():
    device = read_device(200, encoded(**DEVICE, interval=7, verification_uri_complete="https://x.example/device?c=AB-CD"))  # fmt: skip
    assert (device.user_code, device.interval_s, device.expires_s) == ("AB-CD", 7.0, 600)
    assert device.complete_uri == "https://x.example/device?c=AB-CD"
    assert read_device(200, encoded(**DEVICE)).interval_s == INTERVAL_S
    assert read_device(200, encoded(**DEVICE, interval=9_000)).interval_s == INTERVAL_S_MAX
    assert read_device(200, encoded(**DEVICE, interval=0)).interval_s == INTERVAL_S


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": ""},
        {"user_code": ""},
        {"verification_uri": ""},
        {"expires_in": 0},
        {"expires_in": None},
        {"user_code": "AB\x1b[2J"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "file:///etc/passwd"},
    ],
)
def test_a_device_is_not_sent_to_what_is_no_page(changes: dict[str, Any]):
    with pytest.raises(Unavailable):
        read_device(200, encoded(**DEVICE | changes))


def test_a_device_waits_and_is_slowed_down_and_has_its_tokens():
    pending = encoded(error="authorization_pending")
    slower = encoded(error="slow_down")
    granted = encoded(access_token="a", token_type="Bearer")
    assert read_device_tokens(400, pending, interval_s=5) == Pending(5)
    assert read_device_tokens(400, slower, interval_s=5) == Pending(10)
    assert read_device_tokens(400, slower, interval_s=58) == Pending(INTERVAL_S_MAX)
    assert read_device_tokens(200, granted, interval_s=5) == Tokens(access_token="a")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("expired_token", "login_again"),
        ("access_denied", "login_denied"),
        ("invalid_grant", "login_again"),
    ],
)
def test_a_device_whose_login_is_over_is_told_so(error: str, code: str):
    with pytest.raises(Forbidden) as caught:
        read_device_tokens(400, encoded(error=error), interval_s=5)
    assert caught.value.code == code
