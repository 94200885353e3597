"""What an agent asks of its relay while that is slow to read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio
import msgspec
import pytest
from runink.config import Address
from runink.relay.client import RelayClient, RelayPlace
from runink.relay.protocol import PACKET_BYTES_MAX, Read, RelaySettings

GANGS = 4

pytestmark = pytest.mark.anyio


def filled(link: socket.socket) -> int:
    """Send until there is no room; return how many packets that were."""
    count = 0
    while True:
        try:
            link.send(b"x" * 1024)
        except BlockingIOError:
            return count
        count += 1


async def test_gangs_that_are_launched_at_once_all_reach_a_relay_that_reads_late(
    tmp_path: Path,
) -> None:
    ours, relay = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    source, target = os.pipe()
    place = RelayPlace(
        tmp_path / "s", tmp_path / "l", Address("127.0.0.1", 1), RelaySettings("n", "a")
    )
    client = RelayClient(place)
    client._link = ours
    with ours, relay:
        for link in (ours, relay):
            link.setblocking(False)
        before = filled(ours)
        async with anyio.create_task_group() as group:
            for number in range(GANGS):
                group.start_soon(client.read, Read(f"e{number}", 1, b"t"), target)
            await anyio.wait_all_tasks_blocked()
            for _ in range(before):
                relay.recv(PACKET_BYTES_MAX)
        came = [relay.recv(PACKET_BYTES_MAX) for _ in range(GANGS)]
    os.close(source)
    os.close(target)
    wanted = [msgspec.msgpack.decode(one, type=Read).edge for one in came]
    assert sorted(wanted) == [f"e{number}" for number in range(GANGS)]
