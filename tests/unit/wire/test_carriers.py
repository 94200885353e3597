"""Links over the loop's own transports: real sockets, under asyncio's loop and uvloop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import msgspec
import pytest
from runink.errors import LinkLost, ProtocolViolation, RuninkError
from runink.testing.frames import plain
from runink.wire.carriers import DirectCarrier, accept_direct, connect_direct_unix
from runink.wire.frames import FRAME_BYTES_MAX
from runink.wire.link import Link
from runink.wire.messages import Ask, Tell
from runink.wire.session import Session

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run under the loops that have transports."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


class Large(msgspec.Struct, array_like=True):
    """What is asked may be large, and the answer, too."""

    bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    answer_bytes_max: ClassVar[int] = FRAME_BYTES_MAX
    number: int
    data: bytes


class Echo:
    """Answers every Ask with its body; fails at what it is told."""

    def __init__(self) -> None:
        self.asked_count = 0

    def told(self, tell: Tell, _: Link) -> None:
        raise ZeroDivisionError(str(plain(tell.body)))

    def asked(self, ask: Ask, link: Link) -> None:
        self.asked_count += 1
        link.answer(ask.number, ask.body, bytes_max=FRAME_BYTES_MAX)

    def expired(self, number: int) -> None:
        raise AssertionError(number)


class Call:
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: Any = None
        self.error: RuninkError | None = None

    def settle(self, value: Any, error: RuninkError | None) -> None:
        self.value, self.error = plain(value), error
        self.done.set()


async def ask(link: Link, body: Any) -> Call:
    call = Call()
    await link.room_for_ask()
    link.ask("echo", body, call.settle, within_s=60)
    return call


def accepting(carrier: DirectCarrier, echo: Echo) -> Link:
    session = Session.accepting("two", now=anyio.current_time(), sizes=lambda *_: FRAME_BYTES_MAX)
    return Link(carrier, session, echo)


def connecting(carrier: DirectCarrier) -> Link:
    return Link(carrier, Session.connecting("one", now=anyio.current_time()), Echo())


@asynccontextmanager
async def linked(echo: Echo) -> AsyncIterator[tuple[Link, Link]]:
    ours, theirs = socket.socketpair()
    one, two = await connect_direct_unix(ours), await accept_direct(theirs)
    link, server = connecting(one), accepting(two, echo)
    async with anyio.create_task_group() as group:
        group.start_soon(link.run)
        group.start_soon(server.run)
        await link.wait_open()
        yield link, server
        group.cancel_scope.cancel()


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 3 << 20])
async def test_what_is_asked_is_answered_however_large(size: int):
    async with linked(Echo()) as (link, _):
        calls = [await ask(link, Large(number, bytes(size))) for number in range(5)]
        for number, call in enumerate(calls):
            await call.done.wait()
            assert call.value == [number, bytes(size)]


async def test_what_came_before_anybody_carried_is_not_lost():
    ours, theirs = socket.socketpair()
    ours.sendall(Session.connecting("one", now=0.0).take_output())
    server = accepting(await accept_direct(theirs), Echo())
    await anyio.wait_all_tasks_blocked()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        assert (await server.wait_open()).node == "one"
        group.cancel_scope.cancel()
    ours.close()


async def test_a_peer_that_asks_and_does_not_read_is_not_served_until_it_does():
    ours, theirs = socket.socketpair()
    echo = Echo()
    server = accepting(await accept_direct(theirs), echo)
    session = Session.connecting("one", now=0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        stream = await anyio.abc.UNIXSocketStream.from_socket(ours)
        await stream.send(session.take_output())
        session.receive(await stream.receive(), now=0.0)
        for number in range(20):
            session.ask("echo", "Echo", [number, bytes(1000 << 10)], within_s=60)
        with anyio.move_on_after(0.5) as limit:
            await stream.send(session.take_output())
        assert limit.cancelled_caught
        assert 4 <= echo.asked_count <= 8
        await anyio.aclose_forcefully(stream)
        group.cancel_scope.cancel()


async def test_the_end_of_a_peer_ends_the_link_and_who_waits_is_told():
    async with linked(Echo()) as (link, server):
        server.close(ProtocolViolation("enough"))
        with anyio.fail_after(5):
            while not link.is_over:  # ends: the last frame is on its way
                await anyio.lowlevel.checkpoint()
        assert isinstance(link.error, ProtocolViolation)
        with pytest.raises(LinkLost):
            await link.room_for_ask()


async def test_what_a_handler_fails_with_is_raised_where_the_link_runs():
    ours, theirs = socket.socketpair()
    link = connecting(await connect_direct_unix(ours))
    server = accepting(await accept_direct(theirs), Echo())
    async with anyio.create_task_group() as group:
        group.start_soon(link.run)

        async def tell() -> None:
            await link.wait_open()
            await link.room_for_tell()
            link.tell("echo", "boom")

        group.start_soon(tell)
        with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match="boom")):
            await server.run()
        group.cancel_scope.cancel()


async def test_a_connection_that_is_reset_ends_the_link():
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    listener.close()
    ours.setblocking(False)
    server = accepting(await accept_direct(theirs), Echo())
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ours.close()
    with anyio.fail_after(5):
        await server.run()
    assert isinstance(server.error, LinkLost)


async def test_a_connection_that_is_lost_without_a_word_ends_the_link():
    ours, theirs = socket.socketpair()
    carrier = await accept_direct(theirs)
    server = accepting(carrier, Echo())
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await anyio.wait_all_tasks_blocked()
        carrier.connection_lost(ConnectionResetError())
    assert isinstance(server.error, LinkLost)
    ours.close()
