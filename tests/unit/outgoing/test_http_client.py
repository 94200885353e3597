"""The HTTP client of the cluster's own calls, against real sockets: its limits and its deadline."""

from __future__ import annotations

import anyio
import anyio.abc
import pytest
from http_servers import HERE, LATE_S, OK, Serve, serving
from runink.errors import OutcomeUnknown, Refused, RuninkError, TimedOut, Unavailable
from runink.outgoing.http_client import HttpClient
from runink.outgoing.http_messages import BODY_BYTES_MAX, EARLY_HEADS_MAX, Answer, Request, form

pytestmark = pytest.mark.anyio
EARLY = b"HTTP/1.1 103 Early Hints\r\n\r\n"


async def asked(answer: bytes | Serve, *, within_s: float = 5) -> Answer:
    async with serving(answer) as server:
        return await HttpClient(HERE).ask(Request(server.url), within_s=within_s)


async def failed(answer: bytes | Serve, *, within_s: float = 5) -> RuninkError:
    async with serving(answer) as server:
        with pytest.raises(RuninkError) as caught:
            await HttpClient(HERE).ask(Request(server.url), within_s=within_s)
    return caught.value


async def silence(stream: anyio.abc.ByteStream) -> None:
    await anyio.sleep_forever()


async def test_a_get_is_answered():
    async with serving(
        OK + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ) as server:
        answer = await HttpClient(HERE).ask(Request(server.url))
    assert answer == Answer(200, b"{}", "application/json")
    head = server.heads[0].lower()
    assert head.startswith(b"get /x?y=1 http/1.1\r\n")
    assert f"\r\nhost: 127.0.0.1:{server.port}\r\n".encode() in head
    assert b"\r\naccept-encoding: identity\r\n" in head
    assert b"cookie" not in head


async def test_a_form_is_posted():
    async with serving(OK + b"Content-Length: 0\r\n\r\n") as server:
        request = form(server.url, {"a": "b c", "d": "é"}, authorization="Basic eDp5")
        await HttpClient(HERE).ask(request)
    head = server.heads[0]
    assert head.startswith(b"POST /x?y=1 ")
    assert b"Authorization: Basic eDp5\r\n" in head
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in head
    assert head.endswith(b"\r\n\r\na=b+c&d=%C3%A9")
    assert "eDp5" not in repr(request)
    assert "b+c" not in repr(request)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        OK + b"\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        EARLY * EARLY_HEADS_MAX + OK + b"Content-Length: 2\r\n\r\n{}",
        OK + b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_an_answer_is_whole_however_it_is_framed(answer: bytes):
    assert (await asked(answer)).body == b"{}"


@pytest.mark.parametrize("status", [201, 400, 401, 404, 429, 500, 503])
async def test_an_answer_of_any_status_is_an_answer(status: int):
    assert (await asked(b"HTTP/1.1 %d X\r\nContent-Length: 1\r\n\r\nx" % status)).status == status


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirection_is_not_followed(status: int):
    async with serving(OK + b"\r\n") as target:
        where = target.url.encode()
        error = await failed(b"HTTP/1.1 %d X\r\nLocation: %s\r\n\r\n" % (status, where))
        assert error.code == "redirect_refused"
        assert target.heads == []


async def _endless(stream: anyio.abc.ByteStream) -> None:
    await stream.send(OK + b"\r\n")
    for _ in range(200):
        await stream.send(b"x" * 65_536)


async def _chunks_of_one_byte(stream: anyio.abc.ByteStream) -> None:
    """Send little of a body in much around it, and then hang."""
    await stream.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    await stream.send((b"1;" + b"e" * 4_000 + b"\r\nx\r\n") * 100)
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
        OK + b"Content-Length: 10000000\r\n\r\n" + b"x" * 10_000_000,
        OK + b"Content-Length: 9999999999999999999\r\n\r\n",
        _endless,
        _chunks_of_one_byte,
    ],
)
async def test_a_body_is_not_read_beyond_its_limit(answer: bytes | Serve):
    assert (await failed(answer)).code == "answer_too_large"


async def test_a_body_may_be_as_large_as_the_limit():
    body = b"x" * BODY_BYTES_MAX
    assert (await asked(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"HTTP/1.1 200\n\0: x\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nx",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        OK + b"Content-Length: +5\r\n\r\nxxxxx",
        OK + b"Transfer-Encoding: gzip\r\n\r\nx",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        OK + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        EARLY * (EARLY_HEADS_MAX + 1) + OK + b"Content-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_is_told_as_ours(answer: bytes):
    error = await failed(answer)
    assert (type(error), error.code) == (Unavailable, "answer_malformed")


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip", b" Deflate "])
async def test_what_is_compressed_is_not_unpacked(encoding: bytes):
    head = OK + b"Content-Encoding: " + encoding + b"\r\nContent-Length: 1\r\n\r\n"
    assert (await failed(head + b"x")).code == "answer_compressed"


@pytest.mark.parametrize(
    "begun", [b"", b"HT", OK, OK + b"\r\n", OK + b"Content-Length: 5\r\n\r\nx"]
)
async def test_one_deadline_holds_for_all_of_it(begun: bytes):
    async def hang(stream: anyio.abc.ByteStream) -> None:
        await stream.send(begun)
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        assert isinstance(await failed(hang, within_s=LATE_S), TimedOut)


async def test_who_dribbles_is_cut_at_the_deadline():
    async def dribble(stream: anyio.abc.ByteStream) -> None:
        await stream.send(OK + b"X: ")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.001)

    with anyio.fail_after(5):
        assert isinstance(await failed(dribble, within_s=LATE_S), TimedOut)


async def test_a_connection_that_is_closed_is_told():
    async def close(stream: anyio.abc.ByteStream) -> None:
        await stream.aclose()

    assert type(await failed(close)) is Unavailable


async def test_a_post_that_breaks_off_may_have_been_acted_on():
    async with serving(silence) as server:
        request = form(server.url, {"code": "c0de"})
        with pytest.raises(OutcomeUnknown):
            await HttpClient(HERE).ask(request, within_s=LATE_S)
    with pytest.raises(Unavailable) as caught:  # nobody listens there any more: it was not sent
        await HttpClient(HERE).ask(request)
    assert (type(caught.value), caught.value.code) == (Unavailable, "not_connected")


async def test_a_header_holds_no_second_one():
    request = Request("http://127.0.0.1:1/", authorization="Basic x\r\nX-Evil: y")
    with pytest.raises(Refused) as caught:
        await HttpClient(HERE).ask(request)
    assert caught.value.code == "request_refused"
