"""The client that loads the Barn, in a process of its own; the counterpart of `etcd_load/`. Prints one JSON object: what was done behind the warm-up.

Every connection has a BarnClient, which its clients share. The members' addresses are HOST:PORT; they are shown the secret.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import anyio
from runink.barn.keyvalue import one_key
from runink.cli.server import has_uvloop
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Read
from runink.clients.cluster import BARN
from runink.config import Address
from runink.runtime.connections import connect_tcp
from runink.trust.connecting import read_secret

from barn_load import FILLERS, KEYS, VALUE_BYTES, WARM_UP_S, Workload, connections_for

LEADER_S = 20.0  # members that were just started elect one within seconds
LOOK_S = 0.1

VALUE = b"v" * VALUE_BYTES
LOOP = {"use_uvloop": has_uvloop()}  # as the members


@dataclass(frozen=True)
class Members:
    """Where they listen, and what they are shown."""

    addresses: tuple[Address, ...]
    secret: bytes


def key(number: int) -> str:
    return f"/bench/{number:08}"


@asynccontextmanager
async def connected(member: Address, secret: bytes) -> AsyncIterator[BarnClient]:
    async with connect_tcp(member.host, member.port, credentials=secret) as peer:
        yield BarnClient(peer.ref(BARN))


@asynccontextmanager
async def all_connected(at: Members, connections: int) -> AsyncIterator[list[BarnClient]]:
    """Connect to all members in turn, or to the leader so often."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                connected(at.addresses[place % len(at.addresses)], at.secret)
            )
            for place in range(connections)
        ]


async def leader(at: Members) -> Members:
    """Return the member that leads, alone, as soon as one does. Raises SystemExit if nobody does within LEADER_S."""
    with anyio.move_on_after(LEADER_S):
        while True:  # ends with a leader, or with the time
            for address in at.addresses:
                async with connected(address, at.secret) as barn:
                    status = await barn.status()
                    if status.lead == status.member:
                        return replace(at, addresses=(address,))
            await anyio.sleep(LOOK_S)
    raise SystemExit("nobody leads")


async def ask(barn: BarnClient, workload: Workload, number: int) -> None:
    match workload:
        case Workload.PUT:
            await barn.put(key(number), VALUE)
        case Workload.GET:
            assert await barn.get(key(number), bytes) is not None
        case Workload.SERIALIZABLE:
            read = Read((one_key(key(number)),), serializable=True)
            assert (await barn.ask(read)).pages[0].items


async def ask_until_end(
    barn: BarnClient, workload: Workload, began: float, ends: float, times: list[float]
) -> None:
    asked = time.perf_counter()
    while asked < ends:
        await ask(barn, workload, random.randrange(KEYS))
        answered = time.perf_counter()
        if asked >= began:
            times.append(answered - asked)
        asked = answered


async def load(at: Members, workload: Workload, clients: int, seconds: float) -> dict[str, float]:
    times: list[float] = []
    connections = connections_for(clients)
    asked = at if workload is Workload.SERIALIZABLE else await leader(at)
    async with all_connected(asked, connections) as barns:
        began = time.perf_counter() + WARM_UP_S
        async with anyio.create_task_group() as group:
            for place in range(clients):
                barn = barns[place % connections]
                group.start_soon(ask_until_end, barn, workload, began, began + seconds, times)
            await anyio.sleep(WARM_UP_S)
            cpu_s = time.process_time()
        cpu_s = time.process_time() - cpu_s
        lasted_s = time.perf_counter() - began
    times.sort()
    return {
        "operations": len(times),
        "seconds": lasted_s,
        "p50_ms": times[len(times) // 2] * 1e3,
        "p99_ms": times[int(len(times) * 0.99)] * 1e3,
        "cpu_s": cpu_s,
    }


async def fill(at: Members) -> None:
    async with (
        all_connected(await leader(at), connections_for(FILLERS)) as barns,
        anyio.create_task_group() as group,
    ):
        numbers = count()
        for place in range(FILLERS):
            group.start_soon(fill_from, barns[place % len(barns)], numbers)


async def fill_from(barn: BarnClient, numbers: Iterator[int]) -> None:
    for number in numbers:
        if number >= KEYS:
            return
        await barn.put(key(number), VALUE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", help="addresses, with commas between them")
    parser.add_argument("workload", choices=["fill", *(one.value for one in Workload)])
    parser.add_argument("--secret", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    members = Members(
        tuple(map(Address.parse, given.members.split(","))), read_secret(given.secret)
    )
    if given.workload == "fill":
        anyio.run(fill, members, backend_options=LOOP)
    else:
        run = partial(load, members, Workload(given.workload), given.clients, given.seconds)
        print(json.dumps(anyio.run(run, backend_options=LOOP)))
