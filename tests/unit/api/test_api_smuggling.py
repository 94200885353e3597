"""What is no HTTP, or could be read in two ways: refused with 400, and the connection closed, so nothing behind it is taken for a request."""

from __future__ import annotations

import pytest
from api_world import world

pytestmark = pytest.mark.anyio

HOST = b"Host: x\r\n"
HIDDEN = b"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /api/v1/health HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n" + body


REFUSED = {
    "both lengths": post(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
    "chunked before a length": post(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", body=b"hello!"),
    "the same length twice": post(b"Content-Length: 5\r\n", b"Content-Length: 5\r\n", body=b"hello"),
    "a length with a sign": post(b"Content-Length: +4\r\n", body=b"four"),
    "a negative length": post(b"Content-Length: -1\r\n"),
    "a length with an underscore": post(b"Content-Length: 1_0\r\n", body=b"0123456789"),
    "a length in hexadecimal": post(b"Content-Length: 0x5\r\n", body=b"hello"),
    "two lengths in one": post(b"Content-Length: 5, 5\r\n", body=b"hello"),
    "a huge length": post(b"Content-Length: 99999999999999999999999\r\n"),
    "chunked that is not the last": post(b"Transfer-Encoding: chunked, identity\r\n", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"),
    "another coding": post(b"Transfer-Encoding: xchunked\r\n", body=b"0\r\n\r\n"),
    "lines that end in LF": b"GET /api/v1/health HTTP/1.1\nHost: x\n\n",
    "a header that ends in LF": b"GET /api/v1/health HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "a lone CR": b"GET /api/v1/health HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "NUL in a header": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "NUL in the path": b"GET /api/v1/he\0alth HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before the colon": b"GET /api/v1/health HTTP/1.1\r\nHost : x\r\n\r\n",
    "a space in a name": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n",
    "a header that is folded": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "a header without a name": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "a header without a colon": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n",
    "no host": b"GET /api/v1/health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "another version": b"GET /api/v1/health HTTP/3.7\r\nHost: x\r\n\r\n",
    "no version": b"GET /api/v1/health\r\nHost: x\r\n\r\n",
    "a method that is none": b"G(T /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "a long header": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "a long path": b"GET /api/v1/" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
async def test_what_is_no_plain_http_is_refused_and_nothing_behind_it_is_answered(
    request_: bytes,
) -> None:
    async with world() as api:
        answer = await api.raw(request_ + HIDDEN)
        if answer:  # a reset overtakes the answer where more was sent than was read
            assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), answer[:100]
            assert b'"code":"bad_request"' in answer
        assert b'"version"' not in answer
        assert (await api.ask("GET", "/health", {})).status == 200


async def test_a_chunk_that_is_none_ends_the_request() -> None:
    head = b"POST /api/v1/herds/flights/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer anna-token\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with world() as api:
        for chunk in (
            b"zz\r\nhello\r\n",
            b"-1\r\nhello\r\n",
            b"5;\0\r\nhello\r\n",
            b"5\nhello\r\n",
            b"fffffffffffffffff\r\n",
        ):
            answer = await api.raw(head + chunk + b"0\r\n\r\n" + HIDDEN)
            assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), (chunk, answer[:200])
            assert b'"version"' not in answer
        assert not api.notebook.made
