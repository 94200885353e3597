"""Where a browser comes back to: only the login that was begun ends the wait, whatever else is asked there."""

from __future__ import annotations

import socket

import anyio
import pytest
from runink.cli.redirects import HEAD_BYTES_MAX, Redirects, redirects
from runink.errors import Forbidden, TimedOut
from runink.identity.flows import CodeFlow

pytestmark = pytest.mark.anyio
FLOW = CodeFlow(
    issuer="https://login.example",
    redirect_uri="",
    url="",
    state="the-state",
    nonce="n",
    verifier="v",
    is_issuer_told=True,
)
OURS = "GET /back?code=abc&state=the-state&iss=https%3A%2F%2Flogin.example HTTP/1.1"
OTHERS = [
    "GET / HTTP/1.1",
    "GET /back HTTP/1.1",
    "GET /back?code=abc&state=another&iss=https%3A%2F%2Flogin.example HTTP/1.1",
    "GET /back?code=abc&state=the-state HTTP/1.1",
    "POST /back?code=abc&state=the-state&iss=https%3A%2F%2Flogin.example HTTP/1.1",
    "\x16\x03\x01 no HTTP at all",
    "GET /" + "a" * 2 * HEAD_BYTES_MAX,
]


async def asked(back: Redirects, line: str) -> bytes:
    """Ask as a browser does, and return what is answered."""
    stream = await anyio.connect_tcp("127.0.0.1", int(back.uri.rsplit(":")[-1].partition("/")[0]))
    async with stream:
        answer = b""
        try:
            await stream.send(f"{line}\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1"))
            while True:
                answer += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return answer


async def test_the_browser_that_was_sent_ends_the_wait_and_nobody_else() -> None:
    async with redirects() as back, anyio.create_task_group() as tasks:

        async def browse() -> None:
            for line in OTHERS:
                answer = await asked(back, line)
                assert not answer or answer.startswith(b"HTTP/1.1 404")
            assert b"close this page" in await asked(back, OURS)

        tasks.start_soon(browse)
        assert await back.code(FLOW, within_s=20.0) == "abc"


async def test_a_refusal_of_the_provider_ends_the_wait() -> None:
    async with redirects() as back, anyio.create_task_group() as tasks:
        line = (
            "GET /back?error=access_denied&state=the-state&iss=https%3A%2F%2Flogin.example HTTP/1.1"
        )
        tasks.start_soon(asked, back, line)
        with pytest.raises(Forbidden) as refused:
            await back.code(FLOW, within_s=20.0)
        assert refused.value.code == "login_denied"


async def test_nobody_who_comes_back_ends_the_wait_in_time() -> None:
    async with redirects() as back:
        with pytest.raises(TimedOut):
            await back.code(FLOW, within_s=0.05)


async def test_the_port_is_of_this_machine_alone() -> None:
    async with redirects() as back:
        assert back.uri.startswith("http://127.0.0.1:")
        port = int(back.uri.rsplit(":")[-1].partition("/")[0])
        with socket.socket(socket.AF_INET6) as other, pytest.raises(OSError, match="refused"):
            other.connect(("::1", port))
