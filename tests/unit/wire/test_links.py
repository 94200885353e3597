"""Links over streams in memory and in virtual time: what is sent together, who waits, and peers that stop reading or speaking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import pytest
import trio.testing
from runink.errors import LinkLost, OutcomeUnknown, ProtocolViolation
from runink.testing.frames import plain
from runink.wire.carriers import StreamCarrier
from runink.wire.link import STALL_S, Link
from runink.wire.messages import Ask, Limits, Tell
from runink.wire.session import DEFAULT_LIMITS, HANDSHAKE_S, PING_S, SILENT_S, Session

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Pipe(anyio.abc.ByteStream):
    """One end of a stream in memory that counts its writes. While `is_stuck`, nobody reads what is written."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.writes = 0
        self.is_stuck = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._incoming.receive()

    async def send(self, item: bytes) -> None:
        if self.is_stuck:
            await anyio.sleep_forever()
        self.writes += 1
        await self._outgoing.send(item)

    async def send_eof(self) -> None:
        await self._outgoing.aclose()

    async def aclose(self) -> None:
        await self._outgoing.aclose()
        await self._incoming.aclose()


def pipes() -> tuple[Pipe, Pipe]:
    forth_in, forth_out = anyio.create_memory_object_stream[bytes](1000)
    back_in, back_out = anyio.create_memory_object_stream[bytes](1000)
    return Pipe(back_out, forth_in), Pipe(forth_out, back_in)


class Echo:
    """Answers every Ask with its body, unless it is told to keep quiet."""

    def __init__(self) -> None:
        self.asked_bodies: list[Any] = []
        self.told_bodies: list[Any] = []
        self.is_quiet = False
        self.numbers_expired: list[int] = []

    def told(self, tell: Tell, link: Link) -> None:
        self.told_bodies.append(plain(tell.body))
        if not self.is_quiet:
            link.settle_tell(tell.number)

    def asked(self, ask: Ask, link: Link) -> None:
        self.asked_bodies.append(plain(ask.body))
        if not self.is_quiet:
            link.answer(ask.number, ask.body)

    def expired(self, number: int) -> None:
        self.numbers_expired.append(number)


class Both:
    def __init__(self, limits: Limits) -> None:
        self.stream, self.server_stream = pipes()
        self.echo = Echo()
        now = anyio.current_time()
        self.link = Link(StreamCarrier(self.stream), Session.connecting("one", now=now), Echo())
        session = Session.accepting("two", now=now, limits=limits)
        self.server = Link(StreamCarrier(self.server_stream), session, self.echo)


@asynccontextmanager
async def linked(limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Both]:
    both = Both(limits)
    async with anyio.create_task_group() as group:
        group.start_soon(both.link.run)
        group.start_soon(both.server.run)
        await both.link.wait_open()
        yield both
        group.cancel_scope.cancel()


class Call:
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: Any = None
        self.error: Any = None

    def settle(self, value: Any, error: Any) -> None:
        self.value, self.error = plain(value), error
        self.done.set()


async def ask(link: Link, body: Any, *, within_s: float = 3600) -> Call:
    call = Call()
    await link.room_for_ask()
    link.ask("echo", body, call.settle, within_s=within_s)
    return call


async def test_what_gathers_while_others_run_is_written_at_once():
    async with linked() as both:
        writes = both.stream.writes
        calls = [await ask(both.link, number) for number in range(100)]
        for call in calls:
            await call.done.wait()
        assert [call.value for call in calls] == list(range(100))
        assert both.stream.writes - writes <= 2
        assert both.server_stream.writes <= 4


async def test_a_teller_waits_for_credit():
    async with linked(Limits(1 << 20, 10, 4)) as both:
        both.echo.is_quiet = True
        for number in range(4):
            await both.link.room_for_tell()
            both.link.tell("log", number)
        assert not both.link.take_tell_nowait()
        with anyio.move_on_after(60) as limit:
            await both.link.room_for_tell()
        assert limit.cancelled_caught
        for number in (1, 2):
            both.server.settle_tell(number)
        await both.link.room_for_tell()
        both.link.tell("log", 4)
        await anyio.wait_all_tasks_blocked()
        assert both.echo.told_bodies == [0, 1, 2, 3, 4]


async def test_an_asker_waits_for_a_place():
    async with linked(Limits(1 << 20, 2, 4)) as both:
        both.echo.is_quiet = True
        first = await ask(both.link, 1)
        await ask(both.link, 2)
        with anyio.move_on_after(60) as limit:
            await both.link.room_for_ask()
        assert limit.cancelled_caught
        both.server.answer(1, "yes")
        await ask(both.link, 3)
        assert first.value == "yes"


async def test_an_ask_that_nobody_answers_expires_at_the_server_and_frees_its_place():
    async with linked(Limits(1 << 20, 1, 4)) as both:
        both.echo.is_quiet = True
        call = await ask(both.link, 1, within_s=100)
        await call.done.wait()
        assert call.error.code == "timed_out"
        assert both.echo.numbers_expired == [1]
        both.echo.is_quiet = False
        assert (await ask(both.link, 2)).error is None


async def test_a_quiet_connection_stays_open():
    async with linked() as both:
        await anyio.sleep(10 * SILENT_S)
        assert not both.link.is_over
        call = await ask(both.link, "still there")
        await call.done.wait()
        assert call.value == "still there"


async def test_a_peer_that_says_nothing_any_more_is_given_up():
    async with linked() as both:
        both.echo.is_quiet = True
        call = await ask(both.link, 1)
        await anyio.wait_all_tasks_blocked()
        both.server_stream.is_stuck = True  # no Pong comes
        began = anyio.current_time()
        await call.done.wait()
        assert isinstance(call.error, OutcomeUnknown)
        assert PING_S < anyio.current_time() - began <= SILENT_S + 1
        with pytest.raises(LinkLost):
            await both.link.room_for_ask()


async def test_a_peer_that_does_not_read_any_more_is_given_up():
    async with linked() as both:
        both.stream.is_stuck = True
        began = anyio.current_time()
        sent = await ask(both.link, 1)
        await anyio.wait_all_tasks_blocked()
        unsent = await ask(both.link, 2)
        await sent.done.wait()
        assert anyio.current_time() - began <= STALL_S + 1
        assert isinstance(sent.error, OutcomeUnknown)
        assert isinstance(unsent.error, LinkLost)


async def test_senders_wait_while_much_is_unwritten():
    async with linked() as both:
        both.stream.is_stuck = True
        for _ in range(6):
            await ask(both.link, b"x" * (1000 << 10))
            await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(5) as limit:
            await both.link.room_for_ask()
        assert limit.cancelled_caught


async def test_a_peer_that_asks_and_does_not_read_is_not_served_any_more():
    async with linked() as both:
        both.server_stream.is_stuck = True
        for number in range(20):
            await ask(both.link, bytes(1000 << 10) + bytes([number]))
            await anyio.wait_all_tasks_blocked()
        assert 4 <= len(both.echo.asked_bodies) <= 8


async def test_a_handshake_that_does_not_come_ends_the_link():
    stream, other = pipes()
    link = Link(StreamCarrier(stream), Session.accepting("two", now=anyio.current_time()), Echo())
    began = anyio.current_time()
    await link.run()
    assert anyio.current_time() - began <= HANDSHAKE_S + 1
    assert isinstance(link.error, ProtocolViolation)
    with pytest.raises(ProtocolViolation):
        await link.wait_open()
    await other.aclose()


async def test_who_waits_for_a_place_is_told_that_the_link_is_over():
    async with linked(Limits(1 << 20, 1, 1)) as both, anyio.create_task_group() as group:
        both.echo.is_quiet = True
        await ask(both.link, 1)
        both.link.take_tell_nowait()
        both.link.tell("log", 1)

        async def wait(room: Any) -> None:
            with pytest.raises(LinkLost):
                await room()

        for room in (both.link.room_for_ask, both.link.room_for_tell) * 2:
            group.start_soon(wait, room)
        await anyio.wait_all_tasks_blocked()
        both.server.close(ProtocolViolation("enough"))
    assert isinstance(both.link.error, ProtocolViolation)
    assert both.link.error.text == "enough"
