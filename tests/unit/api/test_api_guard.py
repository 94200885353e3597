"""The guard: slow clients are cut while good ones are served, and no address takes all the room."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
import pytest
from anyio.lowlevel import checkpoint
from api_world import ANNA, SOON_S, World, world
from runink.api.guard import PROGRESS_BYTES, Doorway, GuardedServer
from runink.api.limits import Limits

pytestmark = pytest.mark.anyio
BOTH_LOOPS = True
SLOW = Limits(
    head_s=0.4,
    body_s=0.4,
    linger_s=0.1,
    idle_s=0.4,
    write_s=0.4,
    connections_per_address_max=1000,
    requests_burst=1_000_000,  # the good client asks all the time
)
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ended(pair: Pair) -> bytes:
    """Return what a connection still brings, when it is over."""
    reader, writer = pair
    try:
        async with asyncio.timeout(SOON_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def dribble(pair: Pair) -> None:
    """Send a header a byte at a time, until the other side has had enough."""
    reader, writer = pair
    over = asyncio.ensure_future(reader.read())
    while not over.done():
        try:
            writer.write(b"x")
            await writer.drain()
        except ConnectionError:
            break
        await asyncio.wait({over}, timeout=0.05)
    writer.close()
    await asyncio.gather(over, return_exceptions=True)


async def test_none_of_300_slow_connections_is_left_and_a_good_client_is_served_throughout() -> (
    None
):
    limits = msgspec.structs.replace(
        SLOW, head_s=1.0, idle_s=60
    )  # aiohttp closes idle ones by itself
    async with world(limits=limits) as api, asyncio.timeout(SOON_S):
        heads = [b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"G", b""]
        pairs = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(300)]
        slow = [asyncio.ensure_future(dribble(pair)) for pair in pairs[::3]]
        slow += [asyncio.ensure_future(ended(pair)) for pair in pairs[1::3] + pairs[2::3]]
        for place, (_, writer) in enumerate(pairs):
            writer.write(heads[place % 3])
        served = 0
        while not all(one.done() for one in slow):
            answer = await api.ask("GET", "/health", {})
            assert answer.status == 200
            served += 1
            await checkpoint()
        assert served, "on a busy machine it is once, else some hundred times"
        statistics = api.server.statistics()
        assert statistics["connections"] == 1, "the good client's own"
        assert statistics["cut_slow_head"] == 300


async def test_a_head_is_slow_from_its_first_byte_on_a_connection_that_was_used_before() -> None:
    async with world(limits=Limits(head_s=0.3, idle_s=60)) as api:
        pair = await asyncio.open_connection("127.0.0.1", api.port)
        pair[1].write(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        await pair[0].readuntil(b'{"status":"ok"}')
        pair[1].write(b"GET /api")
        assert await ended(pair) == b""
        assert api.server.statistics()["cut_slow_head"] == 1


async def test_a_connection_that_asks_nothing_more_is_closed() -> None:
    async with world(limits=Limits(idle_s=0.3)) as api:
        pair = await asyncio.open_connection("127.0.0.1", api.port)
        pair[1].write(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await ended(pair)
        assert answer.endswith(b'{"status":"ok"}')
        assert "cut_slow_head" not in api.server.statistics()


@pytest.mark.parametrize("rest", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"])  # fmt: skip
async def test_a_slow_body_is_answered_408_and_its_connection_closed(rest: bytes) -> None:
    head = b"POST /api/v1/herds/flights/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer anna-token\r\nContent-Type: application/json\r\n"
    async with world(limits=SLOW) as api:
        answer = await ended(await _sent(api, head + rest))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"body_too_slow"' in answer


async def test_the_body_of_a_request_that_was_refused_is_not_waited_for() -> None:
    head = b"POST /api/v1/herds/flights/notes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    async with world(limits=SLOW) as api:
        answer = await ended(await _sent(api, head))
        assert answer.startswith(b"HTTP/1.1 401 ")


async def _sent(api: World, request: bytes) -> Pair:
    pair = await asyncio.open_connection("127.0.0.1", api.port)
    pair[1].write(request)
    return pair


async def test_who_takes_nothing_of_an_answer_is_cut() -> None:
    async def much(note: Any) -> Any:
        while True:
            yield note.text.encode() * 65536

    async with world(limits=SLOW) as api:
        api.notebook.put("flights", "first", "x")
        api.notebook.exported = much
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", api.port))
            request = b"GET /api/v1/herds/flights/notes/first/text HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer anna-token\r\n\r\n"
            await loop.sock_sendall(deaf, request)
            async with asyncio.timeout(SOON_S):
                while "cut_slow_reader" not in api.server.statistics():
                    assert (await api.ask("GET", "/health", {})).status == 200


async def test_one_address_has_so_many_connections_and_no_more() -> None:
    async with world(limits=Limits(connections_per_address_max=3)) as api:
        kept = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(3)]
        assert await ended(await asyncio.open_connection("127.0.0.1", api.port)) == b""
        other = await asyncio.open_connection("127.0.0.1", api.port, local_addr=("127.0.0.2", 0))
        other[1].write(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await ended(other)).endswith(b'{"status":"ok"}')
        kept.pop()[1].close()
        async with asyncio.timeout(SOON_S):
            while api.server.statistics()["connections"] > 2:
                await checkpoint()
        assert (await api.ask("GET", "/health", {})).status == 200
        for _, writer in kept:
            writer.close()
        assert api.server.statistics()["refused"] == 1


async def test_a_compressed_body_is_refused_unread() -> None:
    import gzip

    bomb = gzip.compress(bytes(4 << 20))
    headers = ANNA | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with world() as api:
        answer = await api.ask("POST", "/herds/flights/notes", headers, data=bomb)
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("is_said", [True, False])
async def test_a_body_that_is_too_large_is_refused(is_said: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def parts() -> Any:
        for _ in range(64):
            yield b" " * 4096

    data = b" " * (256 << 10) if is_said else parts()
    headers = ANNA | {"Content-Type": "application/json"}
    async with world(limits=Limits(body_bytes_max=100 << 10)) as api:
        answer = await api.ask("POST", "/herds/flights/notes", headers, data=data)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")


async def test_who_waits_for_100_continue_is_told_so_only_when_let_in() -> None:
    head = b"POST /api/v1/herds/flights/notes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
    async with world(limits=SLOW) as api:
        refused = await ended(await _sent(api, head + b"Connection: close\r\n\r\n"))
        assert refused.startswith(b"HTTP/1.1 401 ")
        pair = await _sent(
            api, head + b"Connection: close\r\nAuthorization: Bearer anna-token\r\n\r\n"
        )
        assert await pair[0].readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        pair[1].write(b'{"text":"x"}')
        assert (await ended(pair)).startswith(b"HTTP/1.1 201 ")


async def test_a_stop_lets_what_is_under_way_end_and_takes_nothing_new() -> None:
    go = asyncio.Event()

    async def wait(operation: object) -> None:
        del operation
        await go.wait()

    async with world() as api:
        api.notebook.put("flights", "first", "x")
        api.notebook.turn = wait
        asking = asyncio.ensure_future(api.ask("GET", "/herds/flights/notes/first"))
        async with asyncio.timeout(SOON_S):
            while not api.notebook.calls:
                await checkpoint()
        stopping = asyncio.ensure_future(api.server.close())
        async with asyncio.timeout(SOON_S):
            while await _is_open(api):
                await checkpoint()
        go.set()
        assert (await asking).status == 200
        await stopping


async def _is_open(api: World) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def test_what_does_not_end_is_cut_after_the_drain() -> None:
    async def hang(operation: object) -> None:
        del operation
        await asyncio.Event().wait()

    async with world(limits=Limits(drain_s=0.2)) as api:
        api.notebook.turn = hang
        asking = asyncio.ensure_future(api.ask("GET", "/herds/flights/notes/first"))
        async with asyncio.timeout(SOON_S):
            while not api.notebook.calls:
                await checkpoint()
            await api.server.close()
            await asyncio.gather(asking, return_exceptions=True)
        assert asking.exception() is not None


class SlowTransport(asyncio.Transport):
    """A connection whose other side takes `paces` times some bytes, each time that somebody looks, and then nothing more."""

    def __init__(self, paces: int) -> None:
        super().__init__()
        self.closing = False
        self.looks = 0
        self.aborted = asyncio.Event()
        self._paces = paces

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted.set()

    def write(self, data: object) -> None:
        del data

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return (1 << 20) - PROGRESS_BYTES * min(self.looks, self._paces)


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("paces", [1, 12])
async def test_who_stands_still_is_cut_and_who_is_slow_is_not(
    paces: int, *, is_closed: bool
) -> None:
    """Of what is still to be sent when a connection is closed, too: aiohttp does not look at it any more."""
    limits = Limits(write_s=0.1)
    async with world() as api:
        server = GuardedServer(api.server._runner.server, Doorway(limits))  # type: ignore[arg-type] # it runs
        connection = server()
        wire = SlowTransport(paces)
        connection.connection_made(wire)
        if is_closed:
            connection.force_close()
            assert wire.closing
        else:
            connection.pause_writing()
        async with asyncio.timeout(SOON_S):
            await wire.aborted.wait()
        assert wire.looks > paces
        connection.connection_lost(None)
