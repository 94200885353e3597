"""Whatever a server sends, in whatever pieces: an answer within its limits, or an error of ours."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from runink.errors import RuninkError
from runink.outgoing.http_messages import BODY_BYTES_MAX, Answer, Exchange, Request
from runink.reach import Reach, checked_url

URL = "https://login.example.com/x"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"

pieces = st.lists(st.integers(0, 40), max_size=30)
parts = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n",
                b"Content-Length: 5\r\n",
                b"Content-Length: 99999999\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Encoding: gzip\r\n",
                b"Connection: close\r\n",
                b"\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"ffffffff\r\n",
                b"x" * 70_000,
            ]
        ),
    ),
    max_size=12,
)


def received(data: bytes, sizes: list[int]) -> Answer | str:
    """Give the bytes to an exchange in pieces of these sizes, then the connection's end."""
    exchange = Exchange(Request(URL), checked_url(URL, Reach()))
    exchange.sent()
    try:
        for size in sizes:
            if data[:size] and (answer := exchange.received(data[:size])):
                return answer
            data = data[size:]
        if data and (answer := exchange.received(data)):
            return answer
        return exchange.received(b"") or "nothing"
    except RuninkError as error:
        return error.code


@given(pieces)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(sizes: list[int]):
    assert received(WHOLE, sizes) == Answer(200, b"hello!", "application/json")


@given(parts, pieces)
@example([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"x" * 70_000], [])
def test_nothing_else_than_an_answer_or_an_error_of_ours_comes_of_any_bytes(
    sent: list[bytes], sizes: list[int]
):
    found = received(b"".join(sent), sizes)
    if isinstance(found, Answer):
        assert len(found.body) <= BODY_BYTES_MAX
        assert not 300 <= found.status < 400
    else:
        assert found in {
            "answer_malformed",
            "answer_too_large",
            "answer_compressed",
            "redirect_refused",
        }
