"""Peers that mean harm, or are broken: they lose their own connection, and nobody else notices."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.abc
import pytest
from runink.errors import ProtocolViolation, RuninkError, from_wire
from runink.runtime import connections
from runink.runtime.connections import Peer, connect_unix, serve_unix
from runink.runtime.directory import Directory
from runink.runtime.reception import DROPPED_TOLD_MAX
from runink.wire import sockets
from runink.wire.codec import decode, encode
from runink.wire.frames import FrameReader, frame
from runink.wire.messages import Answer, Ask, Close, Hello, Limits, Ping, Tell, frame_of
from runink.wire.session import DEFAULT_LIMITS
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio

HELLO = Hello(1, 1, "bad", "", b"", DEFAULT_LIMITS)


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[Peer]:
    """Serve a store, and yield a good client of it."""
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        async with serve_unix(folder / "s", directory), connect_unix(folder / "s") as peer:
            yield peer


async def raw(folder: Path) -> anyio.abc.SocketStream:
    return await anyio.connect_unix(folder / "s")


async def last_words(stream: anyio.abc.ByteStream) -> RuninkError | None:
    """Return the error of the Close that comes, at the end of all that comes, or nothing if there is none."""
    reader = FrameReader()
    found: RuninkError | None = None
    while True:  # ends with the stream
        try:
            reader.feed(await stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return found
        while (body := reader.next()) is not None:
            if isinstance(came := frame_of(decode(body)), Close):
                found = from_wire(came.error)


def sent(*frames: Any) -> bytes:
    return b"".join(frame(encode(one)) for one in frames)


HOSTILE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030102000100"),
    "zeros": bytes(1000),
    "a huge announced frame": b"\xff\xff\xff\xff",
    "a frame too large before the handshake": ((64 << 10) + 1).to_bytes(4, "big"),
    "a frame too large after the handshake": sent(HELLO) + ((16 << 20) + 1).to_bytes(4, "big"),
    "HTTP after the handshake": sent(HELLO) + b"GET / HTTP/1.1\r\n\r\n",
    "a large frame of a kind that is not": sent(HELLO)
    + ((1 << 20) + 1).to_bytes(4, "big")
    + encode(Ask(1, "store", "Get", {"key": "k" * 5000}, 1)),
    "no MessagePack": frame(b"\xc1"),
    "not a frame": sent(["hello"]),
    "no Hello": sent(Ping()),
    "two Hellos": sent(HELLO, HELLO),
    "a gap in the numbers": sent(HELLO, Tell(2, "store", "Put", {"key": "k"})),
    "an answer out of nothing": sent(HELLO, Answer(7, None)),
    "too many asks": sent(
        HELLO,
        *(
            Ask(n, "store", "Promise", {"name": str(n)}, 60_000)
            for n in range(1, DEFAULT_LIMITS.asks_max + 2)
        ),
    ),
    "a bomb": sent(HELLO) + frame(b"\xdc\xff\xff" + (b"\xdc\x03\xe8" + b"\x80" * 1000) * 500),
    "deep": sent(HELLO) + frame(b"\x95\x03\x01\xa1a\xa1b" + b"\x91" * 300 + b"\xc0"),
    "limits of nothing": sent([1, 1, 1, "bad", "", b"", [0, 0, 0]]),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_nonsense_closes_its_connection_with_words_and_no_other(tmp_path: Path, name: str):
    async with server(tmp_path) as good:
        async with await raw(tmp_path) as bad:
            await bad.send(HOSTILE[name])
            with anyio.fail_after(60):
                error = await last_words(bad)
            assert isinstance(error, ProtocolViolation)
            assert error.text
        assert not good.link.is_over
        assert await good.ref("store").ask(Put("a"), within=60) == 1


async def test_random_bytes_close_only_their_own_connections(tmp_path: Path):
    random = Random(7)
    async with server(tmp_path) as good:
        for number in range(40):
            async with await raw(tmp_path) as bad:
                start = sent(HELLO) if number % 2 else b""
                await bad.send(start + random.randbytes(random.randrange(1, 400)))
        assert await good.ref("store").ask(Put("a"), within=60) == 1


async def test_bad_messages_are_refused_one_by_one_and_the_connection_stays(tmp_path: Path):
    async with server(tmp_path), await raw(tmp_path) as bad:
        await bad.send(
            sent(
                HELLO,
                Ask(1, "store", "Put", {"key": 1}, 1000),
                Ask(2, "store", "Put", {"key": "k", "colour": "red"}, 1000),
                Ask(3, "store", "Loaded", {}, 1000),
                Ask(4, "nobody", "Put", {}, 1000),
                Tell(5, "store", "Put", "nonsense"),
                Ask(6, "store", "Put", {"key": "k", "value": b""}, 1000),
            )
        )
        reader = FrameReader()
        answers: dict[int, Any] = {}
        while len(answers) < 5:
            reader.feed(await bad.receive())
            while (body := reader.next()) is not None:
                came = decode(body)
                if came[0] in (5, 6):
                    answers[came[1]] = came[2]
    assert answers[1]["text"] == "Put: Expected `str`, got `int` - at `$.key`"
    assert answers[2]["text"] == "Put: unknown field `$.colour`"
    assert answers[3]["code"] == "unknown_message"
    assert answers[4]["code"] == "no_such_actor"
    assert answers[6] == 1


async def test_what_is_dropped_of_a_peer_is_told_in_few_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    tells = [Tell(number, "store", "Nonsense", {}) for number in range(1, 6 * DROPPED_TOLD_MAX)]
    async with server(tmp_path), await raw(tmp_path) as bad:
        await bad.send(sent(HELLO, *tells, Ask(len(tells) + 1, "store", "Put", {"key": "k"}, 1000)))
        reader = FrameReader()
        is_answered = False
        while not is_answered:
            reader.feed(await bad.receive())
            while (body := reader.next()) is not None:
                is_answered = is_answered or decode(body)[0] == 5
    told = [one for one in caplog.records if one.message == "message dropped"]
    assert len(told) == DROPPED_TOLD_MAX


async def test_more_connections_than_there_are_places_are_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connections, "LINKS_MAX", 2)
    async with server(tmp_path) as good:
        second = await raw(tmp_path)
        await second.send(sent(HELLO))
        assert await second.receive()
        async with await raw(tmp_path) as third:
            assert await last_words(third) is None
        await second.aclose()
        assert await good.ref("store").ask(Put("a"), within=60) == 1
        with anyio.fail_after(60):
            while True:  # ends when the server has seen that the second is gone
                async with await raw(tmp_path) as again:
                    await again.send(sent(HELLO))
                    try:
                        assert await again.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        continue
                    break


async def test_a_process_of_another_user_does_not_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with server(tmp_path) as good:
        monkeypatch.setattr(sockets, "peer_uid", lambda _: 4711)
        async with await raw(tmp_path) as bad:
            assert await last_words(bad) is None
        assert await good.ref("store").ask(Put("a"), within=60) == 1


async def test_a_peer_may_announce_small_limits(tmp_path: Path):
    async with server(tmp_path), await raw(tmp_path) as small:
        hello = Hello(1, 1, "small", "", b"", Limits(1024, 1, 1))
        ask = Ask(1, "store", "Get", {"key": "x" * 5000}, 1000)
        await small.send(sent(hello, ask))
        reader = FrameReader(bytes_max=1024)
        failure = None
        while failure is None:
            reader.feed(await small.receive())
            while (body := reader.next()) is not None:
                came = decode(body)
                failure = came if came[0] == 6 else None
        assert failure[2]["kind"] == "NotFound"
        assert len(failure[2]["text"]) <= 200


async def test_the_socket_is_gone_when_the_server_is(tmp_path: Path):
    async with server(tmp_path):
        assert (tmp_path / "s").exists()
    assert not (tmp_path / "s").exists()
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
        probe.connect(str(tmp_path / "s"))
