"""Requests over HTTP: how many a second of one core a server answers. Each is a GET of a herd on a connection that stays, with a token that is checked, over loopback.

The references are aiohttp with one handler that returns the same bytes, and the same which checks the token by `jwt.decode` first: no rights, no limits, no store behind it, no deadlines; and ours, if it remembered no tokens.  All serve in processes of their own
(`access_server.py`), asked by the same eight connections in turns; the best turn of each counts, by the processor time of the server alone.  `bench/access.py` gathers these figures.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from access_server import HERD, token
from figures import Figure, at_least, main, shown

CONNECTIONS = 8
REQUESTS = 400  # of each connection and turn
TURNS = 5
RATIO_MUST = 0.4
SERVER = Path(__file__).with_name("access_server.py")


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    pid: int
    port: int

    @property
    def cpu_s(self) -> float:
        """Return the processor time that it has used, with its threads."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """Have a server for as long as the block."""
    child = subprocess.Popen(
        [sys.executable, str(SERVER), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield Server(child.pid, int(child.stdout.readline()))
    finally:
        child.communicate()


async def asked(port: int, request: bytes, count: int) -> None:
    """Ask so often on one connection, and read each answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))  # fmt: skip
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()


async def turn(server: Server, request: bytes) -> float:
    """Return how many requests the server answers in a second of its processor time."""
    began_s = server.cpu_s
    await asyncio.gather(*(asked(server.port, request, REQUESTS) for _ in range(CONNECTIONS)))
    return CONNECTIONS * REQUESTS / (server.cpu_s - began_s)


async def best(*servers: Server) -> list[float]:
    request = f"GET /api/v1/herds/{HERD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()  # fmt: skip
    turns = [[await turn(server, request) for server in servers] for _ in range(TURNS)]
    return [max(rates) for rates in zip(*turns, strict=True)]


def requested() -> list[Figure]:
    with (
        running("ours") as ours,
        running("anew") as forgetful,
        running("checking") as checking,
        running("plain") as plain,
    ):
        mine, anew, checked, bare = asyncio.run(best(ours, forgetful, checking, plain))
    return [
        shown("API requests/s, to ours with each token checked anew", mine, anew),
        at_least("API requests/s, to aiohttp with jwt.decode", mine, checked, RATIO_MUST),
        shown("API requests/s, to aiohttp that checks nothing", mine, bare),
    ]


def measure(_: argparse.Namespace) -> list[Figure]:
    return requested()


if __name__ == "__main__":
    main(measure, str(__doc__))
