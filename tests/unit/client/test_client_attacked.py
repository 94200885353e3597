"""Answers that no server should give: broken, endless, slow, or of somebody else. Each is a clean error, in time."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from asking_world import asking, scripted
from hypothesis import given
from hypothesis import strategies as st
from notebook import CREATE, EXPORT, GET, LIST, WATCH
from runink.client import Client, Patience
from runink.client.answers import ANSWER_BYTES_MAX, Answer, Head, error_of
from runink.client.events import EVENT_BYTES_MAX, EventReader
from runink.client.exchanges import End, Exchange, opened
from runink.client.requests import raw_request
from runink.errors import Broken, LinkLost, Refused, Unavailable

pytestmark = pytest.mark.anyio
NOTE = b'{"note":"first","text":"milk","revision":3,"newer":{"a":[1]}}'
BRIEF = Patience(within_s=0.5, silent_s=0.2, away_s=0.2)


def said(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"\r\n".join([*lines, *headers, b"", body])


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no JSON": said(b"<html>hello</html>"),
    "another document": said(b'{"health":"ok"}'),
    "a deep document": said(b"[" * 100_000),
    "a long head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    "many early heads": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9,
    "a chunk that is none": CHUNKED + b"xyz\r\nabc",
    "a chunk with an endless extension": CHUNKED + b"5;" + b"a" * 200_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a bad status": b"HTTP/1.1 999999 OK\r\n\r\n",
    "null bytes": b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_what_is_no_answer_is_malformed(kind: Any, answer: bytes) -> None:
    with scripted(answer) as (address, asked):
        async with asking(kind, address) as anna:
            with pytest.raises(Unavailable) as bad:
                await anna.call(GET, herd="flights", note="first")
    assert bad.value.code == "answer_malformed"
    assert len(asked) == 1


async def test_fields_of_a_newer_server_are_left_out(kind: Any) -> None:
    with scripted(said(NOTE)) as (address, _):
        async with asking(kind, address) as anna:
            assert (await anna.call(GET, herd="flights", note="first")).text == "milk"


async def test_an_answer_that_breaks_off_is_asked_for_again(kind: Any) -> None:
    broken = CHUNKED + b"40\r\n" + NOTE[:20]
    with scripted(broken, said(NOTE)[:30], b"", said(NOTE)) as (address, asked):
        async with asking(kind, address) as anna:
            assert (await anna.call(GET, herd="flights", note="first")).text == "milk"
    assert len(asked) == 4


async def test_a_repeat_of_a_post_bears_the_same_key(kind: Any) -> None:
    with scripted(b"", said(NOTE)) as (address, asked):
        async with asking(kind, address) as anna:
            await anna.call(CREATE, herd="flights", text="milk")
    first, second = ([line for line in one.split(b"\r\n") if line.lower().startswith(b"idempotency-key")] for one in asked)  # fmt: skip
    assert first == second
    assert len(first[0]) > 40


async def test_an_answer_that_dribbles_is_given_up_in_time(kind: Any) -> None:
    for answer in (b"HTTP/1.1 200", CHUNKED, said(NOTE)[:-5]):
        with scripted(answer, is_kept=True) as (address, _):
            async with asking(kind, address, patience=BRIEF) as anna:
                with pytest.raises(Unavailable) as slow:
                    await anna.call(GET, herd="flights", note="first")
        assert slow.value.code == "timed_out"


async def test_an_endless_document_is_left_at_its_limit(kind: Any) -> None:
    large = said(b" " * (ANSWER_BYTES_MAX + 1))
    with scripted(large) as (address, _):
        async with asking(kind, address) as anna:
            with pytest.raises(Unavailable, match="longer than"):
                await anna.call(GET, herd="flights", note="first")


async def test_a_redirection_is_not_followed_and_the_token_stays_here(kind: Any) -> None:
    moved = said(b"", b"Location: http://127.0.0.1:1/", status=b"307 Temporary Redirect")
    with scripted(moved) as (address, _):
        async with asking(kind, address) as anna:
            with pytest.raises(Refused) as refused:
                await anna.call(GET, herd="flights", note="first")
    assert refused.value.code == "redirect_refused"


async def test_what_is_compressed_is_not_inflated(kind: Any) -> None:
    with scripted(said(b"x", b"Content-Encoding: gzip")) as (address, _):
        async with asking(kind, address) as anna:
            with pytest.raises(Refused) as refused:
                await anna.stream(EXPORT, herd="flights", note="first").read()
    assert refused.value.code == "answer_compressed"


async def test_a_page_that_follows_itself_ends(kind: Any) -> None:
    with scripted(said(b'{"items":[],"revision":1,"next":"again"}')) as (address, _):
        async with asking(kind, address) as anna:
            with pytest.raises(Unavailable, match="follows itself"):
                await anna.stream(LIST, herd="flights").all()


async def test_a_download_that_breaks_off_is_no_whole(kind: Any) -> None:
    with scripted(CHUNKED + b"3\r\nabc\r\n") as (address, _):
        async with asking(kind, address) as anna:
            download = anna.stream(EXPORT, herd="flights", note="first")
            assert await download.next() == b"abc"
            with pytest.raises(LinkLost):
                await download.next()


async def test_an_event_without_an_end_is_left_at_its_limit(kind: Any) -> None:
    size = EVENT_BYTES_MAX + 1_000
    endless = CHUNKED + b"%x\r\ndata: " % size + b"a" * size
    with scripted(endless) as (address, asked):
        async with asking(kind, address) as anna:
            with pytest.raises(Unavailable) as bad:
                await anna.stream(WATCH, herd="flights").next()
    assert bad.value.code == "answer_malformed"
    assert len(asked) == 1


async def test_the_page_of_a_proxy_is_told_by_its_status(kind: Any) -> None:
    page = said(b"<html>bad gateway</html>", b"Content-Type: text/html", status=b"404 Not Found")
    with scripted(page) as (address, _):
        async with asking(kind, address) as anna:
            with pytest.raises(Refused, match="404"):
                await anna.call(GET, herd="flights", note="first")


async def test_a_server_that_wants_to_be_left_alone_longer_than_there_is_time_is_not_asked_again(kind: Any) -> None:  # fmt: skip
    busy = said(b"", b"Retry-After: 60", status=b"503 Service Unavailable")
    with scripted(busy) as (address, asked):
        async with asking(kind, address) as anna:
            with pytest.raises(Unavailable):
                await anna.call(GET, herd="flights", note="first")
    assert len(asked) == 1


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def read(answer: bytes, cuts: list[int]) -> tuple[Head | None, bytes, bool]:
    """Return what an exchange makes of an answer that comes in pieces."""
    exchange = Exchange(opened(), raw_request("GET", "/x"), host="h", token="t")
    exchange.sent()
    head, body, is_whole = None, b"", False
    for piece in [*pieces_of(answer, cuts), b""]:
        for found in exchange.received(piece):
            if isinstance(found, Head):
                head = found
            elif isinstance(found, End):
                return head, body, True
            else:
                body += found
    return head, body, is_whole


@given(st.binary(max_size=200), st.lists(st.integers(0, 400), max_size=8))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(body: bytes, cuts: list[int]) -> None:
    head, found, is_whole = read(said(body), cuts)
    assert (head.status if head else 0, found, is_whole) == (200, body, True)


@given(
    st.sampled_from([said(NOTE), CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", CHUNKED + b"3\r\nabc\r\n"]),
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), min_size=1, max_size=6),
    st.lists(st.integers(0, 400), max_size=4),
)
def test_a_broken_answer_is_an_error_of_ours(
    answer: bytes, changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    for place, data in changes:
        at = place % len(answer)
        answer = answer[:at] + data + answer[at + 1 :]
    with suppress(Unavailable, Refused):  # nothing of h11's, and no bug
        read(answer, cuts)


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1 << 62),
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.from_regex(r'["{}a-z0-9 :ä]{1,20}', fullmatch=True),
    ),
    max_size=6,
)


@given(EVENTS, st.lists(st.integers(0, 800), max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_the_same_in_whatever_pieces_they_come(
    events: list[tuple[int, str, str]], cuts: list[int], line_end: bytes
) -> None:
    text = "retry: 2000\n\n" + "".join(
        f": still here\n\nid: {revision}\nevent: {kind}\ndata: {data}\n\n"
        for revision, kind, data in events
    )
    reader = EventReader()
    found = [
        (one.revision, one.kind, one.data)
        for piece in pieces_of(text.encode().replace(b"\n", line_end), cuts)
        for one in reader.feed(piece)
    ]
    assert found == events


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=5))
def test_a_stream_of_anything_is_read_or_malformed(data: bytes, cuts: list[int]) -> None:
    reader = EventReader()
    with suppress(Unavailable):
        for piece in pieces_of(data, cuts):
            reader.feed(piece)


@given(
    st.integers(400, 599), st.binary(max_size=200) | st.just(b'{"code":7}') | st.just(b"[" * 9_000)
)
def test_any_refusal_is_an_error_of_ours(status: int, body: bytes) -> None:
    head = Head(status, {"content-type": "application/problem+json"})
    error = error_of(Answer(head, body))
    assert error.text
    assert isinstance(error, Broken | Unavailable) == (status >= 500 or status in {408, 429})


def test_neither_a_request_nor_an_answer_shows_its_secrets() -> None:
    request = raw_request("POST", "/x", body=b"hidden")
    assert "hidden" not in repr(request)
    assert "hidden" not in repr(Answer(Head(200, {}), b"hidden"))
    with Client("http://127.0.0.1:1", token="hidden") as client:
        assert "hidden" not in repr(client._talks)
