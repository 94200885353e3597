"""Streams between nodes: bytes from a pipe over two relays to a pipe, against the same bytes copied through a TLS socket, both on loopback.

Each side is a process.  Ours has frames, room and many streams at once; the reference is a loop of `read` and `sendall`, and one of `recv` and `write`.  They take turns in one run.  What
counts is the processor time of both sides: where machine and network are others' too, seconds say little.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from runink.pipes.open import PipeEnds, open_pipe
from runink.relay.greeting import Greeting
from runink.relay.protocol import Read, Write
from runink.relay.switchboard import Switchboard
from runink.testing.certificates import Authority
from runink.wire.messages import Hello
from runink.wire.stream_frames import TOKEN_BYTES
from runink.wire.tls import accepting_from, connecting_from

from figures import Figure, main

HOST = "127.0.0.1"
TOKEN = bytes(TOKEN_BYTES)
CHUNK_BYTES = 256 << 10
RECORD_BYTES = 16 << 10  # TLS gives no more at once
TURNS = 5
MUST = 0.5


class Turn(NamedTuple):
    """What one way took, and how many bytes came."""

    seconds: float
    cpu_s: float
    bytes: int


class Sides(NamedTuple):
    """What the sending and the receiving process do, each with its pipe and the socket that is listened at."""

    send: Callable[[int, int], None]
    receive: Callable[[int, socket.socket], None]


def admit(_: Hello, __: bytes) -> None:
    """Let everybody in who has a certificate."""


def relays(accepting: ssl.SSLContext, connecting: ssl.SSLContext) -> Sides:
    def send(pipe: int, port: int) -> None:
        board = Switchboard(
            Greeting("one", admit, connecting=lambda: connecting), now=time.monotonic
        )
        board.write(Write("edge", 1, TOKEN, HOST, HOST, port), pipe)
        while board.has_streams:
            board.turn(1.0)
        board.part()
        while board.has_connections:
            board.turn(1.0)

    def receive(pipe: int, listener: socket.socket) -> None:
        board = Switchboard(Greeting("two", admit, accepting=lambda: accepting), now=time.monotonic)
        board.read(Read("edge", 1, TOKEN), pipe)
        board.watch(listener.fileno(), lambda _: board.accept(listener.accept()[0]))
        while board.has_streams:
            board.turn(1.0)

    return Sides(send, receive)


def plain(accepting: ssl.SSLContext, connecting: ssl.SSLContext) -> Sides:
    def send(pipe: int, port: int) -> None:
        with connecting.wrap_socket(socket.create_connection((HOST, port)), server_hostname=HOST) as link:  # fmt: skip
            while data := os.read(pipe, CHUNK_BYTES):
                link.sendall(data)

    def receive(pipe: int, listener: socket.socket) -> None:
        with accepting.wrap_socket(listener.accept()[0], server_side=True) as link:
            while data := link.recv(RECORD_BYTES):
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(pipe, rest) :]

    return Sides(send, receive)


def turn(sides: Sides, size: int) -> Turn:
    source, target = open_pipe(), open_pipe()
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        before = cpu_of_children()
        children = [
            forked(lambda: sides.send(source.read, port), [source.write, *target]),
            forked(lambda: sides.receive(target.write, listener), [*source, target.read]),
        ]
    began = time.perf_counter()
    os.close(source.read)
    os.close(target.write)
    feeder = threading.Thread(target=feed, args=(source.write, size))
    feeder.start()
    got = drain(target)
    seconds = time.perf_counter() - began
    feeder.join()
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert got == size
    return Turn(seconds, cpu_of_children() - before, got)


def forked(work: Callable[[], None], not_its: list[int]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        for descriptor in not_its:
            os.close(descriptor)
        work()
    finally:
        os._exit(0)


def feed(pipe: int, size: int) -> None:
    chunk = memoryview(os.urandom(1 << 20))
    left = size
    while left:
        left -= os.write(pipe, chunk[: min(left, len(chunk))])
    os.close(pipe)


def drain(ends: PipeEnds) -> int:
    got = 0
    while data := os.read(ends.read, 1 << 20):
        got += len(data)
    os.close(ends.read)
    return got


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """`megabytes` go through in each turn."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder), "authority")
        identity = authority.identity("node")
        contexts = accepting_from(identity), connecting_from(identity)
        ways = relays(*contexts), plain(*contexts)
        size = arguments.megabytes * 1_000_000
        turns = [(turn(ways[0], size), turn(ways[1], size)) for _ in range(TURNS)]
    return [
        told("MB a second of both sides' processor time", turns, lambda one: one.cpu_s, must=MUST),
        told("MB/s", turns, lambda one: one.seconds, must=0.0),
    ]


def told(
    name: str, turns: list[tuple[Turn, Turn]], took: Callable[[Turn], float], *, must: float
) -> Figure:
    ratio = median(took(other) / took(mine) for mine, other in turns)
    return Figure(
        f"relays, {name}",
        round(median(mine.bytes / took(mine) / 1e6 for mine, _ in turns)),
        round(median(other.bytes / took(other) / 1e6 for _, other in turns)),
        round(ratio, 2),
        f">= {must}" if must else "-",
        ratio >= must,
    )


if __name__ == "__main__":
    main(measure, "Streams between relays against a copy through TLS.", megabytes=300)
