"""A program's client: it gets tokens for its secret, uses each while it is good, and gets another before it ends or when it was not taken."""

from __future__ import annotations

from typing import Any

import pytest
from asking_world import asking, scripted
from notebook import GET
from runink.client import ClientCredentials
from runink.client.programs import EARLY_S, ProgramToken
from runink.client.requests import request_of
from runink.errors import Refused
from runink.operations.catalog.questions import CAN_I
from runink.operations.catalog.tokens import IssuedDocument

pytestmark = pytest.mark.anyio
PROGRAM = ClientCredentials("flights/loader", "a secret/+&")
NOTE = b'{"note":"first","text":"milk","revision":3}'
UNTAKEN = b'{"status":401,"code":"unauthenticated","detail":"no"}'


def said(body: bytes, status: bytes = b"200 OK") -> bytes:
    kind = b"application/json" if status.startswith(b"200") else b"application/problem+json"
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, kind, len(body), body)  # fmt: skip


def issued(token: str, seconds: int = 600) -> bytes:
    return said(b'{"access_token":"%s","token_type":"Bearer","expires_in":%d}' % (token.encode(), seconds))  # fmt: skip


def borne(asked: list[bytes]) -> list[str]:
    """Return what each request was for, and the token that it bore."""
    found = []
    for one in asked:
        first, *lines = one.decode().split("\r\n")
        tokens = [line.partition("Bearer ")[2] for line in lines if line.lower().startswith("authorization")]  # fmt: skip
        found.append(" ".join((first.split()[1].rpartition("/")[2], *tokens)))
    return found


async def test_a_token_is_got_once_and_used_for_many_calls(kind: Any) -> None:
    with scripted(issued("one"), said(NOTE)) as (address, asked):
        async with asking(kind, address, PROGRAM) as program:
            for _ in range(3):
                await program.call(GET, herd="flights", note="first")
    assert borne(asked) == ["token", "first one", "first one", "first one"]


async def test_a_token_that_is_not_taken_is_replaced_once(kind: Any) -> None:
    untaken = said(UNTAKEN, b"401 Unauthorized")
    with scripted(issued("one"), untaken, issued("two"), said(NOTE)) as (address, asked):
        async with asking(kind, address, PROGRAM) as program:
            await program.call(GET, herd="flights", note="first")
    assert borne(asked) == ["token", "first one", "token", "first two"]


async def test_a_secret_that_is_not_taken_is_told_and_not_tried_again(kind: Any) -> None:
    refused = said(b'{"status":401,"code":"invalid_client","detail":"no"}', b"401 Unauthorized")
    with scripted(refused) as (address, asked):
        async with asking(kind, address, PROGRAM) as program:
            with pytest.raises(Refused) as error:
                await program.call(GET, herd="flights", note="first")
    assert error.value.code == "invalid_client"
    assert len(asked) == 1


def test_a_token_is_left_before_it_ends() -> None:
    token = ProgramToken()
    assert token.good("", 0.0) == ""
    token.take(IssuedDocument("one", "Bearer", 600), 100.0)
    assert token.good("", 100.0 + 600 - EARLY_S - 1) == "one"
    assert token.good("", 100.0 + 600 - EARLY_S) == ""
    assert token.good("one", 100.0) == ""
    token.take(IssuedDocument("brief", "Bearer", 10), 0.0)
    assert token.good("", 4.0) == "brief"
    assert token.good("", 5.0) == ""


def test_a_secret_goes_into_the_form_alone() -> None:
    request = PROGRAM.request()
    assert request.body == b"grant_type=client_credentials&client_id=flights%2Floader&client_secret=a+secret%2F%2B%26"  # fmt: skip
    assert "secret/" not in repr(PROGRAM) + repr(request)


def test_a_name_that_python_keeps_for_itself_has_a_line_behind_it() -> None:
    request = request_of(CAN_I, {"verb": "get", "resource": "runs", "as_": "user:corp:ann"})  # fmt: skip
    assert "as=user" in request.target
