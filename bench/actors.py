"""Actors: tells and asks in a process, asks over one loopback connection to another process.

What is required is absolute; beside it stands the barest thing that asyncio offers for the same, run alternately: a queue with a reader, a queue and a future
for each answer, an echo of numbered
MessagePack values without deadlines, types or limits.  The best of each counts.  A prototype made 128,000 tells and 18,000 asks in a second.
`--json` prints the list of figures that `make bench` gathers.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import msgspec
from runink.runtime.actor import Actor, Request
from runink.runtime.connections import connect_tcp, serve_tcp
from runink.runtime.directory import Directory
from runink.runtime.ref import Ref
from runink.runtime.supervisor import ChildSpec, supervise

from figures import Figure, main

TURNS = 3
TELLS = 100_000
ASKS = 20_000
REMOTE_ASKS = 32_000
ASKERS = 64
BODY = b"x" * 100
HOST = "127.0.0.1"

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


class Count(Request[int], frozen=True):
    body: bytes = BODY


class Counter(Actor[Count]):
    def __init__(self) -> None:
        self.count = 0

    async def receive(self, _: Count) -> int:
        self.count += 1
        return self.count


async def tells() -> float:
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("counter", Counter))
        began = time.perf_counter()
        for _ in range(TELLS):
            await ref.tell(Count())
        assert await ref.ask(Count(), within=10) == TELLS + 1
        return TELLS / (time.perf_counter() - began)


async def asks() -> float:
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("counter", Counter))
        return await ask_all(ref, ASKS, askers=1)


async def ask_all(ref: Ref[Count], count: int, *, askers: int) -> float:
    async def ask_some() -> None:
        for _ in range(count // askers):
            await ref.ask(Count(), within=10)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(askers):
            group.start_soon(ask_some)
    return count / (time.perf_counter() - began)


async def bare_queue() -> float:
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(64)

    async def read() -> None:
        while await queue.get() is not None:
            pass

    reader = asyncio.create_task(read())
    began = time.perf_counter()
    for _ in range(TELLS):
        await queue.put(BODY)
    await queue.put(None)
    await reader
    return TELLS / (time.perf_counter() - began)


async def bare_futures() -> float:
    queue: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue(64)

    async def read() -> None:
        while True:
            (await queue.get()).set_result(1)

    reader = asyncio.create_task(read())
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(ASKS):
        future = loop.create_future()
        await queue.put(future)
        async with asyncio.timeout(10):
            await future
    seconds = time.perf_counter() - began
    reader.cancel()
    return ASKS / seconds


def in_other_process(role: str, ask: Callable[[int], Awaitable[float]]) -> float:
    """Start a server process, ask it, and end it."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", role], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        return anyio.run(ask, int(server.stdout.readline()))
    finally:
        server.stdin.close()
        server.wait(timeout=10)
        server.stdout.close()


async def remote_asks(port: int) -> float:
    async with connect_tcp(HOST, port) as peer:
        return await ask_all(peer.ref("counter"), REMOTE_ASKS, askers=ASKERS)


async def remote_asks_of_one(port: int) -> float:
    async with connect_tcp(HOST, port) as peer:
        return await ask_all(peer.ref("counter"), REMOTE_ASKS // 8, askers=1)


async def serve_actors() -> None:
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("counter", Counter, messages_max=ASKERS))
        directory = Directory("bench")
        directory.serve(ref, Count)
        async with serve_tcp(HOST, 0, directory) as port:
            print(port, flush=True)
            await anyio.to_thread.run_sync(sys.stdin.read)


class Frames(asyncio.Protocol):
    """Cuts what comes into values, each a number and a body behind its length."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        begin = 0
        while len(self.buffer) >= begin + 4:
            end = begin + 4 + int.from_bytes(self.buffer[begin : begin + 4], "big")
            if len(self.buffer) < end:
                break
            self.came(*decode(self.buffer[begin + 4 : end]))
            begin = end
        self.buffer = self.buffer[begin:]

    def send(self, number: int, body: bytes) -> None:
        data = encode((number, body))
        self.transport.write(len(data).to_bytes(4, "big") + data)

    def came(self, number: int, body: bytes) -> None:
        """Echo it."""
        self.send(number, body)


class Asker(Frames):
    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}

    async def ask(self, number: int) -> bytes:
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        self.send(number, BODY)
        return await future

    def came(self, number: int, body: bytes) -> None:
        self.waiting.pop(number).set_result(body)


async def serve_echo() -> None:
    server = await asyncio.get_running_loop().create_server(Frames, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def bare_echo(port: int, *, askers: int, count: int) -> float:
    transport, asker = await asyncio.get_running_loop().create_connection(Asker, HOST, port)

    async def ask_some(first: int) -> None:
        for number in range(first, count, askers):
            await asker.ask(number)

    began = time.perf_counter()
    await asyncio.gather(*(ask_some(first) for first in range(askers)))
    transport.close()
    return count / (time.perf_counter() - began)


def figure(
    name: str, must: int | None, ours: Callable[[], float], reference: Callable[[], float]
) -> Figure:
    best_ours = best_reference = 0.0
    for _ in range(TURNS):
        best_ours = max(best_ours, ours())
        best_reference = max(best_reference, reference())
    return Figure(
        name,
        round(best_ours),
        round(best_reference),
        round(best_ours / best_reference, 2),
        f">= {must}" if must else "-",
        must is None or best_ours >= must,
    )


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Measure; or, with `serve`, be the other process of a measurement."""
    if arguments.serve:
        anyio.run({"actors": serve_actors, "echo": serve_echo}[arguments.serve])
        return []
    return [
        figure(
            "local tells a second, against asyncio.Queue",
            80_000,
            lambda: anyio.run(tells),
            lambda: anyio.run(bare_queue),
        ),
        figure(
            "local asks a second, against a queue with futures",
            12_000,
            lambda: anyio.run(asks),
            lambda: anyio.run(bare_futures),
        ),
        figure(
            "remote asks a second, 64 askers, against a bare echo",
            15_000,
            lambda: in_other_process("actors", remote_asks),
            lambda: in_other_process("echo", partial(bare_echo, askers=ASKERS, count=REMOTE_ASKS)),
        ),
        figure(
            "remote asks a second, one asker, against a bare echo",
            None,
            lambda: in_other_process("actors", remote_asks_of_one),
            lambda: in_other_process("echo", partial(bare_echo, askers=1, count=REMOTE_ASKS // 8)),
        ),
    ]


if __name__ == "__main__":
    main(measure, str(__doc__), serve="")
