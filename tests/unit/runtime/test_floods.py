"""Crowds at a listener: who says nothing, or says it slowly, keeps nobody out, and is told of in few lines."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.abc
import pytest
from runink.runtime.connections import FAILURES_TOLD_MAX, connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.wire.codec import encode
from runink.wire.frames import frame
from runink.wire.messages import Hello
from runink.wire.session import DEFAULT_LIMITS
from runink.wire.strangers import OF_ADDRESS_MAX
from runtime_world import Put, StoreMessage, one_store

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"
HELLO = frame(encode(Hello(1, 1, "bad", "", b"", DEFAULT_LIMITS)))
CROWD = OF_ADDRESS_MAX * 2


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    async with one_store() as ref:
        directory = Directory("there")
        directory.serve(ref, StoreMessage)
        async with serve_tcp(HOST, 0, directory) as port:
            yield port


async def is_cut(stream: anyio.abc.ByteStream) -> bool:
    """Say whether the other side has ended it, with words or without."""
    try:
        while True:  # ends with the stream, or when nothing comes
            with anyio.move_on_after(0.02) as limit:
                await stream.receive()
            if limit.cancelled_caught:
                return False
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return True


@pytest.mark.parametrize("said", [b"", HELLO[:20]], ids=["nothing", "half a Hello"])
async def test_who_says_hello_comes_in_while_a_crowd_says_none(
    said: bytes, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    async with listening() as port, AsyncExitStack() as stack:
        crowd = []
        for _ in range(CROWD):
            crowd.append(await stack.enter_async_context(await anyio.connect_tcp(HOST, port)))
            if said:
                await crowd[-1].send(said)
        async with connect_tcp(HOST, port) as peer:
            assert await peer.ref("store").ask(Put("a"), within=60) == 1
        with anyio.fail_after(60):
            while not await is_cut(crowd[CROWD - OF_ADDRESS_MAX - 1]):
                pass
        assert not await is_cut(crowd[-1])
    told = [one for one in caplog.records if "turned away" in one.message]
    assert len(told) <= 2


async def test_who_is_open_is_no_stranger_and_stays(caplog: pytest.LogCaptureFixture):
    async with listening() as port, AsyncExitStack() as stack:
        for _ in range(OF_ADDRESS_MAX + 5):
            stream = await stack.enter_async_context(await anyio.connect_tcp(HOST, port))
            await stream.send(HELLO)
            assert await stream.receive()
        first = await stack.enter_async_context(connect_tcp(HOST, port))
        assert await first.ref("store").ask(Put("a"), within=60) == 1
    assert "turned away" not in caplog.text


async def test_failures_of_a_crowd_are_told_in_few_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    async def broken(_: object, connection: socket.socket) -> None:
        connection.close()
        raise ConnectionResetError

    monkeypatch.setattr("runink.runtime.connections._welcome_tcp", broken)
    async with listening() as port:
        for _ in range(FAILURES_TOLD_MAX * 3):
            async with await anyio.connect_tcp(HOST, port) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
    told = [one for one in caplog.records if "connection failed" in one.message]
    assert len(told) == FAILURES_TOLD_MAX
