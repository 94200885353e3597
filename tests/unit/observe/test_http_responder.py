"""The HTTP server of metrics: what it answers, its limits, and that no client keeps the others out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trio.testing
from runink.config import Address
from runink.errors import Conflict, Refused, Unavailable
from runink.observe.http_responder import (
    CONNECTIONS_MAX,
    REQUEST_BYTES_MAX,
    REQUEST_S,
    WRITE_S,
    Page,
    Responder,
    serving_http,
)

LARGE = 16 << 20  # more than the kernel keeps for a client that does not read


async def _metrics() -> Page:
    return Page(b"runink_x 1\n", content_type="text/plain; version=0.0.4; charset=utf-8")


async def _large() -> Page:
    return Page(b"x" * LARGE)


async def _refused() -> Page:
    raise Unavailable("the Barn is away")


async def _broken() -> Page:
    raise ZeroDivisionError


PAGES = {"/metrics": _metrics, "/large": _large, "/refused": _refused, "/broken": _broken}


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Responder, int]]:
    responder = Responder(PAGES)
    async with serving_http(Address("127.0.0.1", 0), responder) as port:
        yield responder, port


async def answer(port: int, request: bytes) -> bytes:
    """Return all that is answered to some bytes."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        return await everything(stream)


async def everything(stream: anyio.abc.ByteStream) -> bytes:
    found = b""
    try:
        async for part in stream:
            found += part
    except anyio.BrokenResourceError:  # hung up
        pass
    return found


def request(path: str = "/metrics", method: str = "GET", host: str = "127.0.0.1:9464") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def counts(responder: Responder) -> dict[str, float]:
    return {one.labels.get("status", "cut"): one.value for one in responder.readings()}


@pytest.mark.anyio
async def test_a_page_is_answered_and_the_connection_closed():
    async with served() as (responder, port):
        head, _, body = (await answer(port, request("/metrics?x=1"))).partition(b"\r\n\r\n")
        assert body == b"runink_x 1\n"
        assert head.startswith(b"HTTP/1.1 200 ")
        headers = head.lower().split(b"\r\n")
        assert b"content-type: text/plain; version=0.0.4; charset=utf-8" in headers
        assert b"content-length: 11" in headers
        assert b"connection: close" in headers
        assert counts(responder) == {"200": 1, "cut": 0}


@pytest.mark.anyio
async def test_head_is_answered_without_the_body():
    async with served() as (_, port):
        head, _, body = (await answer(port, request(method="HEAD"))).partition(b"\r\n\r\n")
        assert b"content-length: 11" in head.lower()
        assert body == b""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/"), 404),
        (request("/metrics/../x"), 404),
        (request(method="POST"), 405),
        (request(method="DELETE", path="/nothing"), 405),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        (request(host="evil.example"), 421),
        (request(host="127.0.0.1.evil.example:80"), 421),
        (request(host="localhost"), 200),
        (request(host="LOCALHOST:80"), 200),
        (request(host="[::1]:80"), 200),
        (request(host="::1"), 421),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nBad\0: x\r\n\r\n", 400),
        (b"GET /" + b"x" * REQUEST_BYTES_MAX, 431),
        (request("/refused"), 503),
    ],
)
async def test_every_request_has_its_status(sent: bytes, status: int):
    async with served() as (responder, port):
        head = await answer(port, sent)
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert counts(responder)[str(status)] == 1
        if status == 405:
            assert b"allow: GET, HEAD" in head.replace(b"Allow", b"allow")


@pytest.mark.anyio
async def test_two_requests_on_a_connection_are_answered_once():
    async with served() as (_, port):
        assert (await answer(port, request() + request())).count(b"HTTP/1.1 200") == 1


@pytest.mark.anyio
async def test_a_page_that_fails_ends_its_connection_only():
    async with served() as (_, port):
        assert await answer(port, request("/broken")) == b""
        assert b" 200 " in await answer(port, request())


@pytest.mark.anyio
async def test_a_client_that_goes_away_is_no_matter():
    async with served() as (_, port):
        for sent in (b"", b"GET /met", request("/large")):
            stream = await anyio.connect_tcp("127.0.0.1", port)
            await stream.send(sent)
            await stream.aclose()
        assert b" 200 " in await answer(port, request())


@pytest.mark.anyio
async def test_two_hundred_silent_connections_keep_nobody_out():
    async with served() as (responder, port):
        silent = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(200)]
        assert b" 200 " in await answer(port, request())
        assert responder._open <= CONNECTIONS_MAX + 1
        assert counts(responder)["cut"] >= 200 - CONNECTIONS_MAX
        for stream in silent:
            await stream.aclose()


@pytest.mark.anyio
async def test_clients_that_have_their_answer_and_stay_keep_nobody_out():
    async with served() as (responder, port):
        stayed = []
        for _ in range(3 * CONNECTIONS_MAX):
            stayed.append(await anyio.connect_tcp("127.0.0.1", port))
            await stayed[-1].send(request())
            assert b" 200 " in await everything(stayed[-1])
        assert responder._open <= CONNECTIONS_MAX + 1
        assert counts(responder) == {"200": 3 * CONNECTIONS_MAX, "cut": 0}
        for stream in stayed:
            await stream.aclose()


@pytest.mark.anyio
async def test_it_listens_at_a_socket_of_this_user(tmp_path: Path):
    path = tmp_path / "m.sock"
    async with serving_http(path, Responder(PAGES)) as port:
        assert port == 0
        assert path.stat().st_mode & 0o777 == 0o600
        async with await anyio.connect_unix(path) as stream:
            await stream.send(request())
            assert b" 200 " in await everything(stream)
        with pytest.raises(Conflict):
            async with serving_http(path, Responder(PAGES)):
                pass
    assert not path.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "localhost", "example.com"])
async def test_it_does_not_listen_where_others_reach_it(host: str):
    with pytest.raises(Refused) as caught:
        async with serving_http(Address(host, 0), Responder(PAGES)):
            pass
    assert caught.value.code == "not_loopback"


@pytest.mark.anyio
async def test_an_address_that_is_taken_is_told():
    async with served() as (_, port):
        with pytest.raises(Refused) as caught:
            async with serving_http(Address("127.0.0.1", port), Responder(PAGES)):
                pass
        assert caught.value.code == "cannot_listen"


# Time, which is simulated.


@pytest.mark.trio
@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: local"])
async def test_half_a_request_is_waited_for_no_longer_than_its_time(
    sent: bytes, autojump_clock: trio.testing.MockClock
):
    async with served() as (responder, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        began = anyio.current_time()
        await stream.send(sent)
        assert await everything(stream) == b""
        assert anyio.current_time() - began == pytest.approx(REQUEST_S)
        await anyio.wait_all_tasks_blocked()
        assert counts(responder) == {"cut": 1}


@pytest.mark.trio
async def test_a_request_that_comes_a_byte_at_a_time_has_no_more_time(
    autojump_clock: trio.testing.MockClock,
):
    async with served() as (responder, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        for byte in request()[:6]:
            try:
                await stream.send(bytes([byte]))
            except anyio.BrokenResourceError:
                break
            await anyio.sleep(REQUEST_S / 4)
        assert counts(responder) == {"cut": 1}


@pytest.mark.trio
async def test_a_client_that_does_not_read_is_cut(autojump_clock: trio.testing.MockClock):
    async with served() as (responder, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request("/large"))
        await anyio.sleep(WRITE_S + 1.0)
        assert responder._open == 0
        assert counts(responder) == {"cut": 1}
        assert len(await everything(stream)) < LARGE


@pytest.mark.trio
async def test_a_client_that_has_its_answer_and_stays_is_left(
    autojump_clock: trio.testing.MockClock,
):
    async with served() as (responder, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request())
        assert b" 200 " in await everything(stream)
        await anyio.sleep(WRITE_S + 1.0)
        assert responder._open == 0
        assert counts(responder) == {"200": 1, "cut": 0}
