"""Load on a store: what is asked, what came of it, and the interface that both stores have here.

    workload        request                                          asked of
    PUT             a put of a random key, 100 B                     the leader
    GET             a linearizable get of a random key               the leader
    SERIALIZABLE    a get that the member answers that is asked      all members in turn

A load is run by a process of its own, for WARM_UP_S uncounted and then as long as is asked; each of its clients waits for its answer before it asks
again. From 8 clients on they share four connections.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

KEYS: Final = 10_000
VALUE_BYTES: Final = 100
WARM_UP_S: Final = 1.0
READY_S: Final = 30.0  # until a member must be there
STOP_S: Final = 10.0
LOOK_S: Final = 0.02  # between two looks whether they are
FILLERS: Final = 64


class Workload(Enum):
    PUT = "put"
    GET = "get"
    SERIALIZABLE = "serializable"


@dataclass(frozen=True)
class Taken:
    """What came of a load. `cpu_s` is what the client's process used of the processors meanwhile."""

    operations: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.operations / self.seconds


class Load(Protocol):
    """A store that runs, and what loads it."""

    def fill(self) -> None:
        """Put every key once."""

    def run(self, workload: Workload, clients: int, *, seconds: float) -> Taken: ...


def connections_for(clients: int) -> int:
    return 4 if clients >= 8 else 1


def taken_from(words: Sequence[str]) -> Taken:
    """Run a client's process and return what it tells."""
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return Taken(**json.loads(done.stdout))


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens at."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def wait_until(is_ready: Callable[[], bool], children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until it is ready. Raises SystemExit if a process ends meanwhile, or READY_S are over."""
    until = time.monotonic() + READY_S
    while not is_ready():
        ended = [child for child in children if child.poll() is not None]
        if ended or time.monotonic() > until:
            raise SystemExit(f"the members are not ready; ended: {[one.args for one in ended]}")
        time.sleep(LOOK_S)


def stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
